//! MP4 (ISO 14496-12): the files that recordings are kept in, and the movies that are made of them.
//!
//! A segment's file is an *init* ([`init`]: what tracks there are) and *parts* of at most a second
//! ([`part_header`], then the payload: the samples of its tracks in their order). Times in it are
//! absolute: a decode time is the time since 1970 in the track's timescale, so a file says by itself
//! when it was recorded, and byte ranges of several files follow each other without a correction. A
//! movie ([`movie`]) is one file of whole parts laid end to end, whose header is computed from what
//! the index knows: no media byte is read for it.
//!
//! Owner: `archive` writes and reads. Cost: a part's header is one allocation of some hundred bytes;
//! a movie's, a pass over its samples.
//! Not here: files, hashes, the index, what an HLS playlist says. Only what we write is read, and
//! nothing of it is believed: lengths and counts are held against the bytes that are there.

mod boxes;
mod codecs;
mod cursor;
mod entry;
mod error;
mod init;
mod movie;
mod ntp;
mod part;
mod read_init;
mod read_part;
mod sample;
mod sets;
mod track;
mod trak;

pub use error::{Mp4Error, ReadError};
pub use init::init;
pub use movie::{Movie, MoviePart, MovieRequest, MovieRun, movie};
pub use part::{MAX_PART_HEADER_BYTES, PartTimes, PartTrack, part_header};
pub use read_init::{MAX_INIT_BYTES, ReadInit, read_init};
pub use read_part::{ReadPart, ReadTrack, read_part};
pub use sample::Sample;
pub use track::Mp4Track;

#[cfg(test)]
mod tests;
