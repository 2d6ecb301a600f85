//! Room that is kept for the index. On a disk that is full to the last byte nothing could be removed otherwise: that
//! something goes has to be written down first.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use nix::fcntl::posix_fallocate;

use crate::layout;

/// What the index's log takes until it is written back, and some more.
pub(crate) const BYTES: u64 = 8 << 20;

/// A file that stands for the room, or the room.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    is_there: bool,
}

impl Reserve {
    /// In the archive's folder; made if there is room for it.
    pub(super) fn of(root: &Path) -> Self {
        let mut reserve = Self {
            path: root.join(layout::RESERVE),
            is_there: false,
        };
        reserve.restore();
        reserve
    }

    /// Whether there may be recorded: as long as the room is there, or there is so much that it can be made again.
    pub(super) fn restore(&mut self) -> bool {
        if !self.is_there {
            let made = self.make();
            self.is_there = made.is_ok();
            if let Err(error) = made {
                tracing::debug!(%error, "what room there is is the index's");
                drop(std::fs::remove_file(&self.path));
            }
        }
        self.is_there
    }

    fn make(&self) -> io::Result<()> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&self.path)?;
        let bytes = i64::try_from(BYTES).map_err(io::Error::other)?;
        posix_fallocate(&file, 0, bytes)?;
        // There is to be room for recordings as well.
        let found = nix::sys::statvfs::statvfs(&self.path)?;
        if found.blocks_available() * found.fragment_size() < BYTES {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    /// The index takes the room. Says whether it was there.
    pub(super) fn spend(&mut self) -> bool {
        let was_there = std::mem::take(&mut self.is_there);
        was_there && std::fs::remove_file(&self.path).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_there_until_it_is_spent_and_again_when_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(layout::RESERVE);
        let mut reserve = Reserve::of(folder.path());
        assert_eq!(file.metadata().unwrap().len(), BYTES);
        assert!(reserve.spend());
        assert!(!file.exists());
        assert!(!reserve.spend(), "it can be spent once");
        assert!(reserve.restore());
        assert_eq!(file.metadata().unwrap().len(), BYTES);
        // Where it can not be made nothing is left of it.
        let mut none = Reserve::of(&folder.path().join("not-there"));
        assert!(!none.restore());
        assert!(!none.spend());
    }
}
