//! Files that others write into a folder of theirs: read so that nothing is ever opened but a plain file of that
//! folder, and so that nothing waits for a pipe that nobody writes to.
//!
//! Not here: patience. A disk that hangs hangs whoever asks it, so ask on a thread that may wait.

use std::fmt;
use std::fs::{self, File, FileType, Metadata};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;

/// What tells that a file is another one, or another content, without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    file: (u64, u64),
    bytes: u64,
    /// Seconds and nanoseconds since 1970.
    modified: (i64, i64),
    /// The same of the last change of content, name or mode: nobody can set it back.
    changed: (i64, i64),
}

impl Stamp {
    /// Of what is there now, wherever links lead. None if there is nothing, or nobody may know.
    pub fn now(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().as_ref().map(Self::of)
    }

    fn of(metadata: &Metadata) -> Self {
        Self {
            file: (metadata.dev(), metadata.ino()),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether it is the same file, whatever is in it by now.
    pub fn is_same_file(&self, other: &Self) -> bool {
        self.file == other.file
    }

    /// Whether nothing has happened to it since it was written to: it did not get its name, or its mode, later.
    pub fn is_as_written(&self) -> bool {
        self.modified == self.changed
    }

    /// When it was written to last, as the file says. What is before 1970 is 1970.
    pub fn modified(&self) -> SystemTime {
        let (seconds, nanos) = self.modified;
        let whole = u64::try_from(seconds).unwrap_or(0);
        let part = u64::try_from(nanos).unwrap_or(0);
        SystemTime::UNIX_EPOCH + Duration::from_secs(whole) + Duration::from_nanos(part)
    }
}

/// A file's content, and what it was like when that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plain {
    /// All of it.
    pub bytes: Vec<u8>,
    /// Of the file that was read.
    pub stamp: Stamp,
}

/// Why a file was not read. The words go behind the file's name: `password: it is a named pipe`.
#[derive(Debug, thiserror::Error)]
pub enum PlainError {
    /// Nothing is there.
    #[error("there is no such file")]
    Missing,
    /// It is something that has no end, or no content.
    #[error("it is {0}, no plain file")]
    Kind(&'static str),
    /// By a link, or by `..`.
    #[error("it leads out of the folder")]
    Outside,
    /// It has more than so many bytes.
    #[error("it is larger than {}", Size(*.0))]
    TooLarge(u64),
    /// It changed while it was read.
    #[error("it is being written")]
    Changing,
    /// What the system says.
    #[error("{0}")]
    Io(#[from] io::Error),
}

struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes >= 1 << 20 && bytes.is_multiple_of(1 << 20) => {
                write!(f, "{} MiB", bytes >> 20)
            }
            bytes if bytes >= 1 << 10 && bytes.is_multiple_of(1 << 10) => {
                write!(f, "{} KiB", bytes >> 10)
            }
            bytes => write!(f, "{bytes} bytes"),
        }
    }
}

impl From<Errno> for PlainError {
    fn from(errno: Errno) -> Self {
        match errno {
            // A circle of links leads nowhere.
            Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP => Self::Missing,
            errno => Self::Io(errno.into()),
        }
    }
}

/// Reads the plain file `name` in `folder`, of at most so many bytes. Links are followed, as long as they stay in
/// the folder; the folder itself may be behind one.
pub fn read_within(folder: &Path, name: &Path, most: u64) -> Result<Plain, PlainError> {
    let found = find(folder, name)?;
    // Through the descriptor: it is what was looked at, whatever has that name by now.
    let file = File::options()
        .read(true)
        .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
        .open(behind(&found))
        .map_err(|error| match error.kind() {
            // Somebody holds a lease on it to write.
            io::ErrorKind::WouldBlock => PlainError::Changing,
            _ => PlainError::Io(error),
        })?;
    let before = Stamp::of(&file.metadata()?);
    if before.bytes > most {
        return Err(PlainError::TooLarge(most));
    }
    let mut bytes = Vec::new();
    (&file).take(most + 1).read_to_end(&mut bytes)?;
    let stamp = Stamp::of(&file.metadata()?);
    if bytes.len() as u64 > most {
        return Err(PlainError::TooLarge(most));
    }
    if stamp != before || bytes.len() as u64 != stamp.bytes {
        return Err(PlainError::Changing);
    }
    Ok(Plain { bytes, stamp })
}

/// Where the plain file `name` in `folder` really is: the end of all links.
pub fn path_within(folder: &Path, name: &Path) -> Result<PathBuf, PlainError> {
    let found = find(folder, name)?;
    Ok(fs::read_link(behind(&found))?)
}

/// Finds a plain file and does not open it: opening a pipe waits, and opening a device may do anything.
fn find(folder: &Path, name: &Path) -> Result<File, PlainError> {
    let folder = File::from(open(
        folder,
        OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
        Mode::empty(),
    )?);
    let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
    let found = File::from(openat(&folder, name, flags, Mode::empty())?);
    // What was found, and not what the name leads to by now. First of all: what is elsewhere is nobody's
    // business here, not even what kind of thing it is.
    let (place, path) = (
        fs::read_link(behind(&folder))?,
        fs::read_link(behind(&found))?,
    );
    if path != place && !path.starts_with(&place) {
        return Err(PlainError::Outside);
    }
    match kind(found.metadata()?.file_type()) {
        None => Ok(found),
        Some(kind) => Err(PlainError::Kind(kind)),
    }
}

/// The name under which the system has what a descriptor stands for.
fn behind(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// What it is if it is no plain file.
fn kind(found: FileType) -> Option<&'static str> {
    Some(match found {
        found if found.is_file() => return None,
        found if found.is_dir() => "a folder",
        found if found.is_fifo() => "a named pipe",
        found if found.is_socket() => "a socket",
        found if found.is_char_device() || found.is_block_device() => "a device",
        _ => "something else",
    })
}

#[cfg(test)]
mod tests;
