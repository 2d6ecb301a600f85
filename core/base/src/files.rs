//! Files that are there whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use crate::clock;

/// Puts these bytes in the place of a file, or where none was. Whoever reads meanwhile reads the one
/// or the other whole, and once this has returned, so it is after a power cut. Keeps the mode of the
/// former file, and its owner where that is allowed. Folders that are missing are made. Two at once do
/// not get in each other's way: the later stays.
pub fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_with(file, bytes, 0o666)
}

/// As [`replace`], and a file that was not there before is nobody's but its owner's.
pub fn replace_private(file: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_with(file, bytes, 0o600)
}

fn replace_with(file: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder)?;
    let new = beside(folder, file)?;
    let written = write(&new, file, bytes, mode).and_then(|()| fs::rename(&new, file));
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

fn write(new: &Path, former: &Path, bytes: &[u8], first_mode: u32) -> io::Result<()> {
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
        let _owned = std::os::unix::fs::fchown(&file, Some(former.uid()), Some(former.gid()));
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
