//! What travels through the router: access units, tracks and codecs, RTP packets, media time.
//!
//! Owner: `ingest` makes access units, `hub` keeps them, `egress` packetizes them. Cost: one pass
//! over the bytes when an access unit is assembled, one when it is packetized.
//! Not here: sockets, clocks, tasks. Everything takes `now` as an argument.

pub mod access_unit;
mod bits;
pub mod capture;
pub mod codec;
pub mod flac;
pub mod g711;
pub mod h264;
pub mod h265;
pub mod jpeg;
pub mod mp4;
pub mod nal;
pub mod quirk;
pub mod rtp;
pub mod start;
pub mod time;
pub mod timeline;

pub use access_unit::{AccessUnit, TrackKind};
pub use codec::{AudioCodec, AudioTrack, StreamInfo, VideoCodec, VideoParams, VideoTrack};
pub use quirk::{Quirk, Quirks};
pub use start::Start;
pub use time::MediaTime;
