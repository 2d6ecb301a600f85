//! From a file to something that can be instantiated: read, checked, linked.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use taimat_contract::package::{MAX_BYTES, PackageDigest, PublicKey};
use taimat_contract::{Package, SettingsSchema};
use wasmtime::Engine;
use wasmtime::component::{Component, InstancePre, Linker};

use crate::host::wasi::INERT;
use crate::host::{HostState, wire};
use crate::load_error::LoadError;
use crate::rules::KindRules;
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
    is_trusted(&package, trusted)?;
    Ok(package)
}

/// Whether a package may run as far as trust goes: nobody asks, or somebody trusted signed it.
pub(crate) fn is_trusted(package: &Package, trusted: &[PublicKey]) -> Result<(), LoadError> {
    let known = package.signer.is_some_and(|key| trusted.contains(&key));
    match trusted.is_empty() || known {
        true => Ok(()),
        false => Err(LoadError::Untrusted(package.signer)),
    }
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

/// What a component is for, if it imports nothing but what its kind may have and what runtimes of
/// languages need. Asked before it is compiled: that takes half a minute for some languages.
pub(crate) fn admit(
    bytes: &[u8],
    rules: &KindRules,
) -> Result<(Surface, ContractVersion), LoadError> {
    let surface = Surface::read(bytes)?;
    let version = rules.version(&surface)?;
    let kind = rules.kind;
    let mut refused = Vec::new();
    for import in &surface.imports {
        if INERT.iter().any(|prefix| import.starts_with(prefix)) {
            continue;
        }
        match interface(import) {
            None => refused.push(format!("it imports {import}, which no plugin gets")),
            Some(interface) if !rules.imports.contains(&interface) => {
                refused.push(format!("it imports {import}, which no {kind} gets"));
            }
            Some(_) => {}
        }
    }
    if refused.is_empty() {
        Ok((surface, version))
    } else {
        Err(LoadError::Imports(refused))
    }
}

/// The interface of `taimat:plugin` that an import names.
fn interface(import: &str) -> Option<&str> {
    import.strip_prefix("taimat:plugin/")?.split('@').next()
}

/// Links what is imported. What is not granted is there too, and answers that it is not granted:
/// some languages import all of their world.
pub(crate) fn link(
    engine: &Engine,
    component: &Component,
    surface: &Surface,
    version: ContractVersion,
) -> Result<Prepared, LoadError> {
    let mut linker: Linker<HostState> = Linker::new(engine);
    let fits = |e: wasmtime::Error| LoadError::Link(format!("{e:#}"));
    let mut wasi = false;
    for import in &surface.imports {
        match interface(import) {
            None => wasi = true,
            Some(interface) => {
                if !wire::link(version, interface, &mut linker).map_err(fits)? {
                    let none = format!("it imports {import}, which this version does not have");
                    return Err(LoadError::Imports(vec![none]));
                }
            }
        }
    }
    if wasi {
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(fits)?;
    }
    let pre = linker.instantiate_pre(component).map_err(fits)?;
    Ok(Prepared { pre, version })
}

/// A component that was read, checked and compiled.
#[derive(Clone)]
pub(crate) struct Loaded {
    pub(crate) surface: Surface,
    /// What its settings may be, once it has said so.
    pub(crate) schema: Option<Arc<SettingsSchema>>,
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

#[cfg(test)]
mod tests {
    use super::*;
    use taimat_contract::Kind;

    /// A component that a test of another version keeps; it imports `state` among others.
    const KEPT: &[u8] = include_bytes!("../tests/data/detector-0.1.wasm");

    fn rules(imports: &'static [&'static str]) -> KindRules {
        KindRules {
            kind: Kind::Detector,
            export: "detector",
            world: "detector-plugin",
            since: ContractVersion::V0_1,
            imports,
        }
    }

    #[test]
    fn what_a_kind_does_not_get_is_refused_from_the_bytes_alone() {
        let all = rules(&["types", "log", "metrics", "state", "frames"]);
        let (_, version) = admit(KEPT, &all).unwrap();
        assert_eq!(version, ContractVersion::V0_1);
        let refused = admit(KEPT, &rules(&["types", "log"])).unwrap_err();
        let text = refused.to_string();
        let expected = "it imports taimat:plugin/frames@0.1.0, which no detector gets";
        assert!(text.contains(expected), "{text}");
    }
}
