//! What tests and benches need: cameras that we did not write, cameras of the field with all that they
//! do wrongly, a headless WHEP client on the `webrtc` crate, a network that loses packets, a reader of
//! numbers in pictures.
//!
//! A dev-dependency only. Everything runs on loopback.

mod bad_store;
pub mod clip;
pub mod field;
pub mod fuzz;
pub mod gstreamer;
mod listening;
pub mod lossy;
pub mod measured;
pub mod movies;
pub mod pictures;
pub mod players;
pub mod plugins;
pub mod python;
pub mod relay;
mod s3_server;
pub mod vlc;
pub mod wait;
pub mod whep;
pub mod yard;

pub use bad_store::{BadStore, Badness};
pub use clip::{Clip, ClipOptions};
pub use field::FieldCamera;
pub use gstreamer::{GstCamera, GstOptions};
pub use lossy::LossyRelay;
pub use pictures::Pictures;
pub use relay::{Publisher, Relay};
pub use s3_server::{ACCESS_KEY, S3Options, S3Server, SECRET_KEY};
pub use vlc::{AtTheEnd, VlcCamera};
pub use wait::eventually;
pub use whep::{ClientOptions, WhepClient};
