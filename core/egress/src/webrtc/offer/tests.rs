use super::*;
use proptest::prelude::*;

pub(crate) const CHROMIUM: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
    a=group:BUNDLE 0 1\r\na=extmap-allow-mixed\r\na=msid-semantic: WMS\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 96 97 103 104 107 108\r\nc=IN IP4 0.0.0.0\r\n\
    a=rtcp:9 IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdefghijklmn\r\n\
    a=ice-options:trickle\r\na=fingerprint:sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F\r\n\
    a=setup:actpass\r\na=mid:0\r\na=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay\r\n\
    a=recvonly\r\na=rtcp-mux\r\na=rtcp-rsize\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n\
    a=rtpmap:103 H264/90000\r\na=rtcp-fb:103 nack\r\na=fmtp:103 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f\r\n\
    a=rtpmap:104 rtx/90000\r\na=fmtp:104 apt=103\r\na=rtpmap:107 H264/90000\r\na=fmtp:107 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f\r\n\
    a=rtpmap:108 H264/90000\r\na=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdefghijklmn\r\n\
    a=fingerprint:sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F\r\n\
    a=setup:actpass\r\na=mid:1\r\na=recvonly\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n";

#[test]
fn reads_what_chromium_offers() {
    let offer = Offer::parse(CHROMIUM.as_bytes()).unwrap();
    assert_eq!(offer.transport(1).unwrap().ufrag, "abcd");
    let [video, audio] = &offer.sections[..] else {
        panic!("{offer:?}")
    };
    assert!(video.receives && video.rtcp_mux && video.rtcp_rsize);
    assert_eq!((video.bundle, audio.bundle), (Some(0), Some(0)));
    assert_eq!(video.extensions[0].0, 5);
    let h264: Vec<_> = video.codecs.iter().filter(|c| c.name == "H264").collect();
    assert_eq!(h264[0].parameter("packetization-mode"), Some("1"));
    assert_eq!(h264[2].parameter("Profile-Level-ID"), Some("64001f"));
    assert_eq!(h264[0].feedback, ["nack"]);
    assert_eq!(h264[1].feedback, [""; 0]);
    assert_eq!(audio.codecs[0].name, "OPUS");
}

/// An offer of two sections, `first` in the bundle before the other one.
fn two(first: &str, one: &str, other: &str) -> Offer {
    let session = format!("v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n{first}");
    Offer::parse(format!("{session}{one}{other}").as_bytes()).unwrap()
}

const TRANSPORT: &str = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdefghijklmn\r\na=setup:actpass\r\n\
    a=fingerprint:sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F\r\n";
const SOUND: &str = "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:a\r\na=rtcp-mux\r\n";
const PICTURES: &str = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:v\r\na=rtcp-mux\r\n\
    a=rtpmap:96 H264/90000\r\n";

#[test]
fn the_transport_is_that_of_the_section_that_the_bundle_names_first() {
    let own = TRANSPORT.replace("abcd", "efgh");
    let sound = format!("{SOUND}{TRANSPORT}a=candidate:1 1 udp 1 192.0.2.1 7 typ host\r\n");
    let pictures = format!("{PICTURES}{own}a=candidate:1 1 udp 1 192.0.2.2 7 typ host\r\n");
    for (bundle, tagged, ufrag, candidate) in [
        ("a=group:BUNDLE a v\r\n", 0, "abcd", ".1 7 "),
        ("a=group:BUNDLE v a\r\n", 1, "efgh", ".2 7 "),
        ("", 1, "efgh", ".2 7 "),
        ("a=group:LS a v\r\n", 1, "efgh", ".2 7 "),
        (
            "a=group:BUNDLE a\r\na=group:BUNDLE v\r\n",
            1,
            "efgh",
            ".2 7 ",
        ),
    ] {
        let offer = two(bundle, &sound, &pictures);
        assert_eq!(offer.tagged(1), tagged, "{bundle}");
        assert_eq!(offer.transport(1).unwrap().ufrag, ufrag, "{bundle}");
        let candidates = offer.candidates(1);
        assert!(
            candidates.len() == 1 && candidates[0].contains(candidate),
            "{candidates:?}"
        );
    }
    // Switched off, and so not the one that speaks; with bundle-only it does.
    let off = sound.replace("audio 9", "audio 0");
    let offer = two("a=group:BUNDLE a v\r\n", &off, &pictures);
    assert_eq!((offer.tagged(1), offer.bundled_with(1)), (1, vec![1]));
    let only = format!("{off}a=bundle-only\r\n");
    assert_eq!(two("a=group:BUNDLE a v\r\n", &only, &pictures).tagged(1), 0);
    // It is the first, and says nothing.
    let offer = two("a=group:BUNDLE a v\r\n", SOUND, &pictures);
    assert_eq!((offer.tagged(1), offer.bundled_with(1)), (1, vec![0, 1]));
}

#[test]
fn what_is_said_for_the_session_counts_for_each_section() {
    let all = format!("{TRANSPORT}a=recvonly\r\na=rtcp-rsize\r\na=extmap:3 urn:x\r\n");
    let offer = two(&all, SOUND, PICTURES);
    let section = &offer.sections[1];
    assert!(section.receives && section.rtcp_rsize, "{section:?}");
    assert_eq!(section.extensions, [(3, "urn:x".to_owned())]);
    assert_eq!(offer.transport(1).unwrap().ufrag, "abcd");
    let sending = all.replace("recvonly", "sendonly");
    let offer = two(&sending, SOUND, &format!("{PICTURES}a=recvonly\r\n"));
    assert!(!offer.sections[0].receives && offer.sections[1].receives);
}

#[test]
fn names_of_sections_are_not_needed_and_marks_before_the_text_do_not_matter() {
    let nameless = PICTURES.replace("a=mid:v\r\n", "");
    let offer = two(TRANSPORT, "", &nameless);
    assert_eq!(
        (offer.sections[0].mid.as_str(), offer.sections[0].receives),
        ("", true)
    );
    assert!(Offer::parse(format!("\u{FEFF}{CHROMIUM}").as_bytes()).is_ok());
    let odd = PICTURES.replace("mid:v", &format!("mid:{}", "v".repeat(33)));
    let session = "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n";
    let refused = Offer::parse(format!("{session}{TRANSPORT}{odd}").as_bytes());
    assert_eq!(refused, Err(OfferError::NoVideo));
}

#[test]
fn feedback_is_what_is_offered_for_the_codec_or_for_all() {
    let with = |lines: &str| {
        let offer = two(TRANSPORT, "", &format!("{PICTURES}{lines}"));
        offer.sections[0].codecs[0].feedback.clone()
    };
    assert_eq!(with(""), [""; 0]);
    assert_eq!(
        with("a=rtcp-fb:* nack\r\na=rtcp-fb:97 ccm fir\r\n"),
        ["nack"]
    );
    assert_eq!(
        with("a=rtcp-fb:96 ccm fir\r\na=rtcp-fb:96 goog-remb\r\na=rtcp-fb:96 nack pli\r\n"),
        ["nack pli", "ccm fir"]
    );
}

#[test]
fn says_what_is_wrong() {
    let parse = |text: &str| Offer::parse(text.as_bytes()).unwrap_err();
    assert!(matches!(parse("hello"), OfferError::Syntax(_)));
    assert_eq!(parse(&"x".repeat(1 << 20)), OfferError::TooLarge(1 << 20));
    assert_eq!(Offer::parse(&[0xFF, 0xFE]), Err(OfferError::NotText));
    let many = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n".repeat(50);
    assert_eq!(
        parse(&format!("{CHROMIUM}{many}")),
        OfferError::TooManySections(52)
    );
    assert_eq!(
        parse(&CHROMIUM.replace("m=video", "m=text")),
        OfferError::NoVideo
    );
    let sending = CHROMIUM.replace("recvonly", "sendonly");
    assert_eq!(parse(&sending), OfferError::NoVideo);
    let passive = CHROMIUM.replace("actpass", "passive");
    assert_eq!(
        parse(&passive),
        OfferError::Unsupported("setup", "passive".into())
    );
    let md5 = CHROMIUM.replace("sha-256", "md5");
    assert!(matches!(
        parse(&md5),
        OfferError::Unsupported("fingerprint", _)
    ));
    let cut = CHROMIUM.replace("a=ice-ufrag:abcd\r\n", "");
    assert_eq!(parse(&cut), OfferError::Missing("ice-ufrag"));
}

proptest! {
    #[test]
    fn survives_damage(
        cuts in prop::collection::vec((0..CHROMIUM.len(), any::<u8>()), 0..12),
        end in 0..CHROMIUM.len(),
    ) {
        let mut bytes = CHROMIUM.as_bytes().to_vec();
        for (at, byte) in cuts {
            bytes[at] = byte;
        }
        drop(Offer::parse(&bytes));
        bytes.truncate(end);
        drop(Offer::parse(&bytes));
    }
}
