//! The room's task: takes detections, groups them, has them written, and watches the house.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use rand::RngExt;
use taimat_base::metrics::Registry;
use taimat_base::tasks::Stop;
use taimat_base::{CameraKey, CommuneId, PluginId, Seldom, clock};
use taimat_contract::{Delivery, Detected, Detection, DetectionSink, Rect, Severity, UnixMicros};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::error::StoreError;
use crate::event::{EventId, EventPicture, HOUSE};
use crate::grouping::{Change, Grouping, Subject, Taken};
use crate::house::{self, Condition, House};
use crate::log::Told;
use crate::metrics::EventMetrics;
use crate::rules::EventRules;
use crate::store::{Answer, EventStore, Keep, Write};
use crate::surroundings::Conditions;
use crate::target::{CommuneAlerts, Target};
use crate::wall_clock::WallClock;

/// Answers of detectors that may wait: some seconds of two hundred cameras. What comes beyond is
/// counted and is part of no event.
const WAITING: usize = 1024;
/// Answers that are looked at together.
const TOGETHER: usize = 256;
/// Frames that may wait for becoming a picture: each is up to some megabytes. An event that is opened
/// meanwhile has none.
const FRAMES: usize = 24;
/// How often it is looked for what is over.
const TICK: Duration = Duration::from_millis(500);
/// How often the house is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// So long after the start it is the case that the file was damaged.
const SAID: Duration = Duration::from_secs(60);
/// How often it is looked for what is to be let go.
const LET_GO: Duration = Duration::from_secs(60);

/// What a commune's file says about events.
#[derive(Debug, Clone, PartialEq)]
pub struct CommuneEvents {
    /// What is kept.
    pub keep: Keep,
    /// When detections are an event, by plugin.
    pub plugins: HashMap<PluginId, EventRules>,
    /// Who is told of what.
    pub alerts: Arc<CommuneAlerts>,
}

type Configured = Arc<HashMap<CommuneId, CommuneEvents>>;

/// What a detector answered, on its way.
#[derive(Debug)]
struct Batch {
    subject: Subject,
    detections: Vec<Detection>,
    frame: Option<(Delivery, OwnedSemaphorePermit)>,
}

/// The events of all communes.
#[derive(Debug)]
pub struct Events {
    store: Arc<EventStore>,
    batches: mpsc::Sender<Batch>,
    frames: Arc<Semaphore>,
    configured: RwLock<Configured>,
    metrics: EventMetrics,
    /// Why the rules of a commune's file rule in place of its policy.
    instead: Mutex<BTreeMap<CommuneId, String>>,
    /// Held while what waits is moved: nobody writes of a time before that is done.
    wall: tokio::sync::Mutex<WallClock>,
    begun: Instant,
    room: Mutex<Option<Room>>,
}

impl Events {
    /// Over a store; [`Events::run`] brings it to life.
    ///
    /// # Errors
    /// If a metric's name is taken.
    pub fn new(
        store: Arc<EventStore>,
        registry: &Registry,
    ) -> Result<Self, taimat_base::metrics::Error> {
        let (batches, waiting) = mpsc::channel(WAITING);
        Ok(Self {
            store,
            batches,
            frames: Arc::new(Semaphore::new(FRAMES)),
            configured: RwLock::default(),
            metrics: EventMetrics::register(registry)?,
            instead: Mutex::default(),
            begun: clock::now(),
            wall: tokio::sync::Mutex::new(WallClock::new(clock::now(), now())),
            room: Mutex::new(Some(Room::new(waiting))),
        })
    }

    /// The events on disk.
    pub fn store(&self) -> &Arc<EventStore> {
        &self.store
    }

    /// From now on it is as the communes' files say.
    pub fn configure(&self, communes: Vec<CommuneEvents>) {
        let all = communes.into_iter().map(|c| (c.keep.commune.clone(), c));
        let all = Arc::new(all.collect());
        *self.configured.write().unwrap_or_else(|e| e.into_inner()) = all;
    }

    fn configured(&self) -> Configured {
        let configured = self.configured.read().unwrap_or_else(|e| e.into_inner());
        Arc::clone(&configured)
    }

    /// What owns the detections on their way, once.
    pub(crate) fn take_room(&self) -> Option<Room> {
        self.room.lock().unwrap_or_else(|e| e.into_inner()).take()
    }

    pub(crate) fn metrics(&self) -> &EventMetrics {
        &self.metrics
    }

    /// Who is told of what in a commune.
    pub fn alerts(&self, commune: &CommuneId) -> Arc<CommuneAlerts> {
        let configured = self.configured();
        let commune = configured.get(commune);
        commune.map_or_else(Arc::default, |commune| Arc::clone(&commune.alerts))
    }

    /// All communes, and who is told of what there.
    pub(crate) fn communes(&self) -> Vec<(CommuneId, Arc<CommuneAlerts>)> {
        let configured = self.configured();
        let all = configured.iter();
        all.map(|(id, commune)| (id.clone(), Arc::clone(&commune.alerts)))
            .collect()
    }

    /// The rules of a commune's file have ruled in place of its policy, for this reason; or not.
    pub(crate) fn ruled_instead(&self, commune: &CommuneId, why: Option<&str>) {
        let mut instead = self.instead.lock().unwrap_or_else(|e| e.into_inner());
        match why {
            Some(why) => drop(instead.insert(commune.clone(), why.to_owned())),
            None => drop(instead.remove(commune)),
        }
    }

    /// What time it is, for who writes down until when something waits. If the clock was set, what waits is
    /// moved first: it waits as long as before.
    pub(crate) async fn waits_from(&self) -> UnixMicros {
        let mut wall = self.wall.lock().await;
        let by = wall.look(clock::now(), now());
        if by != 0 {
            match self.store.shift(by).await {
                Ok(()) => {
                    wall.moved();
                    tracing::warn!(
                        seconds = by / 1_000_000,
                        "the clock was set; what waits for a time waits as long as before"
                    );
                }
                // It is tried again at the next look.
                Err(error) => tracing::debug!(%error, "what waits for a time could not be moved"),
            }
        }
        drop(wall);
        now()
    }

    /// What is the case with telling, and should not be. Waits for the disk.
    fn troubles(&self) -> Vec<Condition> {
        let configured = self.configured();
        let condition = |commune, kind, about, text| Condition {
            commune,
            camera: None,
            kind,
            about,
            text,
            wait: Duration::ZERO,
            severity: Severity::Warning,
        };
        let instead = self.instead.lock().unwrap_or_else(|e| e.into_inner());
        let policies = instead.clone().into_iter().filter(|(commune, _)| {
            let known = configured.get(commune);
            known.is_some_and(|known| known.alerts.policy.is_some())
        });
        let mut all: Vec<Condition> = policies
            .map(|(commune, why)| condition(commune, "policy-failed", String::new(), why))
            .collect();
        drop(instead);
        let since = clock::now().saturating_duration_since(self.begun);
        if let Some(aside) = self.store.damaged().filter(|_| since < SAID) {
            let name = aside.file_name().unwrap_or_default().to_string_lossy();
            let text = format!("those of before are in {name}");
            let lost = configured.keys().map(|commune| Condition {
                severity: Severity::Alarm,
                ..condition(
                    commune.clone(),
                    "events-damaged",
                    String::new(),
                    text.clone(),
                )
            });
            all.extend(lost);
        }
        match self.store.unreached() {
            Ok(unreached) => {
                all.extend(unreached.into_iter().filter_map(|(commune, name, why)| {
                    let known = configured.get(&commune)?;
                    let there = known.alerts.targets.contains_key(&name);
                    there.then(|| condition(commune, "alert-undelivered", name, why))
                }))
            }
            Err(error) => tracing::debug!(%error, "who was not reached can not be read"),
        }
        all
    }

    /// Tells a target that somebody tries it, by an event that is made for that.
    ///
    /// # Errors
    /// If there is no such target, the name is no name, or the disk says no.
    pub async fn test(
        &self,
        commune: &CommuneId,
        target: &str,
        who: &str,
    ) -> Result<Told, StoreError> {
        let alerts = self.alerts(commune);
        let found: &Target = alerts.target(target).ok_or(StoreError::Unknown)?;
        let event = house::test(commune.clone(), name(), now());
        let whom = (target.to_owned(), found.clone());
        let now = self.waits_from().await;
        self.store.test(event, who, whom, now).await
    }

    /// Tries a delivery that was given up once more.
    ///
    /// # Errors
    /// If there is none, its target is no more, or the disk says no.
    pub async fn retry(
        &self,
        commune: &CommuneId,
        delivery: u64,
        who: &str,
    ) -> Result<(), StoreError> {
        let alerts = self.alerts(commune);
        let deadline = alerts.targets.values().map(|target| target.deadline).max();
        let deadline = deadline.unwrap_or(Duration::from_secs(3600));
        let now = self.waits_from().await;
        self.store
            .retry(commune, delivery, who, deadline, now)
            .await
    }

    /// Notes who dealt with an event.
    ///
    /// # Errors
    /// As [`EventStore::answer`].
    pub async fn answer(&self, id: EventId, who: &str, answer: Answer) -> Result<Told, StoreError> {
        let told = self.store.answer(id, who, answer, now()).await?;
        if answer != Answer::TakenBack {
            let wrong = if answer == Answer::FalseAlarm {
                "true"
            } else {
                "false"
            };
            let labels = [told.event.commune.as_str(), &told.event.plugin, wrong];
            self.metrics.answers.with_label_values(&labels).inc();
        }
        Ok(told)
    }
}

pub(crate) fn now() -> UnixMicros {
    UnixMicros::from(clock::wall())
}

fn name() -> EventId {
    EventId::new(clock::wall(), rand::rng().random())
}

impl DetectionSink for Events {
    fn publish(&self, detected: &Detected<'_>) {
        let frame = detected.frame.and_then(|delivery| {
            let permit = Arc::clone(&self.frames).try_acquire_owned().ok()?;
            Some((delivery.clone(), permit))
        });
        let batch = Batch {
            subject: Subject {
                camera: detected.camera.clone(),
                plugin: detected.plugin.clone(),
            },
            detections: detected.detections.to_vec(),
            frame,
        };
        if self.batches.try_send(batch).is_err() {
            let busy = self.metrics.held_back.with_label_values(&["busy"]);
            busy.inc_by(detected.detections.len() as u64);
        }
    }
}

/// What the task owns.
#[derive(Debug)]
pub(crate) struct Room {
    waiting: mpsc::Receiver<Batch>,
    groupings: HashMap<Subject, Grouping>,
    house: House,
    /// Changes of events on disk that could not be written: the newest of each.
    unwritten: HashMap<EventId, Change>,
    failing: Seldom,
    looked: Option<Instant>,
    let_go: Instant,
}

/// A change, and the frame that shows it.
type Seen = (Change, Option<Delivery>);

impl Room {
    fn new(waiting: mpsc::Receiver<Batch>) -> Self {
        Self {
            waiting,
            groupings: HashMap::new(),
            house: House::default(),
            unwritten: HashMap::new(),
            failing: Seldom::default(),
            looked: None,
            let_go: clock::now(),
        }
    }

    pub(crate) async fn run(
        mut self,
        events: &Arc<Events>,
        conditions: &dyn Conditions,
        stop: Stop,
    ) {
        self.resume(events).await;
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut batches = Vec::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = ticks.tick() => {
                    let changes = self.passes(events, conditions).await;
                    self.write(events, changes).await;
                    self.let_go(events).await;
                }
                taken = self.waiting.recv_many(&mut batches, TOGETHER) => {
                    if taken == 0 {
                        break;
                    }
                    self.take(events, &mut batches).await;
                }
            }
        }
        // What came before the end is part of it.
        self.waiting.close();
        while self.waiting.recv_many(&mut batches, TOGETHER).await > 0 {
            self.take(events, &mut batches).await;
        }
    }

    /// Goes on with the events that were open when the router stopped.
    async fn resume(&mut self, events: &Events) {
        let store = Arc::clone(&events.store);
        let open = tokio::task::spawn_blocking(move || store.open_events()).await;
        let open = match open {
            Ok(Ok(open)) => open,
            Ok(Err(error)) => return tracing::error!(%error, "open events can not be read"),
            Err(_panicked) => return,
        };
        let (configured, now, wall) = (events.configured(), clock::now(), now());
        events.metrics.open.set(open.len() as i64);
        for event in open {
            match (event.plugin.parse(), &event.camera) {
                _ if event.plugin == HOUSE => self.house.resume(&event, now),
                (Ok(plugin), Some(camera)) => {
                    let rule = rules(&configured, &event.commune, &plugin).of(camera, &event.kind);
                    let camera = CameraKey::new(event.commune.clone(), camera.clone());
                    let subject = Subject { camera, plugin };
                    let ago = wall.since(event.last);
                    self.grouping(subject).resume(&event, rule, ago, now);
                }
                _ => tracing::warn!(event = %event.id, "an open event belongs to nobody"),
            }
        }
    }

    fn grouping(&mut self, subject: Subject) -> &mut Grouping {
        let new = || Grouping::new(subject.clone());
        self.groupings.entry(subject.clone()).or_insert_with(new)
    }

    async fn take(&mut self, events: &Events, batches: &mut Vec<Batch>) {
        let configured = events.configured();
        let now = clock::now();
        let mut seen: Vec<Seen> = Vec::new();
        // Kept until the pictures are made: they say how many frames are in memory.
        let mut permits = Vec::new();
        for batch in batches.drain(..) {
            let subject = batch.subject;
            let rules = rules(&configured, &subject.camera.commune, &subject.plugin);
            let camera = subject.camera.camera.clone();
            let delivery = batch.frame.map(|(delivery, permit)| {
                permits.push(permit);
                delivery
            });
            let grouping = self.grouping(subject);
            for detection in batch.detections {
                let rule = rules.of(&camera, &detection.kind);
                let (taken, change) = grouping.seen(detection, rule, now, name);
                match taken {
                    Taken::Grouped => {}
                    Taken::Rests => events.metrics.held_back.with_label_values(&["rest"]).inc(),
                    Taken::TooMany => events.metrics.held_back.with_label_values(&["many"]).inc(),
                }
                seen.extend(change.map(|change| (change, delivery.clone())));
            }
        }
        self.write(events, seen).await;
        drop(permits);
    }

    /// What follows from the time, and from what is the case.
    async fn passes(&mut self, events: &Arc<Events>, conditions: &dyn Conditions) -> Vec<Seen> {
        let now = clock::now();
        let mut changes = Vec::new();
        self.groupings
            .retain(|_, grouping| grouping.passes(now, &mut changes));
        let since = |then| now.saturating_duration_since(then) >= LOOK;
        if self.looked.is_none_or(since) {
            self.looked = Some(now);
            let mut house = conditions.conditions();
            let events = Arc::clone(events);
            let troubles = tokio::task::spawn_blocking(move || events.troubles());
            house.extend(troubles.await.unwrap_or_default());
            changes.extend(self.house.look(house, now, self::now(), name));
        }
        changes.into_iter().map(|change| (change, None)).collect()
    }

    async fn write(&mut self, events: &Events, seen: Vec<Seen>) {
        if seen.is_empty() && self.unwritten.is_empty() {
            return;
        }
        for (change, _) in &seen {
            // The newer one says all that the older one would.
            if let Some(id) = change.of_former() {
                self.unwritten.remove(&id);
            }
        }
        let former = self.unwritten.values().cloned().map(|c| (c, None));
        let all: Vec<Seen> = former.chain(seen).collect();
        let writes = pictured(all).await;
        let (begun, tried) = (clock::now(), writes.clone());
        match events.store.write(writes, now()).await {
            Ok(()) => {
                events.metrics.write_failing.set(0);
                self.unwritten.clear();
                let took = clock::now().saturating_duration_since(begun);
                events.metrics.commit.observe(took.as_secs_f64());
                count(&events.metrics, &tried);
            }
            Err(error) => {
                events.metrics.write_failing.set(1);
                if let Some(unsaid) = self.failing.say(clock::now()) {
                    tracing::error!(%error, unsaid, "events can not be written down");
                }
                self.not_written(&events.metrics, tried);
            }
        }
    }

    fn not_written(&mut self, metrics: &EventMetrics, tried: Vec<Write>) {
        for write in tried {
            match write.change {
                Change::Opened(event) => {
                    metrics.not_kept.inc();
                    self.house.forget(event.id);
                    for grouping in self.groupings.values_mut() {
                        grouping.forget(event.id);
                    }
                }
                Change::Touched(..) => {}
                Change::Updated(id, _) | Change::Closed(id, _) => {
                    self.unwritten.insert(id, write.change);
                }
            }
        }
    }

    async fn let_go(&mut self, events: &Events) {
        let now = clock::now();
        if now.saturating_duration_since(self.let_go) < LET_GO {
            return;
        }
        self.let_go = now;
        for commune in events.configured().values() {
            match events.store.let_go(commune.keep.clone(), self::now()).await {
                // Soon again, so that others are written in between.
                Ok(true) => self.let_go = now.checked_sub(LET_GO).unwrap_or(now),
                Ok(false) => {}
                Err(error) => {
                    if let Some(unsaid) = self.failing.say(now) {
                        tracing::error!(%error, unsaid, "old events can not be let go");
                    }
                }
            }
        }
    }
}

fn rules(configured: &Configured, commune: &CommuneId, plugin: &PluginId) -> EventRules {
    let commune = configured.get(commune);
    let rules = commune.and_then(|commune| commune.plugins.get(plugin));
    rules.cloned().unwrap_or_default()
}

fn count(metrics: &EventMetrics, written: &[Write]) {
    let now = now();
    for write in written {
        match &write.change {
            Change::Opened(event) => {
                metrics.opened(event.commune.as_str(), &event.kind);
                metrics.open.inc();
                if event.plugin != HOUSE {
                    metrics.delay.observe(now.since(event.last).as_secs_f64());
                    if write.picture.is_none() {
                        metrics.without_picture.inc();
                    }
                }
            }
            Change::Closed(..) => metrics.open.dec(),
            Change::Updated(..) => {}
            Change::Touched(..) => continue,
        }
        metrics.changes.inc();
    }
}

/// Makes the pictures, beside the tasks that must not wait.
async fn pictured(seen: Vec<Seen>) -> Vec<Write> {
    let bare = |change: Change| Write {
        change,
        picture: None,
    };
    if seen.iter().all(|(_, frame)| frame.is_none()) {
        return seen.into_iter().map(|(change, _)| bare(change)).collect();
    }
    let changes: Vec<Change> = seen.iter().map(|(change, _)| change.clone()).collect();
    let made = tokio::task::spawn_blocking(move || {
        seen.into_iter()
            .map(|(change, frame)| Write {
                picture: frame.and_then(|frame| picture(&frame, &change)),
                change,
            })
            .collect()
    });
    // An event without its picture is better than none.
    made.await
        .unwrap_or_else(|_panicked| changes.into_iter().map(bare).collect())
}

fn picture(frame: &Delivery, change: &Change) -> Option<EventPicture> {
    let best = match change {
        Change::Opened(event) => &event.best,
        Change::Updated(_, course) => &course.best,
        Change::Closed(..) | Change::Touched(..) => return None,
    };
    // The best moment may be one of before.
    if best.at != frame.info.at {
        return None;
    }
    let still = |marks: &[Rect]| frame.frames.still(frame.info.id, marks).ok();
    Some(EventPicture {
        plain: still(&[])?,
        marked: still(&best.regions)?,
    })
}
