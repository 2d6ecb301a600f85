//! Packets of pictures and sound at the camera's pace, with what goes wrong between them.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use taimat_base::clock;

use super::case::{Reports, Sound};
use super::hostile;
use super::packetize::Packetizer;
use super::rtp::rtp_header;
use super::shared::Client;
use super::wire::{Leg, Track};

const SSRC: u32 = 0x1122_3344;
const SOUND_SSRC: u32 = 0x5566_7788;
/// Between 1900 and 1970, in seconds.
const NTP_TO_UNIX: u64 = 2_208_988_800;

/// Sends what a client has set up.
pub(super) struct Sender {
    client: Arc<Client>,
    legs: HashMap<Track, Leg>,
    sequence: u16,
    sound_sequence: u16,
    ssrc: u32,
    packets: usize,
    reports: u64,
    sound_frames: usize,
}

impl Sender {
    pub(super) fn new(client: Arc<Client>, legs: HashMap<Track, Leg>) -> Self {
        let first = client.shared.case().packets.first;
        Self {
            client,
            legs,
            sequence: first,
            sound_sequence: 7,
            ssrc: SSRC,
            packets: 0,
            reports: 0,
            sound_frames: 0,
        }
    }

    /// What comes before the answer to PLAY.
    pub(super) async fn early(&mut self) -> io::Result<()> {
        let client = Arc::clone(&self.client);
        let case = client.shared.case();
        if case.time.reports == Reports::First {
            self.report(case.time.first).await?;
        }
        let sets = client.shared.reels[0].0.sets();
        for _ in 0..case.misbehaves.early_packets {
            let packet = self.rtp(true, case.time.first, &sets[0]);
            self.send(&packet).await?;
        }
        Ok(())
    }

    /// Until the client or the camera has had enough.
    pub(super) async fn run(&mut self) -> io::Result<()> {
        let client = Arc::clone(&self.client);
        let case = client.shared.case();
        if case.misbehaves.silent_udp
            && matches!(self.legs.get(&Track::Video), Some(Leg::Udp { .. }))
        {
            return std::future::pending().await;
        }
        if let Some(hostile) = case.misbehaves.hostile {
            let leg = self
                .legs
                .get(&Track::Video)
                .ok_or(io::ErrorKind::NotConnected)?;
            return hostile::media(hostile, &client, leg).await;
        }
        let begun = clock::now();
        let mut number = 0_usize;
        loop {
            for (reel, units) in &client.shared.reels {
                let sets = reel.sets();
                let packetizer = Packetizer {
                    how: &case.packets,
                    codec: reel.codec,
                    sets: &sets,
                };
                for unit in units {
                    self.between(number).await?;
                    let stopped = case.misbehaves.pictures_stop_after;
                    if stopped.is_none_or(|after| number < after) {
                        self.picture(&packetizer, unit, number).await?;
                    }
                    number += 1;
                    let passed = case.time.every * number as u64;
                    self.sound_until(passed).await?;
                    if case
                        .misbehaves
                        .hangs_up_after
                        .is_some_and(|after| number >= after)
                    {
                        return Ok(());
                    }
                    let next = begun + Duration::from_millis(passed);
                    tokio::time::sleep(next.saturating_duration_since(clock::now())).await;
                }
            }
        }
    }

    fn timestamp(&self, number: usize) -> u32 {
        let time = &self.client.shared.case().time;
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let jumps = number.checked_div(time.jump_every).unwrap_or(0);
        let jumps = jumps.wrapping_mul(time.jump);
        time.first
            .wrapping_add(number.wrapping_mul(time.step))
            .wrapping_add(jumps)
    }

    /// What happens before a picture.
    async fn between(&mut self, number: usize) -> io::Result<()> {
        let client = Arc::clone(&self.client);
        let case = client.shared.case();
        let packets = &case.packets;
        let due = |every: usize| every > 0 && number > 0 && number.is_multiple_of(every);
        if due(packets.other_source_every) {
            if packets.goodbye {
                self.goodbye().await?;
            }
            self.ssrc = self.ssrc.wrapping_add(17);
        }
        if due(packets.restart_every) {
            self.sequence = if self.sequence > 30_000 { 5 } else { 60_000 };
        }
        if due(10) && case.misbehaves.stray_bytes > 0 {
            let stray: Vec<u8> = (0..case.misbehaves.stray_bytes)
                .map(|i| (i % 5) as u8)
                .collect();
            client.wire.say(&stray).await?;
        }
        if due(packets.stray_every) {
            let header = rtp_header(false, 117, 1, 1, 9);
            let packet = [header.as_slice(), b"what is this"].concat();
            self.send(&packet).await?;
            if matches!(self.legs.get(&Track::Video), Some(Leg::Tcp(_))) {
                client.wire.interleave(6, &packet).await?;
            }
        }
        let passed = case.time.every * number as u64;
        let regular = !matches!(case.time.reports, Reports::None | Reports::First);
        if regular && passed / case.time.reports_every.max(1) >= self.reports {
            self.report(self.timestamp(number)).await?;
        }
        Ok(())
    }

    async fn picture(
        &mut self,
        packetizer: &Packetizer<'_>,
        unit: &[Bytes],
        number: usize,
    ) -> io::Result<()> {
        let client = Arc::clone(&self.client);
        let case = client.shared.case();
        let timestamp = self.timestamp(number);
        let mut ready = Vec::new();
        for payload in packetizer.payloads(unit) {
            let timestamp =
                timestamp.wrapping_add(payload.slice.wrapping_mul(case.time.slice_step));
            ready.push(self.rtp(payload.marker, timestamp, &payload.bytes));
        }
        let due = |every: usize, number: usize| every > 0 && number % every == every - 1;
        if due(case.packets.swap_every, number) && ready.len() > 1 {
            ready.swap(0, 1);
        }
        for packet in ready {
            self.packets += 1;
            if due(case.packets.lose_every, self.packets) {
                continue;
            }
            self.send(&packet).await?;
            if due(case.packets.double_every, self.packets) {
                self.send(&packet).await?;
            }
        }
        Ok(())
    }

    /// A packet with its header, its extension, its padding.
    fn rtp(&mut self, marker: bool, timestamp: u32, payload: &[u8]) -> Vec<u8> {
        let case = self.client.shared.case();
        let how = &case.packets;
        let kind = how.payload_type.unwrap_or(case.description.payload_type);
        let mut packet = rtp_header(marker, kind, self.sequence, timestamp, self.ssrc);
        self.sequence = self.sequence.wrapping_add(1);
        packet[0] |= how.csrc & 15;
        for source in 0..u32::from(how.csrc & 15) {
            packet.extend((source + 1).to_be_bytes());
        }
        if how.extension {
            // The profile that ONVIF uses for the time of replay: three words.
            packet[0] |= 0x10;
            packet.extend([0xAB, 0xAC, 0, 3]);
            packet.extend([0x55; 12]);
        }
        packet.extend(payload);
        if how.padding > 0 {
            packet[0] |= 0x20;
            packet.extend(std::iter::repeat_n(0, usize::from(how.padding) - 1));
            packet.push(how.padding);
        }
        packet
    }

    async fn send(&self, packet: &[u8]) -> io::Result<()> {
        match self.legs.get(&Track::Video) {
            Some(leg) => leg.media(&self.client.wire, packet).await,
            None => Ok(()),
        }
    }

    /// RTCP BYE behind an empty receiver report (RFC 3550 6.1, 6.6).
    async fn goodbye(&self) -> io::Result<()> {
        let mut packet = vec![0x80, 201, 0, 1];
        packet.extend(self.ssrc.to_be_bytes());
        packet.extend([0x81, 203, 0, 1]);
        packet.extend(self.ssrc.to_be_bytes());
        match self.legs.get(&Track::Video) {
            Some(leg) => leg.report(&self.client.wire, &packet).await,
            None => Ok(()),
        }
    }

    /// A sender report that says what time it is at `timestamp` (RFC 3550 6.4.1).
    async fn report(&mut self, timestamp: u32) -> io::Result<()> {
        const HOUR: u64 = 3600;
        let reports = self.client.shared.case().time.reports;
        let right = clock::ntp(clock::wall());
        let ntp = match reports {
            Reports::Right | Reports::MediaChannel | Reports::First => right,
            Reports::None | Reports::Zero => 0,
            Reports::Epoch => (NTP_TO_UNIX + self.reports) << 32,
            // The 32 bits of seconds begin again on 7 February 2036.
            Reports::Overflow => (u64::from(u32::MAX) - 2 + self.reports).wrapping_shl(32),
            Reports::Jumping if self.reports % 2 == 1 => right.wrapping_add(HOUR << 32),
            Reports::Jumping => right,
        };
        self.reports += 1;
        let mut packet = vec![0x80, 200, 0, 6];
        packet.extend(self.ssrc.to_be_bytes());
        packet.extend(ntp.to_be_bytes());
        packet.extend(timestamp.to_be_bytes());
        packet.extend([0, 0, 0, 1, 0, 0, 0, 1]);
        match self.legs.get(&Track::Video) {
            Some(leg) if reports == Reports::MediaChannel => {
                leg.media(&self.client.wire, &packet).await
            }
            Some(leg) => leg.report(&self.client.wire, &packet).await,
            None => Ok(()),
        }
    }

    /// The sound that belongs to what has passed.
    async fn sound_until(&mut self, passed: u64) -> io::Result<()> {
        let client = Arc::clone(&self.client);
        let Some(sound) = client.shared.case().sound else {
            return Ok(());
        };
        let Some(leg) = self.legs.get(&Track::Sound) else {
            return Ok(());
        };
        // Milliseconds and ticks of a packet.
        let (length, ticks) = match sound {
            Sound::Pcma | Sound::Pcmu | Sound::G726 => (40, 320),
            Sound::L16 => (40, 640),
            Sound::Aac | Sound::Adts => (64, 1024),
        };
        while (self.sound_frames as u64 + 1) * length <= passed {
            let tone = &client.shared.tone;
            let frame = || tone[self.sound_frames % tone.len()].clone();
            let payload: Vec<u8> = match sound {
                Sound::Pcma => vec![0xD5; 320],
                Sound::Pcmu => vec![0xFF; 320],
                Sound::G726 => vec![0; 80],
                Sound::L16 => vec![0; 1280],
                Sound::Adts => frame().to_vec(),
                Sound::Aac => {
                    let frame = frame().slice(7..);
                    let size = u16::try_from(frame.len() << 3).unwrap_or(u16::MAX);
                    let mut payload = vec![0, 16];
                    payload.extend(size.to_be_bytes());
                    payload.extend(&frame);
                    payload
                }
            };
            let timestamp = u32::try_from(self.sound_frames)
                .unwrap_or(0)
                .wrapping_mul(ticks);
            let sequence = self.sound_sequence;
            self.sound_sequence = sequence.wrapping_add(1);
            self.sound_frames += 1;
            let kind = sound.payload_type();
            let mut packet = rtp_header(true, kind, sequence, timestamp, SOUND_SSRC);
            packet.extend(payload);
            leg.media(&client.wire, &packet).await?;
        }
        Ok(())
    }
}
