//! Tells one browser. What is sent is worded here, of the event as it was when it was first to be told; what
//! comes later about the same event is another delivery, which takes the place of this one in the browser.

use std::sync::Arc;

use rand::RngExt;
use taimat_contract::alerter::Verdict;
use taimat_contract::message::Reply;
use taimat_contract::push::Push;

use super::courier::Underway;
use super::course::{self, Next};
use crate::delivery::Progress;
use crate::error::StoreError;
use crate::push::{Browser, Notice};
use crate::room::now;
use crate::store::End;

impl Underway<'_> {
    /// Carries a browser's delivery on.
    pub(super) async fn push(mut self, number: i64) -> Result<(), StoreError> {
        let Some(browser) = self.browser(number).await? else {
            let why = "the browser does not want to be told any more";
            return self.ends(End::Skipped(why.into()), None).await;
        };
        let progress = match self.head.progress.take() {
            Some(progress) => progress,
            None => match self.begin().await? {
                Some(progress) => progress,
                None => return Ok(()),
            },
        };
        let events = &self.courier.events;
        let (commune, facts) = (&self.whom.0, &events.alerts(&self.whom.0).facts);
        let language = browser.subscription.wants.language;
        let notice = Notice::new(commune.as_str(), &progress.task, facts, language);
        let payload = notice.payload().map_err(StoreError::Unwritable)?;
        if self.head.attempts == 0 {
            let waited = now().since(self.head.made);
            events.metrics().first_attempt.observe(waited.as_secs_f64());
        }
        self.head.attempts += 1;
        let push = Push {
            commune,
            to: &browser.endpoint,
            topic: notice.topic(),
            urgency: notice.urgency(),
            // What a browser does not get until then, this delivery would not have told it either.
            ttl: self.head.expires.since(now()),
            payload: &payload,
        };
        let reply = self.courier.around.pushes.push(push).await;
        let at = now();
        let (attempts, random) = (self.head.attempts, rand::rng().random());
        match course::next(verdict(&reply), &reply, attempts, at, random) {
            Next::Sent(_) => self.ends(End::Delivered, None).await,
            Next::Again {
                after,
                error,
                aside,
            } => self.again(Some(progress), after, error, aside).await,
            Next::Failed(why) => self.ends(End::Failed(why), None).await,
            Next::Gone(why) => self.ends(End::Gone(why), None).await,
            Next::Instead(_) => {
                let why = "a push service wants something else";
                self.ends(End::Failed(why.into()), None).await
            }
        }
    }

    async fn browser(&self, number: i64) -> Result<Option<Browser>, StoreError> {
        let (store, commune) = (Arc::clone(self.courier.events.store()), self.whom.0.clone());
        let read = tokio::task::spawn_blocking(move || store.browser(&commune, number));
        read.await.unwrap_or(Err(StoreError::Stopped))
    }

    /// The task, once it is kept: what happens to its events from then on is told by another one. None if it
    /// was taken back.
    async fn begin(&self) -> Result<Option<Progress>, StoreError> {
        let task = match self.task() {
            Ok(task) => task,
            Err(why) => {
                self.ends(End::Failed(why), None).await?;
                return Ok(None);
            }
        };
        self.worded(task, Vec::new()).await
    }
}

/// What a push service's answer means (RFC 8030 section 7.3): the subscription is no more, or as usual.
fn verdict(reply: &Reply) -> Verdict {
    match reply {
        Reply::Http(response) if matches!(response.status, 404 | 410) => {
            let why = "the browser does not want to be told any more";
            Verdict::Gone(format!("{why} (HTTP {})", response.status))
        }
        _ => Verdict::Usual,
    }
}
