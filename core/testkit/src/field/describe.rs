//! The session description (RFC 8866) of a camera.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use bytes::Bytes;

use super::case::{Case, DescribedSets, Sound};
use super::footage::{Codec, Footage};

/// What the description says, as it goes over the wire.
pub(super) fn body(
    case: &Case,
    group: Option<(std::net::Ipv4Addr, u16)>,
) -> anyhow::Result<Vec<u8>> {
    let footage = case.plays();
    let described = match (case.description.sets, footage.codec(), footage) {
        (DescribedSets::Right | DescribedSets::Missing, ..) => footage,
        (DescribedSets::OtherSize, Codec::H264, Footage::Vga) => Footage::Plain,
        (DescribedSets::OtherSize, Codec::H264, _) => Footage::Vga,
        (DescribedSets::OtherSize, Codec::H265, _) => Footage::HevcVga,
    };
    let reel = described.reel()?;
    let sets = reel.sets();
    let mut text = match &case.description.text {
        Some(text) => text.clone(),
        None => generated(case, reel.codec, &sets, group),
    };
    for [from, to] in &case.description.replace {
        anyhow::ensure!(
            text.contains(from),
            "{}: the description has no {from:?} that could be replaced:\n{text}",
            case.name
        );
        text = text.replace(from, to);
    }
    let base64 = |set: Option<&Bytes>| {
        let engine = match case.description.unpadded {
            true => STANDARD_NO_PAD,
            false => STANDARD,
        };
        set.map_or_else(String::new, |set| engine.encode(set))
    };
    let (vps, sps, pps) = match sets.as_slice() {
        [sps, pps] => (None, Some(sps), Some(pps)),
        [vps, sps, pps] => (Some(vps), Some(sps), Some(pps)),
        _ => (None, None, None),
    };
    for (name, set) in [("{vps}", vps), ("{sps}", sps), ("{pps}", pps)] {
        text = text.replace(name, &base64(set));
    }
    text = text.replace("{sprop}", &format!("{},{}", base64(sps), base64(pps)));
    let text = text.replace('\n', &case.description.line_end);
    Ok(if case.description.latin1 {
        text.chars()
            .map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?'))
            .collect()
    } else {
        text.into_bytes()
    })
}

fn generated(
    case: &Case,
    codec: Codec,
    sets: &[Bytes],
    group: Option<(std::net::Ipv4Addr, u16)>,
) -> String {
    let kind = case.description.payload_type;
    let with_sets = case.description.sets != DescribedSets::Missing;
    let (connection, port) = match group {
        Some((address, port)) => (format!("{address}/1"), port),
        None => ("0.0.0.0".to_owned(), 0),
    };
    let mut lines = vec![
        "v=0".to_owned(),
        "o=- 1 1 IN IP4 127.0.0.1".into(),
        "s=Camera".into(),
        format!("c=IN IP4 {connection}"),
        "t=0 0".into(),
        "a=control:*".into(),
        "a=range:npt=now-".into(),
        format!("m=video {port} RTP/AVP {kind}"),
    ];
    match codec {
        Codec::H264 => {
            let profile: String = sets
                .first()
                .and_then(|sps| sps.get(1..4))
                .unwrap_or_default()
                .iter()
                .map(|byte| format!("{byte:02X}"))
                .collect();
            let sprop = if with_sets {
                ";sprop-parameter-sets={sprop}"
            } else {
                ""
            };
            lines.push(format!("a=rtpmap:{kind} H264/90000"));
            lines.push(format!(
                "a=fmtp:{kind} packetization-mode=1;profile-level-id={profile}{sprop}"
            ));
        }
        Codec::H265 => {
            lines.push(format!("a=rtpmap:{kind} H265/90000"));
            if with_sets {
                lines.push(format!(
                    "a=fmtp:{kind} sprop-vps={{vps}};sprop-sps={{sps}};sprop-pps={{pps}}"
                ));
            }
        }
    }
    lines.push("a=control:trackID=1".into());
    lines.extend(case.sound.into_iter().flat_map(sound));
    lines.extend(case.description.more.iter().cloned());
    lines.join("\n") + "\n"
}

fn sound(sound: Sound) -> Vec<String> {
    let kind = sound.payload_type();
    let mut lines = vec![format!("m=audio 0 RTP/AVP {kind}")];
    match sound {
        Sound::Pcma => lines.push("a=rtpmap:8 PCMA/8000".into()),
        Sound::Pcmu => lines.push("a=rtpmap:0 PCMU/8000".into()),
        Sound::G726 => lines.push("a=rtpmap:97 G726-16/8000".into()),
        Sound::L16 => lines.push("a=rtpmap:97 L16/16000/1".into()),
        Sound::Aac | Sound::Adts => lines.extend([
            "a=rtpmap:97 MPEG4-GENERIC/16000/1".into(),
            "a=fmtp:97 streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;\
             indexlength=3;indexdeltalength=3;config=1408"
                .into(),
        ]),
    }
    lines.push("a=control:trackID=2".into());
    lines
}
