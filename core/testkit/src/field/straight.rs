//! A camera as ffmpeg itself sees it, without a router between: the measure of what can be shown.

use std::time::Duration;

use super::camera::FieldCamera;
use super::case::{Case, Ffmpeg, Transport};
use super::pull::{Pull, Verdict, pull};

const LIMIT: Duration = Duration::from_secs(20);

/// What ffmpeg made of a camera.
#[derive(Debug, Clone)]
pub struct Straight {
    /// Its pictures.
    pub verdict: Verdict,
    /// What it said.
    pub said: String,
    /// Whether that is what the camera's file expects of it.
    pub as_expected: bool,
}

/// Lets ffmpeg pull from a camera of a kind.
pub async fn straight(case: &Case) -> anyhow::Result<Straight> {
    let camera = FieldCamera::start(case).await?;
    let transports = &case.rtsp.transports;
    let setting = case.expect.camera.get("transport").and_then(|t| t.as_str());
    let transport = match (case.rtsp.tunnel, case.rtsp.tls) {
        (true, false) => "http",
        (true, true) => "https",
        _ if setting == Some("udp") || !transports.contains(&Transport::Tcp) => "udp",
        _ => "tcp",
    };
    let frames = u32::try_from(case.expect.frames).unwrap_or(u32::MAX) + 2;
    let what = Pull {
        url: camera.player_url(),
        transport,
        frames: case.expect.frames,
        slow: case.time.every >= 1000,
        sound: false,
        limit: LIMIT + Duration::from_millis(case.time.every) * frames,
    };
    let pulled = pull(&what).await?;
    let verdict = Verdict::of(&pulled.frames, &case.shown()?);
    let as_expected = match case.expect.ffmpeg {
        Ffmpeg::Right => verdict.right == case.expect.frames && verdict.settled == 0,
        Ffmpeg::Some => verdict.right > 0,
        Ffmpeg::None => verdict.frames == 0,
        Ffmpeg::Unasked => true,
    };
    Ok(Straight {
        verdict,
        said: pulled.said,
        as_expected,
    })
}
