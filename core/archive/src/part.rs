//! A part: what is written at once. A second of a stream at most, so that a kill costs no more.

use std::sync::Arc;

use bytes::Bytes;
use taimat_media::mp4::Sample;
use taimat_media::{AudioTrack, VideoParams};

/// The samples of one track within a part.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct TrackPart {
    /// When the first is decoded: ticks of the track's clock since 1970.
    pub(crate) time: u64,
    /// In the order of the file.
    pub(crate) samples: Vec<Sample>,
}

impl TrackPart {
    /// Bytes of its samples.
    pub(crate) fn bytes(&self) -> u64 {
        self.samples.iter().map(|s| u64::from(s.size)).sum()
    }

    /// Its samples, each with when it is shown, in ticks since 1970.
    pub(crate) fn shown(&self) -> impl Iterator<Item = (u64, &Sample)> {
        let mut next = self.time;
        self.samples.iter().map(move |sample| {
            let decoded = next;
            next = next.saturating_add(sample.duration.into());
            (decoded.saturating_add_signed(sample.shift.into()), sample)
        })
    }

    /// Ticks of its samples.
    pub(crate) fn ticks(&self) -> u64 {
        self.samples.iter().map(|s| u64::from(s.duration)).sum()
    }
}

/// What a part's file has to be begun with: a change of it begins another segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Format {
    /// The parameter sets.
    pub(crate) video: Arc<VideoParams>,
    /// Sound, if there is any.
    pub(crate) audio: Option<AudioTrack>,
}

/// A part that is complete, on its way to the disk.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// When its first picture is decoded, and when its last one is over: microseconds since 1970.
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// What the camera's clock showed at the first picture, if it says.
    pub(crate) camera: Option<i64>,
    pub(crate) format: Format,
    pub(crate) video: TrackPart,
    pub(crate) audio: TrackPart,
    /// The samples' bytes: video, then sound.
    pub(crate) payload: Vec<Bytes>,
}

impl Part {
    /// Bytes of its samples: what it takes of the memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.payload.iter().map(|unit| unit.len() as u64).sum()
    }

    /// Whether one can begin with it.
    pub(crate) fn begins_with_key(&self) -> bool {
        self.video.samples.first().is_some_and(|first| first.sync)
    }
}
