//! The task that keeps recordings in order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use taimat_base::tasks::Stop;
use taimat_base::{CommuneId, clock};
use taimat_contract::UnixMicros;
use taimat_contract::storage::StorageTarget;
use tokio::sync::watch;

use crate::archive::{Archive, Configured};
use crate::config::CommuneArchive;
use crate::disk_space::Space;
use crate::error::ArchiveError;
use crate::keeper::{self, Asking, Question, Removal, Shortage};
use crate::marks;
use crate::modes::Refusals;
use crate::moment::now;
use crate::reason::GapReason;
use crate::standing::StoreStanding;
use crate::trouble::{Trouble, TroubleKind};
use crate::watching::ArchiveSurroundings;

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(1);
/// How often while nothing is recorded as there is no room: it is again within a second after there is some.
const REFUSING: Duration = Duration::from_millis(250);
/// How often it is shown how it stands.
const GAUGES: u32 = 10;
/// How often what nobody needs any more is let go.
const TIDY: u32 = 600;
/// Questions about one commune in a row.
const ROUNDS: usize = 4;
/// Removals in a row for one shortage.
const REMOVALS: usize = 8;

/// Keeps recordings in order.
#[derive(Debug)]
pub(crate) struct Keeper {
    archive: Arc<Archive>,
    around: ArchiveSurroundings,
    refuse: watch::Sender<Refusals>,
    /// Bytes that were written when it was looked before.
    written: u64,
    /// Bytes a second, slowly following.
    rate: u64,
    /// What is the matter, as the index knows it.
    known: Vec<Trouble>,
    asking: BTreeMap<CommuneId, Asking>,
}

impl Keeper {
    pub(crate) fn new(
        archive: Arc<Archive>,
        around: ArchiveSurroundings,
        refuse: watch::Sender<Refusals>,
    ) -> Self {
        Self {
            archive,
            around,
            refuse,
            written: 0,
            rate: 0,
            known: Vec::new(),
            asking: BTreeMap::new(),
        }
    }

    /// Looks until told to stop.
    pub(crate) async fn run(mut self, stop: Stop) {
        let mut looks: u32 = 0;
        let mut measured = clock::now();
        loop {
            let refusing = *self.refuse.borrow() != Refusals::default();
            let due = clock::now() + if refusing { REFUSING } else { EVERY };
            tokio::select! {
                () = stop.cancelled() => return,
                () = clock::sleep_until(due) => {}
            }
            if refusing && due < measured + EVERY {
                if let Err(error) = self.make_room(&self.archive.configured(), now()).await {
                    tracing::debug!(%error, "no room was made");
                }
                continue;
            }
            let since = clock::now().saturating_duration_since(measured);
            measured += since;
            self.measure(since);
            looks = looks.wrapping_add(1);
            if looks % GAUGES == 1
                && let Err(error) = self.gauge().await
            {
                tracing::warn!(%error, "it can not be told how it stands with recordings");
            }
            if let Err(error) = self.look(looks.is_multiple_of(TIDY)).await {
                tracing::warn!(%error, "recordings can not be kept in order; it is tried again");
            }
        }
    }

    /// How fast it is recorded; it was looked so long ago.
    fn measure(&mut self, since: Duration) {
        let metrics = self.archive.metrics();
        let written = metrics.volume.bytes.get();
        let new = u128::from(written.saturating_sub(self.written));
        let now = u64::try_from(new * 1000 / since.as_millis().max(1)).unwrap_or(u64::MAX);
        self.written = written;
        self.rate = (self.rate.saturating_mul(29)).saturating_add(now) / 30;
    }

    async fn look(&mut self, tidy: bool) -> Result<(), ArchiveError> {
        let configured = self.archive.configured();
        let now = now();
        self.asking.retain(|id, _| configured.contains_key(id));
        for commune in configured.values() {
            self.review(commune, now).await?;
        }
        self.age(now).await?;
        let mut troubles = self.make_room(&configured, now).await?;
        troubles.extend(self.known.iter().cloned());
        let asking = self.asking.iter();
        troubles.extend(
            asking.filter_map(|(id, asking)| asking.trouble(configured.get(id)?, clock::now())),
        );
        self.archive.set_troubles(troubles);
        if tidy {
            let tidied = self
                .archive
                .volume()
                .write(move |to| marks::let_go(to, now));
            tidied.await?;
        }
        Ok(())
    }

    /// Shows how it stands.
    async fn gauge(&mut self) -> Result<(), ArchiveError> {
        let (archive, now) = (Arc::clone(&self.archive), now());
        let found = tokio::task::spawn_blocking(move || {
            let configured = archive.configured();
            let communes: Vec<&CommuneArchive> = configured.values().map(|c| &**c).collect();
            let space = Space::of(archive.root())?;
            let found = archive
                .index()
                .read(|index| keeper::gauges(index, &communes, space, archive.floor(), now))?;
            found.show(archive.metrics(), now);
            Ok::<_, ArchiveError>(found.troubles)
        });
        self.known = found.await.map_err(|_ended| ArchiveError::Stopped)??;
        Ok(())
    }

    async fn review(
        &mut self,
        commune: &Arc<CommuneArchive>,
        now: UnixMicros,
    ) -> Result<(), ArchiveError> {
        let mut asking = self.asking.remove(&commune.commune).unwrap_or_default();
        let asked = self.ask(commune, &mut asking, now).await;
        self.asking.insert(commune.commune.clone(), asking);
        asked
    }

    async fn ask(
        &self,
        commune: &Arc<CommuneArchive>,
        asking: &mut Asking,
        now: UnixMicros,
    ) -> Result<(), ArchiveError> {
        let (index, volume) = (self.archive.index(), self.archive.volume());
        for _ in 0..ROUNDS {
            if !asking.is_due(&commune.said, clock::now()) {
                break;
            }
            let storage = match &commune.storage {
                None => None,
                Some(name) => match self.around.storages.storage(&commune.commune, name) {
                    // It is being loaded, or fails: everything stays where it is.
                    None => return Ok(()),
                    found => found,
                },
            };
            let question = Question {
                commune: Arc::clone(commune),
                storage,
                targets: self.targets(commune)?,
            };
            if !keeper::review(index, volume, &question, asking, now).await? {
                break;
            }
        }
        Ok(())
    }

    /// The places that a storage plugin may name.
    fn targets(&self, commune: &CommuneArchive) -> Result<Vec<StorageTarget>, ArchiveError> {
        if commune.storage.is_none() {
            return Ok(Vec::new());
        }
        let standing = self.archive.standing(&commune.commune)?;
        let target = |store: StoreStanding| StorageTarget {
            healthy: store.error.is_none(),
            name: store.name,
            used: store.used,
            quota: store.quota,
        };
        Ok(standing.stores.into_iter().map(target).collect())
    }

    /// Takes what is due and may go off the disk.
    async fn age(&self, now: UnixMicros) -> Result<(), ArchiveError> {
        let index = Arc::clone(self.archive.index());
        let due = tokio::task::spawn_blocking(move || index.read(|of| keeper::aged(of, now)));
        let ids = due.await.map_err(|_ended| ArchiveError::Stopped)??;
        self.remove(ids, GapReason::Aged, now).await.map(drop)
    }

    async fn remove(
        &self,
        ids: Vec<u64>,
        reason: GapReason,
        now: UnixMicros,
    ) -> Result<u64, ArchiveError> {
        if ids.is_empty() {
            return Ok(0);
        }
        let removal = Removal { ids, reason };
        let (root, volume) = (self.archive.root(), self.archive.volume());
        keeper::remove(root, volume, self.archive.metrics(), removal, now).await
    }

    /// Makes room where it is short. Where nothing may go nothing new is recorded, and that is said.
    async fn make_room(
        &self,
        configured: &Arc<Configured>,
        now: UnixMicros,
    ) -> Result<Vec<Trouble>, ArchiveError> {
        let (mut refusals, mut troubles) = (Refusals::default(), Vec::new());
        for shortage in self.shortages(configured).await? {
            let mut missing = shortage.bytes();
            for _ in 0..REMOVALS {
                let (index, of) = (Arc::clone(self.archive.index()), shortage.clone());
                let some = tokio::task::spawn_blocking(move || {
                    index.read(|index| keeper::make_room(index, &of, now))
                });
                let ids = some.await.map_err(|_ended| ArchiveError::Stopped)??;
                let freed = self.remove(ids, GapReason::Evicted, now).await?;
                missing = missing.saturating_sub(freed);
                if freed == 0 || missing == 0 {
                    break;
                }
            }
            if missing > 0 && self.is_urgent(&shortage)? {
                refuse(&shortage, configured, &mut refusals, &mut troubles);
            }
        }
        self.refuse.send_if_modified(|current| {
            let differs = *current != refusals;
            *current = refusals;
            differs
        });
        Ok(troubles)
    }

    async fn shortages(&self, configured: &Arc<Configured>) -> Result<Vec<Shortage>, ArchiveError> {
        let (archive, configured) = (Arc::clone(&self.archive), Arc::clone(configured));
        let rate = self.rate;
        let found = tokio::task::spawn_blocking(move || {
            let space = Space::of(archive.root())?;
            let free = i64::try_from(space.free).unwrap_or(i64::MAX);
            archive.metrics().free.set(free);
            let communes: Vec<Arc<CommuneArchive>> = configured.values().map(Arc::clone).collect();
            archive
                .index()
                .read(|index| keeper::shortages(index, space, archive.floor(), rate, &communes))
        });
        found.await.map_err(|_ended| ArchiveError::Stopped)?
    }

    /// Whether there is so little that nothing more may be written.
    fn is_urgent(&self, shortage: &Shortage) -> Result<bool, ArchiveError> {
        match shortage {
            Shortage::Disk(_) => {
                let space = Space::of(self.archive.root())?;
                Ok(space.free < self.archive.floor().min(space.total / 2))
            }
            Shortage::Commune(..) | Shortage::Camera(..) => Ok(true),
        }
    }
}

fn refuse(
    shortage: &Shortage,
    configured: &Configured,
    refusals: &mut Refusals,
    troubles: &mut Vec<Trouble>,
) {
    let trouble = |commune, camera, text: &str| Trouble {
        kind: TroubleKind::Full,
        commune,
        camera,
        about: String::new(),
        text: text.into(),
    };
    match shortage {
        Shortage::Disk(_) => {
            refusals.disk = true;
            let all = configured.keys().cloned();
            troubles.extend(all.map(|commune| {
                trouble(commune, None, "the disk is full of what is held or wanted")
            }));
        }
        Shortage::Commune(commune, _) => {
            refusals.communes.insert(commune.clone());
            let text = "the commune's quota is full of what is held or wanted";
            troubles.push(trouble(commune.clone(), None, text));
        }
        Shortage::Camera(camera, _) => {
            refusals.cameras.insert(camera.clone());
            let text = "the camera's quota is full of what is held or wanted";
            troubles.push(trouble(camera.commune.clone(), Some(camera.clone()), text));
        }
    }
}
