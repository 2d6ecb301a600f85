//! One plugin at one camera: owns the instance, gives it frames, replaces it.
//!
//! A replacement is made beside the running one and takes over between two frames. It is on
//! probation then: if it fails, or answers nothing but errors, the one before gets the same frame and
//! stays. An instance that fails without such a one is replaced by a fresh one; after the third time
//! in a minute there is a pause first.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

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
use crate::probation::{Given, Probation, Verdict};
use crate::status::{RunState, RunStatus};
use crate::suspension::{Failures, MAX_FAILURES};

/// How often `on-tick` is called.
const TICK: Duration = Duration::from_secs(1);

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

/// The instance before, for as long as the new one is on probation.
struct Fallback {
    active: Active,
    probation: Probation,
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
    failures: Failures,
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
            failures: Failures::default(),
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
                () = clock::until(resume) => {
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
            let tried = self.fallback.take();
            if recycled {
                // Its successor is the same, and goes on with what is left of a probation.
                fallback = tried;
            } else if alive {
                // One that went wrong on probation is not something to fall back on.
                let again = |f: &Fallback| f.active.generation.number == new.generation.number;
                let active = (!tried.as_ref().is_some_and(again)).then_some(old);
                fallback = active.map(|active| Fallback {
                    active,
                    probation: Probation::begin(clock::now()),
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
        let verdict = fallback.probation.call(given, answered, clock::now());
        if verdict == Verdict::Passed {
            self.fallback = None;
            self.set(|s| s.state = RunState::Running);
            if let Some(active) = &self.active {
                self.report(Report::Confirmed {
                    generation: active.generation.number,
                });
            }
        }
        verdict != Verdict::Failed
    }

    /// Makes a fresh instance, at once or after a pause. One that refused its settings will refuse
    /// them again: it waits for others.
    fn failed(&mut self, generation: Arc<Generation>, again: bool) {
        if !again {
            return;
        }
        let now = clock::now();
        let Some(pause) = self.failures.another(now) else {
            self.prepare(generation);
            return;
        };
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
