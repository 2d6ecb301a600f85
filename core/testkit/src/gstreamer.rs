//! A camera that we did not write: GStreamer's RTSP server, in a process of its own.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const SCRIPT: &str = include_str!("gst_camera.py");

/// How the camera is set up.
#[derive(Debug, Clone)]
pub struct GstOptions {
    /// `h264`, `h265`, `mjpeg` or `vp8`.
    pub video: &'static str,
    /// `pcmu`, `pcma`, `aac`, `opus` or none.
    pub audio: Option<&'static str>,
    /// `basic`, `digest` or none; user `router`, password [`PASSWORD`].
    pub auth: Option<&'static str>,
    /// `tcp`, `udp` or `both`.
    pub transport: &'static str,
    /// Width in pixels, a multiple of 64.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Pictures a second.
    pub rate: u32,
    /// Frames between key frames.
    pub keyframe_interval: u32,
    /// Whether B-frames are used.
    pub b_frames: bool,
    /// TCP port; 0 chooses one.
    pub port: u16,
}

/// The cameras' password, which must never be seen anywhere.
pub const PASSWORD: &str = "s3cret-for-tests";

impl Default for GstOptions {
    fn default() -> Self {
        Self {
            video: "h264",
            audio: None,
            auth: None,
            transport: "both",
            width: 320,
            height: 180,
            rate: 15,
            keyframe_interval: 15,
            b_frames: false,
            port: 0,
        }
    }
}

/// A running camera; killed when dropped.
#[derive(Debug)]
pub struct GstCamera {
    process: Child,
    port: u16,
}

impl GstCamera {
    /// Starts a camera.
    pub async fn start(options: &GstOptions) -> anyhow::Result<Self> {
        let settings = json!({
            "video": options.video,
            "audio": options.audio,
            "auth": options.auth,
            "transport": options.transport,
            "width": options.width,
            "height": options.height,
            "rate": options.rate,
            "keyframe_interval": options.keyframe_interval,
            "b_frames": options.b_frames,
            "kbit": 400,
            "port": options.port,
        });
        // Debian's Python has the GStreamer bindings; another one in PATH may not.
        let mut process = Command::new("/usr/bin/python3")
            .args(["-u", "-c", SCRIPT, &settings.to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting /usr/bin/python3 (Debian package python3-gi)")?;
        let stdout = process.stdout.take().context("no stdout")?;
        let mut lines = BufReader::new(stdout).lines();
        let first = tokio::time::timeout(Duration::from_secs(20), lines.next_line()).await;
        let port = match first {
            Ok(Ok(Some(line))) => line.trim().parse().context("the camera's port")?,
            _ => {
                let output = process.wait_with_output().await?;
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                anyhow::bail!(
                    "the GStreamer camera did not start; are gir1.2-gst-rtsp-server-1.0 and \
                     gstreamer1.0-plugins-{{good,bad,ugly}} installed? It said: {said}"
                );
            }
        };
        Ok(Self { process, port })
    }

    /// The camera's port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The camera's address.
    pub fn url(&self) -> String {
        format!("rtsp://127.0.0.1:{}/cam", self.port)
    }

    /// Kills it, as a power cut would.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill().await.context("killing the camera")
    }

    /// Freezes it (SIGSTOP) or lets it go on (SIGCONT).
    pub async fn freeze(&self, frozen: bool) -> anyhow::Result<()> {
        let id = self.process.id().context("the camera has ended")?;
        let signal = if frozen { "-STOP" } else { "-CONT" };
        let status = Command::new("kill")
            .args([signal, &id.to_string()])
            .status()
            .await?;
        anyhow::ensure!(status.success(), "kill {signal} failed");
        Ok(())
    }
}

/// Writes a commune's folder with the given cameras: name and the lines of its section.
pub fn write_commune(folder: &std::path::Path, cameras: &[(&str, String)]) -> anyhow::Result<()> {
    let mut text = String::from("[commune]\nname = \"Thử nghiệm\"\n");
    for (name, lines) in cameras {
        text.push_str(&format!("\n[camera.{name}]\n{lines}\n"));
    }
    // As editors do it: a new file takes the old one's place.
    taimat_base::files::replace(&folder.join("commune.toml"), text.as_bytes())?;
    Ok(())
}
