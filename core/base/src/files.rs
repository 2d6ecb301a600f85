//! Files that are there whole or not at all.

mod plain;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use crate::clock;

pub use plain::{Plain, PlainError, Stamp, path_within, read_within};

/// Puts these bytes in the place of a file, or where none was. Whoever reads meanwhile reads the one
/// or the other whole, and once this has returned, so it is after a power cut. Keeps the mode of the
/// former file, and its owner where that is allowed. Folders that are missing are made. Two at once do
/// not get in each other's way: the later stays.
pub fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_with(file, bytes, 0o666, false)
}

/// As [`replace`], and a file that was not there before is nobody's but its owner's.
pub fn replace_private(file: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_with(file, bytes, 0o600, false)
}

/// Gives a file that people own another content, and leaves it theirs: a link stays, and what it leads to is
/// changed; owner and mode stay. As [`replace`] where that is possible. Where it is not, because the file is
/// somebody else's, has several names, or is mounted by itself, the bytes are written into the file as it is:
/// a power cut may leave half of them then.
pub fn rewrite(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = match fs::canonicalize(file) {
        Ok(real) => real,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return replace(file, bytes),
        Err(error) => return Err(error),
    };
    if fs::metadata(&file)?.nlink() > 1 {
        return write_into(&file, bytes);
    }
    match replace_with(&file, bytes, 0o666, true) {
        Err(error) if is_fixed(&error) => write_into(&file, bytes),
        done => done,
    }
}

/// Whether nothing can take the place of a file, which may be written to all the same.
fn is_fixed(error: &io::Error) -> bool {
    use io::ErrorKind::{CrossesDevices, PermissionDenied, ReadOnlyFilesystem, ResourceBusy};
    matches!(
        error.kind(),
        // A file that is mounted by itself is busy.
        ResourceBusy | CrossesDevices | PermissionDenied | ReadOnlyFilesystem
    )
}

/// Writes over what a file has. Not emptied first: who reads meanwhile has something of either.
fn write_into(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::options()
        .write(true)
        .custom_flags(nix::libc::O_NONBLOCK | nix::libc::O_NOFOLLOW)
        .open(file)?;
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)?;
    file.sync_all()
}

fn replace_with(file: &Path, bytes: &[u8], mode: u32, same_owner: bool) -> io::Result<()> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder)?;
    let new = beside(folder, file)?;
    let written = write(&new, file, bytes, mode, same_owner).and_then(|()| fs::rename(&new, file));
    if written.is_err() {
        // What the disk had no room for takes no room on it either.
        let _removed = fs::remove_file(&new);
    }
    written?;
    File::open(folder)?.sync_all()
}

/// Reads a regular file of at most so many bytes: what is larger, or has no end, is not what was meant,
/// and waiting for a pipe would hold up whoever asks.
pub fn read_at_most(file: &Path, most: u64) -> io::Result<Vec<u8>> {
    let refuse = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, why.to_owned()));
    if !fs::metadata(file)?.is_file() {
        return refuse("it is no regular file");
    }
    let mut bytes = Vec::new();
    File::open(file)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return refuse(&format!("it is larger than {most} bytes"));
    }
    Ok(bytes)
}

/// Renames a database and what SQLite has beside it, so that a new one can be begun and somebody may still save
/// something of the old. Where it is now.
pub fn set_aside(file: &Path, now: SystemTime) -> io::Result<PathBuf> {
    let seconds = clock::unix_seconds(now).round();
    let named = |end: &str| {
        let mut name = OsString::from(file);
        name.push(end);
        PathBuf::from(name)
    };
    let aside = named(&format!(".damaged-{seconds}"));
    fs::rename(file, &aside)?;
    for end in ["-wal", "-shm"] {
        let from = named(end);
        if from.exists() {
            fs::rename(&from, named(&format!(".damaged-{seconds}{end}")))?;
        }
    }
    Ok(aside)
}

/// A name that nobody else writes to, and that no one takes for the file itself.
fn beside(folder: &Path, file: &Path) -> io::Result<PathBuf> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let name = file
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "there is no file name"))?;
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let process = std::process::id();
    Ok(folder.join(format!(
        ".{}.{process}-{number}.new",
        name.to_string_lossy()
    )))
}

fn write(
    new: &Path,
    former: &Path,
    bytes: &[u8],
    first_mode: u32,
    same_owner: bool,
) -> io::Result<()> {
    let former = fs::metadata(former).ok();
    let mode = former.as_ref().map(|m| m.mode() & 0o7777);
    let mut file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        // A secret is nobody else's for no moment.
        .mode(mode.map_or(first_mode, |mode| mode & 0o700))
        .open(new)?;
    if let (Some(former), Some(mode)) = (former, mode) {
        // Not allowed to everyone; who is not allowed is mostly the owner already.
        let owned = std::os::unix::fs::fchown(&file, Some(former.uid()), Some(former.gid()));
        if same_owner {
            owned?;
        }
        file.set_permissions(fs::Permissions::from_mode(mode))?;
    }
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries
            .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn reads_files_that_have_an_end() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        fs::write(&file, b"0123456789").unwrap();
        assert_eq!(read_at_most(&file, 10).unwrap(), b"0123456789");
        assert!(read_at_most(&file, 9).is_err());
        assert!(read_at_most(Path::new("/dev/zero"), 9).is_err());
        assert!(read_at_most(folder.path(), 9).is_err());
    }

    #[test]
    fn keeps_the_mode_and_leaves_nothing_beside() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deeper/secret.toml");
        replace(&file, b"one").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        replace(&file, b"two").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o640);
        assert_eq!(names(&folder.path().join("deeper")), ["secret.toml"]);
    }

    #[test]
    fn a_private_file_is_nobody_elses_from_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("grant.json");
        replace_private(&file, b"one").unwrap();
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o600);
        replace_private(&file, b"two").unwrap();
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o600);
    }

    #[test]
    fn what_is_rewritten_keeps_its_links_and_its_mode() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("real")).unwrap();
        fs::write(at("real/file"), b"one and more").unwrap();
        fs::set_permissions(at("real/file"), fs::Permissions::from_mode(0o640)).unwrap();
        symlink("real/file", at("link")).unwrap();
        rewrite(&at("link"), b"two").unwrap();
        assert!(fs::symlink_metadata(at("link")).unwrap().is_symlink());
        assert_eq!(fs::read(at("real/file")).unwrap(), b"two");
        assert_eq!(
            fs::metadata(at("real/file")).unwrap().mode() & 0o7777,
            0o640
        );
        assert_eq!(names(&at("real")), ["file"]);
        // A file with two names has both afterwards.
        fs::hard_link(at("real/file"), at("other")).unwrap();
        rewrite(&at("link"), b"3").unwrap();
        assert_eq!(fs::read(at("other")).unwrap(), b"3");
        // One that was not there is there.
        rewrite(&at("new"), b"4").unwrap();
        assert_eq!(fs::read(at("new")).unwrap(), b"4");
    }

    #[test]
    fn what_is_rewritten_keeps_its_owner() {
        use std::os::unix::fs::chown;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        fs::write(&file, b"one").unwrap();
        if chown(&file, Some(1234), Some(2345)).is_err() {
            // Only root can give files away.
            return;
        }
        rewrite(&file, b"two").unwrap();
        let metadata = fs::metadata(&file).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (1234, 2345));
        assert_eq!(fs::read(&file).unwrap(), b"two");
    }

    #[test]
    fn fails_without_a_trace() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("taken");
        fs::create_dir_all(taken.join("full")).unwrap();
        assert!(replace(&taken, b"one").is_err());
        assert_eq!(names(folder.path()), ["taken"]);
        assert!(replace(Path::new("/"), b"").is_err());
    }

    #[test]
    fn two_at_once_leave_one_of_them_whole() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.wasm");
        std::thread::scope(|threads| {
            for byte in 0..4u8 {
                let file = &file;
                threads.spawn(move || {
                    (0..50).for_each(|_| replace(file, &[byte; 10_000]).unwrap());
                });
            }
        });
        let left = fs::read(&file).unwrap();
        assert_eq!(left.len(), 10_000);
        assert!(left.iter().all(|b| *b == left[0]));
        assert_eq!(names(folder.path()), ["a.wasm"]);
    }
}
