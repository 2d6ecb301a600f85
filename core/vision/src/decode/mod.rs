//! Decoders behind one trait, and the wrapper that survives what cameras send.

mod choice;
mod decoder;
mod h264;
mod h265;
mod jpeg;
#[cfg(feature = "libavcodec")]
mod libav;
mod resilient;
mod stream;

pub use choice::{HAS_LIBAVCODEC, decoder, in_rust};
pub use decoder::{DecodeFault, Decoder, MAX_PIXELS};
pub use resilient::{Resilient, Restart};
pub use stream::stream;
