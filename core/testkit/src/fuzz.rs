//! The fuzz harnesses: each takes bytes and must neither panic nor grow. The same functions run in
//! `core/fuzz` under a coverage-guided fuzzer and, with the kept corpus, as ordinary tests.

mod recordings;

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use taimat_base::Redactor;
use taimat_base::redact::SourceUrl;
use taimat_egress::webrtc::offer::Offer;
use taimat_egress::webrtc::{candidate, rtcp};
use taimat_media::rtp::depacketize::{Depacketizer, MAX_FRAME_BYTES};
use taimat_media::rtp::{Packet, Reception, Reorder, RtpPacket};
use taimat_media::{AudioCodec, VideoCodec, nal};
use taimat_rtsp::sdp::Description;
use taimat_rtsp::tracks::choose;
use taimat_rtsp::{
    Address, Authenticator, Base, Credentials, Item, Limits, Method, ReadError, Reader, Response,
};

pub use recordings::recordings;

/// A harness.
pub type Harness = fn(&[u8]);

/// All harnesses by the name of their corpus folder. `commune.toml` has its own in `server`.
pub const HARNESSES: [(&str, Harness); 15] = [
    ("sdp_offer", sdp_offer),
    ("stun", stun),
    ("handshake", handshake),
    ("rtcp", rtcp_feedback),
    ("rtp", rtp_packets),
    ("access_units_h264", access_units_h264),
    ("access_units_h265", access_units_h265),
    ("reception", reception),
    ("rtsp", rtsp_requests),
    ("rtsp_answers", rtsp_answers),
    ("descriptions", descriptions),
    ("sign_in", sign_in),
    ("addresses", addresses),
    ("redact", redact),
    ("recordings", recordings),
];

/// A viewer's offer and its candidates.
pub fn sdp_offer(bytes: &[u8]) {
    if let Ok(offer) = Offer::parse(bytes) {
        for section in 0..offer.sections.len() {
            for text in &offer.candidates(section) {
                drop(candidate::parse(text));
            }
        }
    }
}

/// The first bytes of a datagram from anywhere.
pub fn stun(bytes: &[u8]) {
    assert!(taimat_egress::webrtc::local_ufrag(bytes).is_none_or(|u| u.len() <= bytes.len()));
}

/// Datagrams of a handshake: what is kept of one is never more than it has room for.
pub fn handshake(bytes: &[u8]) {
    let fragments = taimat_egress::webrtc::handshake_fragments(bytes);
    assert!(fragments.is_none_or(|count| count as usize * 12 <= bytes.len()));
}

/// A viewer's feedback.
pub fn rtcp_feedback(bytes: &[u8]) {
    drop(rtcp::read(bytes));
}

/// A camera's packets: the first byte chooses the codec, then records of a flag byte, a length byte
/// and a payload.
pub fn rtp_packets(bytes: &[u8]) {
    let Some((which, mut rest)) = bytes.split_first() else {
        return;
    };
    let mut depacketizer = match which % 5 {
        0 => Depacketizer::video(VideoCodec::H264, &[]),
        1 => Depacketizer::video(VideoCodec::H265, &[]),
        4 => Depacketizer::video(VideoCodec::Jpeg, &[]),
        2 => Depacketizer::audio(&AudioCodec::Aac {
            config: Bytes::new(),
        }),
        _ => Depacketizer::audio(&AudioCodec::Opus),
    };
    let mut out = Vec::new();
    while let [flags, len, after @ ..] = rest {
        let len = usize::from(*len).min(after.len());
        let packet = Packet {
            timestamp: u32::from(flags >> 4),
            marker: flags & 1 != 0,
            lost: u32::from(flags >> 1 & 1),
            payload: &after[..len],
        };
        drop(depacketizer.push(&packet, &mut out));
        rest = &after[len..];
    }
    for frame in out {
        assert!(frame.data.len() <= MAX_FRAME_BYTES);
        nal::units(&frame.data).count();
    }
}

/// A camera's H.264, from units to pictures.
pub fn access_units_h264(bytes: &[u8]) {
    access_units(VideoCodec::H264, bytes);
}

/// A camera's H.265, from units to pictures.
pub fn access_units_h265(bytes: &[u8]) {
    access_units(VideoCodec::H265, bytes);
}

/// The first byte says whether markers are believed. Then records of a flag byte (marker, loss, two
/// bits of shape, timestamp), a length byte and a unit, which is sent in that shape: as it is, in
/// fragments, as an aggregate of one, or behind a start code.
fn access_units(codec: VideoCodec, bytes: &[u8]) {
    let Some((how, mut rest)) = bytes.split_first() else {
        return;
    };
    let mut depacketizer = Depacketizer::video(codec, &[]);
    if how & 1 != 0 {
        depacketizer = depacketizer.trusting_markers();
    }
    let (mut out, mut sent) = (Vec::new(), 0);
    while let [flags, len, after @ ..] = rest {
        let len = usize::from(*len).min(after.len());
        let (unit, after) = after.split_at(len);
        rest = after;
        let payloads = shaped(codec, flags >> 2 & 3, unit);
        for (number, payload) in payloads.iter().enumerate() {
            let packet = Packet {
                timestamp: u32::from(flags >> 4),
                marker: flags & 1 != 0 && number + 1 == payloads.len(),
                lost: u32::from(flags & 2 != 0 && number == 0),
                payload,
            };
            sent += payload.len() + 8;
            drop(depacketizer.push(&packet, &mut out));
        }
    }
    depacketizer.flush(&mut out);
    let mut received = 0;
    for frame in out {
        let carried = nal::units(&frame.data).map(|unit| {
            assert!(!unit.is_empty(), "a unit without content");
            unit.len() + 4
        });
        assert_eq!(
            carried.sum::<usize>(),
            frame.data.len(),
            "lengths do not fit"
        );
        assert!(!frame.data.is_empty(), "a picture without a slice");
        assert!(
            frame.start.is_none() || (!frame.damaged && frame.params.is_some()),
            "nothing can start here"
        );
        received += frame.data.len();
    }
    // A start code of three bytes becomes a length of four.
    assert!(received <= sent + sent / 3, "more came out than went in");
}

fn shaped(codec: VideoCodec, shape: u8, unit: &[u8]) -> Vec<Vec<u8>> {
    let (header, aggregate, fragment): (usize, &[u8], u8) = match codec {
        VideoCodec::H265 => (2, &[48 << 1, 1], 49 << 1),
        VideoCodec::H264 | VideoCodec::Jpeg => (1, &[24], 28),
    };
    let len = u8::try_from(unit.len()).unwrap_or(u8::MAX);
    match (shape, unit) {
        (1, [first, second, ..]) if unit.len() > header => {
            let (kind, indicator) = if header == 2 {
                (first >> 1 & 0x3F, vec![first & 0x81 | fragment, *second])
            } else {
                (first & 0x1F, vec![first & 0xE0 | fragment])
            };
            let parts: Vec<_> = unit[header..].chunks(48).collect();
            let last = parts.len() - 1;
            let each = parts.into_iter().enumerate().map(|(number, part)| {
                let start = if number == 0 { 0x80 } else { 0 };
                let end = if number == last { 0x40 } else { 0 };
                [&indicator[..], &[start | end | kind], part].concat()
            });
            each.collect()
        }
        (2, _) => vec![[aggregate, &[0, len], unit].concat()],
        (3, _) => vec![[&[0, 0, 0, 1], unit].concat()],
        _ => vec![unit.to_vec()],
    }
}

/// A camera's packets in any order, of any source. The first byte says whether they are put in order;
/// then two bytes a packet: how far its number is from the last one's, and flags (source, goodbye, time
/// that passes).
pub fn reception(bytes: &[u8]) {
    /// Packets that may wait for others.
    const WAITING: u64 = 16;
    let Some((how, rest)) = bytes.split_first() else {
        return;
    };
    let reorder = Reorder {
        wait: Duration::from_millis(60),
        packets: 16,
    };
    let mut reception = Reception::new((how & 1 != 0).then_some(reorder));
    let mut now = taimat_base::clock::now();
    let (mut sequence, mut pushed, mut popped) = (7_u16, 0_u64, 0_u64);
    for record in rest.chunks_exact(2) {
        let [step, flags] = record else { return };
        sequence = sequence.wrapping_add_signed(i16::from(step.cast_signed()) * 16 + 1);
        let ssrc = u32::from(flags & 3);
        if flags & 4 != 0 {
            reception.goodbye(ssrc, now);
        }
        now += Duration::from_millis(u64::from(flags >> 3));
        let packet = RtpPacket {
            payload_type: 96,
            marker: false,
            sequence,
            timestamp: u32::from(sequence) * 90,
            ssrc,
            payload: Bytes::from_static(&[1]),
        };
        reception.push(packet, now);
        pushed += 1;
        while reception.pop(now).is_some() {
            popped += 1;
        }
        let counted = reception.statistics();
        let gone = popped + counted.discarded + counted.stray;
        assert!(gone <= pushed, "more came out than went in");
        assert!(pushed - gone <= WAITING + 8, "{} wait", pushed - gone);
    }
    now += Duration::from_secs(1);
    while reception.pop(now).is_some() {
        popped += 1;
    }
    assert!(popped <= pushed);
    assert!(
        reception.deadline().is_none_or(|due| due > now),
        "one waits for ever"
    );
}

/// A camera's description, and what is chosen of it.
pub fn descriptions(bytes: &[u8]) {
    let Ok(description) = Description::parse(bytes) else {
        return;
    };
    assert!(description.media.len() <= 64 && description.skipped.len() <= 8);
    for wanted in [None, Some(0), Some(1)] {
        if let Ok(tracks) = choose(&description, true, wanted) {
            assert!(tracks.video.media < description.media.len());
            let sets = tracks.video.sets.iter();
            assert!(sets.map(Bytes::len).sum::<usize>() <= bytes.len());
        }
    }
}

/// A client's bytes at the RTSP port.
pub fn rtsp_requests(bytes: &[u8]) {
    rtsp(bytes, Limits::server());
}

/// A camera's bytes.
pub fn rtsp_answers(bytes: &[u8]) {
    rtsp(bytes, Limits::client());
}

/// However the bytes are cut, the same is read.
fn rtsp(bytes: &[u8], limits: Limits) {
    let read = |size: usize| -> (Vec<Item>, Option<ReadError>) {
        let mut reader = Reader::new(limits);
        let mut items = Vec::new();
        for piece in bytes.chunks(size) {
            reader.buffer().extend_from_slice(piece);
            loop {
                match reader.next() {
                    Ok(Some(item)) => items.push(item),
                    Ok(None) => break,
                    Err(error) => return (items, Some(error)),
                }
            }
        }
        (items, None)
    };
    let whole = read(bytes.len().max(1));
    assert_eq!(whole, read(3), "cuts change what is read");
}

/// A camera that asks who we are: each line is a challenge of one and the same answer.
pub fn sign_in(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let asks = text.lines().fold(Response::new(401), |response, line| {
        response.with("WWW-Authenticate", line)
    });
    let credentials = Credentials {
        user: "user".to_owned(),
        password: taimat_base::Secret::new("password"),
    };
    let mut authenticator = Authenticator::new(Some(credentials), 1);
    let mut tries = 0;
    while authenticator.challenged(&asks).is_ok() {
        let answer = authenticator.authorize(&Method::Describe, "rtsp://h/x");
        let answer = answer.unwrap_or_default();
        assert!(!answer.is_empty() && !answer.contains("password"));
        tries += 1;
        assert!(tries < 3, "a camera that says no gets no third answer");
    }
}

/// A camera's base address, a line below a track's, and a line below where it sends us.
pub fn addresses(bytes: &[u8]) {
    let here = "rtsp://192.0.2.1:8554/live?x";
    let url = here.parse().map(SourceUrl::new);
    let Some(address) = url.ok().and_then(|url| Address::new(&url).ok()) else {
        unreachable!("{here} is an address")
    };
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines();
    let base = Base::new(&address, lines.next(), None);
    let target = base.control(lines.next()).url;
    let path = target.strip_prefix("rtsp://192.0.2.1:8554");
    assert!(path.is_some_and(|path| path.is_empty() || path.starts_with(['/', '?'])));
    if let Ok(there) = address.redirected(lines.next().unwrap_or("")) {
        assert_eq!(there.host(), "192.0.2.1");
    }
}

/// A secret, and on the lines below what somebody says.
pub fn redact(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (secret, said) = text.split_once('\n').unwrap_or(("", &text));
    let shown = Redactor::new([secret]).text(said);
    assert!(shown.chars().count() <= 204 && !shown.contains(char::is_control));
    let secret = secret.trim();
    if secret.len() >= 5 && !secret.contains('*') {
        assert!(!shown.contains(secret), "{shown} shows {secret}");
    }
}

/// Runs a harness over its kept corpus and over every prefix and many damaged copies of it. Returns
/// how many inputs that were.
pub fn replay(folder: &Path, harness: Harness) -> std::io::Result<usize> {
    let mut count = 0;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if !path.is_file() {
            continue;
        }
        let seed = std::fs::read(path)?;
        for end in (0..=seed.len()).step_by(seed.len() / 400 + 1) {
            harness(&seed[..end]);
            count += 1;
        }
        let mut random = 0x9E37_79B9_7F4A_7C15_u64;
        for _ in 0..500 {
            let mut damaged = seed.clone();
            for _ in 0..4 {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(11);
                let len = damaged.len().max(1);
                if let Some(byte) = damaged.get_mut((random >> 33) as usize % len) {
                    *byte = (random >> 24) as u8;
                }
            }
            harness(&damaged);
            count += 1;
        }
    }
    Ok(count)
}
