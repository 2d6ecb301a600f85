//! The Rust face of `wit/`: what plugins see and say, as traits and types without wasm.
//!
//! Owner: `vision` implements [`Frames`], `sandbox` implements [`Detector`], [`Policy`], [`Alerter`],
//! [`Storage`] and [`Backend`] by calling a component, `outbound` [`BlobStore`] by a backend or by S3;
//! tests and benches implement any of them natively. Units, ranges and errors are those of
//! `wit/plugin.wit`.
//! Not here: how a component is run, how a frame is decoded.

pub mod alerter;
pub mod backend;
mod bounds;
pub mod channel;
pub mod commune;
pub mod detection;
pub mod detector;
pub mod event;
pub mod failure;
pub mod frames;
pub mod hours;
pub mod message;
pub mod package;
pub mod place;
pub mod policy;
pub mod push;
pub mod schema;
pub mod storage;

pub use alerter::{Alerter, Alerters};
pub use backend::{Backend, Backends};
pub use bounds::OutOfBounds;
pub use channel::{Channels, Dispatch, MediaSource};
pub use commune::CommuneFacts;
pub use detection::{Attribute, BadDetection, Detection, Rect, Severity, UnixMicros};
pub use detector::{About, Detected, DetectionSink, Detector};
pub use event::Event;
pub use failure::{Cause, Failure, PluginError, Unanswered};
pub use frames::{
    CellStats, Delivery, FrameError, FrameId, FrameInfo, FrameReader, FrameSource, Frames, Plane,
    Region, Want,
};
pub use package::{Kind, Manifest, Package};
pub use place::{BlobStore, PlaceError, Places};
pub use policy::{Policies, Policy, Ruling, Situation};
pub use push::{BadPushEndpoint, Push, PushEndpoint, Pushes, Urgency};
pub use schema::SettingsSchema;
pub use storage::{Placement, Review, Storage, Storages};
