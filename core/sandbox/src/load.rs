//! From a file to something that can be instantiated: read, checked, linked.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use taimat_base::PluginId;
use taimat_contract::Package;
use taimat_contract::package::{MAX_BYTES, PackageDigest, PublicKey};
use wasmtime::Engine;
use wasmtime::component::{Component, InstancePre, Linker};

use crate::host::wasi::INERT;
use crate::host::{HostState, wire};
use crate::load_error::LoadError;
use crate::rules::KindRules;
use crate::spec::Grant;
use crate::surface::Surface;
use crate::version::ContractVersion;

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
    Ok(package)
}

/// What can be instantiated.
#[derive(Clone)]
pub(crate) struct Prepared {
    pub(crate) pre: InstancePre<HostState>,
    pub(crate) version: ContractVersion,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// Links what is imported and granted, and nothing else.
pub(crate) fn link(
    engine: &Engine,
    component: &Component,
    package: &Package,
    rules: &KindRules,
    (plugin, grant): (&PluginId, &Grant),
) -> Result<Prepared, LoadError> {
    let surface = Surface::of(engine, component);
    let version = rules.version(&surface)?;
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
        let given = rules.imports.contains(&interface);
        if !given || !wire::link(version, interface, &mut linker).map_err(fits)? {
            let kind = rules.kind;
            refused.push(format!("it imports {import}, which a {kind} does not get"));
        }
    }
    if !refused.is_empty() {
        return Err(LoadError::Imports(refused));
    }
    if wasi {
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(fits)?;
    }
    let pre = linker.instantiate_pre(component).map_err(fits)?;
    Ok(Prepared { pre, version })
}

/// What is missing for an interface, with the line to add.
fn missing(interface: &str, package: &Package, grant: &Grant, plugin: &PluginId) -> Option<String> {
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
