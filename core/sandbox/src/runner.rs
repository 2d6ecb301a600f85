//! One plugin at one camera: owns the instance, gives it frames, replaces it.
//!
//! A replacement is made beside the running one and takes over between two frames. It is on
//! probation then: if it fails, or answers nothing but errors, the one before gets the same frame and
//! stays. An instance that
//! fails without such a one is replaced by a fresh one; after the third time in a minute there is a
//! pause first.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::Serialize;
use taimat_base::tasks::Stop;
use taimat_base::{CameraKey, Seldom, clock};
use taimat_contract::{
    Delivery, Detection, DetectionSink, Detector, Failure, FrameReader, FrameSource, UnixMicros,
    Want,
};
use tokio::sync::{mpsc, watch};

use crate::cpu::{Meter, Metered};
use crate::generation::Generation;
use crate::host::log::{Level, Tail};
use crate::limits::Bucket;
use crate::metrics::PluginMetrics;

/// Calls for which the instance before is kept.
const PROBATION_CALLS: u32 = 50;
/// Time for which the instance before is kept.
const PROBATION_TIME: Duration = Duration::from_secs(30);
/// Failures within [`FAILURE_WINDOW`] after which there is a pause.
const MAX_FAILURES: usize = 3;
const FAILURE_WINDOW: Duration = Duration::from_secs(60);
/// Pauses, one after the other.
const PAUSES: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(300),
];
/// How often `on-tick` is called.
const TICK: Duration = Duration::from_secs(1);

/// How a plugin is doing at a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// The first instance is being made.
    Starting,
    /// It looks at frames.
    Running,
    /// It runs, and the one before is kept for the case that it fails.
    Probation,
    /// It failed again and again; there is a pause.
    Suspended,
    /// It does not accept its settings.
    Refused,
}

impl RunState {
    /// All, in their order.
    pub const ALL: [Self; 5] = [
        Self::Starting,
        Self::Running,
        Self::Probation,
        Self::Suspended,
        Self::Refused,
    ];

    /// As API and metrics have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Probation => "probation",
            Self::Suspended => "suspended",
            Self::Refused => "refused",
        }
    }
}

/// What is known about a plugin at a camera.
#[derive(Debug, Clone, Serialize)]
pub struct RunStatus {
    /// How it is doing.
    pub state: RunState,
    /// Which generation runs; 0 for none.
    pub generation: u64,
    /// Frames looked at.
    pub frames: u64,
    /// Detections taken over.
    pub detections: u64,
    /// Instances that ended by a fault or a limit.
    pub failures: u64,
    /// What it gets to see.
    pub want: Option<Want>,
}

/// What the plugin's task has to know.
#[derive(Debug)]
pub(crate) enum Report {
    /// A generation failed on probation, and the one before runs again.
    RolledBack { generation: u64, why: String },
    /// A generation could not be made at this camera; what ran goes on.
    Refused { generation: u64, why: String },
    /// A generation has passed its probation.
    Confirmed { generation: u64 },
    /// It failed.
    Failed { why: String },
}

/// What all runners of a plugin share.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) plugin: Arc<str>,
    pub(crate) source: Arc<dyn FrameSource>,
    pub(crate) sink: Arc<dyn DetectionSink>,
    pub(crate) metrics: Arc<PluginMetrics>,
    pub(crate) tail: Arc<Tail>,
    pub(crate) reports: mpsc::Sender<Report>,
}

struct Active {
    detector: Box<dyn Detector>,
    want: Want,
    generation: Arc<Generation>,
    calls: u64,
}

/// What a call was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Given {
    Frame,
    Tick,
}

struct Fallback {
    active: Active,
    calls_left: u32,
    until: Instant,
    /// The new one was given a frame.
    tried: bool,
    /// It has looked at one without an error.
    answered: bool,
}

/// A detector that is ready, and what it needs to see.
type Made = Result<(Box<dyn Detector>, Want), Failure>;

/// A replacement that is being made.
struct Preparing {
    generation: Arc<Generation>,
    making: Pin<Box<dyn Future<Output = Made> + Send>>,
}

/// One plugin at one camera.
pub(crate) struct Runner {
    camera: CameraKey,
    context: Context,
    status: Arc<Mutex<RunStatus>>,
    active: Option<Active>,
    fallback: Option<Fallback>,
    preparing: Option<Preparing>,
    reader: Option<(Want, Box<dyn FrameReader>)>,
    failures: VecDeque<Instant>,
    pauses: usize,
    resume: Option<Instant>,
    detections: Bucket,
    said: Seldom,
}

impl Runner {
    pub(crate) fn new(camera: CameraKey, context: Context) -> (Self, Arc<Mutex<RunStatus>>) {
        let status = Arc::new(Mutex::new(RunStatus {
            state: RunState::Starting,
            generation: 0,
            frames: 0,
            detections: 0,
            failures: 0,
            want: None,
        }));
        context.metrics.cameras(RunState::Starting).inc();
        let runner = Self {
            camera,
            status: Arc::clone(&status),
            active: None,
            fallback: None,
            preparing: None,
            reader: None,
            failures: VecDeque::new(),
            pauses: 0,
            resume: None,
            detections: Bucket::new(0.0, 0.0),
            said: Seldom::default(),
            context,
        };
        (runner, status)
    }

    /// Runs what is desired until told to stop.
    pub(crate) async fn run(mut self, mut desired: watch::Receiver<Arc<Generation>>, stop: Stop) {
        self.follow(&desired.borrow_and_update().clone());
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            let resume = self.resume;
            let busy = self.preparing.is_some();
            let watching = self.active.is_some() && self.reader.is_some();
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                changed = desired.changed() => match changed {
                    Ok(()) => self.follow(&desired.borrow_and_update().clone()),
                    Err(_plugin_gone) => return,
                },
                made = made(&mut self.preparing), if busy => self.made(made).await,
                next = next(&mut self.reader), if watching => match next {
                    Some(delivery) => self.frame(&delivery).await,
                    None => return,
                },
                () = until(resume), if resume.is_some() => {
                    self.resume = None;
                    self.follow(&desired.borrow().clone());
                }
                _ = ticks.tick() => self.tick().await,
            }
        }
    }

    fn set(&self, change: impl FnOnce(&mut RunStatus)) {
        let mut status = self.status.lock().unwrap_or_else(|e| e.into_inner());
        let before = status.state;
        change(&mut status);
        if status.state != before {
            self.context.metrics.cameras(before).dec();
            self.context.metrics.cameras(status.state).inc();
        }
    }

    fn say(&self, level: Level, text: String) {
        match level {
            Level::Warn | Level::Error => tracing::warn!("{text}"),
            _ => tracing::info!("{text}"),
        }
        self.context
            .tail
            .push(level, self.camera.camera.as_str(), text);
    }

    fn report(&self, report: Report) {
        if self.context.reports.try_send(report).is_err() {
            tracing::debug!("a report was dropped: the plugin's task is busy or gone");
        }
    }

    /// Begins to make an instance of a generation, unless it runs already.
    fn follow(&mut self, generation: &Arc<Generation>) {
        let number = generation.number;
        let runs = self.active.as_ref().map(|a| a.generation.number);
        let comes = self.preparing.as_ref().map(|p| p.generation.number);
        if runs == Some(number) {
            self.preparing = None;
            return;
        }
        let is_kept = |f: &Fallback| f.active.generation.number == number;
        if self.fallback.as_ref().is_some_and(is_kept) {
            // Another camera has met the fault first.
            self.preparing = None;
            self.fall_back();
            self.set(|s| {
                s.state = RunState::Running;
                s.generation = number;
            });
            return;
        }
        if comes != Some(number) {
            self.resume = None;
            self.prepare(Arc::clone(generation));
        }
    }

    fn prepare(&mut self, generation: Arc<Generation>) {
        let (factory, camera) = (Arc::clone(&generation.factory), self.camera.clone());
        self.preparing = Some(Preparing {
            generation,
            making: Box::pin(async move { factory.make(&camera).await }),
        });
    }

    /// A replacement is there, or could not be made.
    async fn made(&mut self, made: Made) {
        let Some(Preparing { generation, .. }) = self.preparing.take() else {
            return;
        };
        match made {
            Ok((detector, want)) => {
                let new = Active {
                    detector,
                    want,
                    generation,
                    calls: 0,
                };
                self.switch(new).await;
            }
            Err(failure) => {
                if let Some(cause) = failure.cause() {
                    self.context.metrics.ended(cause);
                }
                let number = generation.number;
                let why = failure.to_string();
                self.say(
                    Level::Error,
                    format!("generation {number} can not start: {why}"),
                );
                self.report(Report::Refused {
                    generation: number,
                    why,
                });
                if self.active.is_none() {
                    self.set(|s| s.state = RunState::Refused);
                    self.failed(generation, failure.cause().is_some());
                }
            }
        }
    }

    /// Takes over between two frames.
    async fn switch(&mut self, mut new: Active) {
        let old = self.active.take();
        let mut fallback = None;
        if let Some(mut old) = old {
            let saved = old.detector.save().await;
            let mut alive = true;
            match saved {
                Ok(Some(saved)) => {
                    let version = &old.generation.version;
                    match new.detector.load(version, &saved).await {
                        Ok(()) => {}
                        Err(Failure::Said(why)) => {
                            let text = format!("the state of {version} was not taken over: {why}");
                            self.say(Level::Warn, text);
                        }
                        Err(ended) => {
                            self.ended(&ended);
                            self.active = Some(old);
                            self.roll_back(new.generation.number, &ended);
                            return;
                        }
                    }
                }
                Ok(None) => {}
                Err(failure) => {
                    alive = failure.cause().is_none();
                    self.say(Level::Warn, format!("no state was handed over: {failure}"));
                    if !alive {
                        self.ended(&failure);
                    }
                }
            }
            let recycled = old.generation.number == new.generation.number;
            if recycled {
                self.context.metrics.recycles.inc();
            } else {
                self.context.metrics.swaps.inc();
            }
            // One that went wrong on probation is not something to fall back on.
            let tried = self.fallback.take();
            if alive && !recycled {
                let active = match tried {
                    Some(before) if before.active.generation.number == new.generation.number => {
                        None
                    }
                    _ => Some(old),
                };
                fallback = active.map(|active| Fallback {
                    active,
                    calls_left: PROBATION_CALLS,
                    until: clock::now() + PROBATION_TIME,
                    tried: false,
                    answered: false,
                });
            }
        }
        let number = new.generation.number;
        self.watch(new.want);
        let per_minute = f64::from(new.generation.detections);
        self.detections = Bucket::new(per_minute / 60.0, per_minute);
        let state = if fallback.is_some() {
            RunState::Probation
        } else {
            RunState::Running
        };
        self.set(|s| {
            s.state = state;
            s.generation = number;
            s.want = Some(new.want);
        });
        if fallback.is_none() {
            self.report(Report::Confirmed { generation: number });
        }
        self.fallback = fallback;
        self.active = Some(new);
    }

    /// Keeps the frames that come already, if they are what is wanted.
    fn watch(&mut self, want: Want) {
        if self.reader.as_ref().is_none_or(|(have, _)| *have != want) {
            let reader = self.context.source.watch(&self.camera, &want);
            self.reader = Some((want, reader));
        }
    }

    async fn frame(&mut self, delivery: &Delivery) {
        let skipped = u64::from(delivery.info.dropped_before);
        self.context.metrics.frames_skipped.inc_by(skipped);
        if !self.has_share() {
            self.context.metrics.frames_skipped.inc();
            return;
        }
        // The second time is for the instance before, if there is one.
        for _ in 0..2 {
            let Some(active) = &mut self.active else {
                return;
            };
            let call = active.detector.on_frame(delivery);
            let called = spend(&active.generation.share, call).await;
            active.calls += 1;
            self.set(|s| s.frames += 1);
            if !self.take(Given::Frame, called).await {
                break;
            }
        }
        self.recycle();
    }

    async fn tick(&mut self) {
        if !self.has_share() {
            return;
        }
        let now = UnixMicros::from(clock::wall());
        let Some(active) = &mut self.active else {
            return;
        };
        let called = spend(&active.generation.share, active.detector.on_tick(now)).await;
        self.take(Given::Tick, called).await;
    }

    fn has_share(&self) -> bool {
        self.active.as_ref().is_some_and(|active| {
            let share = active.generation.share.lock();
            let mut share = share.unwrap_or_else(|e| e.into_inner());
            share.has_some(clock::now())
        })
    }

    /// Takes over what a call returned. Says whether the instance before has to do it again.
    async fn take(&mut self, given: Given, called: Result<Vec<Detection>, Failure>) -> bool {
        match called {
            Ok(detections) => {
                self.publish(detections);
                self.passed(given, true);
                false
            }
            Err(Failure::Said(error)) => {
                self.context.metrics.said.inc();
                if let Some(unsaid) = self.said.say(clock::now()) {
                    let before = match unsaid {
                        0 => String::new(),
                        more => format!(" (and {more} times since the last line about it)"),
                    };
                    self.say(Level::Warn, format!("it says, {error}{before}"));
                }
                if self.passed(given, false) {
                    return false;
                }
                let Some(failed) = self.active.take() else {
                    return false;
                };
                self.fall_back();
                self.roll_back(failed.generation.number, &Failure::Said(error));
                true
            }
            Err(ended) => {
                self.ended(&ended);
                let Some(failed) = self.active.take() else {
                    return false;
                };
                if self.fall_back() {
                    self.roll_back(failed.generation.number, &ended);
                    return true;
                }
                self.report(Report::Failed {
                    why: ended.to_string(),
                });
                self.failed(failed.generation, true);
                false
            }
        }
    }

    /// The instance that was kept takes over again, with the state that it had.
    fn fall_back(&mut self) -> bool {
        let Some(fallback) = self.fallback.take() else {
            return false;
        };
        self.watch(fallback.active.want);
        self.active = Some(fallback.active);
        true
    }

    fn ended(&self, failure: &Failure) {
        if let Some(cause) = failure.cause() {
            self.context.metrics.ended(cause);
            self.set(|s| s.failures += 1);
            self.say(Level::Error, failure.to_string());
        }
    }

    fn roll_back(&self, failed: u64, failure: &Failure) {
        let Some(active) = &self.active else { return };
        let number = active.generation.number;
        self.context.metrics.rollbacks.inc();
        self.set(|s| {
            s.state = RunState::Running;
            s.generation = number;
        });
        self.say(
            Level::Error,
            format!("generation {failed} failed on probation; generation {number} goes on"),
        );
        self.report(Report::RolledBack {
            generation: failed,
            why: failure.to_string(),
        });
    }

    /// A call has returned, and the instance lives. False if that ends a probation in which it has
    /// answered every frame with an error.
    fn passed(&mut self, given: Given, answered: bool) -> bool {
        let Some(fallback) = &mut self.fallback else {
            return true;
        };
        let frame = given == Given::Frame;
        fallback.tried |= frame;
        fallback.answered |= frame && answered;
        fallback.calls_left = fallback.calls_left.saturating_sub(1);
        if fallback.calls_left == 0 || clock::now() >= fallback.until {
            if fallback.tried && !fallback.answered {
                return answered;
            }
            self.fallback = None;
            self.set(|s| s.state = RunState::Running);
            if let Some(active) = &self.active {
                self.report(Report::Confirmed {
                    generation: active.generation.number,
                });
            }
        }
        true
    }

    /// Makes a fresh instance, at once or after a pause. One that refused its settings will refuse
    /// them again: it waits for others.
    fn failed(&mut self, generation: Arc<Generation>, again: bool) {
        if !again {
            return;
        }
        let now = clock::now();
        self.failures
            .retain(|at| now.saturating_duration_since(*at) < FAILURE_WINDOW);
        if self.failures.is_empty() {
            self.pauses = 0;
        }
        self.failures.push_back(now);
        if self.failures.len() < MAX_FAILURES {
            self.prepare(generation);
            return;
        }
        let pause = PAUSES
            .get(self.pauses)
            .copied()
            .unwrap_or(Duration::from_secs(300));
        self.pauses = (self.pauses + 1).min(PAUSES.len() - 1);
        self.resume = Some(now + pause);
        self.context.metrics.suspensions.inc();
        self.set(|s| s.state = RunState::Suspended);
        self.say(
            Level::Error,
            format!("suspended for {pause:?}: {MAX_FAILURES} failures within a minute"),
        );
    }

    fn recycle(&mut self) {
        if let Some(active) = &self.active
            && active.generation.recycle > 0
            && active.calls >= active.generation.recycle
            && self.preparing.is_none()
        {
            let generation = Arc::clone(&active.generation);
            self.prepare(generation);
        }
    }

    fn publish(&mut self, detections: Vec<Detection>) {
        let now = clock::now();
        let (mut kept, mut dropped) = (Vec::with_capacity(detections.len()), 0);
        for detection in detections {
            if self.detections.take(now) {
                kept.push(detection);
            } else {
                dropped += 1;
            }
        }
        self.context.metrics.detections_dropped.inc_by(dropped);
        if kept.is_empty() {
            return;
        }
        self.context.metrics.detections.inc_by(kept.len() as u64);
        self.set(|s| s.detections += kept.len() as u64);
        self.context
            .sink
            .publish(&self.camera, &self.context.plugin, &kept);
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        let status = self.status.lock().unwrap_or_else(|e| e.into_inner());
        self.context.metrics.cameras(status.state).dec();
    }
}

/// Runs a call and takes its CPU time off the plugin's share.
async fn spend<T>(share: &Mutex<Bucket>, call: impl Future<Output = T>) -> T {
    let meter = Arc::new(Meter::default());
    let metered = Metered {
        meter: Arc::clone(&meter),
        inner: Box::pin(call),
    };
    let value = metered.await;
    let mut share = share.lock().unwrap_or_else(|e| e.into_inner());
    share.spend(meter.used().as_secs_f64(), clock::now());
    value
}

async fn made(preparing: &mut Option<Preparing>) -> Made {
    match preparing {
        Some(preparing) => preparing.making.as_mut().await,
        None => std::future::pending().await,
    }
}

async fn next(reader: &mut Option<(Want, Box<dyn FrameReader>)>) -> Option<Delivery> {
    match reader {
        Some((_, reader)) => reader.next().await,
        None => std::future::pending().await,
    }
}

async fn until(resume: Option<Instant>) {
    match resume {
        Some(at) => clock::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
