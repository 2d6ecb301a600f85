//! Clips for servers that play files, and what a decoder of another family makes of what comes out of
//! the router in the end: the hashes of the pictures, before and after the journey.
//!
//! Costs a second or two of a core a clip. Needs Debian's `ffmpeg`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use tokio::process::Command;

/// The pictures' size: no multiple of 16 high, so that cropping is part of what is tried.
pub const SIZE: (u32, u32) = (320, 180);

const RATE: u32 = 15;

/// What is in a clip.
#[derive(Debug, Clone, Copy)]
pub struct ClipOptions {
    /// `h264` or `h265`.
    pub video: &'static str,
    /// B-frames, and for H.265 open groups of pictures, as encoders have them when nobody chose.
    pub b_frames: bool,
    /// Slices of at most 1,200 bytes (H.264), for packetizers that do not fragment.
    pub small_slices: bool,
    /// `pcmu`, `pcma`, `aac`, `opus`, `mp3`, `l16`, `g722`, `vorbis` or none.
    pub sound: Option<&'static str>,
    /// How long it is.
    pub seconds: u32,
}

impl Default for ClipOptions {
    fn default() -> Self {
        Self {
            video: "h264",
            b_frames: false,
            small_slices: false,
            sound: None,
            seconds: 3,
        }
    }
}

/// A file in Matroska, and what its pictures look like.
#[derive(Debug, Clone)]
pub struct Clip {
    path: PathBuf,
    pictures: Vec<String>,
    tracks: usize,
}

impl Clip {
    /// Draws and encodes a clip `name` in `folder`: a key frame a second, no two pictures alike.
    pub async fn make(folder: &Path, name: &str, options: &ClipOptions) -> anyhow::Result<Self> {
        let path = folder.join(format!("{name}.mkv"));
        let seconds = options.seconds.to_string();
        let picture = format!("testsrc2=size={}x{}:rate={RATE}", SIZE.0, SIZE.1);
        let b_frames = if options.b_frames { "2" } else { "0" };
        let mut encode = Command::new("ffmpeg");
        encode.args(["-v", "error", "-nostdin", "-f", "lavfi", "-i", &picture]);
        if let Some(sound) = options.sound {
            let (encoder, rate) = sound_encoder(sound)?;
            let tone = format!("sine=frequency=440:sample_rate={rate}");
            encode.args(["-f", "lavfi", "-i", &tone, "-c:a", encoder]);
            // Vorbis is encoded in stereo only.
            encode.args(["-ac", if sound == "vorbis" { "2" } else { "1" }]);
            encode.args(["-strict", "experimental"]);
        }
        match options.video {
            "h264" => encode.args(["-c:v", "libx264"]),
            "h265" => encode.args(["-c:v", "libx265", "-x265-params", "log-level=none"]),
            other => anyhow::bail!("clips are h264 or h265, not {other}"),
        };
        if options.small_slices {
            encode.args(["-x264-params", "slice-max-size=1200"]);
        }
        encode.args(["-preset", "veryfast", "-pix_fmt", "yuv420p"]);
        encode.args(["-bf", b_frames, "-g", &RATE.to_string(), "-t", &seconds]);
        said(encode.arg(&path)).await.context("encoding a clip")?;
        let pictures = hashes(Command::new("ffmpeg").arg("-i").arg(&path), None).await?;
        let wanted = usize::try_from(options.seconds * RATE)?;
        anyhow::ensure!(
            pictures.len() == wanted,
            "{} pictures in {name}, not {wanted}",
            pictures.len()
        );
        Ok(Self {
            path,
            pictures,
            tracks: 1 + usize::from(options.sound.is_some()),
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The hashes of its pictures, in the order in which they are shown.
    pub fn pictures(&self) -> &[String] {
        &self.pictures
    }

    /// How many tracks it has: one, or two with sound.
    pub fn tracks(&self) -> usize {
        self.tracks
    }
}

fn sound_encoder(sound: &str) -> anyhow::Result<(&'static str, u32)> {
    Ok(match sound {
        "pcmu" => ("pcm_mulaw", 8000),
        "pcma" => ("pcm_alaw", 8000),
        "aac" => ("aac", 16_000),
        "opus" => ("libopus", 48_000),
        "mp3" => ("libmp3lame", 44_100),
        "l16" => ("pcm_s16be", 44_100),
        "g722" => ("g722", 16_000),
        "vorbis" => ("vorbis", 44_100),
        other => anyhow::bail!("no encoder is known for {other}"),
    })
}

/// How pictures that came from somewhere compare with those that they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compared {
    /// Pictures that are those of the original to the last bit.
    pub right: usize,
    /// Pictures that the original does not have.
    pub wrong: usize,
    /// Right pictures that do not follow the one before; the original's end goes over into its
    /// beginning.
    pub jumps: usize,
}

/// Compares pictures by their hashes.
pub fn compare(original: &[String], came: &[String]) -> Compared {
    let places: Vec<Option<usize>> = came
        .iter()
        .map(|hash| original.iter().position(|h| h == hash))
        .collect();
    let right: Vec<usize> = places.iter().copied().flatten().collect();
    let jump = |pair: &&[usize]| match pair {
        [before, after] => (before + 1) % original.len() != *after,
        _ => false,
    };
    Compared {
        right: right.len(),
        wrong: places.len() - right.len(),
        jumps: right.windows(2).filter(jump).count(),
    }
}

/// Plays `count` pictures of an address by `tcp` or `udp`, decodes them and gives their hashes. Fewer
/// come if the stream ends or does not come within `limit`.
pub async fn play(
    url: &str,
    transport: &str,
    count: usize,
    limit: Duration,
) -> anyhow::Result<Vec<String>> {
    let mut command = Command::new("ffmpeg");
    let microseconds = limit.as_micros().to_string();
    command.args(["-rtsp_transport", transport, "-timeout", &microseconds]);
    command.args(["-i", url]);
    let decoding = hashes(&mut command, Some(count));
    tokio::time::timeout(limit, decoding)
        .await
        .with_context(|| format!("no {count} pictures within {limit:?}"))?
}

/// The hashes of what is decoded of the command's input.
async fn hashes(command: &mut Command, count: Option<usize>) -> anyhow::Result<Vec<String>> {
    // As many pictures come out as were decoded: none is doubled or left out to keep a rate.
    command.args(["-v", "error", "-nostdin", "-map", "0:v"]);
    command.args(["-fps_mode", "passthrough"]);
    if let Some(count) = count {
        command.args(["-frames:v", &count.to_string()]);
    }
    let text = said(command.args(["-f", "framemd5", "-"])).await?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    Ok(lines
        .filter_map(|line| line.rsplit(',').next())
        .map(|hash| hash.trim().to_owned())
        .collect())
}

/// What a command that succeeds says.
async fn said(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .context("starting ffmpeg (Debian package ffmpeg)")?;
    anyhow::ensure!(
        output.status.success(),
        "ffmpeg failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Vec<String> {
        text.chars().map(String::from).collect()
    }

    #[test]
    fn pictures_are_compared_around_the_end() {
        let compared = |came| {
            let found = compare(&list("abcde"), &list(came));
            (found.right, found.wrong, found.jumps)
        };
        assert_eq!(compared("cdeabcdea"), (9, 0, 0));
        assert_eq!(compared("ab-de"), (4, 1, 1));
        assert_eq!(compared("aacb"), (4, 0, 3));
        assert_eq!(compared(""), (0, 0, 0));
    }
}
