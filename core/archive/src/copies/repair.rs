//! Mends files here that are not what was recorded, from a good copy.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use taimat_base::clock;
use taimat_base::tasks::Stop;

use super::copier::Copier;
use super::kept::Kept;
use crate::error::ArchiveError;
use crate::layout;

/// How often it is looked what `taimat archive check` has found.
const EVERY: Duration = Duration::from_secs(5);
/// Bytes of that list that are read.
const MOST_LISTED: u64 = 1 << 20;

impl Copier {
    /// Mends one after the other until told to stop.
    pub(super) async fn mend(self: &Arc<Self>, stop: &Stop) {
        let repairs = Arc::clone(self.archive.repairs());
        loop {
            while let Some(segment) = repairs.next() {
                let mended = tokio::select! {
                    () = stop.cancelled() => return,
                    mended = self.mend_one(segment) => mended,
                };
                if let Err(error) = mended {
                    // It stays among what is the matter.
                    tracing::error!(segment, %error, "a damaged recording can not be mended");
                }
            }
            let due = clock::now() + EVERY;
            tokio::select! {
                () = stop.cancelled() => return,
                () = repairs.wanted() => {}
                () = clock::sleep_until(due) => {
                    let archive = Arc::clone(&self.archive);
                    let found = tokio::task::spawn_blocking(move || listed(archive.root())).await;
                    let found = found.unwrap_or_default();
                    found.into_iter().for_each(|segment| repairs.want(segment));
                }
            }
        }
    }

    async fn mend_one(&self, segment: u64) -> Result<(), ArchiveError> {
        let refused =
            |error: taimat_contract::place::PlaceError| ArchiveError::Refused(error.to_string());
        let Some(kept) = self.kept(segment).await.map_err(refused)? else {
            return Ok(());
        };
        if !kept.is_here {
            // Where its copies can be read as they lie, one of those was meant.
            self.check_all(&kept).await;
            return Ok(());
        }
        let path = self.archive.root().join(&kept.key);
        let (own, file) = (Arc::clone(&kept), path.clone());
        let held = tokio::task::spawn_blocking(move || own.hold(&file)).await;
        if !matches!(held, Ok(Ok(_))) {
            let scratch = self.archive.fetched().scratch("mend", segment);
            let brought = self.copy_back(&kept, None, &scratch).await;
            brought.map_err(refused)?;
            self.replace(&kept, scratch, path.clone()).await?;
            let mended = &self.archive.metrics().mended;
            mended.with_label_values(&[kept.commune.as_str()]).inc();
            tracing::warn!(
                segment = kept.key,
                "a damaged recording was mended from a copy"
            );
        }
        self.archive.mended(&kept.commune, &path);
        Ok(())
    }

    /// Has the file here be another one, unless it is going meanwhile: the thread that marks what goes does
    /// this too.
    async fn replace(
        &self,
        kept: &Kept,
        from: std::path::PathBuf,
        to: std::path::PathBuf,
    ) -> Result<(), ArchiveError> {
        let segment = kept.segment;
        let write = self.archive.volume().write(move |of| {
            let is_here: bool = of
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM segment WHERE id = ?1 AND state = 1)",
                )?
                .query_row([segment], |row| row.get(0))?;
            if is_here {
                put_in_place(&from, &to)?;
            } else {
                // It is of no use any more.
                let _removed = std::fs::remove_file(&from);
            }
            Ok(())
        });
        write.await
    }
}

/// What `taimat archive check` has found, and is taken over here.
fn listed(root: &Path) -> Vec<u64> {
    let list = root.join(layout::DAMAGED);
    let Ok(file) = File::open(&list) else {
        return Vec::new();
    };
    let mut text = String::new();
    // What is no list of ours is of no use, and goes.
    let _read = file.take(MOST_LISTED).read_to_string(&mut text);
    if let Err(error) = std::fs::remove_file(&list) {
        tracing::warn!(%error, list = %list.display(), "the list of damaged files can not be taken over");
        return Vec::new();
    }
    let ids = text.lines().filter_map(|line| line.parse().ok());
    ids.collect()
}

fn put_in_place(from: &Path, to: &Path) -> Result<(), ArchiveError> {
    let Some(folder) = to.parent() else {
        return Ok(());
    };
    std::fs::create_dir_all(folder).map_err(ArchiveError::disk("making", folder))?;
    std::fs::rename(from, to).map_err(ArchiveError::disk("replacing", to))?;
    let open = File::open(folder).map_err(ArchiveError::disk("opening", folder))?;
    open.sync_all()
        .map_err(ArchiveError::disk("syncing", folder))
}
