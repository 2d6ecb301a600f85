//! Whether the archive's folder is still the one that was opened.
//!
//! If a disk is unmounted, files that are open go on, while the folder under it is on another disk: that would
//! be filled by and by, and nobody would find what is there. So whoever makes, finds or removes a file by its
//! name asks before.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The folder, and which one it is.
#[derive(Debug)]
pub(super) struct Home {
    root: PathBuf,
    device: u64,
    inode: u64,
}

impl Home {
    /// The folder as it is now.
    pub(super) fn of(root: &Path) -> io::Result<Self> {
        let found = std::fs::metadata(root)?;
        Ok(Self {
            root: root.to_owned(),
            device: found.dev(),
            inode: found.ino(),
        })
    }

    /// Whether it is there, and the same.
    pub(super) fn is_there(&self) -> io::Result<()> {
        let root = self.root.display();
        match std::fs::metadata(&self.root) {
            Ok(found) if (found.dev(), found.ino()) == (self.device, self.inode) => Ok(()),
            Ok(_) => Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("{root} is another folder than the one that was recorded to"),
            )),
            Err(error) => Err(io::Error::new(error.kind(), format!("{root}: {error}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_in_its_place_is_another_one() {
        let around = tempfile::tempdir().unwrap();
        let (root, aside) = (around.path().join("archive"), around.path().join("aside"));
        std::fs::create_dir(&root).unwrap();
        let home = Home::of(&root).unwrap();
        assert!(home.is_there().is_ok());
        std::fs::rename(&root, &aside).unwrap();
        assert_eq!(home.is_there().unwrap_err().kind(), io::ErrorKind::NotFound);
        std::fs::create_dir(&root).unwrap();
        let other = home.is_there().unwrap_err();
        assert!(other.to_string().contains("another folder"), "{other}");
        std::fs::remove_dir(&root).unwrap();
        std::fs::rename(&aside, &root).unwrap();
        assert!(home.is_there().is_ok());
    }
}
