use std::net::UdpSocket;

use bytes::{Bytes, BytesMut};
use rtc_srtp::config::SessionKeys;
use rtc_srtp::protection_profile::ProtectionProfile;
use taimat_base::{SessionId, clock};
use taimat_hub::Limits;
use taimat_media::rtp::RtpPacket;
use taimat_media::{AccessUnit, MediaTime, Start, StreamInfo, nal};

use super::super::negotiate::tests::info;
use super::super::negotiate::{SendParams, agree};
use super::super::offer::{Offer, tests::CHROMIUM};
use super::super::outbox::Outbox;
use super::super::path::Path;
use super::super::seal::Srtp;
use super::super::socket::RtcSocket;
use super::*;
use crate::metrics::EgressMetrics;
use crate::testing::{key_frame, live_channel};

const INTERVAL: Duration = Duration::from_millis(40);

/// A viewer that is sent what a camera's ring holds, on a clock that the test turns.
struct Watch {
    media: ViewerMedia,
    ring: Ring<PacketBatch>,
    stream: StreamInfo,
    srtp: Option<Srtp>,
    path: Option<Path>,
    sockets: [RtcSocket; 1],
    metrics: EgressMetrics,
    viewer: UdpSocket,
    start: Instant,
    now: Instant,
}

/// A packet as the viewer got it: sequence number, RTP time, whether a picture ends with it.
type Got = (u16, u32, bool);

impl Watch {
    fn new() -> Self {
        let registry = taimat_base::metrics::Registry::new();
        let metrics = EgressMetrics::register(&registry).unwrap();
        let stream = info(taimat_media::VideoCodec::H264, 100, None);
        let offer = Offer::parse(CHROMIUM.as_bytes()).unwrap();
        let agreement = agree(&offer, &stream, [1, 2]).unwrap();
        let figures = Arc::new(SessionFigures::new(SessionId::next(), "H.264"));
        let viewer_metrics = metrics.viewer(live_channel().key());
        let key = || (1..=16).collect();
        let salt = || (1..=12).collect();
        let keys = SessionKeys {
            local_master_key: key(),
            local_master_salt: salt(),
            remote_master_key: key(),
            remote_master_salt: salt(),
        };
        let provider = rtc_crypto::default_provider().unwrap();
        let profile = ProtectionProfile::AeadAes128Gcm;
        let viewer = UdpSocket::bind("127.0.0.1:0").unwrap();
        viewer.set_nonblocking(true).unwrap();
        let now = clock::thread_now();
        Self {
            media: ViewerMedia::new(&agreement, figures, viewer_metrics),
            ring: Ring::new(Limits::default()),
            stream,
            srtp: Some(Srtp::from_keys(profile, &keys, provider.crypto()).unwrap()),
            path: Some(Path {
                socket: 0,
                peer: viewer.local_addr().unwrap(),
                local: None,
            }),
            sockets: [RtcSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap()],
            metrics,
            viewer,
            start: now,
            now,
        }
    }

    fn unit(&self, key: bool, lost_packets: u32) -> AccessUnit {
        let mut data = BytesMut::new();
        nal::push(&mut data, &[if key { 0x65 } else { 0x41 }; 100]);
        let since = self.now - self.start;
        AccessUnit {
            media_time: MediaTime::new(i64::try_from(since.as_millis()).unwrap() * 90, VIDEO_CLOCK),
            received: self.now,
            keyframe: key,
            start: key.then_some(Start::Idr),
            data: data.freeze(),
            lost_packets,
            ..key_frame()
        }
    }

    /// The camera's next picture, an interval after the one before; the viewer is sent it too.
    fn picture(&mut self, key: bool, lost_packets: u32) {
        self.now += INTERVAL;
        let unit = self.unit(key, lost_packets);
        let seq = self.ring.push(PacketBatch::new(&unit, &self.stream));
        let batch = self.ring.get(seq).unwrap();
        self.with_way(|media, ring, way, now| media.forward(seq, &batch, ring, way, now));
    }

    fn pictures(&mut self, count: usize) {
        (0..count).for_each(|_| self.picture(false, 0));
    }

    fn with_way<T>(
        &mut self,
        act: impl FnOnce(&mut ViewerMedia, &Ring<PacketBatch>, &mut Way<'_, '_>, Instant) -> T,
    ) -> T {
        let mut out = Outbox::new(&self.sockets, &self.metrics);
        let mut way = Way::open(&mut self.srtp, &self.path, &None, &mut out).unwrap();
        act(&mut self.media, &self.ring, &mut way, self.now)
    }

    /// Lets time pass, with the pumps that are due in it.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(next) = self.media.next_pump().filter(|next| *next <= until) {
            self.now = next;
            self.with_way(|media, _ring, way, now| media.pump(way, now));
        }
        self.now = until;
    }

    fn join(&mut self) {
        let (since_start, _) = self.ring.since_start();
        self.media.begin(since_start, 2e6, self.now);
    }

    fn ask(&mut self) {
        self.media.keyframe_wanted(&self.ring, self.now);
    }

    /// What arrived since this was asked last.
    fn got(&self) -> Vec<Got> {
        let mut buffer = [0; 2000];
        let mut got = Vec::new();
        while let Ok((len, _)) = self.viewer.recv_from(&mut buffer) {
            let packet = RtpPacket::parse(Bytes::copy_from_slice(&buffer[..len])).unwrap();
            got.push((packet.sequence, packet.timestamp, packet.marker));
        }
        got
    }

    /// A viewer that is live: it has a key frame and four pictures after it.
    fn live() -> Self {
        let mut watch = Self::new();
        watch.picture(true, 0);
        watch.pictures(4);
        assert_eq!(watch.got().len(), 5);
        watch
    }
}

fn rises(got: &[Got]) -> bool {
    got.windows(2)
        .all(|w| w[1].0 == w[0].0.wrapping_add(1) && w[1].1.wrapping_sub(w[0].1) < 1 << 31)
}

#[test]
fn who_joins_gets_the_group_ending_on_now() {
    let mut watch = Watch::live();
    watch.media.phase = MediaPhase::Waiting;
    watch.join();
    watch.with_way(|media, _ring, way, now| media.pump(way, now));
    let got = watch.got();
    assert_eq!(got.len(), 5);
    assert!(got.windows(2).all(|w| w[1].1.wrapping_sub(w[0].1) == 90));
    watch.picture(false, 0);
    let next = watch.got();
    assert_eq!(next[0].1.wrapping_sub(got[4].1), 40 * 90);
}

#[test]
fn what_stands_still_is_not_sent_as_new_to_who_joins() {
    let mut watch = Watch::live();
    watch.media.phase = MediaPhase::Waiting;
    watch.pass(Duration::from_secs(3));
    watch.join();
    watch.pass(Duration::from_secs(3));
    assert_eq!(watch.got(), []);
    // The camera goes on: now the group is what leads to now.
    watch.picture(false, 0);
    watch.pass(INTERVAL / 2);
    let got = watch.got();
    assert!(got.len() == 6 && rises(&got), "{got:?}");
}

#[test]
fn a_request_while_the_camera_stands_still_is_answered_when_it_goes_on() {
    let mut watch = Watch::live();
    watch.pass(Duration::from_millis(1500));
    for _ in 0..10 {
        watch.ask();
        watch.pass(Duration::from_secs(3));
    }
    assert_eq!(watch.got(), []);
    watch.picture(false, 0);
    watch.pass(INTERVAL / 2);
    let got = watch.got();
    assert!(got.len() == 6 && rises(&got), "{got:?}");
    // Once.
    watch.picture(false, 0);
    assert_eq!(watch.got().len(), 1);
    // A key frame is all that was asked for.
    watch.pass(Duration::from_secs(2));
    watch.ask();
    watch.picture(true, 0);
    watch.pass(INTERVAL / 2);
    assert_eq!(watch.got().len(), 1);
}

#[test]
fn a_slow_camera_stands_still_only_when_its_next_picture_is_late() {
    let mut watch = Watch::live();
    watch.now += Duration::from_secs(4);
    watch.picture(false, 0);
    watch.got();
    watch.pass(Duration::from_secs(3));
    watch.ask();
    watch.pass(Duration::from_millis(20));
    assert_eq!(
        watch.got().len(),
        6,
        "the last came four seconds after the one before"
    );
    watch.pass(Duration::from_secs(7));
    watch.ask();
    watch.pass(Duration::from_millis(20));
    assert_eq!(watch.got(), []);
}

#[test]
fn a_group_is_repeated_once_a_second_however_often_it_is_asked_for() {
    let mut watch = Watch::live();
    for _ in 0..200 {
        watch.ask();
        watch.pass(Duration::from_millis(1));
    }
    assert_eq!(watch.got().len(), 5);
    watch.pictures(25);
    watch.got();
    for _ in 0..30 {
        watch.ask();
        watch.pass(Duration::from_millis(1));
    }
    let got = watch.got();
    assert!(got.len() == 30 && rises(&got), "{}", got.len());
}

#[test]
fn the_viewer_sees_where_packets_of_the_camera_were_lost() {
    let mut watch = Watch::live();
    watch.picture(false, 0);
    watch.picture(false, 7);
    watch.picture(false, 0);
    let sequence: Vec<u16> = watch.got().iter().map(|(n, ..)| *n).collect();
    let steps: Vec<u16> = sequence
        .windows(2)
        .map(|w| w[1].wrapping_sub(w[0]))
        .collect();
    assert_eq!(steps, [2, 1], "one number is left out");
    // What is missing can not be sent again, and what follows can.
    let missing = sequence[0].wrapping_add(1);
    let asked = [missing, sequence[1]];
    watch.with_way(|media, ring, way, now| media.retransmit(&asked, ring, way, now));
    let again = watch.got();
    assert_eq!(
        again.iter().map(|(n, ..)| *n).collect::<Vec<_>>(),
        [sequence[1]]
    );
}

#[test]
fn a_group_with_a_hole_is_not_repeated() {
    let mut watch = Watch::live();
    watch.picture(false, 1);
    watch.got();
    watch.ask();
    watch.pass(Duration::from_millis(20));
    assert_eq!(watch.got(), [], "its hole would be there again");
    // What was lost before the key frame does no harm to its group.
    watch.pass(Duration::from_secs(1));
    watch.picture(true, 3);
    watch.picture(false, 0);
    watch.got();
    watch.ask();
    watch.pass(Duration::from_millis(20));
    assert_eq!(watch.got().len(), 2);
}

#[test]
fn pictures_are_reported_only_where_their_times_are_those_of_the_capture() {
    let mut watch = Watch::live();
    let reports = |watch: &Watch| watch.media.reports(clock::wall()).len();
    watch.media.take_caught_up();
    assert_eq!(reports(&watch), 1);
    watch.pass(Duration::from_millis(100));
    watch.ask();
    assert_eq!(reports(&watch), 0, "in the middle of a burst");
    assert!(!watch.media.take_caught_up());
    watch.pass(Duration::from_millis(20));
    assert_eq!(reports(&watch), 1);
    assert!(watch.media.take_caught_up() && !watch.media.take_caught_up());
    let params = SendParams {
        payload_type: 102,
        ..watch.media.video.params
    };
    assert_eq!(watch.media.ssrcs(), [params.ssrc]);
}
