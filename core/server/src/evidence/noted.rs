//! What is done with keys is written down, in the log that can not be changed unseen.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Map;
use taimat_archive::AUDIT;
use taimat_audit::{AuditError, AuditLog, Deed, Done};
use taimat_base::text;

/// Bytes of a name.
const MAX_NAME: usize = 100;

/// The log, open: nobody else writes to it meanwhile.
#[derive(Debug)]
pub(super) struct Noted {
    log: AuditLog,
    folder: PathBuf,
    who: String,
}

impl Noted {
    /// Opens the log of an archive, which is made if there is none yet.
    pub(super) fn open(archive: &Path, who: Option<&str>, now_ms: i64) -> anyhow::Result<Self> {
        let folder = archive.join(AUDIT);
        let opened = AuditLog::open(&folder, now_ms).map_err(|error| match error {
            AuditError::File { error, .. } if error.kind() == std::io::ErrorKind::WouldBlock => {
                anyhow::anyhow!(
                    "a router runs and has the log of what people did, {}: stop it, do this, and start it again. \
                     What is done with keys has to be written down",
                    folder.display()
                )
            }
            error => anyhow::Error::new(error).context("opening the log of what people did"),
        })?;
        let user = || std::env::var("USER").or_else(|_none| std::env::var("LOGNAME"));
        let who = match who {
            Some(who) => who.to_owned(),
            None => match user() {
                Ok(name) => name,
                Err(_none) => format!("user {}", std::fs::metadata("/proc/self")?.uid()),
            },
        };
        let who = text::line(who.trim(), MAX_NAME);
        anyhow::ensure!(!who.is_empty(), "a name is needed: --who");
        let log = opened.log;
        Ok(Self { log, folder, who })
    }

    /// Writes down what was done with a key. Returns the entry's number.
    pub(super) fn write(
        &mut self,
        what: &[(&str, &str)],
        why: &str,
        now_ms: i64,
    ) -> anyhow::Result<u64> {
        let what = what.iter();
        let what: Map<_, _> = what
            .map(|(name, text)| ((*name).to_owned(), (*text).into()))
            .collect();
        let deed = Deed {
            done: Done::Key,
            by: self.who.clone(),
            role: String::new(),
            what,
            why: why.to_owned(),
            case: String::new(),
        };
        let written = self.log.append(now_ms, deed);
        let written = written.with_context(|| {
            format!(
                "it is done, and is not written down in {}: note it in the minutes",
                self.folder.display()
            )
        })?;
        Ok(written.n)
    }

    /// Where the log is.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}
