//! The Rust face of `wit/`: what plugins see and say, as traits and types without wasm.
//!
//! Owner: `vision` implements [`Frames`], `sandbox` implements [`Detector`] by calling a component;
//! tests and benches implement either natively. Units, ranges and errors are those of
//! `wit/plugin.wit`.
//! Not here: how a component is run, how a frame is decoded.

pub mod detection;
pub mod detector;
pub mod failure;
pub mod frames;
pub mod package;

pub use detection::{Attribute, BadDetection, Detection, Rect, Severity, UnixMicros};
pub use detector::{About, Detected, DetectionSink, Detector};
pub use failure::{Cause, Failure, PluginError};
pub use frames::{
    CellStats, Delivery, FrameError, FrameId, FrameInfo, FrameReader, FrameSource, Frames, Plane,
    Region, Want,
};
pub use package::{Kind, Manifest, Package};
