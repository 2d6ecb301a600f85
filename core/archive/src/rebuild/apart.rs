//! What does not fit: where it is put, and how that is said.

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use taimat_base::CameraKey;

use crate::error::ArchiveError;
use crate::moment;

/// Where it is put, within the archive's folder. No commune can be called so.
pub(crate) const FOLDER: &str = "_apart";
/// Files of one name that are put there at most.
const MOST_ALIKE: u32 = 1000;

/// Why a file does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// It is no recording, or its beginning was changed.
    NoRecording,
    /// It says other times than its name does: it was changed, or is another's.
    Misplaced,
    /// There is another file of that number.
    Twice,
    /// Behind a part there is none, though more was written: it was cut or changed there.
    Torn {
        /// How many parts are whole.
        parts: usize,
        /// When the last of them ends, in microseconds since 1970.
        at: i64,
    },
    /// It begins with another chain than the former index knew.
    Beginning,
    /// A part is not what the former index knew.
    Part {
        /// Which, from 0.
        part: usize,
        /// When it begins, in microseconds since 1970.
        at: i64,
    },
    /// It has other parts than the former index knew: some are gone, or were put in.
    Parts {
        /// How many there were.
        were: usize,
        /// How many there are.
        are: usize,
    },
    /// With it the chain does not lead to the file behind it: something in it was changed, or in that one.
    Chain {
        /// When it begins, in microseconds since 1970.
        from: i64,
        /// When it ends.
        to: i64,
    },
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRecording => f.write_str("it is no recording"),
            Self::Misplaced => f.write_str("it is not the recording that its name says"),
            Self::Twice => f.write_str("there is another file of its number"),
            Self::Torn { parts, at } => {
                let at = moment::text(*at);
                write!(f, "only {parts} parts of it are whole, until {at}")
            }
            Self::Beginning => f.write_str("it begins with another chain than it did"),
            Self::Part { part, at } => {
                let at = moment::text(*at);
                write!(f, "part {part}, at {at}, is not what was recorded")
            }
            Self::Parts { were, are } => {
                write!(f, "it had {were} parts, and now has {are}")
            }
            Self::Chain { from, to } => {
                let [from, to] = [*from, *to].map(moment::text);
                write!(
                    f,
                    "from {from} to {to} it does not lead to the file behind it"
                )
            }
        }
    }
}

/// A file that does not fit, and was put aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Apart {
    /// Which, within the archive's folder.
    pub path: PathBuf,
    /// Where it is now, within the archive's folder.
    pub now: PathBuf,
    /// In whose folder it was.
    pub camera: CameraKey,
    /// Why.
    pub why: Unfit,
    /// It was copied: what of it is whole stays.
    pub copied: bool,
}

impl fmt::Display for Apart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, now, why) = (self.path.display(), self.now.display(), &self.why);
        let how = if self.copied {
            "a copy is in"
        } else {
            "now in"
        };
        write!(f, "{path}: {why}; {how} {now}")
    }
}

/// Puts a file aside, or a copy of it. Returns where it is.
pub(super) fn put(root: &Path, within: &Path, copy: bool) -> Result<PathBuf, ArchiveError> {
    let from = root.join(within);
    let failed = || ArchiveError::disk("putting aside", &from);
    let now = free(root, within)?;
    let to = root.join(&now);
    let folder = to.parent().unwrap_or(root);
    fs::create_dir_all(folder).map_err(|error| failed()(error))?;
    let put = if copy {
        fs::copy(&from, &to).and_then(|_bytes| File::open(&to)?.sync_all())
    } else {
        fs::rename(&from, &to)
    };
    put.map_err(|error| failed()(error))?;
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| failed()(error))?;
    Ok(now)
}

/// A name that nothing has.
fn free(root: &Path, within: &Path) -> Result<PathBuf, ArchiveError> {
    let first = Path::new(FOLDER).join(within);
    for number in 0..MOST_ALIKE {
        let mut name = first.clone().into_os_string();
        if number > 0 {
            name.push(format!(".{number}"));
        }
        if root.join(&name).symlink_metadata().is_err() {
            return Ok(name.into());
        }
    }
    let many = format!("{} and others of its name", first.display());
    Err(ArchiveError::Refused(format!("there are {many} already")))
}
