//! Files of recordings, and what a program that we did not write thinks of them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

/// All recordings below a folder, sorted by path; none if it is not there.
pub fn movies_below(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            all.extend(movies_below(&path));
        } else if path.extension().is_some_and(|e| e == "mp4") {
            all.push(path);
        }
    }
    all.sort();
    all
}

/// `ffmpeg` decodes all of a file.
///
/// # Errors
/// If it has anything to complain about, with its words.
pub fn plays(file: &Path) -> anyhow::Result<()> {
    let out = Command::new("ffmpeg")
        .args(["-v", "warning", "-i"])
        .arg(file)
        // In the file's own time: two pictures may be closer than the usual rate has them.
        .args(["-fps_mode", "passthrough", "-enc_time_base", "-1"])
        .args(["-f", "null", "-"])
        .output()
        .context("ffmpeg, of Debian's package of that name")?;
    without_complaint(file, &out)
}

/// How many pictures `ffprobe` finds in a file.
///
/// # Errors
/// If it has anything to complain about, with its words.
pub fn pictures_in(file: &Path) -> anyhow::Result<u32> {
    let out = Command::new("ffprobe")
        .args(["-v", "warning", "-count_frames", "-select_streams", "v:0"])
        .args(["-show_entries", "stream=nb_read_frames", "-of", "csv=p=0"])
        .arg(file)
        .output()
        .context("ffprobe, of Debian's package ffmpeg")?;
    without_complaint(file, &out)?;
    let counted = String::from_utf8_lossy(&out.stdout);
    let counted = counted.trim().trim_end_matches(',');
    counted
        .parse()
        .with_context(|| format!("{}: {counted:?} pictures", file.display()))
}

fn without_complaint(file: &Path, out: &std::process::Output) -> anyhow::Result<()> {
    let said = String::from_utf8_lossy(&out.stderr);
    let good = out.status.success() && said.is_empty();
    anyhow::ensure!(good, "{}: {said}", file.display());
    Ok(())
}
