//! An access unit as RTP payloads, made once and shared by all its viewers.

use std::time::{Instant, SystemTime};

use taimat_hub::Item;
use taimat_media::rtp::packetize::{self, Payloads};
use taimat_media::{AccessUnit, MediaTime, StreamInfo, TrackKind, VideoCodec};

/// The RTP payloads of one access unit; headers are personal and not here.
#[derive(Debug)]
pub struct PacketBatch {
    /// Which track.
    pub track: TrackKind,
    /// When it is to be shown.
    pub media_time: MediaTime,
    /// When it was captured.
    pub wall_time: SystemTime,
    /// When it arrived at the router.
    pub received: Instant,
    /// Whether a viewer can start here.
    pub keyframe: bool,
    /// Whether what is shown before it, but comes after it, needs what came before.
    pub open: bool,
    /// Whether something is missing that belongs before it or into it, because packets were lost on the
    /// way from the camera.
    pub incomplete: bool,
    /// The payloads.
    pub payloads: Payloads,
}

impl PacketBatch {
    /// Packetizes an access unit of a stream.
    pub fn new(unit: &AccessUnit, info: &StreamInfo) -> Self {
        let codec = info.video.as_ref().map_or(VideoCodec::H264, |v| v.codec);
        let audio = info.audio.as_ref().map(|a| &a.codec);
        Self {
            track: unit.track,
            media_time: unit.media_time,
            wall_time: unit.wall_time,
            received: unit.received,
            keyframe: unit.starts_video(),
            open: unit.start.is_some_and(|start| !start.is_idr()),
            incomplete: unit.lost_packets > 0 || unit.damaged,
            payloads: packetize::payloads(unit, codec, audio),
        }
    }
}

impl Item for PacketBatch {
    fn weight(&self) -> usize {
        self.payloads.bytes() + self.payloads.len() * 4 + size_of::<Self>()
    }
    fn is_start(&self) -> bool {
        self.keyframe
    }
    fn received(&self) -> Instant {
        self.received
    }
    fn needs_more_than(&self, start: &Self) -> Option<bool> {
        let leads = start.open && self.media_time.ticks < start.media_time.ticks;
        (self.track == TrackKind::Video).then_some(leads)
    }
}
