//! The commune's file that was good last, kept for the next start.
//!
//! A file may be spoilt while the router runs: what ran goes on then, out of memory. After a restart it still has to.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use taimat_base::{CommuneId, files};

use crate::config::MAX_FILE_BYTES;

/// Within the folder for what is kept between runs.
const FOLDER: &str = "communes";

/// One file for each commune.
#[derive(Debug, Clone)]
pub(crate) struct KeptFiles(PathBuf);

impl KeptFiles {
    /// In a folder of its own in `data`, which is made: nobody else's, for it says where cameras are.
    pub(crate) fn open(data: &Path) -> io::Result<Self> {
        let folder = data.join(FOLDER);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)?;
        Ok(Self(folder))
    }

    /// Names of communes have no letters that lead elsewhere.
    fn name(commune: &CommuneId) -> PathBuf {
        PathBuf::from(format!("{commune}.toml"))
    }

    /// The text that was kept.
    pub(super) fn get(&self, commune: &CommuneId) -> Option<String> {
        let kept = files::read_within(&self.0, &Self::name(commune), MAX_FILE_BYTES).ok()?;
        String::from_utf8(kept.bytes).ok()
    }

    /// Keeps a text in the place of the former one.
    pub(crate) fn keep(&self, commune: &CommuneId, text: &str) -> io::Result<()> {
        let file = self.0.join(Self::name(commune));
        if fs::read(&file).is_ok_and(|kept| kept == text.as_bytes()) {
            return Ok(());
        }
        files::replace_private(&file, text.as_bytes())
    }
}
