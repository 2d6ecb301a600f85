//! A folder as a place for copies: another disk, or what the system has mounted.

use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use taimat_contract::place::{
    BlobPage, BlobStat, BlobStore, ByteStream, PlaceError, PlaceSpace, PutContent,
};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};

use crate::disk_space::Space;

/// Bytes that are read at once.
const CHUNK: usize = 256 << 10;
/// What is being written has this behind its name until it is whole.
const UNFINISHED: &str = "new";

/// A folder.
#[derive(Debug, Clone)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// Where an object lies. Keys name no folder above.
    fn path(&self, key: &str) -> Result<PathBuf, PlaceError> {
        let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        if key.split('/').all(plain) {
            Ok(self.0.join(key))
        } else {
            Err(PlaceError::Refused("that is no key".into()))
        }
    }

    /// The folder has to be there: where a disk is mounted and is not, nothing is written beside it.
    fn mounted(&self) -> Result<(), PlaceError> {
        if self.0.is_dir() {
            return Ok(());
        }
        let why = format!("{} is not there", self.0.display());
        Err(PlaceError::later(why))
    }
}

/// So many bytes of a file from where it stands; an error if there are fewer.
pub(super) fn parts(file: File, length: u64) -> ByteStream {
    let parts = stream::try_unfold((file, length), |(mut file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let some = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        let mut buffer = vec![0; some];
        file.read_exact(&mut buffer).await?;
        io::Result::Ok(Some((Bytes::from(buffer), (file, left - some as u64))))
    });
    Box::pin(parts)
}

fn said(doing: &str, path: &Path, error: &io::Error) -> PlaceError {
    let why = format!("{doing} {}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            PlaceError::Refused(why)
        }
        _ => PlaceError::later(why),
    }
}

#[async_trait]
impl BlobStore for Folder {
    async fn put(&self, key: &str, content: PutContent) -> Result<(), PlaceError> {
        self.mounted()?;
        let path = self.path(key)?;
        let folder = path.parent().unwrap_or(&self.0).to_owned();
        let made = tokio::fs::create_dir_all(&folder).await;
        made.map_err(|e| said("making", &folder, &e))?;
        let new = path.with_added_extension(UNFINISHED);
        let source = content.source.open(0).await;
        let mut source = source.map_err(|e| PlaceError::Source(e.to_string()))?;
        let write = async {
            let mut file = File::create(&new).await?;
            let mut written = 0;
            while let Some(part) = source.next().await {
                let part = part?;
                written += part.len() as u64;
                file.write_all(&part).await?;
            }
            file.flush().await?;
            file.sync_all().await?;
            io::Result::Ok(written)
        };
        let written = match write.await {
            Ok(written) => written,
            Err(error) => {
                let _removed = tokio::fs::remove_file(&new).await;
                return Err(said("writing", &new, &error));
            }
        };
        if written != content.size {
            let _removed = tokio::fs::remove_file(&new).await;
            let short = format!("{written} bytes instead of {}", content.size);
            return Err(PlaceError::Source(short));
        }
        let renamed = tokio::fs::rename(&new, &path).await;
        renamed.map_err(|e| said("naming", &path, &e))?;
        let synced = match File::open(&folder).await {
            Ok(open) => open.sync_all().await,
            Err(error) => Err(error),
        };
        synced.map_err(|e| said("syncing", &folder, &e))
    }

    async fn stat(&self, key: &str) -> Result<Option<BlobStat>, PlaceError> {
        self.mounted()?;
        let path = self.path(key)?;
        match tokio::fs::metadata(&path).await {
            Ok(found) => Ok(Some(BlobStat {
                size: found.len(),
                sha256: None,
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(said("looking at", &path, &error)),
        }
    }

    async fn get(&self, key: &str, offset: u64, length: u64) -> Result<ByteStream, PlaceError> {
        self.mounted()?;
        let path = self.path(key)?;
        let mut file = match File::open(&path).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(PlaceError::Missing);
            }
            Err(error) => return Err(said("reading", &path, &error)),
        };
        let sought = file.seek(io::SeekFrom::Start(offset)).await;
        sought.map_err(|e| said("reading", &path, &e))?;
        Ok(parts(file, length))
    }

    async fn delete(&self, key: &str) -> Result<(), PlaceError> {
        self.mounted()?;
        let path = self.path(key)?;
        match tokio::fs::remove_file(&path).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(said("removing", &path, &error));
            }
            _ => {}
        }
        // A day of which nothing is left. One that is not empty stays.
        if let Some(folder) = path.parent() {
            let _left = tokio::fs::remove_dir(folder).await;
        }
        Ok(())
    }

    async fn list(&self, _prefix: &str, _cursor: Option<&str>) -> Result<BlobPage, PlaceError> {
        // The index knows what is there; `taimat archive check` walks through it.
        Err(PlaceError::Unsupported)
    }

    async fn space(&self) -> Result<Option<PlaceSpace>, PlaceError> {
        self.mounted()?;
        let space = Space::of(&self.0).map_err(|e| PlaceError::later(e.to_string()))?;
        Ok(Some(PlaceSpace {
            used: space.total.saturating_sub(space.free),
            free: Some(space.free),
        }))
    }
}
