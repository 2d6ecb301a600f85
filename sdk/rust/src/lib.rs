//! Plugins for the media router Taimat, in Rust.
//!
//! A detector is a type that implements [`Detector`], and one line that exports it:
//!
//! ```
//! use taimat_sdk::{Detection, Detector, Error, Frame, Want, detector};
//!
//! #[derive(serde::Deserialize)]
//! #[serde(default)]
//! struct Settings {
//!     darkest: u8,
//! }
//! impl Default for Settings {
//!     fn default() -> Self {
//!         Self { darkest: 20 }
//!     }
//! }
//!
//! struct Dark(Settings);
//!
//! impl Detector for Dark {
//!     type Settings = Settings;
//!     fn new(settings: Settings) -> Result<Self, Error> {
//!         Ok(Self(settings))
//!     }
//!     fn wants(&self, _camera: &str) -> Want {
//!         Want::size(160, 90).fps(1.0)
//!     }
//!     fn on_frame(&mut self, frame: &Frame) -> Result<Vec<Detection>, Error> {
//!         let mean = frame.grid(1, 1, None)?.mean[0];
//!         Ok((mean < self.0.darkest).then(|| frame.detection("dark", 1.0)).into_iter().collect())
//!     }
//! }
//!
//! detector!(Dark);
//! ```
//!
//! It is built by `taimat plugin build`, or by `cargo build --target wasm32-wasip2`. Its logic is
//! tested natively: [`testing::frame`] makes frames of pixels.

pub mod alerter;
pub mod backend;
pub mod bindings;
mod commune;
mod detection;
mod detector;
pub mod foreground;
mod frame;
pub mod geometry;
#[doc(hidden)]
pub mod glue;
pub mod host;
pub mod kernels;
mod memory;
pub mod policy;
pub mod rules;
pub mod storage;
pub mod testing;
pub mod tracks;
pub mod words;
mod written;

pub use bindings::taimat::plugin::types::{Attribute, Detection, Error, Rect};
pub use detection::DetectionExt;
pub use detector::{Detector, Want};
pub use frame::{CellStats, Frame, FrameError, Plane, Region};
