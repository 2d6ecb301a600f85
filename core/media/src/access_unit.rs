//! The unit that travels: one encoded picture, or one packet's worth of sound.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::Bytes;

use crate::codec::VideoParams;
use crate::start::Start;
use crate::time::MediaTime;

/// Which of a stream's tracks. A stream has at most one of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TrackKind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
}

/// One access unit: immutable, shared by all readers, its bytes never copied after assembly.
#[derive(Debug, Clone)]
pub struct AccessUnit {
    /// The track it belongs to.
    pub track: TrackKind,
    /// When it is to be shown, on the track's own time line.
    pub media_time: MediaTime,
    /// When it was captured, on a line of our own that never steps: it follows the camera's clock if
    /// that is believable, else arrival (see [`crate::capture`]). Comparable between tracks.
    pub wall_time: SystemTime,
    /// When it was captured by the camera's own clock, whatever that is worth, if it says so.
    pub camera_time: Option<SystemTime>,
    /// When its last byte arrived here.
    pub received: Instant,
    /// Video: a reader can start here. Never true of a damaged picture. Audio: always true.
    pub keyframe: bool,
    /// Video: how decoding can start here, if it can.
    pub start: Option<Start>,
    /// Video: the parameter sets in force.
    pub params: Option<Arc<VideoParams>>,
    /// Video: NAL units, each after its length in four bytes, big-endian, without parameter sets,
    /// access unit delimiters and filler; or an image of JPEG. Audio: one RTP payload's frame.
    pub data: Bytes,
    /// RTP packets lost on the way here since the access unit before.
    pub lost_packets: u32,
    /// Video: a part of this picture is missing; what is here are its whole NAL units. Readers show
    /// it or go on at the next key frame, as they see fit.
    pub damaged: bool,
}

impl AccessUnit {
    /// Bytes this keeps in memory, for budgets.
    pub fn weight(&self) -> usize {
        self.data.len() + size_of::<Self>()
    }

    /// Whether this picture follows `start` and is shown before it. Where decoding begins with a start
    /// that is no IDR picture, such pictures refer to what is not there.
    pub fn leads(&self, start: &Self) -> bool {
        self.track == TrackKind::Video
            && start.start.is_some_and(|start| !start.is_idr())
            && self.media_time.ticks < start.media_time.ticks
    }

    /// Whether a reader can start with this one. Never with a damaged picture: what is missing in it
    /// would be missing in all that refer to it.
    pub fn starts_video(&self) -> bool {
        self.track == TrackKind::Video && self.keyframe && !self.damaged
    }
}
