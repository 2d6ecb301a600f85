//! The fuzz harnesses: each takes bytes and must neither panic nor grow. The same functions run in
//! `core/fuzz` under a coverage-guided fuzzer and, with the kept corpus, as ordinary tests.

use std::path::Path;

use bytes::Bytes;
use taimat_egress::rtsp;
use taimat_egress::webrtc::offer::Offer;
use taimat_egress::webrtc::{candidate, rtcp};
use taimat_media::rtp::Packet;
use taimat_media::rtp::depacketize::{Depacketizer, MAX_FRAME_BYTES};
use taimat_media::{AudioCodec, VideoCodec, nal};

/// A harness.
pub type Harness = fn(&[u8]);

/// All harnesses by the name of their corpus folder. `commune.toml` has its own in `server`.
pub const HARNESSES: [(&str, Harness); 5] = [
    ("sdp_offer", sdp_offer),
    ("stun", stun),
    ("rtcp", rtcp_feedback),
    ("rtp", rtp_packets),
    ("rtsp", rtsp_requests),
];

/// A viewer's offer and its candidates.
pub fn sdp_offer(bytes: &[u8]) {
    if let Ok(offer) = Offer::parse(bytes) {
        for text in &offer.candidates {
            drop(candidate::parse(text));
        }
    }
}

/// The first bytes of a datagram from anywhere.
pub fn stun(bytes: &[u8]) {
    assert!(taimat_egress::webrtc::local_ufrag(bytes).is_none_or(|u| u.len() <= bytes.len()));
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

/// A client's bytes at the RTSP port.
pub fn rtsp_requests(bytes: &[u8]) {
    let mut rest = bytes;
    loop {
        let used = match rtsp::parse(rest) {
            Ok(rtsp::Parsed::Request(_, used) | rtsp::Parsed::Other(used)) => used,
            Ok(rtsp::Parsed::Incomplete) | Err(_) => return,
        };
        assert!(used > 0, "no progress");
        rest = rest.get(used..).unwrap_or_default();
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
