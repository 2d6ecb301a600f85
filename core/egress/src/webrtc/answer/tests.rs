use std::collections::HashSet;

use taimat_media::{AudioCodec, VideoCodec};

use super::super::negotiate::agree;
use super::super::negotiate::tests::info;
use super::*;

fn local() -> LocalDescription {
    LocalDescription {
        ufrag: "u".repeat(8),
        pwd: "p".repeat(24),
        fingerprint: "AA".into(),
        addresses: vec![
            "127.0.0.1:8189".parse().unwrap(),
            "[::1]:8189".parse().unwrap(),
        ],
    }
}

/// What an offer is answered for a camera of that sound.
fn answer(offer: &str, sound: Option<AudioCodec>) -> String {
    let stream = info(VideoCodec::H264, 100, sound);
    let offer = Offer::parse(offer.as_bytes()).unwrap();
    let agreement = agree(&offer, &stream, [7, 8]).unwrap();
    agreement.answer(&offer, &local(), 3)
}

/// A description as lines of the session and of each section.
fn sections(sdp: &str) -> Vec<Vec<&str>> {
    let mut all = vec![Vec::new()];
    for line in sdp.lines() {
        if line.starts_with("m=") {
            all.push(Vec::new());
        }
        all.last_mut().unwrap().push(line);
    }
    all
}

fn values<'a>(section: &[&'a str], key: &str) -> Vec<&'a str> {
    let key = format!("a={key}:");
    let of_key = section.iter().filter_map(|line| line.strip_prefix(&key));
    of_key.collect()
}

fn has(section: &[&str], line: &str) -> bool {
    section.contains(&line)
}

/// What an answer may say to an offer (RFC 3264, 8829, 8843, 5506); all of it, for any offer.
fn check(offer: &str, answer: &str) {
    let (offered, answered) = (sections(offer), sections(answer));
    assert!(answer.ends_with("\r\n") && !answer.replace("\r\n", "").contains('\n'));
    assert_eq!(offered.len(), answered.len(), "{answer}");
    let bundle = |session: &[&str]| -> Vec<String> {
        let groups = values(session, "group");
        let mids = groups.iter().find_map(|g| g.strip_prefix("BUNDLE "));
        mids.iter()
            .flat_map(|m| m.split(' '))
            .map(str::to_owned)
            .collect()
    };
    let (wanted, given) = (bundle(&offered[0]), bundle(&answered[0]));
    assert!(given.iter().all(|mid| wanted.contains(mid)), "{answer}");
    if let Some(first) = wanted.first() {
        assert_eq!(
            given.first(),
            Some(first),
            "the first speaks for all: {answer}"
        );
    }
    let mut with_candidates = Vec::new();
    for (asked, section) in offered.iter().zip(&answered).skip(1) {
        let words = |lines: &[&str]| -> Vec<String> {
            let words = lines[0].split(' ').map(str::to_owned);
            words.collect()
        };
        let (line, reply) = (words(asked), words(section));
        assert_eq!((&line[0], &line[2]), (&reply[0], &reply[2]), "{answer}");
        assert_eq!(values(asked, "mid"), values(section, "mid"));
        assert!(
            reply[3..].iter().all(|format| line[3..].contains(format)),
            "{answer}"
        );
        let mid = values(section, "mid")
            .first()
            .copied()
            .unwrap_or("")
            .to_owned();
        if reply[1] == "0" {
            assert!(!given.contains(&mid), "{answer}");
            continue;
        }
        assert_eq!(given.contains(&mid), wanted.contains(&mid), "{answer}");
        for key in ["ice-ufrag", "ice-pwd", "fingerprint", "setup"] {
            assert_eq!(values(section, key).len(), 1, "{key}: {answer}");
        }
        if !values(section, "candidate").is_empty() {
            with_candidates.push(mid);
        }
        for flag in ["a=rtcp-mux", "a=rtcp-rsize"] {
            assert!(!has(section, flag) || has(asked, flag), "{flag}: {answer}");
        }
        for key in ["extmap", "rtpmap", "fmtp"] {
            let offered: HashSet<_> = values(asked, key).into_iter().collect();
            let said = values(section, key);
            assert!(said.iter().all(|v| offered.contains(v)), "{key} {said:?}");
        }
        for feedback in values(section, "rtcp-fb") {
            let (_, kind) = feedback.split_once(' ').unwrap();
            let offered = values(asked, "rtcp-fb");
            let any = format!("* {kind}");
            assert!(
                offered.iter().any(|o| *o == feedback || *o == any),
                "{feedback}"
            );
        }
        if reply[0] != "m=application" {
            assert!(
                has(asked, "a=rtcp-mux") && has(section, "a=rtcp-mux"),
                "{answer}"
            );
            let sends = has(section, "a=sendonly");
            assert!(sends != has(section, "a=inactive"), "{answer}");
            assert_eq!(sends, !values(section, "msid").is_empty());
        }
    }
    let speaks = given.first().cloned().unwrap_or(with_candidates[0].clone());
    assert_eq!(with_candidates, [speaks], "{answer}");
    // A library reads it.
    let mut reader = std::io::Cursor::new(answer.as_bytes());
    rtc_sdp::description::session::SessionDescription::unmarshal(&mut reader).unwrap();
}

/// Each section as `kind port direction`.
fn outline(answer: &str) -> Vec<String> {
    let outline = sections(answer).into_iter().skip(1).map(|section| {
        let mut words = section[0].trim_start_matches("m=").split(' ');
        let (kind, port) = (words.next().unwrap(), words.next().unwrap());
        let taken = if port == "0" { "refused" } else { "taken" };
        let direction = ["sendonly", "inactive"]
            .into_iter()
            .find(|d| has(&section, &format!("a={d}")));
        format!("{kind} {taken} {}", direction.unwrap_or("-"))
    });
    outline.collect()
}

const IDLE_SOUND: &str = "audio taken inactive";
const SOUND: &str = "audio taken sendonly";
const PICTURES: &str = "video taken sendonly";

/// What programs offer that we did not write, as they sent it (addresses are those of examples), with
/// the payload type of the pictures and the sections for a camera with sound and for one without.
const REAL: [(&str, u8, &[&str], &[&str]); 11] = [
    (
        include_str!("../../../offers/chromium.sdp"),
        102,
        &[PICTURES, SOUND],
        &[PICTURES, IDLE_SOUND],
    ),
    (
        include_str!("../../../offers/chromium-sound-first.sdp"),
        102,
        &[SOUND, PICTURES],
        &[IDLE_SOUND, PICTURES],
    ),
    (
        include_str!("../../../offers/chromium-sound-first-max-bundle.sdp"),
        102,
        &[SOUND, PICTURES],
        &[IDLE_SOUND, PICTURES],
    ),
    (
        include_str!("../../../offers/chromium-two-pictures.sdp"),
        102,
        &[PICTURES, "video taken inactive"],
        &[PICTURES, "video taken inactive"],
    ),
    (
        include_str!("../../../offers/chromium-with-channel.sdp"),
        102,
        &[SOUND, PICTURES, "application refused inactive"],
        &[IDLE_SOUND, PICTURES, "application refused inactive"],
    ),
    (
        include_str!("../../../offers/aiortc.sdp"),
        99,
        &[PICTURES],
        &[PICTURES],
    ),
    (
        include_str!("../../../offers/aiortc-sound-first.sdp"),
        99,
        &[SOUND, PICTURES],
        &[IDLE_SOUND, PICTURES],
    ),
    (
        include_str!("../../../offers/gstreamer-sound-first.sdp"),
        96,
        &[IDLE_SOUND, PICTURES],
        &[IDLE_SOUND, PICTURES],
    ),
    (
        include_str!("../../../offers/gstreamer-without-parameters.sdp"),
        96,
        &[PICTURES],
        &[PICTURES],
    ),
    (
        include_str!("../../../offers/gstreamer-mode-only.sdp"),
        96,
        &[PICTURES],
        &[PICTURES],
    ),
    (
        include_str!("../../../offers/libdatachannel-sound-first.sdp"),
        98,
        &[IDLE_SOUND, PICTURES],
        &[IDLE_SOUND, PICTURES],
    ),
];

#[test]
fn programs_that_we_did_not_write_are_answered_so_that_they_play() {
    for (offer, payload_type, with_sound, without) in REAL {
        for (sound, expected) in [(Some(AudioCodec::Pcmu), with_sound), (None, without)] {
            let answer = answer(offer, sound);
            check(offer, &answer);
            assert_eq!(outline(&answer), expected, "{offer}\n{answer}");
            let pictures = format!("m=video 9 UDP/TLS/RTP/SAVPF {payload_type}\r\n");
            assert!(answer.contains(&pictures), "{answer}");
        }
    }
}

#[test]
fn a_browser_without_h264_is_told_so() {
    let offer = include_str!("../../../offers/firefox-without-h264.sdp");
    let offer = Offer::parse(offer.as_bytes()).unwrap();
    let refused = agree(&offer, &info(VideoCodec::H264, 100, None), [7, 8]).unwrap_err();
    assert!(!refused.is_of_the_camera());
    assert!(
        refused.to_string().contains("it offers VP8, VP9, AV1"),
        "{refused}"
    );
}

#[test]
fn a_wall_over_one_connection_keeps_all_its_sections() {
    let one = include_str!("../../../offers/aiortc.sdp");
    let (session, section) = one.split_at(one.find("m=video").unwrap());
    let mids: Vec<String> = (0..16).map(|n| n.to_string()).collect();
    let mut offer = session.replace("BUNDLE 0", &format!("BUNDLE {}", mids.join(" ")));
    for mid in &mids {
        offer.push_str(&section.replace("a=mid:0", &format!("a=mid:{mid}")));
    }
    let answer = answer(&offer, None);
    check(&offer, &answer);
    let outline = outline(&answer);
    assert_eq!(outline[0], PICTURES);
    assert!(outline.len() == 16 && outline[1..].iter().all(|s| s == "video taken inactive"));
    // The idle ones are under a type of their own: packets are not taken for theirs.
    assert_eq!(
        answer.matches("m=video 9 UDP/TLS/RTP/SAVPF 99\r\n").count(),
        1
    );
}

/// A channel at the head of the bundle can not be refused without its transport.
#[test]
fn a_channel_is_taken_up_only_where_the_bundle_needs_it() {
    let offer = include_str!("../../../offers/chromium-with-channel.sdp");
    let first = offer.replace("BUNDLE 0 1 2", "BUNDLE 2 0 1");
    let answer = answer(&first, None);
    check(&first, &answer);
    assert!(answer.contains("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"));
    assert!(answer.contains("a=group:BUNDLE 2 0 1\r\n"), "{answer}");
}

#[test]
fn what_is_outside_the_bundle_or_can_not_be_bundled_is_refused() {
    let offer = include_str!("../../../offers/chromium.sdp");
    let alone = offer.replace("a=group:BUNDLE 0 1\r\n", "");
    let answered = answer(&alone, Some(AudioCodec::Pcmu));
    check(&alone, &answered);
    assert_eq!(outline(&answered), [PICTURES, "audio refused inactive"]);
    assert!(!answered.contains("a=group"), "{answered}");
    // Without RTP and RTCP on one port, a section shares no transport.
    let (pictures, sound) = offer.split_at(offer.find("m=audio").unwrap());
    let sound = sound.replace("a=rtcp-mux\r\n", "");
    let apart = format!("{pictures}{}", sound.replace("a=rtcp-mux-only\r\n", ""));
    let answered = answer(&apart, None);
    assert_eq!(outline(&answered), [PICTURES, "audio refused inactive"]);
    // What the viewer has switched off stays off.
    let (session, rest) = offer.split_at(offer.find("m=video").unwrap());
    let off = format!(
        "{session}{}",
        rest.replacen("m=audio 48721", "m=audio 0", 1)
    );
    assert_eq!(
        outline(&answer(&off, None)),
        [PICTURES, "audio refused inactive"]
    );
}

#[test]
fn sound_goes_under_the_codec_that_the_camera_has() {
    let offer = include_str!("../../../offers/chromium.sdp");
    for (codec, map) in [
        (AudioCodec::Opus, "a=rtpmap:111 opus/48000/2"),
        (AudioCodec::Pcmu, "a=rtpmap:0 PCMU/8000"),
        (AudioCodec::Pcma, "a=rtpmap:8 PCMA/8000"),
    ] {
        let answer = answer(offer, Some(codec));
        for expected in [map, "a=ssrc:7 cname:taimat", "a=ssrc:8 cname:taimat"] {
            assert!(answer.contains(expected), "{expected} in {answer}");
        }
    }
}
