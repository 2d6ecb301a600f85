//! The disk that is recorded to: one thread appends, syncs once a second for all, and writes the index after
//! that. So the index never names what may not be there.

mod appending;
mod home;
mod losses;
mod reserve;
mod rounds;
mod sync;
mod thread;

pub(crate) use appending::{Appended, Beginning};
pub(crate) use reserve::BYTES as RESERVE;
pub(crate) use sync::Syncing;
pub(crate) use thread::{Volume, VolumeMetrics};
