//! A room of events in a house of fakes: detectors, policy, alerter and channels are closures.
#![allow(dead_code, reason = "each test has what it needs of it")]

use std::collections::BTreeSet;
use std::fmt;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use taimat_base::metrics::Registry;
use taimat_base::tasks::Tasks;
use taimat_base::{CameraId, CameraKey, CommuneId, PluginId, clock};
use taimat_contract::alerter::{
    CameraState, Chores, Decision, Item, Planned, Sent as SentTask, Task, Verdict,
};
use taimat_contract::message::{Outgoing, Reply, Wire};
use taimat_contract::policy::{RecordingMode, Ruling, Situation};
use taimat_contract::{
    Alerter, Alerters, Attribute, Channels, Detected, Detection, DetectionSink, Dispatch,
    Event as Shown, MediaSource, Policies, Policy, Push, Pushes, Unanswered, UnixMicros,
};
use taimat_events::{
    AlertRule, CommuneAlerts, CommuneEvents, Condition, Conditions, Event, EventId, EventQuery,
    EventRuleChange, EventRules, EventStore, Events, Keep, NewSilence, Story, Surroundings, Target,
};

const LIMIT: Duration = Duration::from_secs(20);

type Rules = dyn Fn(&Shown, &Situation) -> Result<Ruling, Unanswered> + Send + Sync;
type Answers = dyn Fn(&Outgoing) -> Reply + Send + Sync;
type Services = dyn Fn(&str) -> Reply + Send + Sync;
type Judges = dyn Fn(&Planned, &Reply) -> Verdict + Send + Sync;

/// What was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) key: String,
    pub(crate) text: String,
}

struct Scripts {
    rule: Mutex<Arc<Rules>>,
    answer: Mutex<Arc<Answers>>,
    judge: Mutex<Arc<Judges>>,
    hanging: Mutex<BTreeSet<String>>,
    sent: Mutex<Vec<Sent>>,
    services: Mutex<Arc<Services>>,
    pushed: Mutex<Vec<Pushed>>,
    /// Each message is also said on standard output.
    aloud: AtomicBool,
    receipts: Mutex<u32>,
}

impl fmt::Debug for Scripts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scripts")
    }
}

#[derive(Debug, Clone)]
struct Fakes(Arc<Scripts>);

impl Conditions for Fakes {
    fn conditions(&self) -> Vec<Condition> {
        Vec::new()
    }

    fn cameras(&self, _commune: &CommuneId) -> Vec<(CameraId, bool, SystemTime)> {
        Vec::new()
    }
}

impl Policies for Fakes {
    fn policy(&self, _commune: &CommuneId, _name: &PluginId) -> Option<Arc<dyn Policy>> {
        Some(Arc::new(self.clone()))
    }
}

#[async_trait]
impl Policy for Fakes {
    async fn on_event(&self, event: &Shown, situation: &Situation) -> Result<Ruling, Unanswered> {
        let rule = Arc::clone(&self.0.rule.lock().unwrap());
        rule(event, situation)
    }

    async fn recording(&self, _: &CameraId, _: UnixMicros) -> Result<RecordingMode, Unanswered> {
        Ok(RecordingMode::Usual)
    }
}

impl Alerters for Fakes {
    fn alerter(&self, _commune: &CommuneId, name: &PluginId) -> Option<Arc<dyn Alerter>> {
        (name.as_str() == "words").then(|| Arc::new(self.clone()) as _)
    }
}

fn wire(text: String) -> Planned {
    Planned {
        message: Outgoing::Wire(Wire {
            channel: "line".into(),
            bytes: text.into_bytes(),
            answer_bytes: 0,
        }),
        memo: String::new(),
    }
}

#[async_trait]
impl Alerter for Fakes {
    async fn compose(&self, task: &Task) -> Result<Decision, Unanswered> {
        let item = |item: &Item| {
            let (event, phase) = (
                &item.event,
                format!("{:?}", item.event.phase).to_lowercase(),
            );
            let earlier: Vec<String> = item
                .earlier
                .iter()
                .map(|r| format!("{}={}", r.revision, r.text))
                .collect();
            format!(
                "{} {phase} {} [{}] {}",
                event.kind,
                event.id,
                earlier.join(","),
                item.link
            )
        };
        let items: Vec<String> = task.items.iter().map(item).collect();
        Ok(Decision::Send(vec![wire(format!(
            "{} {}",
            task.target,
            items.join("; ")
        ))]))
    }

    async fn judge(&self, task: &Task, _: &SentTask, reply: &Reply) -> Result<Verdict, Unanswered> {
        let judge = Arc::clone(&self.0.judge.lock().unwrap());
        let verdict = judge(&wire(task.key.clone()), reply);
        if verdict == Verdict::Usual && !matches!(reply, Reply::Failed(_)) {
            let mut receipts = self.0.receipts.lock().unwrap();
            *receipts += 1;
            return Ok(Verdict::Delivered(format!("receipt-{receipts}")));
        }
        Ok(verdict)
    }

    async fn tend(
        &self,
        _: &str,
        _: &[Attribute],
        _: &[CameraState],
        _: UnixMicros,
    ) -> Result<Option<Chores>, Unanswered> {
        Ok(None)
    }
}

#[async_trait]
impl Channels for Fakes {
    async fn send(&self, dispatch: Dispatch<'_>, _media: &dyn MediaSource) -> Reply {
        let Outgoing::Wire(wire) = dispatch.message else {
            return Reply::Failed("no such channel".into());
        };
        let text = String::from_utf8(wire.bytes.clone()).unwrap();
        let hangs = {
            let hanging = self.0.hanging.lock().unwrap();
            hanging.iter().any(|name| text.starts_with(name))
        };
        if self.0.aloud.load(Ordering::Relaxed) {
            let line = format!("sent {} {text}\n", dispatch.key);
            // One write, so that a kill leaves no half of a line.
            std::io::stdout().write_all(line.as_bytes()).unwrap();
        }
        self.0.sent.lock().unwrap().push(Sent {
            key: dispatch.key.to_owned(),
            text,
        });
        if hangs {
            std::future::pending::<()>().await;
        }
        let answer = Arc::clone(&self.0.answer.lock().unwrap());
        answer(dispatch.message)
    }

    fn connections(&self) -> u64 {
        0
    }
}

/// What a browser was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pushed {
    pub(crate) url: String,
    pub(crate) topic: String,
    pub(crate) ttl: Duration,
    pub(crate) notice: serde_json::Value,
}

#[async_trait]
impl Pushes for Fakes {
    async fn push(&self, push: Push<'_>) -> Reply {
        let url = push.to.url().reveal().to_owned();
        self.0.pushed.lock().unwrap().push(Pushed {
            url: url.clone(),
            topic: push.topic.to_owned(),
            ttl: push.ttl,
            notice: serde_json::from_slice(push.payload).unwrap(),
        });
        let services = Arc::clone(&self.0.services.lock().unwrap());
        services(&url)
    }
}

pub(crate) fn ok() -> Reply {
    Reply::Accepted("taken".into())
}

pub(crate) fn fail(why: &str) -> Reply {
    Reply::Failed(why.into())
}

/// Two targets, and rules.
pub(crate) fn alerts(rules: Vec<AlertRule>) -> CommuneAlerts {
    let target = |name: &str| {
        let target = Target {
            title: name.into(),
            alerter: "words".parse().unwrap(),
            tags: vec![],
            address: vec![],
            deadline: Duration::from_secs(3600),
        };
        (name.to_owned(), target)
    };
    CommuneAlerts {
        rules,
        targets: ["desk", "boss"].map(target).into(),
        ..CommuneAlerts::default()
    }
}

/// Tells of all, to the end.
pub(crate) fn rule(tell: &[&str]) -> AlertRule {
    AlertRule {
        // What the house sees of itself would be told too.
        kinds: vec!["litter".into(), "motion".into(), "crowd".into()],
        tell: tell.iter().map(|name| (*name).to_owned()).collect(),
        follow: true,
        ..AlertRule::default()
    }
}

/// Time that passes when a test says so. Pausing tokio's clock is not enough: it would run on whenever all
/// wait for the disk. It does not while somebody works on a thread of their own.
pub(crate) struct GivenTime(std::sync::mpsc::SyncSender<()>);

impl GivenTime {
    pub(crate) fn begin() -> Self {
        tokio::time::pause();
        // Nothing is ever sent: it ends with who holds it.
        let (ends, ended) = std::sync::mpsc::sync_channel(1);
        drop(tokio::task::spawn_blocking(move || {
            let _ended = ended.recv();
        }));
        Self(ends)
    }

    /// It passes, and what is due then is done as far as it needs no disk.
    pub(crate) async fn passes(&self, time: Duration) {
        tokio::time::advance(time).await;
    }

    /// Lets time pass until something is so.
    pub(crate) async fn brings(&self, what: &str, mut so: impl FnMut() -> bool) {
        let mut polls = 0;
        while !so() {
            self.passes(Duration::from_millis(100)).await;
            Self::moment().await;
            polls += 1;
            assert!(polls < 10_000, "it never was so: {what}");
        }
    }

    /// Waits on the disk and on others, while no time passes.
    #[expect(clippy::disallowed_methods, reason = "the test waits, not the house")]
    pub(crate) async fn until(&self, what: &str, mut so: impl FnMut() -> bool) {
        let begun = std::time::Instant::now();
        while !so() {
            assert!(begun.elapsed() < LIMIT, "it never was so: {what}");
            Self::moment().await;
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the test waits, not the house")]
    async fn moment() {
        let moment = || std::thread::sleep(Duration::from_millis(1));
        tokio::task::spawn_blocking(moment).await.unwrap();
    }
}

/// What is an event in these tests if they say nothing else: each track, at once.
pub(crate) fn each() -> EventRuleChange {
    EventRuleChange {
        minimum: Some(Duration::ZERO),
        by_track: Some(true),
        severity: Some(taimat_contract::Severity::Warning),
        ..EventRuleChange::default()
    }
}

pub(crate) struct House {
    pub(crate) events: Arc<Events>,
    registry: Registry,
    fakes: Fakes,
    tasks: Tasks,
}

impl House {
    pub(crate) async fn start(alerts: CommuneAlerts) -> Self {
        Self::over(EventStore::open(None).unwrap().0, alerts, each())
    }

    pub(crate) async fn start_in(folder: &Path, alerts: CommuneAlerts) -> Self {
        Self::over(EventStore::open(Some(folder)).unwrap().0, alerts, each())
    }

    pub(crate) fn over(store: EventStore, alerts: CommuneAlerts, rule: EventRuleChange) -> Self {
        let scripts = Scripts {
            rule: Mutex::new(Arc::new(|_, _| Ok(Ruling::default()))),
            answer: Mutex::new(Arc::new(|_| ok())),
            judge: Mutex::new(Arc::new(|_, _| Verdict::Usual)),
            hanging: Mutex::default(),
            sent: Mutex::default(),
            services: Mutex::new(Arc::new(|_| ok())),
            pushed: Mutex::default(),
            aloud: AtomicBool::new(false),
            receipts: Mutex::new(0),
        };
        let fakes = Fakes(Arc::new(scripts));
        let registry = Registry::new();
        let events = Arc::new(Events::new(Arc::new(store), &registry).unwrap());
        events.configure(vec![CommuneEvents {
            keep: Keep {
                commune: "thu".parse().unwrap(),
                time: Duration::from_secs(3600),
                count: 1000,
            },
            plugins: [("eye".parse().unwrap(), EventRules(vec![rule]))].into(),
            alerts: Arc::new(alerts),
        }]);
        let tasks = Tasks::new();
        let around = Surroundings {
            conditions: Arc::new(fakes.clone()),
            policies: Arc::new(fakes.clone()),
            alerters: Arc::new(fakes.clone()),
            channels: Arc::new(fakes.clone()),
            pushes: Arc::new(fakes.clone()),
            shrink: |jpeg, _| Some(jpeg.to_vec()),
            public_url: "http://router".into(),
        };
        events.run(&tasks, around);
        Self {
            events,
            registry,
            fakes,
            tasks,
        }
    }

    pub(crate) async fn stop(self) {
        self.tasks.stop(Duration::from_secs(5)).await;
    }

    /// A detector sees something at a camera.
    pub(crate) fn detect(&self, camera: &str, kind: &str, track: u64, at: UnixMicros) {
        let camera = CameraKey::new("thu".parse().unwrap(), camera.parse().unwrap());
        let detection = Detection {
            kind: kind.into(),
            at,
            confidence: 0.9,
            regions: vec![],
            track: Some(track),
            text: String::new(),
            extra: vec![],
        };
        self.events.publish(&Detected {
            camera: &camera,
            plugin: &"eye".parse().unwrap(),
            detections: &[detection],
            frame: None,
        });
    }

    /// The sum of a metric, over all its labels or those where one has a value.
    pub(crate) fn metric(&self, name: &str, label: Option<&str>) -> u64 {
        let families = self.registry.gather();
        let named = families.iter().filter(|family| family.name() == name);
        let all = named.flat_map(|family| family.get_metric()).filter(|one| {
            label.is_none_or(|value| one.get_label().iter().any(|l| l.value() == value))
        });
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "counted in whole numbers"
        )]
        let sum = all
            .map(|one| one.get_counter().get_value() + one.get_gauge().get_value())
            .sum::<f64>() as u64;
        sum
    }

    /// A detector sees something; the event that it opens.
    pub(crate) async fn see(&self, kind: &str, track: u64) -> EventId {
        let mut told = self.events.store().follow();
        self.detect("cho", kind, track, UnixMicros::from(clock::wall()));
        let opened = async {
            loop {
                let told = told.recv().await.unwrap();
                if told.event.kind == kind && told.event.best.track == Some(track) {
                    return told.event.id;
                }
            }
        };
        tokio::time::timeout(LIMIT, opened).await.unwrap()
    }

    /// An event's story, once it is so.
    pub(crate) async fn until(&self, id: EventId, so: impl Fn(&Story) -> bool) -> Story {
        let deadline = clock::now() + LIMIT;
        loop {
            let story = self.events.store().story(id).unwrap();
            if so(&story) {
                return story;
            }
            assert!(clock::now() < deadline, "it never was so: {story:#?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// An event of the house, once there is one.
    pub(crate) async fn until_event(&self, kind: &str) -> Event {
        let query = EventQuery {
            kind: Some(kind.into()),
            ..EventQuery::default()
        };
        let deadline = clock::now() + LIMIT;
        loop {
            let page = self
                .events
                .store()
                .events(&"thu".parse().unwrap(), &query)
                .unwrap();
            if let Some(event) = page.events.into_iter().next() {
                return event;
            }
            assert!(clock::now() < deadline, "there is no {kind}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn silence(&self, kind: &str) {
        let now = UnixMicros::from(clock::wall());
        let silence = NewSilence {
            commune: "thu".parse().unwrap(),
            camera: None,
            kind: Some(kind.into()),
            until: now.after(Duration::from_secs(60)),
            who: "An".into(),
            why: String::new(),
        };
        self.events.store().silence(silence, now).await.unwrap();
    }

    pub(crate) fn rule_by(
        &self,
        rule: impl Fn(&Shown, &Situation) -> Result<Ruling, Unanswered> + Send + Sync + 'static,
    ) {
        *self.fakes.0.rule.lock().unwrap() = Arc::new(rule);
    }

    pub(crate) fn answer(&self, answer: impl Fn(&Outgoing) -> Reply + Send + Sync + 'static) {
        *self.fakes.0.answer.lock().unwrap() = Arc::new(answer);
    }

    pub(crate) fn judge(
        &self,
        judge: impl Fn(&Planned, &Reply) -> Verdict + Send + Sync + 'static,
    ) {
        *self.fakes.0.judge.lock().unwrap() = Arc::new(judge);
    }

    /// From now on each message is said on standard output as it is sent.
    pub(crate) fn say_aloud(&self) {
        self.fakes.0.aloud.store(true, Ordering::Relaxed);
    }

    /// Messages to a target have no answer.
    pub(crate) fn hang(&self, target: &str) {
        self.fakes.0.hanging.lock().unwrap().insert(target.into());
    }

    /// What push services answer, by the browser's address.
    pub(crate) fn services(&self, answer: impl Fn(&str) -> Reply + Send + Sync + 'static) {
        *self.fakes.0.services.lock().unwrap() = Arc::new(answer);
    }

    pub(crate) fn pushed(&self) -> Vec<Pushed> {
        self.fakes.0.pushed.lock().unwrap().clone()
    }

    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.fakes.0.sent.lock().unwrap().clone()
    }
}
