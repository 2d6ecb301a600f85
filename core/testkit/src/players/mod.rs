//! Viewers that we did not write, as programs of their own: they watch for a while and say what they
//! decoded.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use serde::Deserialize;
use tokio::process::Command;

use crate::python;

const AIORTC: &str = include_str!("aiortc_viewer.py");
const GSTREAMER: &str = include_str!("gstreamer_viewer.py");
/// How long a viewer looks at most. It ends as soon as it has seen enough.
const WATCHED: Duration = Duration::from_secs(25);

/// Frames that a viewer decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Decoded {
    /// Pictures.
    pub video: u32,
    /// Pieces of sound.
    pub audio: u32,
}

/// What aiortc decodes of a WHEP endpoint, asked with these media sections in this order.
pub async fn aiortc(endpoint: &str, sections: &[&str]) -> anyhow::Result<Decoded> {
    let programs = tokio::task::spawn_blocking(python::programs).await??;
    let seconds = WATCHED.as_secs().to_string();
    let mut command = Command::new(programs.join("python"));
    command.args(["-c", AIORTC, endpoint, &sections.join(","), &seconds]);
    decoded(command).await
}

/// What GStreamer's `webrtcbin` decodes of a WHEP endpoint, asked with a media section for each of these
/// caps. It looks until it has pictures, and sound if that is expected.
pub async fn webrtcbin(endpoint: &str, caps: &[&str], sound: bool) -> anyhow::Result<Decoded> {
    gstreamer("whep", endpoint, &caps.join("+"), sound).await
}

/// What GStreamer's `rtspsrc` decodes by this lower transport, `tcp` or `udp`.
pub async fn rtspsrc(url: &str, transport: &str, sound: bool) -> anyhow::Result<Decoded> {
    gstreamer("rtsp", url, transport, sound).await
}

async fn gstreamer(
    kind: &str,
    address: &str,
    wanted: &str,
    sound: bool,
) -> anyhow::Result<Decoded> {
    let seconds = WATCHED.as_secs().to_string();
    // Debian's Python has the GStreamer bindings; another one in PATH may not.
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-c", GSTREAMER, kind, address, wanted, &seconds]);
    if sound {
        command.arg("sound");
    }
    let decoded = decoded(command).await;
    decoded.context("are gir1.2-gst-plugins-bad-1.0 and gstreamer1.0-nice installed?")
}

async fn decoded(mut command: Command) -> anyhow::Result<Decoded> {
    let command = command.stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(WATCHED * 2, command.output())
        .await
        .context("the viewer hangs")??;
    let last = output
        .stdout
        .trim_ascii()
        .split(|b| *b == b'\n')
        .next_back();
    serde_json::from_slice(last.unwrap_or_default()).with_context(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        format!("the viewer said no number ({}): {said}", output.status)
    })
}
