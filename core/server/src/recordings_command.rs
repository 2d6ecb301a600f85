//! `taimat archive`: what there is, whether it is as it was recorded, and taking it out, without a router.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use taimat_archive::{Archive, MovieFile, Wrong, check, have_mended, rebuild};
use taimat_base::metrics::Registry;
use taimat_base::{CameraKey, Profile};
use taimat_contract::UnixMicros;
use taimat_hub::ChannelKey;

/// What can be said on the command line.
#[derive(Debug, Subcommand)]
pub enum ArchiveCommand {
    /// Hold the files against the index and name what is missing, short, altered or unknown. A router may run.
    /// Ends with 1 if anything is
    Check {
        /// Where.
        #[command(flatten)]
        place: PlaceArgs,
        /// Read all bytes, too, and hold them against their hashes
        #[arg(long)]
        media: bool,
    },
    /// Make the index anew from the files; the former one is put aside, and so is each file that does not fit
    /// it or the others. Ends with 1 if there is any. No router may run
    Rebuild(PlaceArgs),
    /// Say what there is of a camera, and what is missing, and why. No router may run
    List(ClipArgs),
    /// Write what there is of a camera between two moments into one MP4, unsigned. No router may run
    Export {
        /// What.
        #[command(flatten)]
        clip: ClipArgs,
        /// File to write
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

/// Where the recordings are.
#[derive(Debug, Args)]
pub struct PlaceArgs {
    /// Folder that cameras are recorded to
    #[arg(long, value_name = "FOLDER", default_value = "taimat-data/archive")]
    archive: PathBuf,
}

/// What is asked for.
#[derive(Debug, Args)]
pub struct ClipArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// Camera, as COMMUNE/CAMERA
    camera: String,
    /// From when on: 2026-11-26T08:00:00Z, or with +07:00
    #[arg(long)]
    from: Timestamp,
    /// Until when
    #[arg(long)]
    to: Timestamp,
    /// The small picture instead of the full one
    #[arg(long)]
    sub: bool,
}

impl ClipArgs {
    fn key(&self) -> anyhow::Result<ChannelKey> {
        let (commune, camera) = self
            .camera
            .split_once('/')
            .context("a camera is named COMMUNE/CAMERA")?;
        let profile = if self.sub {
            Profile::Sub
        } else {
            Profile::Main
        };
        let camera = CameraKey::new(commune.parse()?, camera.parse()?);
        Ok(ChannelKey::new(camera, profile))
    }

    fn interval(&self) -> (UnixMicros, UnixMicros) {
        let micros = |at: Timestamp| UnixMicros(at.as_microsecond());
        (micros(self.from), micros(self.to))
    }

    fn open(&self) -> anyhow::Result<Archive> {
        let folder = &self.place.archive;
        anyhow::ensure!(folder.is_dir(), "there is no folder {}", folder.display());
        Ok(Archive::open(folder, 0, &Registry::new())?)
    }
}

/// Does what is said; what the process ends with.
///
/// # Errors
/// If the disk says no, or a router records there.
pub fn run(command: &ArchiveCommand, out: &mut dyn Write) -> anyhow::Result<u8> {
    match command {
        ArchiveCommand::Check { place, media } => check_all(&place.archive, *media, out),
        ArchiveCommand::Rebuild(place) => {
            let made = rebuild(&place.archive)?;
            for apart in &made.apart {
                writeln!(out, "{apart}")?;
            }
            let (segments, parts, unproven) = (made.segments, made.parts, made.unproven);
            writeln!(
                out,
                "{segments} segments, {parts} parts; {unproven} parts nothing vouches for"
            )?;
            Ok(u8::from(!made.apart.is_empty()))
        }
        ArchiveCommand::List(clip) => list(clip, out).map(|()| 0),
        ArchiveCommand::Export { clip, out: to } => export(clip, to, out).map(|()| 0),
    }
}

fn check_all(folder: &Path, media: bool, out: &mut dyn Write) -> anyhow::Result<u8> {
    let checked = check(folder, media).with_context(|| format!("in {}", folder.display()))?;
    for file in &checked.wrong {
        let path = file.path.display();
        match &file.wrong {
            Wrong::Missing => writeln!(out, "{path}: missing")?,
            Wrong::Short(bytes) => writeln!(out, "{path}: {bytes} bytes are missing")?,
            Wrong::Altered { parts, first } => {
                let first = Timestamp::from_microsecond(*first)?;
                writeln!(
                    out,
                    "{path}: {parts} parts are altered, the first at {first}"
                )?;
            }
            Wrong::Unknown => writeln!(out, "{path}: not in the index")?,
            Wrong::Index(why) => writeln!(out, "{path}: {why}")?,
        }
    }
    let (segments, bytes, wrong) = (checked.segments, checked.bytes, checked.wrong.len());
    writeln!(
        out,
        "{segments} segments, {bytes} bytes; {wrong} files are wrong"
    )?;
    // Who may only read it still learns what is wrong.
    match have_mended(folder, &checked) {
        Ok(0) => {}
        Ok(some) => writeln!(
            out,
            "a router replaces {some} of them by copies, if there are any"
        )?,
        Err(error) => writeln!(out, "they are not mended: {error}")?,
    }
    Ok(u8::from(wrong > 0))
}

fn list(clip: &ClipArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let archive = clip.open()?;
    let (from, to) = clip.interval();
    let timeline = archive.timeline(&clip.key()?, from, to)?;
    let recorded = timeline.recorded.iter();
    let recorded = recorded.map(|one| (one.start, one.end, "recorded"));
    let gaps = timeline.gaps.iter();
    let gaps = gaps.map(|gap| (gap.start, gap.end, gap.reason.as_str()));
    let mut all: Vec<_> = recorded.chain(gaps).collect();
    all.sort_by_key(|(start, _, _)| *start);
    for (start, end, what) in all {
        let at = |at: UnixMicros| Timestamp::from_microsecond(at.0);
        writeln!(out, "{:.3} – {:.3}  {what}", at(start)?, at(end)?)?;
    }
    Ok(())
}

fn export(clip: &ClipArgs, to: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    let archive = clip.open()?;
    let (from, until) = clip.interval();
    let movie = archive.movie(&clip.key()?, from, until)?;
    let file = File::options().write(true).create_new(true).open(to);
    let mut file = file.with_context(|| format!("writing {}", to.display()))?;
    write_movie(&movie, &mut file)?;
    file.sync_all()?;
    let gaps = movie.gaps.len();
    writeln!(out, "{}; {gaps} gaps, and not signed", to.display())?;
    Ok(())
}

/// Writes a movie, and ends where it is not what was recorded.
fn write_movie(movie: &MovieFile, to: &mut dyn Write) -> anyhow::Result<()> {
    to.write_all(&movie.movie.header(&[], &[]))?;
    for piece in &movie.pieces {
        to.write_all(&piece.read()?)?;
    }
    Ok(())
}
