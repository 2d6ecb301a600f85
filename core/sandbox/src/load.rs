//! From a file to something that can be instantiated: what it says of itself, who signed it, what
//! it imports and exports, and whether the commune grants that.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use taimat_contract::package::{MAX_BYTES, PackageDigest, PackageError, PublicKey};
use taimat_contract::{Kind, Package, Want};
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

use crate::compile::CompileError;
use crate::host::HostState;
use crate::host::wasi::INERT;
use crate::instance::Prepared;
use crate::served::Served;

/// What a commune grants a plugin.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Grant {
    /// Decoded frames: width at most, frames per second at most.
    pub frames: Option<(u32, f32)>,
    /// A memory that outlives instances, of so many bytes.
    pub state_bytes: Option<u64>,
}

/// Why a file does not become a plugin. Each says what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// It can not be read.
    #[error("{path}: {why}")]
    Read {
        /// The file.
        path: String,
        /// What the system says.
        why: String,
    },
    /// It is a link.
    #[error("{0} is a symbolic link or not a plain file; put the file itself there")]
    NotAFile(String),
    /// It is too large.
    #[error("the file has {found} bytes, at most {MAX_BYTES} are loaded")]
    TooLarge {
        /// What it has.
        found: u64,
    },
    /// It changed while it was read.
    #[error("the file is still being written")]
    BeingWritten,
    /// It is no package.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// It is signed by nobody whom the commune trusts.
    #[error("{}", untrusted(.0.as_ref()))]
    Untrusted(Option<PublicKey>),
    /// It is of a kind that is not run yet.
    #[error("it is a plugin of kind {0}; this router runs detectors")]
    Kind(Kind),
    /// It does not say what it is for.
    #[error(
        "it exports no taimat:plugin/detector; a detector targets the world \
         taimat:plugin/detector-plugin@{newest}", newest = Served::NEWEST
    )]
    World,
    /// It is for another version.
    #[error(
        "it is written for taimat:plugin@{wanted}; this router serves {range}. Build it against \
         {newest}, or run a router that serves {wanted}", range = Served::RANGE, newest = Served::NEWEST
    )]
    Version {
        /// The version.
        wanted: String,
    },
    /// It imports what it may not have.
    #[error("{}", .0.join("; "))]
    Imports(Vec<String>),
    /// It can not be compiled.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// It can not be linked.
    #[error("it does not fit the contract: {0}")]
    Link(String),
}

fn untrusted(signer: Option<&PublicKey>) -> String {
    let hint = "list the signer's key in [commune] trusted-keys, or sign it with \
                `taimat plugin sign`";
    match signer {
        Some(key) => format!("it is signed by {key}, whom this commune does not trust; {hint}"),
        None => format!("it is not signed, and this commune takes signed plugins only; {hint}"),
    }
}

/// Who copies a file in place pauses for less than this.
const FRESH: Duration = Duration::from_secs(1);

/// What tells whether a file has changed without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
    inode: u64,
}

impl Stamp {
    fn of(metadata: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self {
            length: metadata.len(),
            modified: metadata.modified().ok(),
            inode: metadata.ino(),
        }
    }

    /// Whether it was written to a moment ago.
    pub(crate) fn is_fresh(&self, now: SystemTime) -> bool {
        let age = self.modified.and_then(|at| now.duration_since(at).ok());
        age.is_some_and(|age| age < FRESH)
    }

    /// Of the file as it is now.
    pub(crate) fn now(path: &Path) -> Option<Self> {
        std::fs::symlink_metadata(path).ok().map(|m| Self::of(&m))
    }
}

/// Reads a file that was given as a plugin: whole, plain, not too large, not being written.
pub(crate) fn read(path: &Path) -> Result<(Vec<u8>, Stamp), LoadError> {
    let fail = |error: &io::Error| unreadable(path, error);
    let before = std::fs::symlink_metadata(path).map_err(|e| fail(&e))?;
    if !before.is_file() {
        return Err(LoadError::NotAFile(shown(path)));
    }
    if before.len() > MAX_BYTES as u64 {
        return Err(LoadError::TooLarge {
            found: before.len(),
        });
    }
    let file = File::options()
        .read(true)
        .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
        .open(path)
        .map_err(|e| fail(&e))?;
    let mut bytes = Vec::new();
    let opened = file.metadata().map_err(|e| fail(&e))?;
    (&file)
        .take(MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| fail(&e))?;
    let after = file.metadata().map_err(|e| fail(&e))?;
    let stamp = Stamp::of(&after);
    if Stamp::of(&opened) != stamp || bytes.len() as u64 != after.len() {
        return Err(LoadError::BeingWritten);
    }
    Ok((bytes, stamp))
}

/// What the system says of a file, with the file's name.
pub(crate) fn unreadable(path: &Path, error: &io::Error) -> LoadError {
    LoadError::Read {
        path: shown(path),
        why: match error.kind() {
            io::ErrorKind::NotFound => "there is no such file".into(),
            _ => error.to_string(),
        },
    }
}

fn shown(path: &Path) -> String {
    let name = path.file_name().map(PathBuf::from);
    name.unwrap_or_else(|| path.to_owned())
        .display()
        .to_string()
}

/// What was found out about a package before compiling it.
pub(crate) fn check(bytes: &[u8], trusted: &[PublicKey]) -> Result<Package, LoadError> {
    let package = Package::read(bytes)?;
    let known = package.signer.is_some_and(|key| trusted.contains(&key));
    if !trusted.is_empty() && !known {
        return Err(LoadError::Untrusted(package.signer));
    }
    if package.manifest.kind != Kind::Detector {
        return Err(LoadError::Kind(package.manifest.kind));
    }
    Ok(package)
}

/// What a component imports and exports, as names.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Surface {
    /// Interfaces it imports.
    pub imports: Vec<String>,
    /// Interfaces it exports.
    pub exports: Vec<String>,
}

impl Surface {
    pub(crate) fn of(engine: &Engine, component: &Component) -> Self {
        let types = component.component_type();
        Self {
            imports: types
                .imports(engine)
                .map(|(name, _)| name.to_owned())
                .collect(),
            exports: types
                .exports(engine)
                .map(|(name, _)| name.to_owned())
                .collect(),
        }
    }

    /// The world that it targets, if this router runs such plugins.
    pub fn world(&self) -> Result<String, LoadError> {
        let served = self.served()?;
        Ok(format!(
            "taimat:plugin/detector-plugin@{}",
            served.package()
        ))
    }

    /// Which version of the contract it is for.
    pub(crate) fn served(&self) -> Result<Served, LoadError> {
        let detector = "taimat:plugin/detector@";
        let version = self.exports.iter().find_map(|e| e.strip_prefix(detector));
        let wanted = version.ok_or(LoadError::World)?.to_owned();
        Served::of(&wanted).ok_or(LoadError::Version { wanted })
    }
}

/// Links what is imported and granted, and nothing else.
pub(crate) fn link(
    engine: &Engine,
    component: &Component,
    package: &Package,
    grant: &Grant,
    plugin: &str,
) -> Result<Prepared, LoadError> {
    let surface = Surface::of(engine, component);
    let served = surface.served()?;
    let mut linker: Linker<HostState> = Linker::new(engine);
    let fits = |e: wasmtime::Error| LoadError::Link(format!("{e:#}"));
    let mut refused = Vec::new();
    let mut wasi = false;
    for import in &surface.imports {
        if INERT.iter().any(|prefix| import.starts_with(prefix)) {
            wasi = true;
            continue;
        }
        let interface = import
            .strip_prefix("taimat:plugin/")
            .and_then(|rest| rest.split('@').next());
        let Some(interface) = interface else {
            refused.push(format!("it imports {import}, which no plugin gets"));
            continue;
        };
        if let Some(why) = missing(interface, package, grant, plugin) {
            refused.push(why);
            continue;
        }
        if !served.link(interface, &mut linker).map_err(fits)? {
            refused.push(format!("it imports {import}, which detectors do not get"));
        }
    }
    if !refused.is_empty() {
        return Err(LoadError::Imports(refused));
    }
    if wasi {
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(fits)?;
    }
    let pre = linker.instantiate_pre(component).map_err(fits)?;
    Ok(Prepared { pre, served })
}

/// What is missing for an interface, with the line to add.
fn missing(interface: &str, package: &Package, grant: &Grant, plugin: &str) -> Option<String> {
    let (granted, example) = match interface {
        "frames" => (grant.frames.is_some(), "frames = { width = 640, fps = 5 }"),
        "state" => (grant.state_bytes.is_some(), "state = \"1MiB\""),
        _ => return None,
    };
    let asked = package.manifest.requests.grants();
    let asked = asked.iter().find(|(what, _)| *what == interface);
    match asked {
        None => Some(format!(
            "it imports taimat:plugin/{interface} and its manifest does not ask for it; its \
             author has to add {example} to [requests]"
        )),
        Some((_, line)) if !granted => Some(format!(
            "it asks for {interface}; add to [plugin.{plugin}]: grant = {{ {line} }}"
        )),
        Some(_) => None,
    }
}

/// The frames that a plugin gets: what it wants, within what it asked for and what was granted.
pub(crate) fn within(want: Want, package: &Package, grant: &Grant) -> Option<Want> {
    let (width, fps) = grant.frames?;
    let asked = package.manifest.requests.frames?;
    Some(want.within(width.min(asked.width), fps.min(asked.fps as f32)))
}

/// A component that was read, checked and compiled.
#[derive(Clone)]
pub(crate) struct Loaded {
    pub(crate) component: Component,
    pub(crate) surface: Surface,
    pub(crate) package: Arc<Package>,
    pub(crate) prepared: Prepared,
    pub(crate) digest: PackageDigest,
    pub(crate) bytes: usize,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded")
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}
