//! `taimat evidence export`: recordings of several cameras in one signed folder, without a router.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;
use taimat_api::ExportOrder;
use taimat_archive::{Archive, ArchiveError};
use taimat_base::metrics::Registry;
use taimat_base::problem::Lines;
use taimat_base::{CameraId, CommuneId, Profile};
use taimat_contract::UnixMicros;
use taimat_evidence::DirectorySink;

use super::place::DataArgs;
use crate::config::{self, Commune};
use crate::exports::{self, SealError};
use crate::sealing::KeySealing;

/// What is to be taken out.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Commune: its folder, from which names and the time zone are taken, or only its name in addresses
    commune: PathBuf,
    /// Camera; may be said several times
    #[arg(long = "camera", value_name = "CAMERA", required = true)]
    cameras: Vec<CameraId>,
    /// From when on: 2026-11-26T08:00:00Z, or with +07:00
    #[arg(long)]
    from: Timestamp,
    /// Until when
    #[arg(long)]
    to: Timestamp,
    /// The small picture instead of the full one
    #[arg(long)]
    sub: bool,
    /// Who takes it out
    #[arg(long, value_name = "NAME")]
    who: String,
    /// Why
    #[arg(long, value_name = "REASON")]
    why: String,
    /// Number of the case
    #[arg(long, value_name = "NUMBER")]
    case: String,
    /// Folder to write, which must not be there yet
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    #[command(flatten)]
    place: DataArgs,
}

impl ExportArgs {
    /// The commune, and what its folder says if it is one.
    fn commune(&self) -> anyhow::Result<(CommuneId, Vec<Commune>)> {
        if !self.commune.join(config::FILE).is_file() {
            let name = self.commune.to_str().unwrap_or_default();
            let id = name.parse().with_context(|| {
                format!("{name} is neither a commune's folder nor its name in addresses")
            })?;
            return Ok((id, Vec::new()));
        }
        let communes = config::load(std::slice::from_ref(&self.commune)).map_err(|problems| {
            anyhow::anyhow!(
                "{}\nsay the commune's name instead of its folder to do without what it says",
                Lines(&problems)
            )
        })?;
        let first = communes.first().context("the folder has no commune")?;
        Ok((first.id.clone(), communes))
    }

    fn order(&self, commune: CommuneId) -> ExportOrder {
        let micros = |at: Timestamp| UnixMicros(at.as_microsecond());
        let mut cameras = Vec::new();
        for camera in &self.cameras {
            if !cameras.contains(camera) {
                cameras.push(camera.clone());
            }
        }
        ExportOrder {
            commune,
            cameras,
            from: micros(self.from),
            to: micros(self.to),
            profile: if self.sub {
                Profile::Sub
            } else {
                Profile::Main
            },
            who: self.who.clone(),
            why: self.why.clone(),
            case_number: self.case.clone(),
        }
    }
}

/// Takes it out.
pub(super) fn run(args: &ExportArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let (commune, communes) = args.commune()?;
    let archive = Arc::new(open(&args.place.archive())?);
    archive.configure(communes.iter().map(|own| own.archive.clone()).collect());
    let sealing = KeySealing::new(Some(&args.place.data));
    sealing
        .signer(UnixMicros::from(taimat_base::clock::wall()))
        .map_err(|why| {
            anyhow::anyhow!("{why}; `taimat archive export` writes a camera's clip unsigned")
        })?;
    let unknown = args.out.symlink_metadata().is_err();
    anyhow::ensure!(unknown, "{} is there already", args.out.display());
    let order = args.order(commune);
    let taken = exports::take(&archive, &order, &exports::cameras(&communes))?;
    let folder = sealing
        .sign(&taken, &archive)
        .map_err(|error| match error {
            SealError::NoKey(why) | SealError::Failed(why) => anyhow::anyhow!("{why}"),
        })?;
    let writing = || format!("writing {}", args.out.display());
    let mut sink = DirectorySink::create(&args.out).with_context(writing)?;
    let written = folder.write_to(&mut sink, &|path| {
        archive.found_damaged(&order.commune, path)
    });
    let written = written.with_context(|| format!("{}; what was begun is no export", writing()))?;
    sink.finish().with_context(writing)?;
    for clip in &taken.clips {
        let (name, gaps) = (&clip.name, clip.movie.gaps.len());
        writeln!(out, "{name}: {gaps} gaps")?;
    }
    for camera in &order.cameras {
        if !taken.clips.iter().any(|clip| clip.camera.camera == *camera) {
            writeln!(out, "{camera}: nothing was recorded")?;
        }
    }
    writeln!(
        out,
        "{}: {} files, export {}, entry {} of the log\nSHA-256 of the list of lists, for the paper minutes:\n  {}",
        args.out.display(),
        written.files,
        taken.id,
        taken.receipt.n,
        written.list,
    )?;
    Ok(())
}

fn open(folder: &Path) -> anyhow::Result<Archive> {
    anyhow::ensure!(folder.is_dir(), "there is no folder {}", folder.display());
    match Archive::open(folder, 0, &Registry::new()) {
        Err(error @ ArchiveError::InUse(_)) => Err(anyhow::Error::new(error)
            .context("a router runs: take the folder out by its page, or stop it")),
        opened => Ok(opened?),
    }
}
