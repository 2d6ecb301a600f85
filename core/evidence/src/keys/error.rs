//! What can be wrong with keys.

use std::io;
use std::path::{Path, PathBuf};

use crate::x509::X509Error;

/// Why a key was not made or not taken.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The disk, or the stick.
    #[error("{}: {error}", file.display())]
    File {
        /// Which file or folder.
        file: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// A file that is not what it should be.
    #[error("{}: {why}", file.display())]
    Content {
        /// Which file.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Others may read the key.
    #[error(
        "{} has the mode {mode:o}: others can read or change the key that signs exports. Give it to the router's user and run: chmod {want:o} {}",
        file.display(), file.display()
    )]
    Wide {
        /// Which file or folder.
        file: PathBuf,
        /// Its mode.
        mode: u32,
        /// The mode it may have at most.
        want: u32,
    },
    /// The key is another user's.
    #[error("{} belongs to another user than the router's", .0.display())]
    Foreign(PathBuf),
    /// There are keys already.
    #[error("{} is there already: a second root would make all former exports foreign. `taimat evidence retire` makes the next key", .0.display())]
    Present(PathBuf),
    /// There are no keys.
    #[error("{} is not there: run `taimat evidence init` first", .0.display())]
    Missing(PathBuf),
    /// The root's key was to be written to the router.
    #[error("{} is inside {}: the root's key belongs on a stick that is kept in a safe", file.display(), folder.display())]
    Inside {
        /// Where it was to be written.
        file: PathBuf,
        /// The router's folder.
        folder: PathBuf,
    },
    /// A passphrase that is guessed soon.
    #[error("the passphrase has to have at least {0} characters")]
    ShortPassphrase(usize),
    /// Not the passphrase.
    #[error("{}: it can not be opened with this passphrase", .0.display())]
    Passphrase(PathBuf),
    /// The root's key is that of another root.
    #[error("{}: this is the key of another root", .0.display())]
    OtherRoot(PathBuf),
    /// The key is on the list of those that are not in use any more: a former one was put back.
    #[error(
        "the key {0} was retired: put the newest back, or run `taimat evidence retire` with the root's key"
    )]
    Retired(String),
    /// The key has signed for its year.
    #[error("the key signed until {0}: run `taimat evidence retire` with the root's key")]
    Over(String),
    /// The clock is before the key.
    #[error("the key signs from {0}, and the clock of this machine is before that")]
    NotYet(String),
    /// Something in a certificate.
    #[error(transparent)]
    X509(#[from] X509Error),
}

impl KeyError {
    pub(super) fn at(file: &Path) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_owned();
        move |error| Self::File { file, error }
    }

    pub(super) fn content(file: &Path, why: impl ToString) -> Self {
        Self::Content {
            file: file.to_owned(),
            why: why.to_string(),
        }
    }
}
