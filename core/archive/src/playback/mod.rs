//! What was recorded, to be played: computed from the index, so that it is the same work however far back it
//! is; media are ranges of files.

mod clip;
mod hls;
mod movie;
mod piece;
mod read;
mod shelves;
mod still;

pub(crate) use clip::clip;
pub(crate) use hls::playlist;
pub use movie::MovieFile;
pub(crate) use movie::movie;
pub use piece::{MoviePiece, PieceError};
pub use read::SegmentFile;
pub(crate) use read::segment_file;
pub(crate) use shelves::Shelves;
pub(crate) use still::units;
