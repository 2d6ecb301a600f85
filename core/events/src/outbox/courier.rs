//! Tells targets. Each target has its turn by itself: one that hangs delays nobody else.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use taimat_base::tasks::Stop;
use taimat_base::{CommuneId, PluginId, Seldom, clock};
use taimat_contract::alerter::{Alerter, Decision, Item, Planned, Sent, Task};
use taimat_contract::{Dispatch, Unanswered};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::task::{Id, JoinSet};

use super::course::{self, Next};
use super::media::TaskMedia;
use crate::delivery::Progress;
use crate::error::StoreError;
use crate::log::Happening;
use crate::room::{Events, now};
use crate::store::{End, Ended, Head, HeadEvent, Tried, Turn};
use crate::surroundings::Surroundings;
use crate::target::{self, LOG_ALERTER, Target};

/// How often it is looked for what is due, whatever is heard.
const TICK: Duration = Duration::from_secs(5);
/// So long nothing is tried after the disk said no.
const DISK: Duration = Duration::from_secs(2);
/// What is on its way when the router stops has so long to arrive.
const GOODBYE: Duration = Duration::from_secs(1);
/// An alerter may have other messages in place of those before so often.
const MAX_REPLACED: u32 = 16;
/// An alerter that does not answer is asked again after this, and up to this.
const SOON: Duration = Duration::from_secs(2);
const LATER: Duration = Duration::from_secs(300);
/// An alerter that has not answered by then has no answer.
const PATIENCE: Duration = Duration::from_secs(10);

type Whom = (CommuneId, String);

/// Tells targets what was ruled.
#[derive(Debug)]
pub(crate) struct Courier {
    pub(super) events: Arc<Events>,
    pub(super) around: Surroundings,
}

impl Courier {
    pub(crate) fn new(events: Arc<Events>, around: Surroundings) -> Arc<Self> {
        Arc::new(Self { events, around })
    }

    /// Tells until told to stop. What is on its way then is sent again when the router starts anew, with
    /// the same key.
    pub(crate) async fn run(self: Arc<Self>, stop: Stop) {
        let mut news = self.events.store().follow();
        let mut rounds: JoinSet<()> = JoinSet::new();
        let mut busy: HashMap<Whom, Id> = HashMap::new();
        let mut failing = Seldom::default();
        loop {
            let next = match self.due(busy.keys().cloned().collect()).await {
                Ok((due, next)) => {
                    for whom in due {
                        let round = Arc::clone(&self).round(whom.clone(), stop.clone());
                        busy.insert(whom, rounds.spawn(round).id());
                    }
                    next
                }
                Err(error) => {
                    if let Some(unsaid) = failing.say(clock::now()) {
                        tracing::error!(%error, unsaid, "the outbox can not be read");
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
                () = waits(&mut news) => {}
                () = clock::sleep_until(next) => {}
            }
        }
        // What is on its way may still arrive.
        let ends = async { while rounds.join_next().await.is_some() {} };
        drop(tokio::time::timeout(GOODBYE, ends).await);
    }

    /// Targets whose turn it is, and how long until the next one's.
    async fn due(&self, busy: HashSet<Whom>) -> Result<(Vec<Whom>, Duration), StoreError> {
        let events = Arc::clone(&self.events);
        let read = tokio::task::spawn_blocking(move || {
            let (store, now) = (events.store(), now());
            let (depth, oldest) = store.backlog(now)?;
            let metrics = events.metrics();
            metrics.outbox_depth.set(i64::try_from(depth).unwrap_or(0));
            let age = oldest.map_or(0.0, |oldest| now.since(oldest).as_secs_f64());
            metrics.outbox_age.set(age);
            let (mut due, mut next) = (Vec::new(), TICK);
            for whom in store.waiting_targets()? {
                if busy.contains(&whom) {
                    continue;
                }
                match store.turn(&whom.0, &whom.1, now)? {
                    Turn::Now(_) => due.push(whom),
                    Turn::Later(at) => next = next.min(at.since(now)),
                    Turn::Idle => {}
                }
            }
            Ok((due, next))
        });
        read.await.unwrap_or(Err(StoreError::Stopped))
    }

    /// Tells a target all that is due.
    async fn round(self: Arc<Self>, whom: Whom, stop: Stop) {
        while !stop.is_cancelled() {
            match self.one(&whom).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::error!(%error, commune = %whom.0, target = whom.1, "the outbox");
                    clock::sleep_until(clock::now() + DISK).await;
                    break;
                }
            }
        }
    }

    /// Carries the delivery whose turn it is on; whether there was one.
    async fn one(&self, whom: &Whom) -> Result<bool, StoreError> {
        let (store, (commune, name)) = (Arc::clone(self.events.store()), whom.clone());
        let read = tokio::task::spawn_blocking(move || store.turn(&commune, &name, now()));
        let Turn::Now(head) = read.await.unwrap_or(Err(StoreError::Stopped))? else {
            return Ok(false);
        };
        let alerts = self.events.alerts(&whom.0);
        match alerts.target(&whom.1) {
            None => {
                let why = "the commune has no such target any more";
                self.ends(whom, &head, None, End::Failed(why.into()), None)
                    .await?;
            }
            Some(target) => {
                let delivery = Underway {
                    courier: self,
                    whom,
                    target,
                    head: *head,
                };
                delivery.carry_on().await?;
            }
        }
        Ok(true)
    }

    async fn ends(
        &self,
        (commune, name): &Whom,
        head: &Head,
        target: Option<&Target>,
        end: End,
        receipt: Option<String>,
    ) -> Result<(), StoreError> {
        let at = now();
        let metrics = self.events.metrics();
        let result = match end {
            End::Delivered => "delivered",
            End::Failed(_) => "failed",
            End::Gone(_) => "gone",
            End::Skipped(_) => "skipped",
        };
        let ended = Ended {
            number: head.number,
            commune: commune.clone(),
            target: name.clone(),
            attempts: head.attempts,
            receipt,
            end,
        };
        self.events
            .store()
            .ended(ended, target.cloned(), at)
            .await?;
        metrics
            .deliveries
            .with_label_values(&[commune.as_str(), result])
            .inc();
        if result == "delivered" {
            metrics.receipt.observe(at.since(head.made).as_secs_f64());
        }
        Ok(())
    }

    /// Who words messages for a target.
    fn alerter(&self, commune: &CommuneId, name: &PluginId) -> Option<Arc<dyn Alerter>> {
        self.around.alerters.alerter(commune, name)
    }
}

/// A delivery that is being carried on.
pub(super) struct Underway<'a> {
    pub(super) courier: &'a Courier,
    pub(super) whom: &'a Whom,
    target: &'a Target,
    pub(super) head: Head,
}

impl Underway<'_> {
    pub(super) async fn ends(&self, end: End, receipt: Option<String>) -> Result<(), StoreError> {
        let target = Some(self.target);
        let ends = self
            .courier
            .ends(self.whom, &self.head, target, end, receipt);
        ends.await
    }

    async fn carry_on(mut self) -> Result<(), StoreError> {
        let events = &self.courier.events;
        if self.head.events.is_empty() {
            let why = "its events are not kept any more";
            return self.ends(End::Skipped(why.into()), None).await;
        }
        if self.target.alerter.as_str() == LOG_ALERTER {
            for told in &self.head.events {
                let (target, event) = (&self.whom.1, &told.event);
                tracing::info!(
                    target, commune = %event.commune, camera = event.camera.as_ref().map(|c| c.as_str()),
                    kind = event.kind, severity = event.severity.as_str(), phase = event.phase.as_str(),
                    event = %event.id, revision = event.revision, "an alert"
                );
            }
            return self.ends(End::Delivered, None).await;
        }
        if let Some((_, number)) = target::browser(&self.whom.1) {
            return Box::pin(self.push(number)).await;
        }
        let alerter = self.courier.alerter(&self.whom.0, &self.target.alerter);
        let Some(alerter) = alerter else {
            return self.wait_for_alerter(&Unanswered::NotRunning, None).await;
        };
        let mut progress = match self.head.progress.take() {
            Some(progress) => progress,
            None => match self.compose(&*alerter).await? {
                Some(progress) => progress,
                None => return Ok(()),
            },
        };
        let media = TaskMedia::new(events.store(), &progress.task, self.courier.around.shrink);
        while let Some(planned) = progress.next().cloned() {
            let (reply, at) = match progress.reply.take() {
                Some(answer) => answer,
                None => {
                    if self.head.attempts == 0 {
                        let waited = now().since(self.head.made);
                        events.metrics().first_attempt.observe(waited.as_secs_f64());
                    }
                    progress.attempt += 1;
                    self.head.attempts += 1;
                    let key = progress.message_key();
                    let dispatch = Dispatch {
                        commune: &self.whom.0,
                        key: &key,
                        message: &planned.message,
                    };
                    let reply = self.courier.around.channels.send(dispatch, &media).await;
                    (reply, now())
                }
            };
            let sent = Sent {
                step: progress.step,
                attempt: progress.attempt,
                at,
                memo: planned.memo,
            };
            let judged = alerter.judge(&progress.task, &sent, &reply);
            let verdict = match patient(judged).await {
                Ok(verdict) => verdict,
                Err(why) => {
                    progress.reply = Some((reply, at));
                    return self.wait_for_alerter(&why, Some(progress)).await;
                }
            };
            let random = rand::rng().random();
            match course::next(verdict, &reply, progress.attempt, at, random) {
                Next::Sent(receipt) => {
                    (progress.step, progress.attempt) = (progress.step + 1, 0);
                    if !receipt.is_empty() {
                        progress.receipt = receipt;
                    }
                    if progress.next().is_some() {
                        self.keep(&progress).await?;
                    }
                }
                Next::Instead(planned) => {
                    if progress.replaced >= MAX_REPLACED {
                        let why = format!("the alerter had something else {MAX_REPLACED} times");
                        return self.ends(End::Failed(why), None).await;
                    }
                    progress.replaced += 1;
                    (progress.step, progress.attempt) = (0, 0);
                    progress.planned = planned;
                    self.keep(&progress).await?;
                }
                Next::Again {
                    after,
                    error,
                    aside,
                } => {
                    return self.again(Some(progress), after, error, aside).await;
                }
                Next::Failed(why) => return self.ends(End::Failed(why), None).await,
                Next::Gone(why) => return self.ends(End::Gone(why), None).await,
            }
        }
        self.ends(End::Delivered, Some(progress.receipt)).await
    }

    async fn keep(&self, progress: &Progress) -> Result<(), StoreError> {
        let store = self.courier.events.store();
        let (number, attempts) = (self.head.number, self.head.attempts);
        store.progressed(number, progress.clone(), attempts).await
    }

    /// The messages, once they are kept. None if there is nothing to send now.
    async fn compose(&self, alerter: &dyn Alerter) -> Result<Option<Progress>, StoreError> {
        let task = match self.task() {
            Ok(task) => task,
            Err(why) => {
                self.ends(End::Failed(why), None).await?;
                return Ok(None);
            }
        };
        let planned = match patient(alerter.compose(&task)).await {
            Ok(Decision::Send(planned)) if planned.is_empty() => {
                let why = "the alerter had nothing to send";
                self.ends(End::Skipped(why.into()), None).await?;
                return Ok(None);
            }
            Ok(Decision::Send(planned)) => planned,
            Ok(Decision::Skip(why)) => {
                self.ends(End::Skipped(why), None).await?;
                return Ok(None);
            }
            Err(why) => {
                self.wait_for_alerter(&why, None).await?;
                return Ok(None);
            }
        };
        self.worded(task, planned).await
    }

    /// What is to be sent is on the disk from here on. None if it was taken back in the meantime.
    pub(super) async fn worded(
        &self,
        task: Task,
        planned: Vec<Planned>,
    ) -> Result<Option<Progress>, StoreError> {
        let progress = Progress {
            task,
            planned,
            step: 0,
            attempt: 0,
            replaced: 0,
            reply: None,
            receipt: String::new(),
        };
        let (store, name) = (self.courier.events.store(), self.whom.1.clone());
        let kept = store.composed(self.head.number, name, progress.clone(), now());
        Ok(kept.await?.then_some(progress))
    }

    pub(super) fn task(&self) -> Result<Task, String> {
        let base = &self.courier.around.public_url;
        let item = |told: &HeadEvent| {
            let (commune, id) = (&told.event.commune, told.event.id);
            let event = told.event.for_plugins().map_err(|e| e.to_string())?;
            Ok(Item {
                event,
                link: format!("{base}/#/event/{commune}/{id}"),
                picture_link: None,
                clip_link: None,
                answer_link: None,
                earlier: told.earlier.clone(),
            })
        };
        Ok(Task {
            key: self.head.key.clone(),
            target: self.whom.1.clone(),
            address: self.target.address.clone(),
            items: self
                .head
                .events
                .iter()
                .map(item)
                .collect::<Result<_, String>>()?,
            now: now(),
        })
    }

    /// The alerter does not answer: it is asked again, the longer it takes the more seldom.
    async fn wait_for_alerter(
        &self,
        why: &Unanswered,
        progress: Option<Progress>,
    ) -> Result<(), StoreError> {
        let waited = now().since(self.head.made);
        let after = (waited / 4).clamp(SOON, LATER);
        let error = format!("{}: {why}", self.target.alerter);
        self.again(progress, after, error, false).await
    }

    /// It is tried again, if its time is not over.
    pub(super) async fn again(
        &self,
        progress: Option<Progress>,
        after: Duration,
        error: String,
        aside: bool,
    ) -> Result<(), StoreError> {
        let at = self.courier.events.waits_from().await;
        if at.after(after) > self.head.expires {
            return self.ends(End::Failed(error), None).await;
        }
        let metrics = self.courier.events.metrics();
        let labels = [self.whom.0.as_str(), "again"];
        metrics.deliveries.with_label_values(&labels).inc();
        let tried = Tried {
            number: self.head.number,
            target: self.whom.1.clone(),
            progress,
            attempts: self.head.attempts,
            again: at.after(after),
            aside,
            error,
        };
        self.courier.events.store().tried(tried, at).await
    }
}

/// An answer, or none in time.
async fn patient<T>(asked: impl Future<Output = Result<T, Unanswered>>) -> Result<T, Unanswered> {
    let answered = tokio::time::timeout(PATIENCE, asked).await;
    answered.unwrap_or(Err(Unanswered::Busy))
}

/// Something waits that did not before.
async fn waits(news: &mut tokio::sync::broadcast::Receiver<Arc<crate::log::Told>>) {
    loop {
        match news.recv().await {
            Ok(told) => match told.entry.happening {
                Happening::Ruled { .. } | Happening::Retried { .. } | Happening::Tested { .. } => {}
                _ => continue,
            },
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => std::future::pending().await,
        }
        while !matches!(
            news.try_recv(),
            Err(TryRecvError::Empty | TryRecvError::Closed)
        ) {}
        return;
    }
}
