//! What stands at targets without events: a broker's retained topics, signs of life. The alerter says what is
//! to stand; here it is published where it differs, said again after a reconnection, and cleared when it is
//! no longer among it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use taimat_base::tasks::Stop;
use taimat_base::{CameraId, CommuneId, Seldom, clock};
use taimat_contract::UnixMicros;
use taimat_contract::alerter::{Alerter, CameraState, Chores, Task};
use taimat_contract::message::{MqttPublish, Outgoing, Reply};
use taimat_contract::{Channels, Dispatch};

use super::media::TaskMedia;
use crate::error::StoreError;
use crate::event::EventId;
use crate::room::{Events, now};
use crate::store::Topic;
use crate::surroundings::Surroundings;
use crate::target::{CommuneAlerts, Target};

/// How often it is looked whether anything differs.
const LOOK: Duration = Duration::from_secs(2);
/// What could not be published is tried again after this.
const AGAIN: Duration = Duration::from_secs(30);
/// Kinds that a camera had are looked up so often: those of thirty days.
const KINDS: Duration = Duration::from_secs(600);
const DAYS: Duration = Duration::from_secs(30 * 24 * 3600);

type Whom = (CommuneId, String);

/// What is known of a target.
#[derive(Debug, Default)]
struct Tended {
    /// Of what the alerter was told.
    asked: Option<u64>,
    connections: u64,
    /// When it wants to be asked again, or is tried again.
    again: Option<Instant>,
    /// What was published, by topic.
    published: HashMap<Topic, u64>,
}

/// Keeps up what stands.
#[derive(Debug)]
pub(crate) struct Upkeep {
    events: Arc<Events>,
    around: Surroundings,
    targets: HashMap<Whom, Tended>,
    kinds: HashMap<CommuneId, (Instant, BTreeMap<CameraId, BTreeSet<String>>)>,
    failing: Seldom,
}

impl Upkeep {
    pub(crate) fn new(events: Arc<Events>, around: Surroundings) -> Self {
        Self {
            events,
            around,
            targets: HashMap::new(),
            kinds: HashMap::new(),
            failing: Seldom::default(),
        }
    }

    /// Looks until told to stop. What stands stays: the channel's last will says that the router is gone.
    pub(crate) async fn run(mut self, stop: Stop) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = clock::sleep_until(clock::now() + LOOK) => {}
            }
            if let Err(error) = self.look().await
                && let Some(unsaid) = self.failing.say(clock::now())
            {
                tracing::error!(%error, unsaid, "what stands at targets can not be looked up");
            }
        }
    }

    async fn look(&mut self) -> Result<(), StoreError> {
        let communes = self.events.communes();
        self.targets.retain(|(commune, name), _| {
            let known = communes.iter().find(|(id, _)| id == commune);
            known.is_some_and(|(_, alerts)| alerts.targets.contains_key(name))
        });
        for (commune, alerts) in communes {
            self.commune(&commune, &alerts).await?;
        }
        Ok(())
    }

    async fn commune(
        &mut self,
        commune: &CommuneId,
        alerts: &CommuneAlerts,
    ) -> Result<(), StoreError> {
        self.clear_former(commune, alerts).await?;
        let tends = |target: &Target| !target.is_built_in();
        if !alerts.targets.values().any(tends) {
            return Ok(());
        }
        let cameras = self.cameras(commune).await?;
        for (name, target) in alerts.targets.iter().filter(|(_, target)| tends(target)) {
            let alerter = self.around.alerters.alerter(commune, &target.alerter);
            if let Some(alerter) = alerter {
                self.target((commune, name, target), &*alerter, &cameras)
                    .await?;
            }
        }
        Ok(())
    }

    /// What stands at targets that the file does not name any more.
    async fn clear_former(
        &self,
        commune: &CommuneId,
        alerts: &CommuneAlerts,
    ) -> Result<(), StoreError> {
        let (store, id) = (Arc::clone(self.events.store()), commune.clone());
        let read = tokio::task::spawn_blocking(move || store.standing_topics(&id));
        let standing = read.await.unwrap_or(Err(StoreError::Stopped))?;
        let former = standing
            .into_iter()
            .filter(|topic| !alerts.targets.contains_key(&topic.target));
        let mut gone = Vec::new();
        for topic in former {
            if clear(&*self.around.channels, commune, &topic).await {
                gone.push((topic, false));
            }
        }
        if !gone.is_empty() {
            self.events.store().stand(commune, gone).await?;
        }
        Ok(())
    }

    /// How the cameras are, with the kinds of events that they had.
    async fn cameras(&mut self, commune: &CommuneId) -> Result<Vec<CameraState>, StoreError> {
        let now = clock::now();
        let fresh = |(then, _): &(Instant, _)| now.saturating_duration_since(*then) < KINDS;
        // Only what goes on has to be looked up each time.
        let since = match self.kinds.get(commune) {
            Some(known) if fresh(known) => clock::wall(),
            _ => clock::wall()
                .checked_sub(DAYS)
                .unwrap_or(SystemTime::UNIX_EPOCH),
        };
        let (store, id) = (Arc::clone(self.events.store()), commune.clone());
        let read = tokio::task::spawn_blocking(move || {
            store.kinds_of_cameras(&id, &EventId::new(since, 0).to_string())
        });
        let found = read.await.unwrap_or(Err(StoreError::Stopped))?;
        let known = self
            .kinds
            .entry(commune.clone())
            .or_insert_with(|| (now, BTreeMap::new()));
        if !fresh(known) {
            *known = (now, BTreeMap::new());
        }
        let mut open: BTreeMap<CameraId, BTreeSet<String>> = BTreeMap::new();
        for (camera, kind, is_open) in found {
            if is_open {
                open.entry(camera.clone()).or_default().insert(kind.clone());
            }
            known.1.entry(camera).or_default().insert(kind);
        }
        let few = |kinds: Option<&BTreeSet<String>>| {
            let kinds = kinds.into_iter().flatten().take(CameraState::MAX_KINDS);
            kinds.cloned().collect()
        };
        let cameras = self.around.conditions.cameras(commune).into_iter();
        Ok(cameras
            .map(|(name, online, since)| CameraState {
                kinds: few(known.1.get(&name)),
                open: few(open.get(&name)),
                name,
                online,
                since: UnixMicros::from(since),
            })
            .collect())
    }

    async fn target(
        &mut self,
        (commune, name, target): (&CommuneId, &String, &Target),
        alerter: &dyn Alerter,
        cameras: &[CameraState],
    ) -> Result<(), StoreError> {
        let connections = self.around.channels.connections();
        let tended = self
            .targets
            .entry((commune.clone(), name.clone()))
            .or_default();
        let asked = digest(&format!(
            "{:?}{:?}{cameras:?}",
            target.address, target.alerter
        ));
        let due = tended.again.is_some_and(|again| clock::now() >= again);
        let reconnected = tended.connections != connections;
        if tended.asked == Some(asked) && !due && !reconnected {
            return Ok(());
        }
        if reconnected {
            // What was kept there may not be any more.
            tended.published.clear();
        }
        let tend = alerter.tend(name, &target.address, cameras, now());
        let chores = match tend.await {
            Ok(Some(chores)) => chores,
            Ok(None) => Chores::default(),
            Err(_unanswered) => {
                tended.again = Some(clock::now() + AGAIN);
                return Ok(());
            }
        };
        (tended.asked, tended.connections) = (Some(asked), connections);
        tended.again = match chores.ask_again {
            0 => None,
            seconds => Some(clock::now() + Duration::from_secs(seconds.into())),
        };
        let published = std::mem::take(&mut tended.published);
        let (published, well) = self.publish(commune, name, chores, published).await?;
        let tended = self
            .targets
            .entry((commune.clone(), name.clone()))
            .or_default();
        tended.published = published;
        if !well {
            let soon = clock::now() + AGAIN;
            tended.again = Some(tended.again.map_or(soon, |again| again.min(soon)));
        }
        Ok(())
    }

    /// Publishes what differs from what was published, and clears what is not among it any more. Returns
    /// what is published then, and whether all went well.
    async fn publish(
        &self,
        commune: &CommuneId,
        target: &str,
        chores: Chores,
        mut published: HashMap<Topic, u64>,
    ) -> Result<(HashMap<Topic, u64>, bool), StoreError> {
        let (store, id) = (Arc::clone(self.events.store()), commune.clone());
        let read = tokio::task::spawn_blocking(move || store.standing_topics(&id));
        let standing = read.await.unwrap_or(Err(StoreError::Stopped))?;
        let standing: BTreeSet<Topic> = standing
            .into_iter()
            .filter(|topic| topic.target == target)
            .collect();
        let topic_of = |message: &Outgoing| match message {
            Outgoing::Mqtt(publish) if publish.retain => Some(Topic {
                target: target.to_owned(),
                channel: publish.channel.clone(),
                topic: publish.topic.clone(),
            }),
            _ => None,
        };
        let wanted: BTreeSet<Topic> = chores.messages.iter().filter_map(topic_of).collect();
        // Written down first: what stands at a broker without our knowing stands for ever.
        let new: Vec<_> = wanted.difference(&standing).cloned().collect();
        if !new.is_empty() {
            let new = new.into_iter().map(|topic| (topic, true)).collect();
            self.events.store().stand(commune, new).await?;
        }
        let nothing = Task {
            key: String::new(),
            target: target.to_owned(),
            address: Vec::new(),
            items: Vec::new(),
            now: now(),
        };
        let media = TaskMedia::new(self.events.store(), &nothing, self.around.shrink);
        let (mut well, mut cleared) = (true, Vec::new());
        for message in &chores.messages {
            let (topic, text) = (topic_of(message), digest(&format!("{message:?}")));
            if topic
                .as_ref()
                .is_some_and(|topic| published.get(topic) == Some(&text))
            {
                continue;
            }
            let key = format!("tend-{text:016x}");
            let dispatch = Dispatch {
                commune,
                key: &key,
                message,
            };
            match self.around.channels.send(dispatch, &media).await {
                Reply::Failed(error) | Reply::Refused(error) => {
                    well = false;
                    tracing::debug!(%commune, target, error, "what stands could not be said");
                }
                _ => drop(topic.map(|topic| published.insert(topic, text))),
            }
        }
        for topic in standing.difference(&wanted) {
            if clear(&*self.around.channels, commune, topic).await {
                published.remove(topic);
                cleared.push((topic.clone(), false));
            } else {
                well = false;
            }
        }
        if !cleared.is_empty() {
            self.events.store().stand(commune, cleared).await?;
        }
        Ok((published, well))
    }
}

/// Nothing stands there any more.
async fn clear(channels: &dyn Channels, commune: &CommuneId, topic: &Topic) -> bool {
    let message = Outgoing::Mqtt(MqttPublish {
        channel: topic.channel.clone(),
        topic: topic.topic.clone(),
        payload: Vec::new(),
        retain: true,
    });
    let dispatch = Dispatch {
        commune,
        key: "clear",
        message: &message,
    };
    let reply = channels.send(dispatch, &NoMedia).await;
    !matches!(reply, Reply::Failed(_) | Reply::Refused(_))
}

#[derive(Debug)]
struct NoMedia;

#[async_trait::async_trait]
impl taimat_contract::MediaSource for NoMedia {
    async fn media(&self, _media: &taimat_contract::message::Media) -> Option<Vec<u8>> {
        None
    }
}

/// For telling whether something is the same as before; not kept.
fn digest(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}
