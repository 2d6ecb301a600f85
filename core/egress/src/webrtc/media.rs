//! What one viewer is sent: the burst at the beginning, then what comes, and what it asks for again.
//!
//! The burst is everything since the newest key frame, paced, with timestamps one millisecond apart
//! that end on "now": the viewer decodes it at once and is live, however long ago the key frame was.
//! So it is sent only while its last picture is what the camera sees: what has been standing still is
//! kept back until the camera goes on.
//!
//! Owner: a `session`. Cost per access unit: a look at the phase, and what `way` costs per packet.
//! Not here: the pace (`pace`), numbering and memory (`sent`), bytes (`header`, `way`).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use taimat_base::bucket::Bucket;
use taimat_hub::Ring;
use taimat_media::TrackKind;
use taimat_media::codec::VIDEO_CLOCK;

use super::info::SessionFigures;
use super::negotiate::Agreement;
use super::sent::{OutgoingTrack, SentUnit, SentUnits};
use super::way::Way;
use crate::metrics::ViewerMetrics;
use crate::pace::{self, BurstPace, retransmit_budget};
use crate::packets::PacketBatch;

/// Requests for key frames are looked at at most this often.
const KEYFRAME_REQUEST_INTERVAL: Duration = Duration::from_secs(1);
/// A picture that came so long ago is still the camera's newest as anybody would see it, also where the
/// one after it is late. Of cameras that send pictures more seldom, twice their interval is waited for.
const STILL_NOW: Duration = Duration::from_secs(1);
/// No camera is so slow that a picture older than this stands for now.
const NEVER_NOW: Duration = Duration::from_secs(10);
/// A group of pictures larger than this is not repeated for a viewer that lost some of it.
const MAX_REPLAY_BYTES: usize = 1 << 20;

/// How far a viewer's pictures have come.
#[derive(Debug)]
enum MediaPhase {
    /// Nothing is sent before a key frame, or before the camera goes on.
    Waiting,
    /// Catching up: access units and their timestamps.
    Burst(VecDeque<(u64, u32, Arc<PacketBatch>)>),
    Live,
}

/// What one viewer is sent.
#[derive(Debug)]
pub(super) struct ViewerMedia {
    video: OutgoingTrack,
    audio: Option<OutgoingTrack>,
    phase: MediaPhase,
    pace: BurstPace,
    sent: SentUnits,
    retransmit_budget: Bucket,
    /// When a request for a key frame was looked at last.
    keyframe_considered: Option<Instant>,
    /// A key frame was asked for while the camera stood still.
    keyframe_owed: bool,
    /// The burst is over, and what came of it has yet to be reported.
    caught_up: bool,
    figures: Arc<SessionFigures>,
    metrics: ViewerMetrics,
}

impl ViewerMedia {
    /// Nothing yet.
    pub(super) fn new(
        agreement: &Agreement,
        figures: Arc<SessionFigures>,
        metrics: ViewerMetrics,
    ) -> Self {
        let audio = agreement.audio.as_ref();
        Self {
            video: OutgoingTrack::new(agreement.video.send, agreement.playout_delay),
            audio: audio.map(|track| OutgoingTrack::new(track.send, None)),
            phase: MediaPhase::Waiting,
            pace: BurstPace::new(pace::WEBRTC),
            sent: SentUnits::default(),
            retransmit_budget: retransmit_budget(),
            keyframe_considered: None,
            keyframe_owed: false,
            caught_up: false,
            figures,
            metrics,
        }
    }

    pub(super) fn video_ssrc(&self) -> u32 {
        self.video.params.ssrc
    }

    pub(super) fn ssrcs(&self) -> Vec<u32> {
        self.tracks().map(|track| track.params.ssrc).collect()
    }

    fn tracks(&self) -> impl Iterator<Item = &OutgoingTrack> {
        std::iter::once(&self.video).chain(&self.audio)
    }

    /// Begins: with what there is since the newest key frame, if that is what the camera sees now.
    pub(super) fn begin(
        &mut self,
        since_start: Vec<(u64, Arc<PacketBatch>)>,
        stream_bits_per_second: f64,
        now: Instant,
    ) {
        self.pace.set_stream_rate(stream_bits_per_second);
        self.catch_up(pictures(since_start), now);
    }

    /// Queues pictures that begin with a key frame and end on now; no others.
    fn catch_up(&mut self, pictures: Vec<Picture>, now: Instant) {
        let Some((_, last)) = pictures.last().filter(|_| are_current(&pictures, now)) else {
            return;
        };
        let end = self.video.timestamp(last);
        let count = u32::try_from(pictures.len()).unwrap_or(u32::MAX);
        let millisecond = VIDEO_CLOCK / 1000;
        let queue = (0..count).zip(pictures).map(|(i, (seq, batch))| {
            let before_end = (count - 1 - i).saturating_mul(millisecond);
            (seq, end.wrapping_sub(before_end), batch)
        });
        self.phase = MediaPhase::Burst(queue.collect());
        self.pace.begin(now);
    }

    /// When the burst goes on.
    pub(super) fn next_pump(&self) -> Option<Instant> {
        match self.phase {
            MediaPhase::Burst(_) => self.pace.next(),
            _ => None,
        }
    }

    /// Sends what the pace allows.
    pub(super) fn pump(&mut self, way: &mut Way<'_, '_>, now: Instant) {
        let MediaPhase::Burst(queue) = &mut self.phase else {
            return;
        };
        let mut queue = std::mem::take(queue);
        self.pace.earn(now);
        while self.pace.allows()
            && let Some((seq, timestamp, batch)) = queue.pop_front()
        {
            self.pace.spend(batch.payloads.bytes());
            self.send(seq, timestamp, &batch, way);
        }
        self.phase = if queue.is_empty() {
            self.caught_up = true;
            MediaPhase::Live
        } else {
            MediaPhase::Burst(queue)
        };
    }

    /// The next access unit of the track, which `ring` has already.
    pub(super) fn forward(
        &mut self,
        seq: u64,
        batch: &Arc<PacketBatch>,
        ring: &Ring<PacketBatch>,
        way: &mut Way<'_, '_>,
        now: Instant,
    ) {
        if batch.track == TrackKind::Audio {
            if matches!(self.phase, MediaPhase::Live) {
                self.send_audio(batch, way);
            }
            return;
        }
        if std::mem::take(&mut self.keyframe_owed) && !batch.keyframe {
            self.repeat_group(ring, now);
        }
        let timestamp = self.video.timestamp(batch);
        match &mut self.phase {
            MediaPhase::Live => self.send(seq, timestamp, batch, way),
            MediaPhase::Burst(queue) => {
                if batch.keyframe {
                    // What is still waiting has been overtaken.
                    queue.clear();
                }
                queue.push_back((seq, timestamp, Arc::clone(batch)));
                self.pump(way, now);
            }
            MediaPhase::Waiting if batch.keyframe => {
                self.phase = MediaPhase::Live;
                self.send(seq, timestamp, batch, way);
            }
            MediaPhase::Waiting => {
                // There is a key frame if the camera stood still when this began, and goes on.
                let (mut since_start, _) = ring.since_start();
                since_start.retain(|(known, _)| *known <= seq);
                self.catch_up(pictures(since_start), now);
                self.pump(way, now);
            }
        }
    }

    fn send(&mut self, seq: u64, timestamp: u32, batch: &PacketBatch, way: &mut Way<'_, '_>) {
        let (first, bytes) = self.video.send(batch, timestamp, way);
        let count = batch.payloads.len();
        self.sent.push(SentUnit {
            first,
            count: u32::try_from(count).unwrap_or(u32::MAX),
            timestamp,
            seq,
        });
        self.book(count as u64, bytes as u64);
    }

    fn send_audio(&mut self, batch: &PacketBatch, way: &mut Way<'_, '_>) {
        let Some(audio) = &mut self.audio else { return };
        let timestamp = audio.timestamp(batch);
        let (_, bytes) = audio.send(batch, timestamp, way);
        self.book(batch.payloads.len() as u64, bytes as u64);
    }

    fn book(&self, packets: u64, bytes: u64) {
        self.metrics.packets.inc_by(packets);
        self.metrics.bytes.inc_by(bytes);
        self.figures.sent(packets, bytes);
    }

    /// Sends pictures' packets again, the same bytes as the first time.
    pub(super) fn retransmit(
        &mut self,
        missing: &[u16],
        ring: &Ring<PacketBatch>,
        way: &mut Way<'_, '_>,
        now: Instant,
    ) {
        let (mut packets, mut bytes) = (0, 0);
        for sequence in missing {
            let Some((unit, index, batch)) = self.find_sent(*sequence, ring) else {
                self.metrics.retransmit_misses.inc();
                continue;
            };
            let place = index - unit.first;
            let payload = usize::try_from(place)
                .ok()
                .and_then(|place| batch.payloads.get(place));
            let Some(payload) = payload else { continue };
            if !self.retransmit_budget.take(now) {
                break;
            }
            let header = self.video.header(&batch, index, place, unit.timestamp);
            bytes += way.send(&header, payload);
            packets += 1;
        }
        way.flush();
        self.metrics.retransmits.inc_by(packets);
        self.figures.sent_again(packets);
        self.book(packets, bytes as u64);
    }

    /// The access unit that a sequence number was in, and the packet's index.
    fn find_sent(
        &self,
        sequence: u16,
        ring: &Ring<PacketBatch>,
    ) -> Option<(SentUnit, u64, Arc<PacketBatch>)> {
        let index = self.video.index_of(sequence)?;
        let unit = self.sent.with(index)?;
        Some((unit, index, ring.get(unit.seq)?))
    }

    /// The viewer asked for a key frame: the camera's newest is repeated, with what came since. Where
    /// that is much or has a hole, the next one has to do.
    pub(super) fn keyframe_wanted(&mut self, ring: &Ring<PacketBatch>, now: Instant) {
        let recently = |at: Instant| now.saturating_duration_since(at) < KEYFRAME_REQUEST_INTERVAL;
        let considered = self.keyframe_owed || self.keyframe_considered.is_some_and(recently);
        if matches!(self.phase, MediaPhase::Live) && !considered {
            self.keyframe_considered = Some(now);
            self.repeat_group(ring, now);
        }
    }

    fn repeat_group(&mut self, ring: &Ring<PacketBatch>, now: Instant) {
        let Some(last_sent) = self.video.count.newest().map(|newest| newest.rtp) else {
            return;
        };
        let Some(newest_seq) = self.sent.newest().map(|s| s.seq) else {
            return;
        };
        let (since_start, _) = ring.since_start();
        let mut pictures = pictures(since_start);
        if !are_current(&pictures, now) {
            // Sent now, what is old would look new. It is sent as soon as the camera goes on.
            self.keyframe_owed = !pictures.is_empty();
            return;
        }
        pictures.retain(|(seq, _)| *seq <= newest_seq);
        let weight: usize = pictures.iter().map(|(_, b)| b.payloads.bytes()).sum();
        let has_hole = pictures.iter().skip(1).any(|(_, b)| b.incomplete);
        if pictures.is_empty() || has_hole || weight > MAX_REPLAY_BYTES {
            return;
        }
        // Between the last picture sent and the next to come there is at least 1/60 s.
        let room = VIDEO_CLOCK / 60;
        let count = u32::try_from(pictures.len()).unwrap_or(u32::MAX);
        let step = (room / count.saturating_add(1)).clamp(1, VIDEO_CLOCK / 1000);
        let queue = (1..)
            .zip(pictures)
            .map(|(i, (seq, batch))| (seq, last_sent.wrapping_add(step.wrapping_mul(i)), batch));
        self.phase = MediaPhase::Burst(queue.collect());
        self.pace.begin_slowly(now);
    }

    /// Whether a burst has ended since this was asked last: the RTP clock can be reported again.
    pub(super) fn take_caught_up(&mut self) -> bool {
        std::mem::take(&mut self.caught_up)
    }

    /// Tells others which RTP time was captured when. During a burst RTP times are not those of the
    /// capture.
    pub(super) fn tell_clock(&self) {
        if let (MediaPhase::Live, Some(newest)) = (&self.phase, self.video.count.newest()) {
            self.figures.timed(newest.rtp, newest.captured);
        }
    }

    /// Sender reports of all that was sent. None of the pictures during a burst: their RTP times are not
    /// those of the capture, and a viewer would set its clocks by them.
    pub(super) fn reports(&self, wall: SystemTime) -> Vec<Vec<u8>> {
        let pictures = matches!(self.phase, MediaPhase::Live).then_some(&self.video);
        pictures
            .into_iter()
            .chain(&self.audio)
            .filter_map(|track| track.count.report(track.params.ssrc, wall))
            .collect()
    }
}

/// An access unit of pictures and its number in the ring.
type Picture = (u64, Arc<PacketBatch>);

fn pictures(units: Vec<(u64, Arc<PacketBatch>)>) -> Vec<Picture> {
    let mut pictures = units;
    pictures.retain(|(_, batch)| batch.track == TrackKind::Video);
    pictures
}

/// Whether the last of these is what the camera sees now.
fn are_current(pictures: &[Picture], now: Instant) -> bool {
    let mut newest_first = pictures.iter().rev().map(|(_, batch)| batch.received);
    let Some(newest) = newest_first.next() else {
        return false;
    };
    let before = newest_first.next();
    let interval = before.map_or(Duration::ZERO, |at| newest.saturating_duration_since(at));
    now.saturating_duration_since(newest) < (interval * 2).clamp(STILL_NOW, NEVER_NOW)
}

#[cfg(test)]
mod tests;
