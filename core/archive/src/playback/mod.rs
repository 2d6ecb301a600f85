//! What was recorded, to be played: computed from the index, so that it is the same work however far back it
//! is; media are ranges of files.

mod clip;
mod hls;
mod movie;
mod read;
mod still;

pub(crate) use clip::clip;
pub(crate) use hls::playlist;
pub(crate) use movie::movie;
pub use movie::{MovieFile, MoviePiece};
pub(crate) use read::segment_file;
pub use read::{FileRange, SegmentFile};
pub(crate) use still::units;
