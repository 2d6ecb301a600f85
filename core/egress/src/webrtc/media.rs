//! What one viewer is sent: the burst at the beginning, then what comes, and what it asks for again.
//!
//! The burst is everything since the newest key frame, paced, with timestamps one millisecond apart
//! that end on "now": the viewer decodes it at once and is live, however long ago the key frame was.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use taimat_base::clock;
use taimat_hub::Ring;
use taimat_media::TrackKind;
use taimat_media::codec::VIDEO_CLOCK;
use taimat_media::time::duration_to_ticks;

use super::info::Shared;
use super::negotiate::{Agreement, SendParams};
use super::outbox::Outbox;
use super::rtcp::SentState;
use super::seal::Srtp;

use super::socket::Path;
use crate::metrics::ViewerMetrics;
use crate::packets::PacketBatch;

/// The burst goes out at this multiple of the stream's rate, within bounds: measured in Chromium,
/// 20 to 200 Mbit/s make no difference to the first picture, and 50 loses nothing on loopback.
const BURST_MULTIPLE: f64 = 25.0;
const BURST_RATE: (f64, f64) = (10e6, 100e6);
/// Bytes of the burst that go out at once: most of a key frame.
const BURST_CREDIT: f64 = 96.0 * 1024.0;
/// How often the burst goes on.
const PUMP_INTERVAL: Duration = Duration::from_millis(2);
/// Access units that are remembered for retransmission: 10 s at 25 pictures a second, 6 KiB.
const SENT_UNITS: usize = 256;
/// Retransmissions a second at most: beyond, the network needs less and not more.
const RETRANSMIT_RATE: f64 = 500.0;
/// Key frames by request at most this often.
const KEYFRAME_REQUEST_INTERVAL: Duration = Duration::from_secs(1);
/// A group of pictures larger than this is not repeated for a viewer that lost some of it.
const MAX_REPLAY_BYTES: usize = 1 << 20;
/// One-byte header extension (RFC 8285) of three bytes: minimum 0, maximum 400 ms in 10 ms units.
const PLAYOUT_DELAY_MAX: u32 = 40;
/// RTP header and, if agreed, the extension block.
const HEADER_BYTES: usize = 12;
const EXTENSION_BYTES: usize = 8;

/// An access unit that was sent.
#[derive(Debug, Clone, Copy)]
struct Sent {
    /// 48-bit index of its first packet.
    first: u64,
    count: u32,
    timestamp: u32,
    /// Its number in the track's ring.
    seq: u64,
}

#[derive(Debug)]
struct Outgoing {
    params: SendParams,
    /// Index of the next packet: rollover counter and sequence number.
    index: u64,
    /// Added to media time to get RTP time.
    offset: u32,
    packets: u32,
    octets: u32,
    /// RTP time and wall-clock time of the newest access unit, for sender reports.
    newest: Option<(u32, SystemTime, u32)>,
}

impl Outgoing {
    fn new(params: SendParams) -> Self {
        Self {
            params,
            // RFC 3711 section 3.3.1: below 2^15, so that the receiver's guess of the rollover
            // counter is right even if the first packets are lost.
            index: u64::from(rand::random::<u16>() >> 1),
            offset: rand::random(),
            packets: 0,
            octets: 0,
            newest: None,
        }
    }

    fn timestamp(&self, batch: &PacketBatch) -> u32 {
        batch.media_time.rtp().wrapping_add(self.offset)
    }
}

#[derive(Debug)]
enum Feed {
    /// Nothing is sent before a key frame.
    WaitForKey,
    /// Catching up: access units and their timestamps.
    Burst(VecDeque<(u64, u32, Arc<PacketBatch>)>),
    Live,
}

/// What one viewer is sent.
#[derive(Debug)]
pub(super) struct Media {
    video: Outgoing,
    audio: Option<Outgoing>,
    playout_delay: Option<u8>,
    tag_len: usize,
    feed: Feed,
    sent: VecDeque<Sent>,
    burst_rate: f64,
    burst_credit: f64,
    pumped: Option<Instant>,
    retransmit_credit: f64,
    retransmitted: Option<Instant>,
    keyframe_granted: Option<Instant>,
    shared: Arc<Shared>,
    metrics: ViewerMetrics,
}

impl Media {
    pub(super) fn new(agreement: &Agreement, shared: Arc<Shared>, metrics: ViewerMetrics) -> Self {
        Self {
            video: Outgoing::new(agreement.video),
            audio: agreement.audio.map(Outgoing::new),
            playout_delay: agreement.playout_delay,
            tag_len: 0,
            feed: Feed::WaitForKey,
            sent: VecDeque::new(),
            burst_rate: BURST_RATE.1,
            burst_credit: 0.0,
            pumped: None,
            retransmit_credit: RETRANSMIT_RATE,
            retransmitted: None,
            keyframe_granted: None,
            shared,
            metrics,
        }
    }

    pub(super) fn tag_len(&mut self, bytes: usize) {
        self.tag_len = bytes;
    }

    pub(super) fn video_ssrc(&self) -> u32 {
        self.video.params.ssrc
    }

    pub(super) fn ssrcs(&self) -> Vec<u32> {
        let audio = self.audio.as_ref().map(|a| a.params.ssrc);
        [Some(self.video_ssrc()), audio]
            .into_iter()
            .flatten()
            .collect()
    }

    /// Queues what there is since the newest key frame.
    pub(super) fn begin(
        &mut self,
        since_start: Vec<(u64, Arc<PacketBatch>)>,
        stream_bits_per_second: f64,
        now: Instant,
    ) {
        self.burst_rate =
            (stream_bits_per_second * BURST_MULTIPLE).clamp(BURST_RATE.0, BURST_RATE.1);
        let pictures: Vec<_> = since_start
            .into_iter()
            .filter(|(_, b)| b.track == TrackKind::Video)
            .collect();
        let Some((_, last)) = pictures.last() else {
            return;
        };
        let end = self.video.timestamp(last);
        let count = u32::try_from(pictures.len()).unwrap_or(u32::MAX);
        let millisecond = VIDEO_CLOCK / 1000;
        let queue = (0..count).zip(pictures).map(|(i, (seq, batch))| {
            let before_end = (count - 1 - i).saturating_mul(millisecond);
            (seq, end.wrapping_sub(before_end), batch)
        });
        self.feed = Feed::Burst(queue.collect());
        self.burst_credit = BURST_CREDIT;
        self.pumped = Some(now);
    }

    /// When the burst goes on.
    pub(super) fn next_pump(&self) -> Option<Instant> {
        match self.feed {
            Feed::Burst(_) => self.pumped.map(|at| at + PUMP_INTERVAL),
            _ => None,
        }
    }

    /// Sends what the pace allows.
    pub(super) fn pump(
        &mut self,
        srtp: &mut Srtp,
        path: &Path,
        now: Instant,
        out: &mut Outbox<'_>,
    ) {
        let Feed::Burst(queue) = &mut self.feed else {
            return;
        };
        let mut queue = std::mem::take(queue);
        let passed = self
            .pumped
            .map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.pumped = Some(now);
        let earned = passed.as_secs_f64() * self.burst_rate / 8.0;
        self.burst_credit = (self.burst_credit + earned).min(BURST_CREDIT);
        while self.burst_credit > 0.0
            && let Some((seq, timestamp, batch)) = queue.pop_front()
        {
            self.burst_credit -= batch.payloads.bytes() as f64;
            self.send(seq, timestamp, &batch, srtp, path, out);
        }
        self.feed = if queue.is_empty() {
            Feed::Live
        } else {
            Feed::Burst(queue)
        };
    }

    /// The next access unit of the track.
    pub(super) fn forward(
        &mut self,
        seq: u64,
        batch: &Arc<PacketBatch>,
        srtp: &mut Srtp,
        path: &Path,
        now: Instant,
        out: &mut Outbox<'_>,
    ) {
        if batch.track == TrackKind::Audio {
            if matches!(self.feed, Feed::Live) {
                self.send_audio(batch, srtp, path, out);
            }
            return;
        }
        let timestamp = self.video.timestamp(batch);
        match &mut self.feed {
            Feed::Live => self.send(seq, timestamp, batch, srtp, path, out),
            Feed::Burst(queue) => {
                if batch.keyframe {
                    // What is still waiting has been overtaken.
                    queue.clear();
                }
                queue.push_back((seq, timestamp, Arc::clone(batch)));
                self.pump(srtp, path, now, out);
            }
            Feed::WaitForKey if batch.keyframe => {
                self.feed = Feed::Live;
                self.send(seq, timestamp, batch, srtp, path, out);
            }
            Feed::WaitForKey => {}
        }
    }

    fn send(
        &mut self,
        seq: u64,
        timestamp: u32,
        batch: &PacketBatch,
        srtp: &mut Srtp,
        path: &Path,
        out: &mut Outbox<'_>,
    ) {
        let first = self.video.index;
        let count = batch.payloads.len();
        let mut bytes = 0;
        for (i, payload) in batch.payloads.iter().enumerate() {
            let header = Header {
                marker: i + 1 == count,
                index: first + i as u64,
                timestamp,
                params: self.video.params,
                playout_delay: self.playout_delay,
            };
            bytes += write(&header, payload, self.tag_len, srtp, path, out);
        }
        out.flush(path);
        self.video.index += count as u64;
        if self.sent.len() == SENT_UNITS {
            self.sent.pop_front();
        }
        self.sent.push_back(Sent {
            first,
            count: saturate(count),
            timestamp,
            seq,
        });
        count_sent(&mut self.video, timestamp, batch);
        self.book(count as u64, bytes as u64);
    }

    fn send_audio(
        &mut self,
        batch: &PacketBatch,
        srtp: &mut Srtp,
        path: &Path,
        out: &mut Outbox<'_>,
    ) {
        let Some(audio) = &mut self.audio else { return };
        let timestamp = audio.timestamp(batch);
        let mut bytes = 0;
        for payload in batch.payloads.iter() {
            let header = Header {
                marker: false,
                index: audio.index,
                timestamp,
                params: audio.params,
                playout_delay: None,
            };
            bytes += write(&header, payload, self.tag_len, srtp, path, out);
            audio.index += 1;
        }
        out.flush(path);
        count_sent(audio, timestamp, batch);
        self.book(batch.payloads.len() as u64, bytes as u64);
    }

    fn book(&self, packets: u64, bytes: u64) {
        self.metrics.packets.inc_by(packets);
        self.metrics.bytes.inc_by(bytes);
        self.shared.sent(packets, bytes);
    }

    /// Sends packets again, the same bytes as the first time. Returns how many.
    pub(super) fn retransmit(
        &mut self,
        missing: &[u16],
        ring: &Ring<PacketBatch>,
        srtp: &mut Srtp,
        path: &Path,
        now: Instant,
        out: &mut Outbox<'_>,
    ) {
        let passed = self
            .retransmitted
            .map_or(1.0, |at| now.saturating_duration_since(at).as_secs_f64());
        self.retransmitted = Some(now);
        self.retransmit_credit =
            (self.retransmit_credit + passed * RETRANSMIT_RATE).min(RETRANSMIT_RATE);
        let (mut packets, mut bytes) = (0, 0);
        for sequence in missing {
            let found = self.find_sent(*sequence);
            let Some((sent, index, batch)) =
                found.and_then(|(sent, index)| Some((sent, index, ring.get(sent.seq)?)))
            else {
                self.metrics.retransmit_misses.inc();
                continue;
            };
            let place = usize::try_from(index - sent.first).unwrap_or(usize::MAX);
            let Some(payload) = batch.payloads.get(place) else {
                continue;
            };
            if self.retransmit_credit < 1.0 {
                break;
            }
            self.retransmit_credit -= 1.0;
            let header = Header {
                marker: place + 1 == batch.payloads.len(),
                index,
                timestamp: sent.timestamp,
                params: self.video.params,
                playout_delay: self.playout_delay,
            };
            bytes += write(&header, payload, self.tag_len, srtp, path, out);
            packets += 1;
        }
        out.flush(path);
        self.metrics.retransmits.inc_by(packets);
        self.shared.sent_again(packets);
        self.book(packets, bytes as u64);
    }

    /// The access unit that a sequence number was in, and the packet's index.
    fn find_sent(&self, sequence: u16) -> Option<(Sent, u64)> {
        let newest = self.video.index.checked_sub(1)?;
        let back = u64::from(u16::try_from(newest & 0xFFFF).ok()?.wrapping_sub(sequence));
        let index = newest.checked_sub(back)?;
        let place = self
            .sent
            .partition_point(|s| s.first + u64::from(s.count) <= index);
        let sent = *self.sent.get(place)?;
        (sent.first <= index).then_some((sent, index))
    }

    /// The viewer asked for a key frame: the camera's newest is repeated, with what came since, if
    /// that is little; else the next one has to do.
    pub(super) fn keyframe_wanted(&mut self, ring: &Ring<PacketBatch>, now: Instant) {
        let recently = |at: Instant| now.saturating_duration_since(at) < KEYFRAME_REQUEST_INTERVAL;
        if !matches!(self.feed, Feed::Live) || self.keyframe_granted.is_some_and(recently) {
            return;
        }
        let (since_start, _) = ring.since_start();
        let weight: usize = since_start.iter().map(|(_, b)| b.payloads.bytes()).sum();
        let Some((last_sent, ..)) = self.video.newest else {
            return;
        };
        let Some(newest_seq) = self.sent.back().map(|s| s.seq) else {
            return;
        };
        let pictures: Vec<_> = since_start
            .into_iter()
            .filter(|(seq, b)| b.track == TrackKind::Video && *seq <= newest_seq)
            .collect();
        if pictures.is_empty() || weight > MAX_REPLAY_BYTES {
            return;
        }
        self.keyframe_granted = Some(now);
        // Between the last picture sent and the next to come there is at least 1/60 s.
        let room = VIDEO_CLOCK / 60;
        let count = u32::try_from(pictures.len()).unwrap_or(u32::MAX);
        let step = (room / count.saturating_add(1)).clamp(1, VIDEO_CLOCK / 1000);
        let queue = (1..)
            .zip(pictures)
            .map(|(i, (seq, batch))| (seq, last_sent.wrapping_add(step.wrapping_mul(i)), batch));
        self.feed = Feed::Burst(queue.collect());
        self.burst_credit = 0.0;
        self.pumped = Some(now);
    }

    /// Tells others which RTP time was captured when. During a burst RTP times are not those of the
    /// capture.
    pub(super) fn tell_clock(&self) {
        if let (Feed::Live, Some((rtp, captured, _))) = (&self.feed, self.video.newest) {
            self.shared.timed(rtp, captured);
        }
    }

    /// What sender reports are to say.
    pub(super) fn sent_states(&self, wall: SystemTime) -> Vec<SentState> {
        let state = |track: &Outgoing| {
            let (rtp, captured, rate) = track.newest?;
            let since = wall.duration_since(captured).unwrap_or(Duration::ZERO);
            let ticks = duration_to_ticks(since.min(Duration::from_secs(3600)), rate);
            Some(SentState {
                ssrc: track.params.ssrc,
                ntp: clock::ntp(wall),
                rtp: rtp.wrapping_add(u32::try_from(ticks).unwrap_or(0)),
                packets: track.packets,
                octets: track.octets,
            })
        };
        [Some(&self.video), self.audio.as_ref()]
            .into_iter()
            .flatten()
            .filter_map(state)
            .collect()
    }
}

fn saturate(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn count_sent(track: &mut Outgoing, timestamp: u32, batch: &PacketBatch) {
    track.packets = track.packets.wrapping_add(saturate(batch.payloads.len()));
    track.octets = track.octets.wrapping_add(saturate(batch.payloads.bytes()));
    track.newest = Some((timestamp, batch.wall_time, batch.media_time.rate));
}

/// A personal RTP header.
struct Header {
    marker: bool,
    index: u64,
    timestamp: u32,
    params: SendParams,
    playout_delay: Option<u8>,
}

/// Writes header and payload into the outbox and seals them. Returns the datagram's size.
fn write(
    header: &Header,
    payload: &[u8],
    tag_len: usize,
    srtp: &mut Srtp,
    path: &Path,
    out: &mut Outbox<'_>,
) -> usize {
    let extension = if header.playout_delay.is_some() {
        EXTENSION_BYTES
    } else {
        0
    };
    let header_len = HEADER_BYTES + extension;
    let len = header_len + payload.len() + tag_len;
    let buffer = out.room(path, len);
    let start = buffer.len();
    let [.., high, low] = header.index.to_be_bytes();
    let first = 0x80 | if extension > 0 { 0x10 } else { 0 };
    let second = header.params.payload_type | if header.marker { 0x80 } else { 0 };
    buffer.extend_from_slice(&[first, second, high, low]);
    buffer.extend_from_slice(&header.timestamp.to_be_bytes());
    buffer.extend_from_slice(&header.params.ssrc.to_be_bytes());
    if let Some(number) = header.playout_delay {
        let [_, a, b, c] = PLAYOUT_DELAY_MAX.to_be_bytes();
        buffer.extend_from_slice(&[0xBE, 0xDE, 0, 1, (number << 4) | 2, a, b, c]);
    }
    buffer.extend_from_slice(payload);
    match srtp
        .rtp
        .seal(buffer, start, header_len, header.params.ssrc, header.index)
    {
        Ok(()) => {
            out.written();
            len
        }
        Err(error) => {
            tracing::error!(%error, "a packet could not be sealed");
            out.abandon(start);
            0
        }
    }
}
