//! The place of a plugin's instance: who sits there, who comes, who waits to come back.
//!
//! A replacement is made beside the running instance and takes over between two questions. It is on
//! probation then: if it fails, or answers nothing but errors, the one before gets the same question
//! and stays. An instance that fails without such a one is replaced by a fresh one; after the third
//! time in a minute there is a pause first. What is asked, and what becomes of the answers, is the
//! matter of the plugin's kind.

mod taking;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use taimat_base::{PluginId, Seldom, clock};
use taimat_contract::{DetectionSink, Failure, FrameSource, Want};
use tokio::sync::{mpsc, watch};

use crate::board::SharedRunStatus;
use crate::budget::Budget;
use crate::desk::Desk;
use crate::generation::Generation;
use crate::metrics::PluginMetrics;
use crate::place::Place;
use crate::probation::{Given, Probation, Verdict};
use crate::states::RunState;
use crate::status::RunStatus;
use crate::suspension::{Failures, MAX_FAILURES, Pauses};
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
pub(crate) type Making<G> = Pin<Box<dyn Future<Output = Result<G, Failure>> + Send>>;
/// How one is made.
pub(crate) type Make<G> = fn(Arc<Generation>, Place, Arc<Budget>) -> Making<G>;

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
    /// When to try again what is desired.
    resume: Option<Instant>,
    recycling: Recycling,
    said: Seldom,
}

/// When an instance that has made as many calls as it may is to be replaced.
#[derive(Debug, Default)]
struct Recycling {
    pauses: Pauses,
    /// The last attempt failed: not before then.
    not_before: Option<Instant>,
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
        let own = context.metrics.own(&place);
        let seat = Self {
            place,
            context,
            status: Arc::clone(&status),
            budget: Arc::new(Budget::new(own)),
            make,
            active: None,
            fallback: None,
            preparing: None,
            failures: Failures::default(),
            resume: None,
            recycling: Recycling::default(),
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

    /// Whose turn it is, to be asked one question.
    pub(crate) fn turn(&mut self) -> Option<&mut G> {
        let active = self.active.as_mut()?;
        active.calls += 1;
        Some(&mut active.guest)
    }

    /// Whether somebody is about to sit down.
    pub(crate) fn is_preparing(&self) -> bool {
        self.preparing.is_some()
    }

    /// When one that was suspended, or could not be made for now, may be tried again.
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
            (self.preparing, self.resume) = (None, None);
            return;
        }
        let is_kept = |f: &Fallback<G>| f.active.generation.number == number;
        if self.fallback.as_ref().is_some_and(is_kept) {
            // Another camera has met the fault first.
            (self.preparing, self.resume) = (None, None);
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
        if self.active.is_none() {
            self.set(|s| s.state = RunState::Starting);
        }
        self.preparing = Some(Preparing { generation, making });
    }

    /// Whether the plugin has CPU time left.
    pub(crate) fn has_share(&self) -> bool {
        self.active.as_ref().is_some_and(|active| {
            active
                .generation
                .context
                .common
                .share
                .has_some(clock::now())
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
                self.failed(failed.generation);
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
        let state = match self.fallback {
            Some(_) => RunState::Probation,
            None => RunState::Running,
        };
        self.context.metrics.rollbacks.inc();
        self.set(|s| {
            s.state = state;
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
        let (Some(fallback), Some(active)) = (&mut self.fallback, &self.active) else {
            return true;
        };
        let (now, generation) = (clock::now(), Arc::clone(&active.generation));
        let verdict = fallback.probation.call(given, answered, now);
        // Where nothing is there to be asked about, the one before is not kept for ever once the new one
        // has passed elsewhere.
        let elsewhere = fallback.probation.is_idle(now) && generation.is_proven();
        if verdict == Verdict::Passed || elsewhere {
            generation.prove();
            self.fallback = None;
            self.set(|s| s.state = RunState::Running);
            self.report(SeatReport::Confirmed {
                generation: generation.number,
            });
        }
        verdict != Verdict::Failed
    }

    /// Makes a fresh instance, at once or after a pause.
    fn failed(&mut self, generation: Arc<Generation>) {
        let now = clock::now();
        let Some(pause) = self.failures.another(now) else {
            self.prepare(generation);
            return;
        };
        let why = format!("{MAX_FAILURES} failures within a minute");
        self.suspend(pause, &why, now);
    }

    /// Nobody sits there until the pause is over.
    fn suspend(&mut self, pause: Duration, why: &str, now: Instant) {
        self.resume = Some(now + pause);
        self.context.metrics.suspensions.inc();
        self.set(|s| s.state = RunState::Suspended);
        self.say(Level::Error, format!("suspended for {pause:?}: {why}"));
    }

    /// Begins to replace an instance that has made as many calls as it may.
    pub(crate) fn recycle(&mut self) {
        if let Some(active) = &self.active
            && active.generation.context.limits.recycle > 0
            && active.calls >= active.generation.context.limits.recycle
            && self.preparing.is_none()
            && self
                .recycling
                .not_before
                .is_none_or(|at| at <= clock::now())
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
