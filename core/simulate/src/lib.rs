//! A fleet of synthetic cameras: drawn street scenes, encoded once into a loop, replayed with fresh
//! timestamps through the router's own RTSP server.
//!
//! Owner: `taimat simulate`, the demo, tests and benches. Cost: drawing and encoding once per scene
//! and profile at the start; after that a camera costs about as much as a stream that is forwarded,
//! so hundreds are no trouble. Scenes are deterministic: the same seed gives the same pictures and
//! the same truth.
//! Not here: anything that a real deployment needs.

mod draw;
mod encode;
mod fleet;
pub mod number;
mod scene;
mod size;

pub use draw::Picture;
pub use encode::{EncodeError, Encoded, Encoding, encode};
pub use fleet::{CameraSpec, Fault, Fleet, FleetConfig, FleetError};
pub use scene::{Kind, Object, Scene, SceneKind, Truth};
pub use size::{PictureSize, SizeError};
