//! How somebody takes the place: one that was made takes it over with its state, one that could not be made
//! is tried again or not.

use std::sync::Arc;

use taimat_base::clock;
use taimat_contract::{Failure, PluginError};

use super::{Active, Fallback, Guest, Preparing, Seat, SeatReport};
use crate::generation::Generation;
use crate::probation::Probation;
use crate::states::RunState;
use crate::tail::Level;

/// What came of handing the state over.
enum HandedOver {
    /// The former instance may be kept to fall back on.
    Alive,
    /// It ended over it.
    OldEnded,
    /// The new one did.
    NewEnded(Failure),
}

impl<G: Guest> Seat<G> {
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
            Err(failure) => self.not_made(generation, failure),
        }
    }

    /// What becomes of a generation of which no instance could be made.
    fn not_made(&mut self, generation: Arc<Generation>, failure: Failure) {
        if let Some(cause) = failure.cause() {
            self.context.metrics.ended(cause);
        }
        let (now, number, why) = (clock::now(), generation.number, failure.to_string());
        let runs = self.active.as_ref().map(|active| active.generation.number);
        if runs == Some(number) {
            self.not_recycled(why);
            return;
        }
        let text = format!("generation {number} can not start: {why}");
        self.say(Level::Error, text);
        match failure {
            // It says that it may work later: that is no reason to refuse it.
            Failure::Said(PluginError::Retry(_)) => {
                self.report(SeatReport::Failed { why });
                let pause = self.failures.for_now(now);
                if runs.is_some() {
                    self.resume = Some(now + pause);
                } else {
                    self.suspend(pause, "it does not start for now", now);
                }
            }
            // One that refused its settings will refuse them again: it waits for others.
            Failure::Said(_) => {
                if runs.is_none() {
                    self.set(|s| s.state = RunState::Refused);
                }
                self.report(SeatReport::Refused {
                    generation: number,
                    why,
                });
            }
            Failure::Ended { .. } => {
                if runs.is_none() {
                    self.failed(generation);
                }
                self.report(SeatReport::Refused {
                    generation: number,
                    why,
                });
            }
        }
    }

    /// An instance has made as many calls as it may, and there is no fresh one: it goes on until there is.
    fn not_recycled(&mut self, why: String) {
        let pause = self.recycling.pauses.another();
        self.recycling.not_before = Some(clock::now() + pause);
        let text = format!("no fresh instance can be made, the next try is in {pause:?}: {why}");
        self.say(Level::Error, text);
        self.report(SeatReport::Failed { why });
    }

    /// Takes over between two questions.
    async fn switch(&mut self, mut new: Active<G>) {
        let number = new.generation.number;
        let mut fallback = None;
        if let Some(mut old) = self.active.take() {
            let alive = match self.hand_over(&mut old, &mut new).await {
                HandedOver::Alive => true,
                HandedOver::OldEnded => false,
                HandedOver::NewEnded(ended) => {
                    self.ended(&ended);
                    let recycled = old.generation.number == number;
                    self.active = Some(old);
                    if recycled {
                        self.not_recycled(ended.to_string());
                    } else {
                        self.roll_back(number, &ended);
                    }
                    return;
                }
            };
            fallback = self.kept(old, alive, number);
        }
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
        (self.fallback, self.active) = (fallback, Some(new));
    }

    /// Gives the state of the one to the other. Without it the new one begins anew, which is no fault.
    #[expect(
        clippy::needless_pass_by_ref_mut,
        reason = "a seat that is only read is not held over an await: what is being made is not Sync"
    )]
    async fn hand_over(&mut self, old: &mut Active<G>, new: &mut Active<G>) -> HandedOver {
        let saved = match old.guest.save().await {
            Ok(Some(saved)) => saved,
            Ok(None) => return HandedOver::Alive,
            Err(failure) => {
                self.say(Level::Warn, format!("no state was handed over: {failure}"));
                if failure.cause().is_none() {
                    return HandedOver::Alive;
                }
                self.ended(&failure);
                return HandedOver::OldEnded;
            }
        };
        let version = &old.generation.version;
        match new.guest.load(version, &saved).await {
            Ok(()) => {}
            Err(Failure::Said(why)) => {
                let text = format!("the state of {version} was not taken over: {why}");
                self.say(Level::Warn, text);
            }
            Err(ended) => return HandedOver::NewEnded(ended),
        }
        HandedOver::Alive
    }

    /// What is kept to fall back on while the instance of this generation proves itself, if it has to.
    fn kept(&mut self, old: Active<G>, alive: bool, number: u64) -> Option<Fallback<G>> {
        let tried = self.fallback.take();
        if old.generation.number == number {
            self.context.metrics.recycles.inc();
            self.recycling = super::Recycling::default();
            // Its successor is the same, and goes on with what is left of a probation.
            return tried;
        }
        self.context.metrics.swaps.inc();
        let active = match tried {
            // One that went wrong on probation is not something to fall back on.
            Some(tried) if tried.active.generation.number == number => None,
            // One that has not proved itself yet is not either: that is the one before it.
            Some(tried) => Some(tried.active),
            None => alive.then_some(old),
        };
        active.map(|active| Fallback {
            active,
            probation: Probation::begin(clock::now()),
        })
    }
}
