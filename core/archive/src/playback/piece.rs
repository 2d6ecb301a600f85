//! What a movie's media are, and giving it out only if it is what was recorded.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};
use taimat_audit::Link;

/// What a movie's media are: a part of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoviePiece {
    /// The file.
    pub path: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// How many bytes.
    pub bytes: u64,
    /// SHA-256 of them, as they were recorded.
    pub hash: [u8; 32],
    /// When it begins, in microseconds since 1970.
    pub start: i64,
    /// When it ends.
    pub end: i64,
    /// What the camera's clock showed at its start.
    pub camera: Option<i64>,
    /// The chain before it.
    pub chain: [u8; 32],
}

/// Why a piece is not given out.
#[derive(Debug, thiserror::Error)]
pub enum PieceError {
    /// What is there is not what was recorded.
    #[error("{path}: what is there of {} is not what was recorded", crate::moment::text(*.start))]
    Rotten {
        /// The file.
        path: PathBuf,
        /// When the piece begins, in microseconds since 1970.
        start: i64,
    },
    /// It can not be read.
    #[error("{path}: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

impl MoviePiece {
    /// What it adds to the chain.
    pub fn link(&self) -> Link {
        crate::chain::link_of(&self.hash, self.start, self.end)
    }

    /// Its bytes, if they are what was recorded. Waits for the disk, and has all of it in memory.
    ///
    /// # Errors
    /// If it can not be read, or is not what was recorded.
    pub fn read(&self) -> Result<Vec<u8>, PieceError> {
        let path = || self.path.clone();
        let failed = |error| PieceError::Read {
            path: path(),
            error,
        };
        let rotten = || PieceError::Rotten {
            path: path(),
            start: self.start,
        };
        let file = File::open(&self.path).map_err(failed)?;
        // So that nothing is asked of memory that is not in the file.
        let length = file.metadata().map_err(failed)?.len();
        if self.offset.saturating_add(self.bytes) > length {
            return Err(rotten());
        }
        let mut bytes = vec![0; usize::try_from(self.bytes).unwrap_or(0)];
        match file.read_exact_at(&mut bytes, self.offset) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(rotten()),
            Err(error) => return Err(failed(error)),
        }
        let hash: [u8; 32] = Sha256::digest(&bytes).into();
        if hash == self.hash {
            Ok(bytes)
        } else {
            Err(rotten())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_recorded_is_given_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mp4");
        std::fs::write(&path, b"before the part behind").unwrap();
        let piece = MoviePiece {
            path: path.clone(),
            offset: 7,
            bytes: 8,
            hash: Sha256::digest(b"the part").into(),
            start: 5,
            end: 6,
            camera: None,
            chain: [0; 32],
        };
        assert_eq!(piece.read().unwrap(), b"the part");
        let is_rotten =
            |piece: &MoviePiece| matches!(piece.read(), Err(PieceError::Rotten { start: 5, .. }));
        for altered in [&b"before the pbrt behind"[..], b"before the par", b""] {
            std::fs::write(&path, altered).unwrap();
            assert!(is_rotten(&piece), "{altered:?}");
        }
        let absurd = MoviePiece {
            bytes: u64::MAX,
            ..piece.clone()
        };
        assert!(is_rotten(&absurd));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(piece.read(), Err(PieceError::Read { .. })));
    }
}
