//! Signs exports by the commune's key, as `evidence` has it.

mod assertion;
mod folder;

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGauge, Registry};
use taimat_api::Signing;
use taimat_archive::Archive;
use taimat_base::clock;
use taimat_contract::UnixMicros;
use taimat_evidence::{Export, Part, Signer, SigningKey};

pub(crate) use folder::{SignedClip, SignedFolder};

use crate::exports::{SealError, SealedExport, Sealing, Taken, TakenClip};

/// Where the keys are within the data folder.
pub(crate) const FOLDER: &str = "evidence";
/// The files that are looked at: as long as they are the same, so is the key.
const FILES: [&str; 4] = ["", "signing.pem", "root.pem", "retired.crl"];

/// Signs by the key in the data folder. It is opened at the start, and again when its files change.
#[derive(Debug)]
pub(crate) struct KeySealing {
    folder: Option<PathBuf>,
    looked: Mutex<Option<Looked>>,
}

/// What was found when it was last looked.
#[derive(Debug)]
struct Looked {
    stamp: [Option<Stamp>; 4],
    found: Result<Arc<Signer>, String>,
}

/// What changes with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    number: u64,
    bytes: u64,
    mode: u32,
    user: u32,
    changed: (i64, i64),
}

impl Stamp {
    fn of(file: &Path) -> Option<Self> {
        let found = file.symlink_metadata().ok()?;
        Some(Self {
            number: found.ino(),
            bytes: found.len(),
            mode: found.mode(),
            user: found.uid(),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

impl KeySealing {
    pub(crate) fn new(data: Option<&Path>) -> Arc<Self> {
        Arc::new(Self {
            folder: data.map(|data| data.join(FOLDER)),
            looked: Mutex::default(),
        })
    }

    /// Says in the log how it stands, and in metrics from then on.
    pub(crate) fn announce(self: &Arc<Self>, registry: &Registry) -> Result<(), prometheus::Error> {
        let until = IntGauge::new(
            "taimat_evidence_key_until_timestamp_seconds",
            "Until when the key signs that signs exports; 0 if exports are not signed.",
        )?;
        registry.register(Box::new(KeyMetric {
            sealing: Arc::clone(self),
            until,
        }))?;
        let signing = self.signing(UnixMicros::from(clock::wall()));
        match signing.because {
            None => tracing::info!("exports are signed"),
            Some(because) => tracing::warn!(%because, "exports are not signed"),
        }
        Ok(())
    }

    /// What signs at a time; or why nothing does.
    pub(crate) fn signer(&self, now: UnixMicros) -> Result<Arc<Signer>, String> {
        let Some(folder) = &self.folder else {
            return Err("nothing is kept between runs, so there is no key".into());
        };
        let stamp = FILES.map(|name| Stamp::of(&folder.join(name)));
        let mut looked = self.looked.lock().unwrap_or_else(|e| e.into_inner());
        let known = looked.take().filter(|looked| looked.stamp == stamp);
        let found = match known {
            Some(looked) => looked.found,
            None => open(folder),
        };
        *looked = Some(Looked {
            stamp,
            found: found.clone(),
        });
        drop(looked);
        let signer = found?;
        let signs = signer.key().signs_at(now.0.div_euclid(1000));
        signs.map_err(|error| error.to_string())?;
        Ok(signer)
    }

    /// Signs what was taken out.
    pub(crate) fn sign(
        &self,
        taken: &Taken,
        archive: &Arc<Archive>,
    ) -> Result<SignedFolder, SealError> {
        let signer = self.signer(taken.now).map_err(SealError::NoKey)?;
        let mut clips = Vec::new();
        for clip in &taken.clips {
            clips.push(sign(&signer, taken, clip)?);
        }
        let known = taken.clips.first();
        Ok(SignedFolder {
            signer,
            archive: Arc::clone(archive),
            entry: taken.receipt.n,
            export: assertion::facts(taken),
            commune: taken.order.commune.to_string(),
            time_zone: known.map_or("UTC".into(), |clip| clip.facts.time_zone.clone()),
            clips,
            excerpt: OnceLock::new(),
        })
    }
}

fn open(folder: &Path) -> Result<Arc<Signer>, String> {
    let key = SigningKey::open(folder).map_err(|error| error.to_string())?;
    let serial = key.serial();
    let signer = Signer::new(key).map_err(|error| error.to_string())?;
    tracing::info!(serial, "the key that signs exports was opened");
    Ok(Arc::new(signer))
}

/// Signs a clip.
fn sign(signer: &Signer, taken: &Taken, clip: &TakenClip) -> Result<SignedClip, SealError> {
    let movie = &clip.movie;
    let parts: Vec<Part> = movie.pieces.iter().map(assertion::part).collect();
    let assertion = assertion::assertion(taken, clip, &parts);
    let plain = movie.movie.header(&[], &[]);
    let length = |bytes: &[u8]| -> Option<usize> {
        let size = bytes.get(..4)?.try_into().ok()?;
        usize::try_from(u32::from_be_bytes(size)).ok()
    };
    let ftyp = length(&plain).and_then(|length| plain.get(..length));
    let ftyp = ftyp.ok_or_else(|| SealError::Failed("the header has no beginning".into()))?;
    let rest = |manifest: u64, meta: &[u8]| {
        let manifest = usize::try_from(manifest)?;
        let mut header = movie.movie.header(&vec![0; manifest], meta);
        Ok(header.split_off(ftyp.len() + manifest))
    };
    let tracks: Vec<u16> = (1..).take(movie.codecs.len()).collect();
    let export = Export {
        assertion: &assertion,
        parts: &parts,
        ftyp,
        tracks: &tracks,
        rest: &rest,
    };
    let signed = signer.sign(&export);
    let signed = signed.map_err(|e| SealError::Failed(e.to_string()))?;
    Ok(SignedClip {
        name: clip.name.clone(),
        assertion,
        header: signed.bytes.into(),
        pieces: Arc::from(movie.pieces.as_slice()),
    })
}

impl Sealing for KeySealing {
    fn signing(&self, now: UnixMicros) -> Signing {
        match self.signer(now) {
            Ok(signer) => Signing {
                signed: true,
                because: None,
                until: Some(UnixMicros(
                    signer.key().signs_until_ms().saturating_mul(1000),
                )),
            },
            Err(because) => Signing {
                signed: false,
                because: Some(because),
                until: None,
            },
        }
    }

    fn seal(&self, taken: &Taken, archive: &Arc<Archive>) -> Result<SealedExport, SealError> {
        let folder = self.sign(taken, archive)?;
        let clips = folder.clips.iter();
        let clips = clips.map(|clip| (clip.header.clone(), Arc::clone(&clip.pieces)));
        Ok(SealedExport {
            clips: clips.collect(),
            folder: Arc::new(folder),
        })
    }
}

/// Looks at the key when metrics are asked for.
struct KeyMetric {
    sealing: Arc<KeySealing>,
    until: IntGauge,
}

impl Collector for KeyMetric {
    fn desc(&self) -> Vec<&Desc> {
        self.until.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let signing = self.sealing.signing(UnixMicros::from(clock::wall()));
        let until = signing
            .until
            .map_or(0, |until| until.0.div_euclid(1_000_000));
        self.until.set(until);
        self.until.collect()
    }
}
