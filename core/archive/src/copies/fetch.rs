//! Fetches what somebody wants to see and is kept elsewhere only.

use std::sync::Arc;

use taimat_base::clock;
use taimat_base::tasks::Stop;
use tokio::task::JoinSet;

use super::copier::Copier;
use crate::disk_space::Space;

/// Segments that are fetched at once: enough for a line with some delay, and few for the disk.
const AT_ONCE: usize = 4;

impl Copier {
    /// Fetches until told to stop.
    pub(super) async fn fetch(self: &Arc<Self>, stop: &Stop) {
        let fetched = Arc::clone(self.archive.fetched());
        fetched.runs();
        let mut running = JoinSet::new();
        loop {
            while running.len() < AT_ONCE
                && let Some(segment) = fetched.next()
            {
                let own = Arc::clone(self);
                running.spawn(async move { own.fetch_one(segment).await });
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = fetched.wanted(), if running.len() < AT_ONCE => {}
                Some(_done) = running.join_next(), if !running.is_empty() => {}
            }
        }
        running.shutdown().await;
    }

    async fn fetch_one(&self, segment: u64) {
        let fetched = self.archive.fetched();
        let (took, came) = self.try_fetch(segment).await;
        let labels = match &came {
            Ok(()) => "done",
            Err(why) => {
                tracing::warn!(
                    segment,
                    why,
                    "what somebody wants to see can not be fetched"
                );
                "failed"
            }
        };
        let counted = &self.archive.metrics().fetched;
        counted.with_label_values(&[labels]).inc();
        fetched.done(segment, took, came, clock::now());
    }

    /// Bytes for which room was made, and how it went.
    async fn try_fetch(&self, segment: u64) -> (u64, Result<(), String>) {
        let kept = match self.kept(segment).await {
            Ok(Some(kept)) => kept,
            Ok(None) => return (0, Err("it is not kept any more".into())),
            Err(error) => return (0, Err(error.to_string())),
        };
        let (archive, bytes) = (Arc::clone(&self.archive), kept.bytes);
        let room = tokio::task::spawn_blocking(move || {
            let space = Space::of(archive.root()).map_err(|e| e.to_string())?;
            let (fetched, floor) = (archive.fetched(), archive.floor());
            fetched.make_room(bytes, space, floor, clock::now())
        });
        let room = room.await.unwrap_or_else(|e| Err(e.to_string()));
        if let Err(why) = room {
            return (0, Err(why));
        }
        let scratch = self.archive.fetched().scratch("new", segment);
        let came = self.copy_back(&kept, None, &scratch).await;
        (bytes, came.map(drop).map_err(|error| error.to_string()))
    }
}
