//! What is chosen of what is described.

use proptest::prelude::*;
use taimat_media::AudioCodec;

use super::*;

const VIDEO: &str = "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n\
    a=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z0IAH/v/,aM44gA==\na=control:v\n";
const SECOND: &str = "m=video 0 RTP/AVP 98\na=rtpmap:98 H265/90000\na=control:w\n";
const JPEG: &str = "m=video 0 RTP/AVP 26\na=control:j\n";
const PCMA: &str = "m=audio 0 RTP/AVP 8\na=control:a\n";
const BACK: &str = "m=audio 0 RTP/AVP 0\na=rtpmap:0 PCMU/8000\na=control:b\na=sendonly\n";

fn described(sections: &[&str]) -> Description {
    let text = format!("v=0\ns=x\nt=0 0\n{}", sections.concat());
    Description::parse(text.as_bytes()).unwrap()
}

fn chosen(sections: &[&str]) -> Tracks {
    choose(&described(sections), true, None).unwrap()
}

fn aac(rest: &str) -> String {
    format!("m=audio 0 RTP/AVP 97\na=rtpmap:97 MPEG4-GENERIC/{rest}\n")
}

/// The sound with this description: configuration, rate, channels, whether it was told.
fn aac_of(rest: &str) -> Result<(Vec<u8>, u32, u16, bool), NoSound> {
    let tracks = chosen(&[VIDEO, &aac(rest)]);
    let told = tracks.quirks.count(Quirk::UnconfiguredSound) == 0;
    match tracks.audio {
        None => Err(tracks.no_sound.unwrap()),
        Some(audio) => {
            let AudioCodec::Aac { config } = audio.track.codec else {
                panic!("{:?} is no AAC", audio.track);
            };
            Ok((
                config.to_vec(),
                audio.track.rate,
                audio.track.channels,
                told,
            ))
        }
    }
}

#[test]
fn pictures_and_sound() {
    let tracks = chosen(&[VIDEO, PCMA]);
    assert_eq!((tracks.video.media, tracks.video.payload_type), (0, 96));
    assert_eq!(
        (tracks.video.codec, tracks.video.clock_rate),
        (VideoCodec::H264, 90_000)
    );
    let heads: Vec<u8> = tracks.video.sets.iter().map(|set| set[0]).collect();
    assert_eq!(heads, [0x67, 0x68]);
    let audio = tracks.audio.unwrap();
    assert_eq!((audio.media, audio.payload_type), (1, 8));
    let track = AudioTrack {
        codec: AudioCodec::Pcma,
        rate: 8000,
        channels: 1,
    };
    assert_eq!(audio.track, track);
    assert_eq!((tracks.no_sound, tracks.quirks), (None, Quirks::default()));
}

#[test]
fn sound_that_is_not_wanted() {
    let tracks = choose(&described(&[VIDEO, BACK, PCMA]), false, None).unwrap();
    assert_eq!((tracks.audio, tracks.no_sound), (None, None));
    assert_eq!(tracks.quirks, Quirks::default());
}

#[test]
fn the_video_that_can_be_carried() {
    let metadata = "m=application 0 RTP/AVP 107\na=control:meta\n";
    let tracks = chosen(&[PCMA, metadata, VIDEO]);
    assert_eq!((tracks.video.media, tracks.audio.unwrap().media), (2, 0));
    // Several payload types of one track, the first of which means nothing.
    let tracks = chosen(&[&VIDEO.replace("AVP 96", "AVP 35 96")]);
    assert_eq!(
        (tracks.video.payload_type, tracks.video.codec),
        (96, VideoCodec::H264)
    );
    let both = "m=video 0 RTP/AVP 26 96\na=rtpmap:96 H264/90000\n";
    assert_eq!(chosen(&[both]).video.payload_type, 96);
    for name in ["H264", "h264", "H.264"] {
        assert_eq!(
            chosen(&[&VIDEO.replace("H264/", &format!("{name}/"))])
                .video
                .codec,
            VideoCodec::H264
        );
    }
    assert_eq!(
        chosen(&[&VIDEO.replace("H264/", "hevc/")]).video.codec,
        VideoCodec::H265
    );
    assert_eq!(chosen(&[JPEG]).video.codec, VideoCodec::Jpeg);
}

#[test]
fn one_of_several_videos() {
    let tracks = chosen(&[JPEG, SECOND, VIDEO]);
    assert_eq!((tracks.video.media, tracks.videos), (1, 3));
    assert_eq!(tracks.quirks.count(Quirk::SeveralVideos), 1);
    let description = described(&[JPEG, PCMA, SECOND, VIDEO]);
    for (wanted, media) in [(0, 0), (1, 2), (2, 3)] {
        let tracks = choose(&description, true, Some(wanted)).unwrap();
        assert_eq!(tracks.video.media, media);
        assert_eq!(
            tracks.quirks.count(Quirk::SeveralVideos),
            0,
            "it was chosen"
        );
    }
    let error = choose(&description, true, Some(3)).unwrap_err();
    assert!(matches!(&error, NoTrack::NoSuchVideo { wanted: 3, offered } if offered.len() == 4));
}

#[test]
fn no_video() {
    let refused = |sections: &[&str]| choose(&described(sections), true, None).unwrap_err();
    let mpeg4 = "m=video 0 RTP/AVP 97\na=rtpmap:97 MP4V-ES/90000\n";
    let error = refused(&[mpeg4, PCMA, "m=video 0 RTP/AVP 99\n"]);
    let offered = ["video/MP4V-ES", "audio/PCMA", "video/payload type 99"];
    assert_eq!(
        error,
        NoTrack::Unsupported(offered.map(str::to_owned).to_vec())
    );
    assert!(
        error
            .to_string()
            .contains("set its video encoding to H.264")
    );
    assert!(matches!(refused(&[PCMA]), NoTrack::Unsupported(_)));
    let many: Vec<&str> = std::iter::repeat_n(PCMA, 60).collect();
    assert!(matches!(refused(&many), NoTrack::Unsupported(list) if list.len() == 16));
    assert_eq!(
        choose(&Description::default(), true, None),
        Err(NoTrack::Empty)
    );
}

#[test]
fn sets_that_can_not_be_read_cost_only_themselves() {
    let tracks = chosen(&[&VIDEO.replace("Z0IAH/v/", "AAAA,////,")]);
    assert_eq!(tracks.video.sets.len(), 1);
    assert_eq!(tracks.quirks.count(Quirk::UnreadableSets), 2);
}

#[test]
fn a_back_channel_is_no_sound() {
    let tracks = chosen(&[VIDEO, BACK, PCMA]);
    assert_eq!(tracks.audio.unwrap().payload_type, 8);
    assert_eq!(tracks.quirks.count(Quirk::BackChannel), 1);
    let tracks = chosen(&[VIDEO, BACK]);
    assert_eq!(
        (tracks.audio, tracks.no_sound),
        (None, Some(NoSound::BackChannelOnly))
    );
    // Whoever says so of the pictures as well does not mean it.
    let sending = format!("a=sendonly\n{VIDEO}");
    let text = [&sending, PCMA, "a=sendonly\n"];
    assert_eq!(chosen(&text).audio.unwrap().payload_type, 8);
}

#[test]
fn sound_that_is_not_carried_is_named() {
    for (map, name) in [
        ("G726-16/8000", "G726-16"),
        ("L16/16000/1", "L16"),
        ("MP4A-LATM/90000", "MP4A-LATM"),
    ] {
        let tracks = chosen(&[VIDEO, &format!("m=audio 0 RTP/AVP 97\na=rtpmap:97 {map}\n")]);
        assert_eq!(tracks.no_sound, Some(NoSound::Unsupported(name.to_owned())));
        assert_eq!(tracks.quirks.count(Quirk::UnsupportedSound), 1);
        assert_eq!(tracks.audio, None);
    }
    let unknown = chosen(&[VIDEO, "m=audio 0 RTP/AVP 99\n"]);
    assert_eq!(
        unknown.no_sound.unwrap().to_string(),
        "the camera's sound is payload type 99; set it to AAC, G.711 or Opus"
    );
    assert_eq!(chosen(&[VIDEO]).no_sound, Some(NoSound::NoneOffered));
    // One that is carried is taken, in the same track or in another.
    let several = "m=audio 0 RTP/AVP 97 0\na=rtpmap:97 G726-32/8000\n";
    assert_eq!(chosen(&[VIDEO, several]).audio.unwrap().payload_type, 0);
    let g726 = "m=audio 0 RTP/AVP 97\na=rtpmap:97 G726-32/8000\n";
    assert_eq!(chosen(&[VIDEO, g726, PCMA]).audio.unwrap().media, 2);
}

#[test]
fn aac_that_is_configured() {
    let right = Ok((vec![0x14, 0x08], 16_000, 1, true));
    for rest in [
        "16000/1\na=fmtp:97 streamtype=5;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1408",
        "16000\na=fmtp:97 Mode=aac-HBR; SizeLength=13; Config=\"1408\"",
        "16000/1\na=fmtp:97 config=14085",
    ] {
        assert_eq!(aac_of(rest), right, "{rest}");
    }
    // Channels from the configuration if the map does not tell them.
    assert_eq!(
        aac_of("44100\na=fmtp:97 config=1210"),
        Ok((vec![0x12, 0x10], 44_100, 2, true))
    );
}

#[test]
fn aac_that_is_not_configured() {
    let usual = Ok((vec![0x14, 0x08], 16_000, 1, false));
    for rest in [
        "16000/1",
        "16000/1\na=fmtp:98 streamtype=5;mode=AAC-hbr;sizelength=13",
        "16000/1\na=fmtp:97 mode=AAC-hbr;config=",
        "16000/1\na=fmtp:97 mode=AAC-hbr;config=zz",
        "16000/1\na=fmtp:97 mode=AAC-hbr;config=00",
    ] {
        assert_eq!(aac_of(rest), usual, "{rest}");
    }
    assert_eq!(aac_of("90000/1"), Err(NoSound::Unconfigured));
}

#[test]
fn aac_in_another_mode() {
    let low = aac_of("16000/1\na=fmtp:97 mode=AAC-lbr;sizelength=6;indexlength=2;config=1408");
    assert_eq!(low, Err(NoSound::Unsupported("AAC-lbr".into())));
    let odd = aac_of("16000/1\na=fmtp:97 sizelength=6;config=1408");
    assert_eq!(odd, Err(NoSound::Unsupported("MPEG4-GENERIC".into())));
}

proptest! {
    #[test]
    fn never_panics(parts in prop::collection::vec((0..5_usize, "[ -~]{0,30}"), 0..12), sound: bool, which in prop::option::of(0..4_usize)) {
        let mut text = String::new();
        for (kind, noise) in parts {
            text.push_str([VIDEO, BACK, PCMA, SECOND, JPEG][kind]);
            text.push_str("a=rtpmap:97 mpeg4-generic/16000\na=fmtp:97 config=");
            text.push_str(&noise);
            text.push_str("\na=fmtp:98 sprop-sps=");
            text.push_str(&noise);
            text.push('\n');
        }
        if let Ok(description) = Description::parse(text.as_bytes())
            && let Ok(tracks) = choose(&description, sound, which)
        {
            prop_assert!(tracks.video.media < description.media.len());
            prop_assert!(tracks.audio.is_none() || tracks.no_sound.is_none());
        }
    }
}
