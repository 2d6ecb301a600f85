//! A segment's file while it is being written.

use std::fs::{self, File};
use std::io::{self, IoSlice, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::index::rows::Change;
use crate::packed::PartRow;

/// Slices that one call may write (UIO_MAXIOV).
const SLICES: usize = 1024;

/// How a segment begins.
#[derive(Debug)]
pub(crate) struct Beginning {
    pub(crate) id: u64,
    /// Of its stream in the index.
    pub(crate) stream: i64,
    /// Within the archive's folder.
    pub(crate) path: PathBuf,
    pub(crate) init: Vec<u8>,
    pub(crate) start: i64,
    pub(crate) key: bool,
    /// Why it is recorded.
    pub(crate) mode: i64,
}

/// A part that is to be appended: its hash is not known yet.
#[derive(Debug)]
pub(crate) struct Appended {
    /// Of its stream in the index.
    pub(crate) stream: i64,
    pub(crate) header: Vec<u8>,
    pub(crate) payload: Vec<Bytes>,
    pub(crate) row: PartRow,
}

/// A file that is open.
#[derive(Debug)]
pub(super) struct Appending {
    pub(super) beginning: Beginning,
    pub(super) file: Arc<File>,
    path: PathBuf,
    length: u64,
    /// What the index will have of its parts.
    packed: Vec<u8>,
    parts: u32,
    /// After the newest part.
    pub(super) chain: [u8; 32],
    pub(super) folder: PathBuf,
}

impl Appending {
    /// Makes the file. It begins with `chain`, so that the files alone tell it.
    pub(super) fn begin(
        root: &Path,
        beginning: Beginning,
        chain: [u8; 32],
    ) -> io::Result<(Self, Change)> {
        let path = root.join(&beginning.path);
        let folder = path.parent().map_or(root.to_owned(), Path::to_owned);
        fs::create_dir_all(&folder)?;
        let mut file = File::options().write(true).create_new(true).open(&path)?;
        let first = crate::chain_box::write(&beginning.init, &chain);
        if let Err(error) = file.write_all(&first) {
            let _removed = fs::remove_file(&path);
            return Err(error);
        }
        let length = first.len() as u64;
        let change = Change::Begun {
            id: beginning.id,
            stream: beginning.stream,
            init: beginning.init.clone(),
            start: beginning.start,
            bytes: length,
            key: beginning.key,
            chain,
            mode: beginning.mode,
        };
        let appending = Self {
            beginning,
            file: Arc::new(file),
            path,
            length,
            packed: Vec::new(),
            parts: 0,
            chain,
            folder,
        };
        Ok((appending, change))
    }

    /// Appends a part. If that fails the file is as before.
    pub(super) fn append(&mut self, part: Appended) -> io::Result<Change> {
        let Appended {
            header,
            payload,
            mut row,
            ..
        } = part;
        let mut hash = Sha256::new();
        for unit in &payload {
            hash.update(unit);
        }
        row.hash = hash.finalize().into();
        let slices = std::iter::once(header.as_slice()).chain(payload.iter().map(|u| u.as_ref()));
        let slices: Vec<IoSlice<'_>> = slices.map(IoSlice::new).collect();
        if let Err(error) = write_all(&self.file, slices) {
            let back = self.file.set_len(self.length);
            if let Err(error) = back {
                tracing::debug!(path = %self.path.display(), %error, "half a part stays");
            }
            return Err(error);
        }
        self.length += row.bytes();
        self.chain = crate::chain::after(&self.chain, &row);
        let from = self.packed.len();
        row.pack(&mut self.packed);
        let n = self.parts;
        self.parts += 1;
        Ok(Change::Part {
            id: self.beginning.id,
            n,
            packed: self.packed.get(from..).unwrap_or_default().to_vec(),
            end: row.end,
            bytes: self.length,
        })
    }

    /// It is complete. If nothing ever came for it, it is none, and its file goes.
    pub(super) fn close(self, watched: bool) -> Change {
        if self.parts == 0 {
            // If it can not be removed, the next start does it.
            drop(fs::remove_file(&self.path));
            return Change::Undone {
                id: self.beginning.id,
            };
        }
        Change::Closed {
            id: self.beginning.id,
            stream: self.beginning.stream,
            parts: self.packed,
            watched,
            chain: self.chain,
        }
    }
}

/// All of it, in as few calls as there can be.
fn write_all(mut file: &File, mut slices: Vec<IoSlice<'_>>) -> io::Result<()> {
    let mut rest = slices.as_mut_slice();
    while !rest.is_empty() {
        let some = rest.len().min(SLICES);
        let written = match file.write_vectored(rest.get(..some).unwrap_or(rest)) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        IoSlice::advance_slices(&mut rest, written);
    }
    Ok(())
}
