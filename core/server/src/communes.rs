//! The communes that are served: neighbours, not one body. Each folder is read for itself, off the runtime and with
//! an end to the patience; what is wrong with one, or how long its disk takes, is no other's business.

mod kept;
mod served;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use taimat_base::{CommuneId, Place, Problem, clock};
use tokio::task::JoinHandle;

use crate::config::{self, Commune, FILE, FolderRead, Named, SecretPlaces, Written};
pub(crate) use kept::KeptFiles;
pub(crate) use served::{Judgement, Served};

/// A folder is waited for so long; then it is told that it does not answer, and everything else goes on.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// A commune's folder, and what its file may name.
#[derive(Debug, Clone)]
pub(crate) struct CommunePlace {
    pub(crate) id: CommuneId,
    pub(crate) folder: PathBuf,
    pub(crate) secrets: SecretPlaces,
}

impl CommunePlace {
    /// Reads the folder. Waits for the disk.
    pub(crate) fn read(&self) -> FolderRead {
        config::read(&self.id, &self.folder, &self.secrets)
    }

    /// What is said of a folder that did not answer.
    pub(crate) fn silent(&self) -> FolderRead {
        let seconds = PATIENCE.as_secs();
        let message = format!("the folder does not answer: it is waited for since {seconds} s");
        let problem = Problem::new(Place::file(self.folder.join(FILE)), message);
        FolderRead {
            written: None,
            commune: Err(vec![problem.hint("its disk, or the network to it, hangs")]),
            files: Named::new(),
        }
    }

    /// What a text that was kept means.
    fn understand(&self, text: String) -> FolderRead {
        let written = Written { text, stamp: None };
        config::understand(&self.id, self.folder.join(FILE), written, &self.secrets)
    }
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Communes {
    places: Vec<CommunePlace>,
    served: Vec<Served>,
    /// Of folders that are no communes.
    strays: Vec<Problem>,
    kept: Option<KeptFiles>,
}

impl Communes {
    /// Reads all folders at once. A commune whose folder is wrong or silent is served as it was when it was good
    /// last, if that was kept, or not at all; the others do not wait for it.
    pub(crate) async fn begin(
        folders: &[PathBuf],
        kept: Option<KeptFiles>,
        secrets: &SecretPlaces,
    ) -> Self {
        let mut communes = Self {
            places: Vec::new(),
            served: Vec::new(),
            strays: Vec::new(),
            kept,
        };
        let until = clock::now() + PATIENCE;
        let mut named = Vec::new();
        for folder in folders {
            let own = folder.clone();
            named.push(tokio::task::spawn_blocking(move || config::id_of(&own)));
        }
        for (folder, id) in folders.iter().zip(named) {
            let id = match in_time(id, until).await {
                Some(Ok(id)) => Ok(id),
                // It may come to be there.
                Some(Err(problem)) => name_alone(folder).ok_or(problem),
                None => name_alone(folder).ok_or_else(|| {
                    Problem::new(
                        Place::file(folder),
                        "the folder does not answer, and its path has no name",
                    )
                }),
            };
            match id {
                Ok(id) if communes.places.iter().any(|place| place.id == id) => {
                    communes.strays.push(config::second(folder, id.as_str()));
                }
                Ok(id) => communes.places.push(CommunePlace {
                    id,
                    folder: folder.clone(),
                    secrets: secrets.clone(),
                }),
                Err(problem) => communes.strays.push(problem),
            }
        }
        communes.read_all(until).await;
        communes
    }

    async fn read_all(&mut self, until: Instant) {
        let mut readings = Vec::new();
        for place in &self.places {
            let (own, kept) = (place.clone(), self.kept.clone());
            readings.push(tokio::task::spawn_blocking(move || {
                let kept = kept.and_then(|kept| kept.get(&own.id));
                (own.read(), kept.map(|kept| own.understand(kept)))
            }));
        }
        for (place, reading) in self.places.iter().zip(readings) {
            let (read, kept) = match in_time(reading, until).await {
                Some(read) => read,
                None => (place.silent(), self.kept_of(place).await),
            };
            let mut served = Served::new(place.id.clone(), kept);
            let judgement = served.judge(read, clock::now(), clock::wall());
            tell(&served, judgement);
            self.served.push(served);
        }
    }

    /// What was kept of a commune whose folder is silent: it may name no file in it.
    async fn kept_of(&self, place: &CommunePlace) -> Option<FolderRead> {
        let (own, kept) = (place.clone(), self.kept.clone()?);
        let reading = tokio::task::spawn_blocking(move || Some(own.understand(kept.get(&own.id)?)));
        in_time(reading, clock::now() + PATIENCE).await.flatten()
    }

    /// The folders, by the same numbers as everywhere here.
    pub(crate) fn places(&self) -> &[CommunePlace] {
        &self.places
    }

    /// What is in force, by the communes' names.
    pub(crate) fn in_force(&self) -> Vec<Arc<Commune>> {
        let mut communes: Vec<Arc<Commune>> = self
            .served
            .iter()
            .filter_map(Served::commune)
            .cloned()
            .collect();
        communes.sort_by(|a, b| a.id.cmp(&b.id));
        communes
    }

    /// What is wrong, with all of them.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let own = self.served.iter().flat_map(Served::problems);
        self.strays.iter().cloned().chain(own).collect()
    }

    /// Takes in what a folder says.
    pub(crate) fn judge(
        &mut self,
        number: usize,
        read: FolderRead,
        now: Instant,
        wall: SystemTime,
    ) -> Judgement {
        let Some(served) = self.served.get_mut(number) else {
            return Judgement::Same;
        };
        let before = served.problems();
        let judgement = served.judge(read, now, wall);
        if judgement != Judgement::Refused || served.problems() != before {
            tell(served, judgement);
        }
        judgement
    }

    /// What is to be kept of a commune for the next start, and where.
    pub(crate) fn to_keep(&self, number: usize) -> Option<(KeptFiles, CommuneId, String)> {
        let served = self.served.get(number)?;
        let text = served.text()?.to_owned();
        Some((self.kept.clone()?, served.id().clone(), text))
    }
}

/// What a path says that it is called, without asking the disk.
fn name_alone(folder: &Path) -> Option<CommuneId> {
    folder.file_name()?.to_str()?.parse().ok()
}

/// What a thread that waits for a disk has read, if that is soon enough.
async fn in_time<T>(reading: JoinHandle<T>, until: Instant) -> Option<T> {
    tokio::time::timeout_at(until.into(), reading)
        .await
        .ok()?
        .ok()
}

/// Says in the log what came of a reading.
fn tell(served: &Served, judgement: Judgement) {
    let commune = served.id();
    match judgement {
        Judgement::Same => {}
        Judgement::Taken => tracing::info!(%commune, "configuration taken over"),
        Judgement::Unsettled(_) => {
            tracing::info!(%commune, "the file says less than before and may still be written; it is read again");
        }
        Judgement::Refused => {
            for problem in served.problems() {
                tracing::error!(%commune, %problem, "configuration not taken over; what was good last goes on");
            }
        }
    }
}

#[cfg(test)]
mod tests;
