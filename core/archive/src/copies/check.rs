//! Holds copies against their hash again, from time to time: disks rot, and who runs a bucket may let things go.
//! The file here is held with them.

use std::sync::Arc;
use std::time::Duration;

use taimat_base::tasks::Stop;
use taimat_base::{CommuneId, clock};
use taimat_contract::UnixMicros;
use taimat_contract::place::{BlobStore, PlaceError};

use super::bring::{bring, is_there};
use super::copier::Copier;
use super::kept::{Copy, Kept};
use super::work::{self, Stale};
use crate::error::ArchiveError;
use crate::moment::now;

/// One copy at a time is read, and after each it is waited for so many times what that took: a fifth of a line
/// or a disk at most, whatever they are.
const SHARE: u32 = 4;
/// How often it is looked whether one is due.
const EVERY: Duration = Duration::from_secs(1);

impl Copier {
    /// Holds copies against their hash until told to stop.
    pub(super) async fn check(self: &Arc<Self>, stop: &Stop) {
        loop {
            let begun = clock::now();
            let checked = tokio::select! {
                () = stop.cancelled() => return,
                checked = self.check_one() => checked,
            };
            if let Err(error) = checked {
                tracing::warn!(%error, "copies are not held against what was recorded");
            }
            let took = clock::now().saturating_duration_since(begun);
            let due = clock::now() + took.saturating_mul(SHARE).max(EVERY);
            tokio::select! {
                () = stop.cancelled() => return,
                () = clock::sleep_until(due) => {}
            }
        }
    }

    /// The copy that was not looked at for longest.
    async fn next_stale(&self) -> Result<Option<(CommuneId, Stale)>, ArchiveError> {
        let mut asked = Vec::new();
        let now = now();
        for commune in self.archive.configured().values() {
            for store in &commune.stores {
                let place = (commune.commune.clone(), store.name.clone());
                let span = i64::try_from(store.check_every.as_micros()).unwrap_or(i64::MAX);
                let before = UnixMicros(now.0.saturating_sub(span));
                if !self.pauses.covers(&place, clock::now()) {
                    asked.push((place, before));
                }
            }
        }
        let index = Arc::clone(self.archive.index());
        let found = tokio::task::spawn_blocking(move || {
            let mut found = Vec::new();
            for ((commune, store), before) in asked {
                let stale = index.read(|of| work::stale(of, &commune, &store, before, now))?;
                found.extend(stale.map(|stale| (commune, stale)));
            }
            Ok(found.into_iter().min_by_key(|(_, stale)| stale.checked))
        });
        found.await.map_err(|_ended| ArchiveError::Stopped)?
    }

    async fn check_one(&self) -> Result<(), ArchiveError> {
        let Some((commune, stale)) = self.next_stale().await? else {
            return Ok(());
        };
        let configured = self.archive.configured();
        let own = configured.get(&commune);
        let Some(place) = own.and_then(|own| self.place(own, &stale.store)) else {
            return self.put_off(&stale, "the place is not there").await;
        };
        let kept = match self.kept(stale.segment).await {
            Ok(Some(kept)) => kept,
            // It is about to go.
            Ok(None) => return self.put_off(&stale, "it is going").await,
            Err(error) => return self.put_off(&stale, &error.to_string()).await,
        };
        // One that is damaged here is mended, and says nothing of the copy.
        let here = match kept.is_here {
            true => self.hold_here(&kept).await.ok(),
            false => None,
        };
        let Some(copy) = kept.copies.iter().find(|copy| copy.target == stale.store) else {
            return Ok(());
        };
        let held = self.hold_copy(&place, &kept, copy, here).await;
        match held {
            Ok(hash) => {
                let labels = [commune.as_str(), stale.store.as_str(), "good"];
                let checks = &self.archive.metrics().copy_checks;
                checks.with_label_values(&labels).inc();
                let write = self
                    .archive
                    .volume()
                    .write(move |to| work::held(to, (stale.segment, &stale.store), &hash, now()));
                write.await
            }
            Err(error @ (PlaceError::Missing | PlaceError::Differs(_))) => {
                self.spoilt(&kept, &stale.store, &error).await;
                Ok(())
            }
            Err(error) => {
                let key = (commune, stale.store.clone());
                self.pauses
                    .note::<()>(&key, &Err(error.clone()), clock::now());
                self.put_off(&stale, &error.to_string()).await
            }
        }
    }

    async fn put_off(&self, stale: &Stale, why: &str) -> Result<(), ArchiveError> {
        let (stale, why) = (stale.clone(), why.to_owned());
        let write = self
            .archive
            .volume()
            .write(move |to| work::not_held(to, (stale.segment, &stale.store), &why, now()));
        write.await
    }

    /// Holds a copy against its hash: first whether it is there and as large, which costs nothing, and what the
    /// place says its digest is; then, where it says none, by reading all of it.
    async fn hold_copy(
        &self,
        place: &Arc<dyn BlobStore>,
        kept: &Arc<Kept>,
        copy: &Copy,
        here: Option<[u8; 32]>,
    ) -> Result<[u8; 32], PlaceError> {
        let Some(hash) = copy.hash.or(here) else {
            // It was copied by an earlier router, and is not here: what it holds says whether it is right.
            let scratch = self.archive.fetched().scratch("check", kept.segment);
            let hash = bring(place.as_ref(), kept, copy, &scratch).await?;
            let _removed = tokio::fs::remove_file(&scratch).await;
            return Ok(hash);
        };
        is_there(place.as_ref(), kept).await?;
        let found = place.digest(&kept.key, kept.bytes).await?;
        if found == hash {
            Ok(hash)
        } else {
            Err(PlaceError::Differs("its digest is another".into()))
        }
    }

    /// Holds all copies of a segment against their hash now.
    pub(super) async fn check_all(&self, kept: &Arc<Kept>) {
        let configured = self.archive.configured();
        for copy in &kept.copies {
            let own = configured.get(&kept.commune);
            let Some(place) = own.and_then(|own| self.place(own, &copy.target)) else {
                continue;
            };
            if let Err(error) = self.hold_copy(&place, kept, copy, None).await {
                self.spoilt(kept, &copy.target, &error).await;
            }
        }
    }
}
