//! Cameras behind a relay that we did not write: `RTSP::Server` of Perl, to which ffmpeg publishes clips.
//! What players get is what ffmpeg's own packetizers make, for every kind of sound that they know.
//!
//! What is the relay's own: UDP only, and `400` to whoever asks for TCP; headers in another order in every
//! answer; no `RTP-Info`; the players' `Transport` echoed; no word to the players when the publisher leaves,
//! only silence. Needs Debian's `librtsp-server-perl` and `ffmpeg`.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::clip::Clip;
use crate::listening::{described, free_port, free_udp_ports};

const SCRIPT: &str = include_str!("relay.pl");

/// A running relay; killed when dropped.
#[derive(Debug)]
pub struct Relay {
    process: Child,
    players: u16,
    publishers: u16,
}

/// A clip that is played to the relay in a loop; the publisher is killed when dropped.
#[derive(Debug)]
pub struct Publisher {
    process: Child,
    url: String,
}

impl Relay {
    /// Starts a relay.
    pub async fn start() -> anyhow::Result<Self> {
        let (players, publishers) = (free_port()?, free_port()?);
        let media = free_udp_ports()?;
        let mut process = Command::new("/usr/bin/perl")
            .args(["-e", SCRIPT])
            .args([players, publishers, media].map(|port| port.to_string()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("starting /usr/bin/perl (Debian package librtsp-server-perl)")?;
        let stdout = process.stdout.take().context("no stdout")?;
        let mut lines = BufReader::new(stdout).lines();
        let ready = async {
            while let Some(line) = lines.next_line().await? {
                if line == "ready" {
                    return Ok(());
                }
            }
            anyhow::bail!("it ended; is Debian's librtsp-server-perl there?")
        };
        tokio::time::timeout(Duration::from_secs(20), ready)
            .await
            .context("the relay is not ready")??;
        Ok(Self {
            process,
            players,
            publishers,
        })
    }

    /// Plays a clip to the relay in a loop, under a name, with further options for ffmpeg's RTP, and waits
    /// until players are told of it.
    pub async fn publish(
        &self,
        name: &str,
        clip: &Clip,
        options: &[&str],
    ) -> anyhow::Result<Publisher> {
        let process = Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-re", "-stream_loop", "-1", "-i"])
            .arg(clip.path())
            .args(["-c", "copy", "-strict", "experimental"])
            .args(["-f", "rtsp", "-rtsp_transport", "udp"])
            .args(options)
            .arg(format!("rtsp://127.0.0.1:{}/{name}", self.publishers))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("starting ffmpeg (Debian package ffmpeg)")?;
        let url = format!("rtsp://127.0.0.1:{}/{name}", self.players);
        described(&url, clip.tracks(), Duration::from_secs(20)).await?;
        Ok(Publisher { process, url })
    }

    /// Kills it, as a power cut would.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill().await.context("killing the relay")
    }
}

impl Publisher {
    /// The address for players.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Takes its leave of the relay, which then has nothing at the address.
    pub async fn leave(mut self) -> anyhow::Result<()> {
        let id = self.process.id().context("the publisher has ended")?;
        let told = Command::new("kill")
            .args(["-TERM", &id.to_string()])
            .status()
            .await?;
        anyhow::ensure!(told.success(), "the publisher could not be told to leave");
        tokio::time::timeout(Duration::from_secs(10), self.process.wait())
            .await
            .context("the publisher does not leave")??;
        Ok(())
    }
}
