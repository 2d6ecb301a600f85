//! Descriptions as cameras write them; each kind is one that was met.

use proptest::prelude::*;
use taimat_media::Quirk;

use super::*;

fn read(text: &str) -> Description {
    Description::parse(text.as_bytes()).unwrap()
}

fn odd(description: &Description) -> u32 {
    description.quirks.count(Quirk::OddDescription)
}

/// Payload type, encoding, clock, channels.
fn formats(media: &Media) -> Vec<(u8, &str, u32, u16)> {
    let formats = media.formats.iter();
    formats
        .map(|f| {
            (
                f.payload_type,
                f.encoding.as_str(),
                f.clock_rate,
                f.channels,
            )
        })
        .collect()
}

const RIGHT: &str = "v=0\r\no=- 7 1 IN IP4 192.0.2.7\r\ns=North gate\r\nc=IN IP4 0.0.0.0\r\n\
    t=0 0\r\na=tool:firmware 5\r\na=control:*\r\na=range:npt=now-\r\n\
    m=video 0 RTP/AVP 96\r\nb=AS:4000\r\na=rtpmap:96 H264/90000\r\n\
    a=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z0IAH/v/,aM44gA==\r\n\
    a=framerate:12.5\r\na=control:track1\r\na=recvonly\r\n\
    m=audio 0 RTP/AVP 8 97\r\na=rtpmap:97 opus/48000/2\r\na=control:track2\r\n";

#[test]
fn a_right_one() {
    let description = read(RIGHT);
    assert_eq!((odd(&description), description.skipped.len()), (0, 0));
    assert_eq!(description.name.as_deref(), Some("North gate"));
    assert_eq!(description.tool.as_deref(), Some("firmware 5"));
    assert_eq!(description.control.as_deref(), Some("*"));
    let [video, audio] = &description.media[..] else {
        panic!("two tracks");
    };
    assert_eq!(
        (video.kind, audio.kind),
        (MediaKind::Video, MediaKind::Audio)
    );
    assert_eq!(formats(video), [(96, "H264", 90_000, 1)]);
    assert_eq!(
        formats(audio),
        [(8, "PCMA", 8000, 1), (97, "OPUS", 48_000, 2)]
    );
    let sets = &video.formats[0].parameters["sprop-parameter-sets"];
    assert_eq!(sets, "Z0IAH/v/,aM44gA==");
    assert_eq!(video.control.as_deref(), Some("track1"));
    assert_eq!((video.framerate, video.port), (Some(12.5), 0));
    assert_eq!(
        (video.direction, audio.direction),
        (Some(Direction::RecvOnly), None)
    );
    assert_eq!(video.multicast(), None);
}

/// Everything that does not touch the tracks leaves them as they are.
#[test]
fn odd_lines_cost_nothing_but_themselves() {
    let tracks = |description: &Description| {
        let mut media = description.media.clone();
        // No group either way.
        media.iter_mut().for_each(|m| m.connection = None);
        media
    };
    let right = read(RIGHT);
    let sdp = |from: &str, to: &str| RIGHT.replacen(from, to, 1);
    for (text, skipped) in [
        (RIGHT.replace('\r', ""), 0),
        (RIGHT.replace('\n', ""), 0),
        (format!("\u{FEFF}\r\n \r\n{RIGHT}\0\0"), 0),
        (sdp("o=- 7 1 IN IP4 192.0.2.7\r\n", ""), 0),
        (sdp("o=- 7 1 IN IP4 192.0.2.7", "o=- 7 1 IN"), 1),
        (sdp("o=-", "o=gate camera"), 1),
        (sdp("v=0", "v=1"), 1),
        (sdp("t=0 0\r\n", ""), 0),
        (sdp("t=0 0", "t=now-"), 1),
        (sdp("t=0 0", "t=0 0 "), 0),
        (sdp("c=IN IP4 0.0.0.0", "c=IN"), 1),
        (sdp("c=IN IP4 0.0.0.0", "c=IN IP4 gate.example"), 0),
        (sdp("b=AS:4000", "c=IN \r\ni=live\r\ns=Server"), 2),
        (
            sdp("b=AS:4000", "b=AS:4000\r\nhello\r\n=\r\nab=c\r\nq=1"),
            4,
        ),
        (sdp("b=AS:4000", "t=0 0\r\no=- 7 1 IN IP4 192.0.2.7"), 2),
        (sdp("a=control:*", "A = control: *"), 0),
        (sdp("m=video", "m= video"), 0),
        (sdp("RTP/AVP", "RTP/AVPF"), 0),
        (sdp("RTP/AVP", "RTP/SAVP"), 0),
        (sdp("video 0 RTP/AVP 96", "video 0 96"), 1),
        (sdp("video 0 RTP/AVP 96", "VIDEO RTP/AVP 96"), 1),
        (sdp("H264/90000", "h264/90000 "), 0),
        (sdp("a=rtpmap:96 H264/90000", "a=rtpmap:96 H264"), 0),
        (sdp("a=rtpmap:96 H264/90000", "A=RTPMAP: 96 H264/90000"), 0),
        (sdp("a=rtpmap:96 H264/90000\r\n", ""), 0),
        (sdp("a=fmtp:96 ", "a=fmtp:96  "), 0),
        (sdp("a=fmtp:96 ", "a=fmtp:96:"), 0),
        (sdp("a=fmtp:96 ", "a=fmtp:96"), 0),
        (sdp("a=fmtp:96 ", "a=fmtp 96 ;"), 0),
        (
            sdp(
                "track2",
                "track2\r\na=control:\r\na=rtpmap:x\r\na=framerate:many",
            ),
            3,
        ),
    ] {
        let read = read(&text);
        assert_eq!(tracks(&read), tracks(&right), "{text}");
        assert_eq!(
            (odd(&read), read.skipped.len()),
            (skipped, skipped as usize),
            "{text}"
        );
    }
}

#[test]
fn bytes_that_are_no_utf8() {
    let body = RIGHT.replace("North gate", "Nord?").into_bytes();
    let body: Vec<u8> = body
        .into_iter()
        .map(|b| if b == b'?' { 0xE9 } else { b })
        .collect();
    let description = Description::parse(&body).unwrap();
    assert_eq!(description.name.as_deref(), Some("Nordé"));
    assert_eq!(odd(&description), 0);
}

#[test]
fn parameters_under_another_track() {
    let description = read(
        "v=0\nm=video 0 RTP/AVP 96\na=rtpmap:96 H265/90000\nm=audio 0 RTP/AVP 8\n\
         a=rtpmap:0 pcma/8000/1\na=fmtp:96 sprop-vps=QAEM\n",
    );
    let [video, audio] = &description.media[..] else {
        panic!("two tracks");
    };
    assert_eq!(video.formats[0].parameters["sprop-vps"], "QAEM");
    assert_eq!(formats(audio), [(8, "PCMA", 8000, 1)]);
    assert!(audio.formats[0].parameters.is_empty() && odd(&description) > 0);
}

#[test]
fn a_map_before_the_first_track_or_under_another() {
    let description = read(
        "a=rtpmap:98 H264/90000\nm=video 0 RTP/AVP 98\nm=audio 0 RTP/AVP 99\n\
         m=video 0 RTP/AVP 97\na=rtpmap:97 H265/90000\na=rtpmap:99 opus/48000/2\n",
    );
    let all: Vec<_> = description.media.iter().flat_map(formats).collect();
    let expected = [
        (98, "H264", 90_000, 1),
        (99, "OPUS", 48_000, 2),
        (97, "H265", 90_000, 1),
    ];
    assert_eq!(all, expected);
}

#[test]
fn the_same_number_for_two_tracks() {
    let description = read(
        "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\nm=audio 0 RTP/AVP 96\n\
         a=rtpmap:96 mpeg4-generic/16000\na=fmtp:96 config=1408\n",
    );
    assert_eq!(formats(&description.media[0]), [(96, "H264", 90_000, 1)]);
    assert!(description.media[0].formats[0].parameters.is_empty());
    assert_eq!(
        formats(&description.media[1]),
        [(96, "MPEG4-GENERIC", 16_000, 1)]
    );
}

#[test]
fn types_that_are_not_mapped() {
    for (line, expected) in [
        ("video 0 RTP/AVP 26", vec![(26, "JPEG", 90_000, 1)]),
        ("video 0 RTP/AVP 33", vec![(33, "MP2T", 90_000, 1)]),
        (
            "audio 0 RTP/AVP 0 9",
            vec![(0, "PCMU", 8000, 1), (9, "G722", 8000, 1)],
        ),
        ("audio 0 RTP/AVP 10", vec![(10, "L16", 44_100, 2)]),
        ("audio 0 RTP/AVP 99", vec![(99, "", 0, 1)]),
        ("video 0 RTP/AVP", vec![]),
    ] {
        let description = read(&format!("m={line}\n"));
        assert_eq!(formats(&description.media[0]), expected, "{line}");
    }
    // What the parameters give away.
    let guessed = |fmtp: &str| {
        let description = read(&format!("m=video 0 RTP/AVP 96\na=fmtp:96 {fmtp}\n"));
        description.media[0].formats[0].encoding.clone()
    };
    assert_eq!(guessed("sprop-parameter-sets=Z0IA"), "H264");
    assert_eq!(guessed("sprop-vps=QAEM"), "H265");
    // The first line names none, or another one than the map.
    for line in ["m=video 0 RTP/AVP", "m=video 0 RTP/AVP 97"] {
        let description = read(&format!("{line}\na=rtpmap:96 H264/90000\n"));
        assert_eq!(description.media[0].formats[0].encoding, "H264", "{line}");
        assert_eq!(
            odd(&description),
            2 - u32::from(line.ends_with('P')),
            "{line}"
        );
    }
}

#[test]
fn a_fixed_type_that_is_mapped_differs() {
    let description = read("m=audio 0 RTP/AVP 8\na=rtpmap:8 PCMA/16000/1\n");
    assert_eq!(formats(&description.media[0]), [(8, "PCMA", 16_000, 1)]);
    let description = read("m=audio 0 RTP/AVP 0\na=rtpmap:0 PCMA/8000\n");
    assert_eq!(formats(&description.media[0]), [(0, "PCMA", 8000, 1)]);
}

#[test]
fn directions_and_groups_are_inherited() {
    let description = read(
        "c=IN IP4 239.1.2.3/16\na=sendonly\nm=video 5000/2 RTP/AVP 26\n\
         m=audio 5004 RTP/AVP 0\nc=IN IP6 ff15::7/3\na=RecvOnly\n",
    );
    let [video, audio] = &description.media[..] else {
        panic!("two tracks");
    };
    assert_eq!(video.direction, Some(Direction::SendOnly));
    assert_eq!(audio.direction, Some(Direction::RecvOnly));
    let group = |address: &str, ttl| {
        let address = address.parse().unwrap();
        Some(Connection { address, ttl })
    };
    assert_eq!(
        (video.port, video.multicast()),
        (5000, group("239.1.2.3", Some(16)))
    );
    assert_eq!(
        (audio.port, audio.multicast()),
        (5004, group("ff15::7", None))
    );
}

#[test]
fn nonsense_is_refused() {
    for text in [
        "",
        "\r\n",
        "<html>404</html>",
        "v=0\r\ns=x\r\n",
        "m\n",
        "xm=video 0 RTP/AVP 96",
    ] {
        assert_eq!(
            Description::parse(text.as_bytes()),
            Err(SdpError::NoMedia),
            "{text}"
        );
    }
    let large = vec![b'a'; MAX_BYTES + 1];
    assert_eq!(
        Description::parse(&large),
        Err(SdpError::TooLarge(MAX_BYTES + 1))
    );
    let tracks = "m=video 0 RTP/AVP 96\n".repeat(40_000);
    assert_eq!(
        Description::parse(tracks.as_bytes()),
        Err(SdpError::TooManyLines)
    );
}

#[test]
fn too_much_is_left_out() {
    let tracks = "m=video 0 RTP/AVP 96\na=control:x\n".repeat(1000);
    let description = read(&tracks);
    assert_eq!(
        (description.media.len(), description.media_left_out),
        (MAX_MEDIA, 936)
    );
    let types: String = (0..128).map(|n| format!(" {n}")).collect();
    let maps: String = (0..128)
        .map(|n| format!("a=rtpmap:{n} X/1\na=fmtp:{n} a=b\n"))
        .collect();
    let description = read(&format!("m=video 0 RTP/AVP{types}\n{maps}"));
    assert_eq!(description.media[0].formats.len(), 16);
    let junk = format!("{}\n", "#".repeat(500)).repeat(100);
    let description = read(&format!("{junk}m=video 0 RTP/AVP 96\n"));
    assert_eq!((odd(&description), description.skipped.len()), (100, 8));
    assert!(description.skipped.iter().all(|line| line.len() == 80));
}

/// Pieces of descriptions, right and wrong, in any order.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("m=video 0 RTP/AVP 96\n".to_owned()),
        Just("m=audio 0 RTP/AVP 97 0\r\n".to_owned()),
        "a=rtpmap:(9[0-9]|[0-9]{1,4}) ?[A-Za-z0-9-]{0,8}/?[0-9]{0,11}/?[0-9]{0,6}\r",
        "a=fmtp:9[0-9] ?([a-z-]{1,12} ?=? ?[A-Za-z0-9+/=,;\"]{0,12};?){0,4}\n",
        "[a-zA-Z] ?= ?\\PC{0,20}\n",
        "\\PC{0,20}\r\n",
    ];
    prop::collection::vec(piece, 0..40).prop_map(|list| list.concat())
}

proptest! {
    #[test]
    fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        drop(Description::parse(&bytes));
    }

    #[test]
    fn stays_bounded(text in pieces()) {
        if let Ok(description) = Description::parse(text.as_bytes()) {
            prop_assert!(!description.media.is_empty());
            prop_assert!(description.skipped.len() <= 8);
            for media in &description.media {
                prop_assert!(media.formats.len() <= 16);
                prop_assert!(media.formats.iter().all(|f| f.encoding.len() <= 40 && f.payload_type < 128));
            }
        }
    }
}
