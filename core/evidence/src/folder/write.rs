//! Writing a folder: a stream of files, each read once, so that it can go to a disk, a stick or a ZIP. How
//! long each file is, is known before the first is read.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};
use taimat_audit::{Digest, ExcerptError, read_excerpt};

use crate::assertion::Assertion;
use crate::sign::Signer;

use super::cms::{self, CmsError};
use super::facts::FolderFacts;
use super::list::{self, Listed, MOST_FILES, is_inside};
use super::names::{
    AUDIT, BAGIT, DATA, GUIDE, INFO, MANIFEST, RECORD, ROOT, SIGNATURE, TAG_MANIFEST, TIMELINE,
};
use super::sink::Sink;
use super::timeline::{self, Done};
use super::{guide, record};

/// A signed clip.
pub struct Clip<'a> {
    /// Its name in `data/`, with `.mp4`.
    pub name: String,
    /// What it says of itself.
    pub assertion: &'a Assertion,
    /// How long it is.
    pub length: u64,
    /// Its bytes: the signed header and the parts.
    pub bytes: Box<dyn Read + 'a>,
}

impl std::fmt::Debug for Clip<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clip")
            .field("name", &self.name)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

/// Why a folder was not written.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file could not be read or written.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: String,
        /// What was said.
        error: io::Error,
    },
    /// A name that is no name of a clip, or is there twice.
    #[error("`{0}` can not be the name of a clip in the folder")]
    Name(String),
    /// Nothing, or too much.
    #[error("a folder has 1 to {MOST_FILES} clips, this one has {0}")]
    Clips(usize),
    /// A sink that did not read a file to its end, or a file that is not as long as it was said to be.
    #[error("{path} has {length} bytes, and {read} were read")]
    Length {
        /// Which.
        path: String,
        /// How long it was said to be.
        length: u64,
        /// How much was read of it.
        read: u64,
    },
    /// The lines of the log are not joined.
    #[error("the lines of the log: {0}")]
    Audit(#[from] ExcerptError),
    /// The signature.
    #[error(transparent)]
    Signature(#[from] CmsError),
    /// The key does not sign now.
    #[error(transparent)]
    Key(#[from] crate::keys::KeyError),
    /// The timeline.
    #[error("the timeline can not be written: {0}")]
    Json(#[from] serde_json::Error),
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenFolder {
    /// How many files.
    pub files: usize,
    /// How many bytes, without the lists.
    pub payload_bytes: u64,
    /// The SHA-256 of the list of lists, for the paper.
    pub list: Digest,
}

/// The files of a folder and how long they are, in the order in which they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderSizes {
    /// Path and bytes of each.
    pub files: Vec<(String, u64)>,
}

/// How long the files of a folder will be. Reads none of the clips.
pub fn folder_sizes(
    signer: &Signer,
    facts: &FolderFacts<'_>,
    clips: &[Clip<'_>],
) -> Result<FolderSizes, FolderError> {
    let mut out = Out::new(None);
    let clips = clips.iter().map(|clip| Clip {
        name: clip.name.clone(),
        assertion: clip.assertion,
        length: clip.length,
        bytes: Box::new(io::empty()),
    });
    write(signer, facts, clips.collect(), &mut out)?;
    Ok(FolderSizes { files: out.sizes })
}

/// Writes a folder.
pub fn write_folder(
    signer: &Signer,
    facts: &FolderFacts<'_>,
    clips: Vec<Clip<'_>>,
    sink: &mut dyn Sink,
) -> Result<WrittenFolder, FolderError> {
    write(signer, facts, clips, &mut Out::new(Some(sink)))
}

fn write(
    signer: &Signer,
    facts: &FolderFacts<'_>,
    clips: Vec<Clip<'_>>,
    out: &mut Out<'_>,
) -> Result<WrittenFolder, FolderError> {
    let key = signer.key();
    key.signs_at(facts.export.at.0)?;
    if clips.is_empty() || clips.len() >= MOST_FILES - 8 {
        return Err(FolderError::Clips(clips.len()));
    }
    read_excerpt(&mut &*facts.audit)?;
    let mut done = Vec::new();
    for mut clip in clips {
        let path = format!("{DATA}{}", clip.name);
        let known = out.payload.iter().any(|file| file.path == path);
        if known || clip.name.contains('/') || !clip.name.ends_with(".mp4") || !is_inside(&path) {
            return Err(FolderError::Name(clip.name));
        }
        let (bytes, assertion) = (clip.length, clip.assertion);
        let hash = out.payload(&path, bytes, &mut clip.bytes)?;
        done.push(Done {
            path,
            bytes,
            hash,
            assertion,
        });
    }
    let timeline = timeline::json(&facts.export.id, facts.export.at, &done)?;
    let timeline = out.text(TIMELINE, timeline.as_bytes())?;
    let audit = out.text(AUDIT, facts.audit)?;
    let others = [(TIMELINE, timeline), (AUDIT, audit)];
    let fingerprint = key.root_fingerprint();
    let record = record::html(facts, &fingerprint, &done, &others);
    out.text(RECORD, record.as_bytes())?;
    let info = info(facts, out.payload_bytes, out.payload.len());
    let manifest = list::write(&out.payload);
    for (path, text) in [
        (
            BAGIT,
            "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n",
        ),
        (INFO, &info),
        (MANIFEST, &manifest),
        (ROOT, key.root_pem()),
        (GUIDE, &guide::text(&fingerprint)),
    ] {
        out.tag(path, text)?;
    }
    let tags = list::write(&out.tags);
    let signature = cms::sign_to_length(key, tags.as_bytes(), facts.export.at.0)?;
    let files = out.payload.len() + out.tags.len() + 2;
    out.put(TAG_MANIFEST, tags.len() as u64, &mut tags.as_bytes())?;
    let length = signature.len() as u64;
    out.put(SIGNATURE, length, &mut signature.as_bytes())?;
    Ok(WrittenFolder {
        files,
        payload_bytes: out.payload_bytes,
        list: Digest::of(&[tags.as_bytes()]),
    })
}

/// What is written so far.
struct Out<'a> {
    /// None if it is only asked how long everything is: then no hash is one.
    sink: Option<&'a mut dyn Sink>,
    sizes: Vec<(String, u64)>,
    payload: Vec<Listed>,
    payload_bytes: u64,
    tags: Vec<Listed>,
}

impl<'a> Out<'a> {
    fn new(sink: Option<&'a mut dyn Sink>) -> Self {
        Self {
            sink,
            sizes: Vec::new(),
            payload: Vec::new(),
            payload_bytes: 0,
            tags: Vec::new(),
        }
    }

    fn put(&mut self, path: &str, length: u64, from: &mut dyn Read) -> Result<Digest, FolderError> {
        self.sizes.push((path.to_owned(), length));
        let Some(sink) = &mut self.sink else {
            return Ok(Digest::default());
        };
        let mut hashed = Hashed {
            from,
            hasher: Sha256::new(),
            bytes: 0,
            ended: false,
        };
        let written = sink.file(path, length, &mut hashed);
        let (path, read) = (path.to_owned(), hashed.bytes);
        match written {
            Err(error) => Err(FolderError::File { path, error }),
            // Its hash would be that of a part.
            Ok(()) if !hashed.ended || read != length => {
                Err(FolderError::Length { path, length, read })
            }
            Ok(()) => Ok(Digest(hashed.hasher.finalize().into())),
        }
    }

    fn payload(
        &mut self,
        path: &str,
        length: u64,
        from: &mut dyn Read,
    ) -> Result<Digest, FolderError> {
        let hash = self.put(path, length, from)?;
        self.payload_bytes += length;
        let path = path.to_owned();
        self.payload.push(Listed { path, hash });
        Ok(hash)
    }

    fn text(&mut self, path: &str, mut text: &[u8]) -> Result<Digest, FolderError> {
        self.payload(path, text.len() as u64, &mut text)
    }

    fn tag(&mut self, path: &str, text: &str) -> Result<(), FolderError> {
        let hash = self.put(path, text.len() as u64, &mut text.as_bytes())?;
        let path = path.to_owned();
        self.tags.push(Listed { path, hash });
        Ok(())
    }
}

/// Hashes what goes through.
struct Hashed<'a> {
    from: &'a mut dyn Read,
    hasher: Sha256,
    bytes: u64,
    ended: bool,
}

impl Read for Hashed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.hasher.update(buffer.get(..read).unwrap_or(&[]));
        self.bytes += read as u64;
        self.ended |= read == 0 && !buffer.is_empty();
        Ok(read)
    }
}

fn info(facts: &FolderFacts<'_>, bytes: u64, files: usize) -> String {
    let export = facts.export;
    let date = crate::time::utc(export.at.0);
    let date = date.get(..10).unwrap_or_default();
    let line = |text: &str| text.replace(|c: char| c.is_control(), " ");
    format!(
        "Source-Organization: {}\nExternal-Identifier: {}\nExternal-Description: {}, {}\n\
         Bagging-Date: {date}\nPayload-Oxum: {bytes}.{files}\nBag-Software-Agent: taimat {}\n",
        line(facts.organization),
        line(&export.id),
        line(&export.case),
        line(&export.reason),
        line(&export.software),
    )
}
