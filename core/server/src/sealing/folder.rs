//! An export of one or several cameras as one: a folder on a disk, or one file that is sent.

use std::io::{self, Cursor, Read, Write};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use axum::body::Bytes;
use taimat_api::ExportedFolder;
use taimat_archive::{Archive, MoviePiece, PieceError};
use taimat_evidence::{
    Assertion, Clip, ExportFacts, FolderError, FolderFacts, Signer, Sink, WrittenFolder, ZipSink,
    folder_sizes, write_folder, zip_bytes,
};

/// A clip that was signed.
#[derive(Debug)]
pub(crate) struct SignedClip {
    pub(crate) name: String,
    pub(crate) assertion: Assertion,
    pub(crate) header: Bytes,
    pub(crate) pieces: Arc<[MoviePiece]>,
}

/// All of an export, signed.
#[derive(Debug)]
pub(crate) struct SignedFolder {
    pub(crate) signer: Arc<Signer>,
    pub(crate) archive: Arc<Archive>,
    /// Where it stands in the log of what people did.
    pub(crate) entry: u64,
    pub(crate) export: ExportFacts,
    pub(crate) commune: String,
    pub(crate) time_zone: String,
    pub(crate) clips: Vec<SignedClip>,
    /// The lines of the log that go with it: read when it is first asked for, and the same ever after.
    pub(crate) excerpt: OnceLock<Vec<u8>>,
}

impl SignedFolder {
    /// The folder's name.
    fn folder(&self) -> String {
        // Of the day, so that several on a stick are in order.
        let day = self.export.at.to_string();
        let day = day.get(..10).unwrap_or_default();
        let short = self.export.id.get(..8).unwrap_or_default();
        format!("{}_{day}_{short}", self.commune)
    }

    fn excerpt(&self) -> io::Result<&[u8]> {
        if let Some(excerpt) = self.excerpt.get() {
            return Ok(excerpt);
        }
        let read = self.archive.excerpt(self.entry).map_err(io::Error::other)?;
        Ok(self.excerpt.get_or_init(|| read))
    }

    fn with<T>(
        &self,
        organization: &str,
        then: impl FnOnce(&FolderFacts<'_>) -> Result<T, FolderError>,
    ) -> io::Result<T> {
        let facts = FolderFacts {
            export: &self.export,
            organization,
            time_zone: &self.time_zone,
            audit: self.excerpt()?,
        };
        then(&facts).map_err(|error| match error {
            FolderError::File { path, error } => {
                io::Error::new(error.kind(), format!("{path}: {error}"))
            }
            error => io::Error::other(error),
        })
    }

    fn clips<'a>(&'a self, rotten: &'a dyn Fn(&Path)) -> Vec<Clip<'a>> {
        let clip = |clip: &'a SignedClip| {
            let media: u64 = clip.pieces.iter().map(|piece| piece.bytes).sum();
            Clip {
                name: clip.name.clone(),
                assertion: &clip.assertion,
                length: clip.header.len() as u64 + media,
                bytes: Box::new(ProvenMedia {
                    now: Cursor::new(clip.header.clone()),
                    pieces: clip.pieces.iter(),
                    rotten,
                }),
            }
        };
        self.clips.iter().map(clip).collect()
    }

    /// Writes it as files. `rotten` is told of a recording that is not what was recorded, at which it ends.
    pub(crate) fn write_to(
        &self,
        sink: &mut dyn Sink,
        rotten: &dyn Fn(&Path),
    ) -> io::Result<WrittenFolder> {
        let organization = self.signer.key().organization();
        self.with(&organization, |facts| {
            write_folder(&self.signer, facts, self.clips(rotten), sink)
        })
    }
}

impl ExportedFolder for SignedFolder {
    fn name(&self) -> String {
        self.folder() + ".zip"
    }

    fn bytes(&self) -> io::Result<u64> {
        let organization = self.signer.key().organization();
        let sizes = self.with(&organization, |facts| {
            folder_sizes(&self.signer, facts, &self.clips(&|_path| {}))
        });
        Ok(zip_bytes(&self.folder(), &sizes?))
    }

    fn write(&self, to: &mut dyn Write, rotten: &dyn Fn(&Path)) -> io::Result<()> {
        let mut zip = ZipSink::new(to, &self.folder(), self.export.at);
        self.write_to(&mut zip, rotten)?;
        zip.finish().map(drop)
    }
}

/// A clip as it is read: its header, then its parts, each of which is given out only if it is what was recorded.
struct ProvenMedia<'a> {
    now: Cursor<Bytes>,
    pieces: std::slice::Iter<'a, MoviePiece>,
    rotten: &'a dyn Fn(&Path),
}

impl Read for ProvenMedia<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.now.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let Some(piece) = self.pieces.next() else {
                return Ok(0);
            };
            let bytes = piece.read().map_err(|error| {
                if let PieceError::Rotten { path, .. } = &error {
                    (self.rotten)(path);
                }
                io::Error::new(io::ErrorKind::InvalidData, error)
            })?;
            self.now = Cursor::new(bytes.into());
        }
    }
}
