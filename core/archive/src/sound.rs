//! The sound of a part. Each piece lasts as its own clock says, one after the other; only where that and the
//! capture line have drifted apart, or something is missing, it begins anew.

use std::sync::Arc;

use bytes::Bytes;
use taimat_contract::UnixMicros;
use taimat_media::g711;
use taimat_media::mp4::Sample;
use taimat_media::{AccessUnit, AudioCodec, AudioTrack, MediaTime};

use crate::part::TrackPart;
use crate::ticks;

/// Pieces that wait for a picture at most: some seconds.
const MAX_WAITING: usize = 512;
/// A piece that lasts longer was followed by a loss: parts of a second.
const LONGEST_FRACTION: u64 = 4;
/// So far the two clocks may be apart: parts of a second.
const APART_FRACTION: u64 = 20;

#[derive(Debug)]
struct Piece {
    bytes: Bytes,
    media: MediaTime,
    /// On the capture line, in the track's ticks.
    captured: u64,
}

/// Sound that waits for its part to be closed.
#[derive(Debug, Default)]
pub(crate) struct Sound {
    track: Option<AudioTrack>,
    /// The newest, whose length is known when the next one comes.
    newest: Option<Piece>,
    ready: TrackPart,
    bytes: Vec<Bytes>,
    /// When what is ready is over.
    end: u64,
    /// How long a piece lasts at present.
    usual: u64,
    /// Samples that were given so far, by which frames of FLAC are numbered.
    sample: u64,
}

impl Sound {
    /// What it is: none as long as there is none that can be kept.
    pub(crate) fn track(&self) -> Option<&AudioTrack> {
        self.track.as_ref()
    }

    /// Takes a piece.
    pub(crate) fn push(&mut self, unit: &Arc<AccessUnit>, audio: Option<&AudioTrack>) {
        let Some(track) = audio else {
            return;
        };
        if self.track.as_ref() != Some(track) {
            *self = Self {
                track: Some(track.clone()),
                ..Self::default()
            };
        }
        let Some(bytes) = packed(&unit.data, track, self.sample) else {
            return;
        };
        self.sample += unit.data.len() as u64 / u64::from(track.channels.max(1));
        let rate = track.rate;
        let captured = ticks::from_micros(UnixMicros::from(unit.wall_time).0, rate);
        let piece = Piece {
            bytes,
            media: unit.media_time,
            captured,
        };
        if let Some(before) = self.newest.replace(piece) {
            let length = unit.media_time.ticks.saturating_sub(before.media.ticks);
            let most = u64::from(rate) / LONGEST_FRACTION;
            let length = u64::try_from(length).ok();
            if let Some(length) = length.filter(|length| (1..=most).contains(length)) {
                self.usual = length;
            }
            self.append(before, rate);
        }
    }

    fn append(&mut self, piece: Piece, rate: u32) {
        if self.bytes.len() >= MAX_WAITING {
            self.ready = TrackPart::default();
            self.bytes.clear();
        }
        let apart = u64::from(rate) / APART_FRACTION;
        // What lies far before the end belongs to another line, as with pictures.
        let another = piece.captured + u64::from(rate) * 10 < self.end;
        let begin = if self.end.abs_diff(piece.captured) <= apart {
            self.end
        } else if another {
            piece.captured
        } else {
            self.end.max(piece.captured)
        };
        let usual = match self.usual {
            0 => u64::from(rate) / 50,
            usual => usual,
        };
        match self.ready.samples.last_mut() {
            None => self.ready.time = begin,
            // What is missing is silence: the piece before stands for it.
            Some(last) => {
                let more = u32::try_from(begin.saturating_sub(self.end)).unwrap_or(0);
                last.duration = last.duration.saturating_add(more);
            }
        }
        self.end = begin + usual;
        self.ready.samples.push(Sample {
            size: u32::try_from(piece.bytes.len()).unwrap_or(u32::MAX),
            duration: u32::try_from(usual).unwrap_or(u32::MAX),
            shift: 0,
            sync: true,
        });
        self.bytes.push(piece.bytes);
    }

    /// What is ready, for the part that closes.
    pub(crate) fn take(&mut self) -> (TrackPart, Vec<Bytes>) {
        (
            std::mem::take(&mut self.ready),
            std::mem::take(&mut self.bytes),
        )
    }
}

/// As it is kept: no browser plays G.711 in a file, so that becomes FLAC, which loses nothing of it.
fn packed(data: &Bytes, track: &AudioTrack, sample: u64) -> Option<Bytes> {
    match track.codec {
        AudioCodec::Aac { .. } | AudioCodec::Opus => Some(data.clone()),
        AudioCodec::Pcmu | AudioCodec::Pcma => g711::flac(track, data, sample),
    }
}
