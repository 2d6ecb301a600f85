//! The place of a plugin's instance: who sits there, who comes, who waits to come back.
//!
//! A replacement is made beside the running instance and takes over between two questions. It is on
//! probation then: if it fails, or answers nothing but errors, the one before gets the same question
//! and stays. An instance that fails without such a one is replaced by a fresh one; after the third
//! time in a minute there is a pause first. What is asked, and what becomes of the answers, is the
//! matter of the plugin's kind.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use async_trait::async_trait;
use taimat_base::{PluginId, Seldom, clock};
use taimat_contract::{DetectionSink, Failure, FrameSource, Want};
use tokio::sync::{mpsc, watch};

use crate::board::SharedRunStatus;
use crate::budget::Budget;
use crate::cpu::{Meter, Metered};
use crate::desk::Desk;
use crate::generation::{CpuShare, Generation};
use crate::metrics::PluginMetrics;
use crate::place::Place;
use crate::probation::{Given, Probation, Verdict};
use crate::states::RunState;
use crate::status::RunStatus;
use crate::suspension::{Failures, MAX_FAILURES};
use crate::tail::{Level, Tail};

/// What the plugin's task has to know.
#[derive(Debug)]
pub(crate) enum SeatReport {
    /// A generation failed on probation, and the one before runs again.
    RolledBack { generation: u64, why: String },
    /// A generation could not be made here; what ran goes on.
    Refused { generation: u64, why: String },
    /// A generation has passed its probation.
    Confirmed { generation: u64 },
    /// It failed.
    Failed { why: String },
}

/// What all seats of a plugin share.
#[derive(Debug, Clone)]
pub(crate) struct SeatContext {
    pub(crate) plugin: PluginId,
    pub(crate) source: Arc<dyn FrameSource>,
    pub(crate) sink: Arc<dyn DetectionSink>,
    pub(crate) metrics: Arc<PluginMetrics>,
    pub(crate) tail: Arc<Tail>,
    pub(crate) reports: mpsc::Sender<SeatReport>,
    /// Where the house's questions wait, for kinds that are asked.
    pub(crate) desk: Arc<Desk>,
}

/// The generation that is to run.
pub(crate) type Desired = watch::Receiver<Arc<Generation>>;

/// Who can sit: an instance of a plugin, ready to be asked.
#[async_trait]
pub(crate) trait Guest: Send + 'static {
    /// What it gets to see, for the status.
    fn want(&self) -> Option<Want>;
    /// State for its successor, if it has any.
    async fn save(&mut self) -> Result<Option<Vec<u8>>, Failure>;
    /// State of the one before, of that version.
    async fn load(&mut self, from_version: &str, saved: &[u8]) -> Result<(), Failure>;
}

/// A guest that is being made.
type Making<G> = Pin<Box<dyn Future<Output = Result<G, Failure>> + Send>>;
/// How one is made.
type Make<G> = fn(Arc<Generation>, Place, Arc<Budget>) -> Making<G>;

struct Active<G> {
    guest: G,
    generation: Arc<Generation>,
    calls: u64,
}

/// The instance before, for as long as the new one is on probation.
struct Fallback<G> {
    active: Active<G>,
    probation: Probation,
}

/// A replacement that is being made.
struct Preparing<G> {
    generation: Arc<Generation>,
    making: Making<G>,
}

/// What came of a question.
pub(crate) enum Answer<T> {
    /// This.
    Given(T),
    /// Who was asked has failed, and the one before sits there again: it has to be asked too.
    Again,
    /// Nothing, for this reason.
    Failed(Failure),
}

/// CPU time of the one whose turn it is.
pub(crate) struct Share(CpuShare);

impl Share {
    /// Runs a call and takes its CPU time off the plugin's share.
    pub(crate) async fn spend<T>(&self, call: impl Future<Output = T>) -> T {
        let meter = Arc::new(Meter::default());
        let metered = Metered {
            meter: Arc::clone(&meter),
            inner: Box::pin(call),
        };
        let value = metered.await;
        let mut share = self.0.lock().unwrap_or_else(|e| e.into_inner());
        share.spend(meter.used().as_secs_f64(), clock::now());
        value
    }
}

/// A place.
pub(crate) struct Seat<G> {
    place: Place,
    context: SeatContext,
    status: SharedRunStatus,
    budget: Arc<Budget>,
    make: Make<G>,
    active: Option<Active<G>>,
    fallback: Option<Fallback<G>>,
    preparing: Option<Preparing<G>>,
    failures: Failures,
    resume: Option<Instant>,
    said: Seldom,
}

impl<G: Guest> Seat<G> {
    pub(crate) fn new(
        place: Place,
        context: SeatContext,
        make: Make<G>,
    ) -> (Self, SharedRunStatus) {
        let status = Arc::new(Mutex::new(RunStatus {
            state: RunState::Starting,
            generation: 0,
            frames: 0,
            detections: 0,
            failures: 0,
            want: None,
        }));
        context.metrics.cameras(RunState::Starting).inc();
        let seat = Self {
            place,
            context,
            status: Arc::clone(&status),
            budget: Arc::default(),
            make,
            active: None,
            fallback: None,
            preparing: None,
            failures: Failures::default(),
            resume: None,
            said: Seldom::default(),
        };
        (seat, status)
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    pub(crate) fn context(&self) -> &SeatContext {
        &self.context
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Who sits there.
    pub(crate) fn guest(&self) -> Option<&G> {
        self.active.as_ref().map(|active| &active.guest)
    }

    /// Whose turn it is, to be asked one question on its share.
    pub(crate) fn turn(&mut self) -> Option<(&mut G, Share)> {
        let active = self.active.as_mut()?;
        active.calls += 1;
        Some((
            &mut active.guest,
            Share(Arc::clone(&active.generation.share)),
        ))
    }

    /// Whether somebody is about to sit down.
    pub(crate) fn is_preparing(&self) -> bool {
        self.preparing.is_some()
    }

    /// When one that was suspended may be tried again.
    pub(crate) fn resume_at(&self) -> Option<Instant> {
        self.resume
    }

    /// The pause is over.
    pub(crate) fn resume(&mut self, generation: &Arc<Generation>) {
        self.resume = None;
        self.follow(generation);
    }

    /// Waits until a replacement is there, or could not be made.
    pub(crate) async fn made(&mut self) -> Result<G, Failure> {
        match &mut self.preparing {
            Some(preparing) => preparing.making.as_mut().await,
            None => std::future::pending().await,
        }
    }

    /// Changes the status, and what is counted by state.
    pub(crate) fn set(&self, change: impl FnOnce(&mut RunStatus)) {
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
        self.context.tail.push(level, self.place.label(), text);
    }

    fn report(&self, report: SeatReport) {
        if self.context.reports.try_send(report).is_err() {
            tracing::debug!("a report was dropped: the plugin's task is busy or gone");
        }
    }

    /// Begins to make an instance of a generation, unless it runs already.
    pub(crate) fn follow(&mut self, generation: &Arc<Generation>) {
        let number = generation.number;
        let runs = self.active.as_ref().map(|a| a.generation.number);
        let comes = self.preparing.as_ref().map(|p| p.generation.number);
        if runs == Some(number) {
            self.preparing = None;
            return;
        }
        let is_kept = |f: &Fallback<G>| f.active.generation.number == number;
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
        self.budget.limit(&generation.context.limits);
        let budget = Arc::clone(&self.budget);
        let making = (self.make)(Arc::clone(&generation), self.place.clone(), budget);
        let share = Share(Arc::clone(&generation.share));
        self.preparing = Some(Preparing {
            generation,
            // Who is made again and again has less time to answer.
            making: Box::pin(async move { share.spend(making).await }),
        });
    }

    /// A replacement is there, or could not be made.
    pub(crate) async fn take_place(&mut self, made: Result<G, Failure>) {
        let Some(Preparing { generation, .. }) = self.preparing.take() else {
            return;
        };
        match made {
            Ok(guest) => {
                let new = Active {
                    guest,
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
                self.report(SeatReport::Refused {
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

    /// Takes over between two questions.
    async fn switch(&mut self, mut new: Active<G>) {
        let old = self.active.take();
        let mut fallback = None;
        if let Some(mut old) = old {
            let saved = old.guest.save().await;
            let mut alive = true;
            match saved {
                Ok(Some(saved)) => {
                    let version = &old.generation.version;
                    match new.guest.load(version, &saved).await {
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
                let again = |f: &Fallback<G>| f.active.generation.number == new.generation.number;
                let active = (!tried.as_ref().is_some_and(again)).then_some(old);
                fallback = active.map(|active| Fallback {
                    active,
                    probation: Probation::begin(clock::now()),
                });
            }
        }
        let number = new.generation.number;
        let state = if fallback.is_some() {
            RunState::Probation
        } else {
            RunState::Running
        };
        self.set(|s| {
            s.state = state;
            s.generation = number;
            s.want = new.guest.want();
        });
        if fallback.is_none() {
            self.report(SeatReport::Confirmed { generation: number });
        }
        self.fallback = fallback;
        self.active = Some(new);
    }

    /// Whether the plugin has CPU time left.
    pub(crate) fn has_share(&self) -> bool {
        self.active.as_ref().is_some_and(|active| {
            let share = active.generation.share.lock();
            let mut share = share.unwrap_or_else(|e| e.into_inner());
            share.has_some(clock::now())
        })
    }

    /// What to make of what a call returned.
    pub(crate) fn judge<T>(&mut self, given: Given, called: Result<T, Failure>) -> Answer<T> {
        match called {
            Ok(answer) => {
                self.passed(given, true);
                Answer::Given(answer)
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
                let said = Failure::Said(error);
                if self.passed(given, false) {
                    return Answer::Failed(said);
                }
                let Some(failed) = self.active.take() else {
                    return Answer::Failed(said);
                };
                self.fall_back();
                self.roll_back(failed.generation.number, &said);
                Answer::Again
            }
            Err(ended) => {
                self.ended(&ended);
                let Some(failed) = self.active.take() else {
                    return Answer::Failed(ended);
                };
                if self.fall_back() {
                    self.roll_back(failed.generation.number, &ended);
                    return Answer::Again;
                }
                self.report(SeatReport::Failed {
                    why: ended.to_string(),
                });
                self.failed(failed.generation, true);
                Answer::Failed(ended)
            }
        }
    }

    /// The instance that was kept takes over again, with the state that it had.
    fn fall_back(&mut self) -> bool {
        let Some(fallback) = self.fallback.take() else {
            return false;
        };
        let want = fallback.active.guest.want();
        self.set(|s| s.want = want);
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
        self.report(SeatReport::RolledBack {
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
                self.report(SeatReport::Confirmed {
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

    /// Begins to replace an instance that has made as many calls as it may.
    pub(crate) fn recycle(&mut self) {
        if let Some(active) = &self.active
            && active.generation.context.limits.recycle > 0
            && active.calls >= active.generation.context.limits.recycle
            && self.preparing.is_none()
        {
            let generation = Arc::clone(&active.generation);
            self.prepare(generation);
        }
    }
}

impl<G> Drop for Seat<G> {
    fn drop(&mut self) {
        let status = self.status.lock().unwrap_or_else(|e| e.into_inner());
        self.context.metrics.cameras(status.state).dec();
    }
}
