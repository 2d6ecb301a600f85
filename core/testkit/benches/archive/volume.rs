//! The disk that is recorded to.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system of its own, in an image that is gone with it; or a folder, if this may not mount one.
pub(crate) struct Volume {
    folder: PathBuf,
    mounted: bool,
    // Where the image is: not where temporary files are, that may be memory.
    _image: tempfile::TempDir,
}

impl Volume {
    /// Of so many GiB at most.
    pub(crate) fn new(gib: u64) -> Self {
        let place = tempfile::tempdir_in(std::env::current_dir().unwrap()).unwrap();
        let (image, folder) = (place.path().join("image"), place.path().join("volume"));
        std::fs::create_dir(&folder).unwrap();
        let file = std::fs::File::create(&image).unwrap();
        file.set_len(gib << 30).unwrap();
        let made = ran(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image));
        let mounted = made
            && ran(Command::new("mount")
                .args(["-o", "loop"])
                .arg(&image)
                .arg(&folder));
        if !mounted {
            println!("no file system of its own: bytes on the device are everybody's");
        }
        Self {
            folder,
            mounted,
            _image: place,
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Bytes that were written to the device so far.
    pub(crate) fn device_bytes(&self) -> u64 {
        let device = std::fs::metadata(&self.folder).unwrap().dev();
        let (major, minor) = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
        let text = std::fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat")).unwrap();
        let sectors: u64 = text
            .split_whitespace()
            .nth(6)
            .and_then(|n| n.parse().ok())
            .unwrap();
        sectors * 512
    }

    /// Bytes of all files whose names end like that.
    pub(crate) fn bytes_of(&self, end: &str) -> u64 {
        bytes_of(&self.folder, end)
    }

    /// Removes all that is in it.
    pub(crate) fn clear(&self) {
        for entry in std::fs::read_dir(&self.folder).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().is_some_and(|name| name == "lost+found") {
                continue;
            }
            if path.is_dir() {
                std::fs::remove_dir_all(&path).unwrap();
            } else {
                std::fs::remove_file(&path).unwrap();
            }
        }
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        if self.mounted {
            ran(Command::new("umount").arg(&self.folder));
        }
    }
}

fn ran(command: &mut Command) -> bool {
    command.output().is_ok_and(|out| out.status.success())
}

fn bytes_of(folder: &Path, end: &str) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let one = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.ok()?.path();
        if path.is_dir() {
            return Some(bytes_of(&path, end));
        }
        let named = path.to_str().is_some_and(|path| path.ends_with(end));
        Some(if named {
            path.metadata().ok()?.len()
        } else {
            0
        })
    };
    entries.filter_map(one).sum()
}
