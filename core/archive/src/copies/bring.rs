//! Brings a segment back from a copy, and believes nothing of what comes.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use sha2::{Digest, Sha256};
use taimat_contract::place::{BlobStore, PlaceError};
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;

use super::kept::{Copy, Kept};

/// One may take so long.
const PATIENCE: Duration = Duration::from_secs(600);

/// Writes a copy to a file that is not there yet, if it is what was recorded. Returns its SHA-256.
///
/// # Errors
/// [`PlaceError::Missing`] and [`PlaceError::Differs`] say that the copy is worth nothing,
/// [`PlaceError::Source`] that this disk takes no file, all others that it may come at another time.
pub(super) async fn bring(
    place: &dyn BlobStore,
    kept: &Arc<Kept>,
    copy: &Copy,
    to: &Path,
) -> Result<[u8; 32], PlaceError> {
    let brought = tokio::time::timeout(PATIENCE, whole(place, kept, copy, to)).await;
    let brought = brought.unwrap_or_else(|_late| Err(PlaceError::later("it took too long")));
    if brought.is_err() {
        // It may never have been made.
        let _removed = tokio::fs::remove_file(to).await;
    }
    brought
}

async fn whole(
    place: &dyn BlobStore,
    kept: &Arc<Kept>,
    copy: &Copy,
    to: &Path,
) -> Result<[u8; 32], PlaceError> {
    is_there(place, kept).await?;
    let here = |error: io::Error| PlaceError::Source(error.to_string());
    if let Some(folder) = to.parent() {
        tokio::fs::create_dir_all(folder).await.map_err(here)?;
    }
    let mut file = File::create(to).await.map_err(here)?;
    let mut digest = Sha256::new();
    let mut bytes = place.get(&kept.key, 0, kept.bytes).await?;
    while let Some(part) = bytes.next().await {
        let part = part.map_err(|e| PlaceError::later(e.to_string()))?;
        digest.update(&part);
        file.write_all(&part).await.map_err(here)?;
    }
    file.sync_all().await.map_err(here)?;
    let found: [u8; 32] = digest.finalize().into();
    if copy.hash.is_some_and(|hash| hash != found) {
        return Err(PlaceError::Differs("its digest is another".into()));
    }
    let (own, path) = (Arc::clone(kept), to.to_owned());
    let held = tokio::task::spawn_blocking(move || own.hold(&path));
    let held = held.await.map_err(|e| PlaceError::Source(e.to_string()))?;
    held.map_err(|unlike| PlaceError::Differs(unlike.to_string()))
}

/// Whether a copy is there, and as large as it should be. A place that does not say is believed so far.
pub(super) async fn is_there(place: &dyn BlobStore, kept: &Kept) -> Result<(), PlaceError> {
    match place.stat(&kept.key).await {
        Ok(None) => Err(PlaceError::Missing),
        Ok(Some(found)) if found.size != kept.bytes => {
            let (has, should) = (found.size, kept.bytes);
            Err(PlaceError::Differs(format!(
                "{has} bytes are there of {should}"
            )))
        }
        Ok(Some(_)) | Err(PlaceError::Unsupported) => Ok(()),
        Err(error) => Err(error),
    }
}
