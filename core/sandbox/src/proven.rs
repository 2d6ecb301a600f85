//! The components that proved themselves last, kept for the next start.
//!
//! The file in a commune's folder may be replaced by one that is refused or fails: what ran goes on
//! then, out of memory. After a restart it still has to.

use std::io;
use std::path::{Path, PathBuf};

use taimat_base::{CommuneId, PluginId, files};
use taimat_contract::package::PackageDigest;

use crate::load;
use crate::load_error::LoadError;
use crate::spec::PluginSpec;

/// One file for each plugin.
#[derive(Debug)]
pub(crate) struct ProvenComponents(PathBuf);

impl ProvenComponents {
    /// In a folder of its own, which is made.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        Ok(Self(folder.to_owned()))
    }

    /// Names of communes and plugins have no letters that lead elsewhere.
    fn file(&self, commune: &CommuneId, plugin: &PluginId) -> PathBuf {
        self.0.join(commune.as_str()).join(format!("{plugin}.wasm"))
    }

    /// Keeps the plugin's file if it still is the one of this digest; otherwise what was kept stays.
    /// Says whether that is kept now.
    pub(crate) fn keep(&self, spec: &PluginSpec, digest: PackageDigest) -> Result<bool, LoadError> {
        let file = self.file(&spec.commune, &spec.name);
        let is_it = |bytes: &[u8]| PackageDigest::of(bytes) == digest;
        if std::fs::read(&file).is_ok_and(|kept| is_it(&kept)) {
            return Ok(true);
        }
        let (bytes, _) = load::read(&spec.component)?;
        let still = is_it(&bytes);
        if still {
            files::replace(&file, &bytes).map_err(|e| load::unreadable(&file, &e))?;
        }
        Ok(still)
    }

    /// What was kept, if it is not what the plugin's file holds. Nothing if that file is gone: who
    /// takes it away does not want it to come back.
    pub(crate) fn other(&self, spec: &PluginSpec) -> Option<Vec<u8>> {
        std::fs::symlink_metadata(&spec.component).ok()?;
        let (kept, _) = load::read(&self.file(&spec.commune, &spec.name)).ok()?;
        let same = load::read(&spec.component).is_ok_and(|(bytes, _)| bytes == kept);
        (!same).then_some(kept)
    }

    /// The commune has the plugin no more.
    pub(crate) fn forget(&self, commune: &CommuneId, plugin: &PluginId) {
        let file = self.file(commune, plugin);
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%commune, %plugin, %error, "what was kept of it can not be removed");
            }
            _ => {}
        }
    }
}
