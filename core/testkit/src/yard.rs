//! Real footage: people who walk across a yard, filmed from above for 80 s by a camera whose sensor has
//! noise (`vtest.avi` of Debian's package opencv-doc; PETS 2009).

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

const FOOTAGE: &str = "/usr/share/doc/opencv-doc/examples/data/vtest.avi";
/// Pictures that it has.
pub const PICTURES: usize = 795;

/// How a camera would send it.
#[derive(Debug, Clone, Copy)]
pub struct Yard {
    /// Filter that brings it to size, as ffmpeg has it.
    pub filter: &'static str,
    /// Pictures a second: it has ten, and plays faster with more.
    pub rate: u32,
    /// Bits a second; `None` is as many as it takes.
    pub bitrate: Option<u32>,
}

/// Encodes it as H.264 without B-frames, a key frame every two seconds of ten pictures.
pub fn encoded(yard: &Yard, folder: &Path) -> anyhow::Result<PathBuf> {
    anyhow::ensure!(
        Path::new(FOOTAGE).is_file(),
        "{FOOTAGE} is not there: apt-get install opencv-doc"
    );
    let clip = folder.join(format!("yard-{}.mp4", yard.rate));
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg
        .args(["-v", "error", "-y", "-r", &yard.rate.to_string()])
        .args(["-i", FOOTAGE, "-an", "-c:v", "libx264"])
        .args(["-preset", "veryfast", "-bf", "0", "-g", "20"])
        .args(["-vf", yard.filter]);
    if let Some(bits) = yard.bitrate {
        let (most, buffer) = (bits.to_string(), (bits * 2).to_string());
        ffmpeg.args(["-b:v", &most, "-maxrate", &most, "-bufsize", &buffer]);
    }
    let done = ffmpeg.arg(&clip).status().context("starting ffmpeg")?;
    anyhow::ensure!(done.success(), "ffmpeg: {done}");
    Ok(clip)
}
