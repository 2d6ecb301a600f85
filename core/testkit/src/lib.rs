//! What tests and benches need: cameras that we did not write, cameras that misbehave, a headless
//! WHEP client on the `webrtc` crate, a network that loses packets, a reader of numbers in pictures.
//!
//! A dev-dependency only. Everything runs on loopback.

pub mod bad_camera;
pub mod fuzz;
pub mod gstreamer;
pub mod lossy;
pub mod pictures;
pub mod plugins;
pub mod wait;
pub mod whep;

pub use bad_camera::{BadCamera, Badness};
pub use gstreamer::{GstCamera, GstOptions};
pub use lossy::LossyRelay;
pub use pictures::Pictures;
pub use wait::eventually;
pub use whep::{ClientOptions, WhepClient};
