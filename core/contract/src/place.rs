//! Places where copies of recordings are kept, whatever they are made of: the archive's own folders, S3,
//! what a backend reaches.

use std::fmt::Debug;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use sha2::{Digest, Sha256};
use taimat_base::CommuneId;

/// Bytes as they come.
pub type ByteStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// Where the bytes come from that are to be put. It is opened anew for every attempt and every part.
#[async_trait]
pub trait BlobSource: Send + Sync + Debug {
    /// What it holds from that byte on, to its end.
    async fn open(&self, offset: u64) -> io::Result<ByteStream>;
}

/// Bytes that are in memory.
#[async_trait]
impl BlobSource for Bytes {
    async fn open(&self, offset: u64) -> io::Result<ByteStream> {
        let begin = usize::try_from(offset).map_or(self.len(), |at| at.min(self.len()));
        let rest = self.slice(begin..);
        Ok(Box::pin(stream::iter([Ok(rest)])))
    }
}

/// What is to be put.
#[derive(Debug, Clone)]
pub struct PutContent {
    /// Bytes that the source holds.
    pub size: u64,
    /// Their digest. What reaches the place is held against it.
    pub sha256: [u8; 32],
    /// For example `video/mp4`.
    pub content_type: String,
    /// Where they come from.
    pub source: Arc<dyn BlobSource>,
}

/// What is known of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobStat {
    /// Bytes.
    pub size: u64,
    /// If the place says so.
    pub sha256: Option<[u8; 32]>,
}

/// An object of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobEntry {
    /// Its key.
    pub key: String,
    /// Bytes.
    pub size: u64,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BlobPage {
    /// In any order; a page may be empty, and another may follow all the same.
    pub entries: Vec<BlobEntry>,
    /// For the next page; none after the last.
    pub cursor: Option<String>,
}

/// How much room there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaceSpace {
    /// Bytes.
    pub used: u64,
    /// Bytes, if it says so.
    pub free: Option<u64>,
}

/// Why a place did not do it. No secret stands in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// The object is not there.
    #[error("there is no such object")]
    Missing,
    /// Not now: it can not be reached, or has too much to do.
    #[error("for now: {why}")]
    Later {
        /// What happened.
        why: String,
        /// When it may be tried again, if the place says so.
        after: Option<Duration>,
    },
    /// It does not, and will not until a person has changed something.
    #[error("refused: {0}")]
    Refused(String),
    /// The place has no such thing.
    #[error("the place has no such thing")]
    Unsupported,
    /// What is there, or what came, is not what it should be.
    #[error("not what it should be: {0}")]
    Differs(String),
    /// What is to be put can not be read, or has changed: the fault is on our side.
    #[error("what is to be put: {0}")]
    Source(String),
}

impl PlaceError {
    /// For now, with nothing said about when.
    pub fn later(why: impl Into<String>) -> Self {
        Self::Later {
            why: why.into(),
            after: None,
        }
    }

    /// Whether the same may work at another time without anybody's doing. What differs may: the object
    /// can be put again.
    pub fn passes(&self) -> bool {
        matches!(self, Self::Later { .. } | Self::Differs(_))
    }
}

/// A place where objects are kept by key. Keys are those of [`crate::backend::is_key`]. Each call is one
/// attempt within bounds of time: trying again is the matter of whoever calls.
#[async_trait]
pub trait BlobStore: Send + Sync + Debug {
    /// Keeps this under the key, in place of what was there. When it returns, the place has said that it
    /// has all of it, and its size was held against that; that the bytes are the same is
    /// [`BlobStore::digest`]'s to say.
    async fn put(&self, key: &str, content: PutContent) -> Result<(), PlaceError>;
    /// Whether it is there, and how large.
    async fn stat(&self, key: &str) -> Result<Option<BlobStat>, PlaceError>;
    /// A part of it. The stream ends with an error if fewer bytes come; more never do. `length` is 1 at
    /// least.
    async fn get(&self, key: &str, offset: u64, length: u64) -> Result<ByteStream, PlaceError>;
    /// Lets it go. What is not there is no error.
    async fn delete(&self, key: &str) -> Result<(), PlaceError>;
    /// Objects whose keys begin so; `cursor` is from the page before, none for the first.
    async fn list(&self, prefix: &str, cursor: Option<&str>) -> Result<BlobPage, PlaceError>;
    /// How much room there is; none if the place does not say.
    async fn space(&self) -> Result<Option<PlaceSpace>, PlaceError>;

    /// The digest of what is there, all of which is read for that. `size` is how much there should be.
    async fn digest(&self, key: &str, size: u64) -> Result<[u8; 32], PlaceError> {
        let mut digest = Sha256::new();
        if size > 0 {
            let mut bytes = self.get(key, 0, size).await?;
            while let Some(part) = bytes.next().await {
                digest.update(part.map_err(|e| PlaceError::later(e.to_string()))?);
            }
        }
        Ok(digest.finalize().into())
    }
}

/// Who knows the communes' places.
pub trait Places: Send + Sync + Debug {
    /// One of a commune's, by the name that its file has. It is asked for again with every operation:
    /// `commune.toml` changes.
    fn place(&self, commune: &CommuneId, name: &str) -> Option<Arc<dyn BlobStore>>;
}
