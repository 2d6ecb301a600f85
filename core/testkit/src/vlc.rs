//! A camera that we did not write: VLC's RTSP server, which plays a clip, in a process of its own.
//!
//! What is its own: it sends by UDP only and answers `461` to TCP; RTP comes from an odd port; parameter
//! sets stand in the description only, never in the stream; the tracks come in any order; the time stamps
//! go back where the clip begins again. Needs Debian's `vlc-bin` and `vlc-plugin-base`.

use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use tokio::process::{Child, Command};

use crate::clip::Clip;
use crate::listening::{described, free_port};

/// What happens at the clip's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtTheEnd {
    /// It goes on from the beginning, in the same session.
    GoesOn,
    /// The sessions end (BYE), for a moment nothing is found at the address, then it begins anew.
    BeginsAnew,
}

/// Debian's user and group `nobody`, the same on every machine: VLC refuses to run as root.
const NOBODY: u32 = 65_534;

/// A running camera; killed when dropped.
#[derive(Debug)]
pub struct VlcCamera {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl VlcCamera {
    /// Starts a camera and waits until it describes all the clip's tracks; port 0 chooses one.
    pub async fn start(clip: &Clip, at_the_end: AtTheEnd, port: u16) -> anyhow::Result<Self> {
        let port = if port == 0 { free_port()? } else { port };
        // Its own home, with the clip in it: other folders may be closed to the user that it runs as.
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("clip.mkv");
        std::fs::copy(clip.path(), &file).context("copying the clip")?;
        let log = folder.path().join("log");
        let mut command = command(folder.path())?;
        command.args([
            "-I",
            "dummy",
            "--no-dbus",
            "--no-audio",
            "--no-plugins-cache",
        ]);
        command.args(["--rtsp-host", "127.0.0.1"]);
        command.arg(match at_the_end {
            AtTheEnd::GoesOn => "--input-repeat=65535",
            AtTheEnd::BeginsAnew => "--loop",
        });
        let sout = format!("#rtp{{sdp=rtsp://127.0.0.1:{port}/cam}}");
        command.args(["--sout", &sout]).arg(&file);
        let process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log)?)
            .kill_on_drop(true)
            .spawn()
            .context("starting vlc (Debian package vlc-bin)")?;
        let mut camera = Self {
            process,
            port,
            _folder: folder,
        };
        let limit = Duration::from_secs(20);
        if let Err(error) = described(&camera.url(), clip.tracks(), limit).await {
            camera.kill().await?;
            let said = std::fs::read(&log).unwrap_or_default();
            let said = String::from_utf8_lossy(&said);
            anyhow::bail!(
                "VLC did not serve ({error:#}); is vlc-plugin-base there? It said: {said}"
            );
        }
        Ok(camera)
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
}

/// VLC as a user who may run it.
fn command(home: &Path) -> anyhow::Result<Command> {
    let root = std::fs::metadata("/proc/self")?.uid() == 0;
    let mut command = if root {
        chown(home, Some(NOBODY), Some(NOBODY)).context("giving VLC its home")?;
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]);
        command.args(["--no-new-privs", "vlc"]);
        command
    } else {
        Command::new("vlc")
    };
    command.current_dir(home).env("HOME", home);
    command
        .env("XDG_RUNTIME_DIR", home)
        .env("LC_ALL", "C.UTF-8");
    Ok(command)
}
