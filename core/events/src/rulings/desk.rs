//! Asks the communes' policies, and has their rulings written down. Each commune's questions are asked one
//! after the other, so that an answer sees what followed from the one before; communes do not wait for each
//! other.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use taimat_base::tasks::Stop;
use taimat_base::{CommuneId, PluginId, Seldom, clock};
use taimat_contract::Unanswered;
use taimat_contract::policy::Ruling;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::task::{Id, JoinSet};

use super::builtin;
use crate::error::StoreError;
use crate::log::BUILT_IN;
use crate::room::{Events, now};
use crate::store::{Question, Ruled};
use crate::surroundings::Surroundings;
use crate::target::CommuneAlerts;

/// Questions of a commune that are asked before it is looked again who has some.
const ROUND: usize = 64;
/// A policy that is being loaded is waited for.
const LOADING: Duration = Duration::from_secs(20);
/// How soon it is looked again whether it is there.
const SOON: Duration = Duration::from_millis(200);
/// A policy that has not answered by then has no answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked what time it is.
const TICK: Duration = Duration::from_secs(1);
/// So long nothing is tried after the disk said no.
const DISK: Duration = Duration::from_secs(2);

/// The desk.
#[derive(Debug)]
pub(crate) struct Desk {
    events: Arc<Events>,
    around: Surroundings,
    /// Since when a commune has the policy that it has.
    since: Mutex<HashMap<CommuneId, (PluginId, Instant)>>,
}

/// Who rules, if it is known yet.
enum Answer {
    Ruled {
        ruling: Ruling,
        by: String,
        instead_of: Option<String>,
    },
    /// The policy is being loaded.
    NotYet,
}

impl Desk {
    pub(crate) fn new(events: Arc<Events>, around: Surroundings) -> Arc<Self> {
        Arc::new(Self {
            events,
            around,
            since: Mutex::default(),
        })
    }

    /// Asks until told to stop.
    pub(crate) async fn run(self: Arc<Self>, stop: Stop) {
        let mut news = self.events.store().follow();
        let mut rounds: JoinSet<()> = JoinSet::new();
        let mut busy: HashMap<CommuneId, Id> = HashMap::new();
        let mut failing = Seldom::default();
        if let Err(error) = self.events.store().woken(now()).await {
            tracing::error!(%error, "what waits can not be looked at");
        }
        loop {
            let due = self.due().await;
            let next = match due {
                Ok((communes, next)) => {
                    for commune in communes {
                        if let Entry::Vacant(idle) = busy.entry(commune.clone()) {
                            let desk = Arc::clone(&self);
                            let round = rounds.spawn(desk.round(commune, stop.clone()));
                            idle.insert(round.id());
                        }
                    }
                    next.min(TICK)
                }
                Err(error) => {
                    if let Some(unsaid) = failing.say(clock::now()) {
                        tracing::error!(%error, unsaid, "questions to policies can not be read");
                    }
                    DISK
                }
            };
            let next = clock::now() + next;
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(done) = rounds.join_next_with_id() => {
                    let ended = done.map_or_else(|panicked| panicked.id(), |(id, ())| id);
                    busy.retain(|_, round| *round != ended);
                }
                () = asked(&mut news) => {}
                () = clock::sleep_until(next) => {}
            }
            // Before it is looked at what is due.
            self.events.waits_from().await;
        }
        // What is being asked is asked again when the router starts anew.
        rounds.shutdown().await;
    }

    /// Whose questions are due, and how long until the next one is.
    async fn due(&self) -> Result<(Vec<CommuneId>, Duration), StoreError> {
        let store = Arc::clone(self.events.store());
        let read = tokio::task::spawn_blocking(move || {
            let now = now();
            let due = store.communes_with_questions(now)?;
            let next = store.next_question()?;
            let next = next.map_or(TICK, |next| next.since(now));
            // Those that are due are being asked.
            let next = if next.is_zero() { TICK } else { next };
            Ok((due, next))
        });
        read.await.unwrap_or(Err(StoreError::Stopped))
    }

    /// Asks what a commune's policy has to be asked.
    async fn round(self: Arc<Self>, commune: CommuneId, stop: Stop) {
        for _ in 0..ROUND {
            if stop.is_cancelled() {
                break;
            }
            match self.one(&commune).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::error!(%error, %commune, "a ruling can not be written down");
                    clock::sleep_until(clock::now() + DISK).await;
                    break;
                }
            }
        }
    }

    /// Asks one question; whether there may be more.
    async fn one(&self, commune: &CommuneId) -> Result<bool, StoreError> {
        let (store, whose) = (Arc::clone(self.events.store()), commune.clone());
        let read = tokio::task::spawn_blocking(move || store.question(&whose, now()));
        let question = read.await.unwrap_or(Err(StoreError::Stopped))?;
        let Some(question) = question else {
            return Ok(false);
        };
        let alerts = self.events.alerts(commune);
        let answer = self.ask(commune, &alerts, &question).await;
        let Answer::Ruled {
            ruling,
            by,
            instead_of,
        } = answer
        else {
            clock::sleep_until(clock::now() + SOON).await;
            return Ok(false);
        };
        self.events.ruled_instead(commune, instead_of.as_deref());
        let (why, asked_at) = (question.situation.why, question.situation.now);
        let ruled = Ruled {
            question: question.number,
            event: question.event.id,
            why,
            by,
            instead_of,
            ruling,
            alerts,
        };
        let at = self.events.waits_from().await;
        self.events.store().rule(ruled, at).await?;
        let metrics = self.events.metrics();
        metrics.ruling.observe(now().since(asked_at).as_secs_f64());
        Ok(true)
    }

    async fn ask(
        &self,
        commune: &CommuneId,
        alerts: &CommuneAlerts,
        question: &Question,
    ) -> Answer {
        let metrics = self.events.metrics();
        let event = match question.event.for_plugins() {
            Ok(event) => event,
            Err(error) => {
                tracing::error!(%error, event = %question.event.id, "an event is of no plugin");
                return Answer::Ruled {
                    ruling: Ruling::default(),
                    by: BUILT_IN.into(),
                    instead_of: None,
                };
            }
        };
        let situation = &question.situation;
        let built_in = |instead_of| Answer::Ruled {
            ruling: builtin::rule(alerts, &event, situation),
            by: BUILT_IN.into(),
            instead_of,
        };
        let Some(name) = &alerts.policy else {
            metrics.rulings.with_label_values(&["rules"]).inc();
            return built_in(None);
        };
        let answered = match self.around.policies.policy(commune, name) {
            None => Err(Unanswered::NotRunning),
            Some(policy) => {
                let asked = policy.on_event(&event, situation);
                let answered = tokio::time::timeout(PATIENCE, asked).await;
                answered.unwrap_or(Err(Unanswered::Busy))
            }
        };
        match answered {
            Ok(ruling) => {
                metrics.rulings.with_label_values(&["policy"]).inc();
                Answer::Ruled {
                    ruling,
                    by: name.to_string(),
                    instead_of: None,
                }
            }
            Err(Unanswered::NotRunning) if self.is_new(commune, name) => Answer::NotYet,
            Err(error) => {
                metrics.rulings.with_label_values(&["instead"]).inc();
                built_in(Some(format!("{name}: {error}")))
            }
        }
    }

    /// Whether a policy is the commune's only since a moment, so that it may still be loading.
    fn is_new(&self, commune: &CommuneId, name: &PluginId) -> bool {
        let mut since = self.since.lock().unwrap_or_else(|e| e.into_inner());
        let now = clock::now();
        match since.get(commune) {
            Some((known, since)) if known == name => {
                now.saturating_duration_since(*since) < LOADING
            }
            _ => {
                since.insert(commune.clone(), (name.clone(), now));
                true
            }
        }
    }
}

/// Something happened that a policy has to be asked about.
async fn asked(news: &mut tokio::sync::broadcast::Receiver<Arc<crate::log::Told>>) {
    loop {
        match news.recv().await {
            Ok(told) if told.entry.happening.asks().is_none() => continue,
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => std::future::pending().await,
        }
        // Many that come at once are one reason to look.
        while !matches!(
            news.try_recv(),
            Err(TryRecvError::Empty | TryRecvError::Closed)
        ) {}
        return;
    }
}
