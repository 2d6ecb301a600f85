//! Where questions of the house wait for a plugin that has one instance in its commune.

use std::any::Any;
use std::sync::{Mutex, MutexGuard};

use taimat_contract::Unanswered;
use tokio::sync::{mpsc, oneshot};

/// Questions that wait at most; who asks further ones is told that the plugin is busy.
const WAITING: usize = 64;

/// A question of some kind of plugin, with a way back for its answer.
pub(crate) type Question = Box<dyn Any + Send>;

/// A question, and where its answer goes.
#[derive(Debug)]
pub(crate) struct Asked<Q, R> {
    pub(crate) question: Q,
    pub(crate) reply: oneshot::Sender<Result<R, Unanswered>>,
}

/// Where questions wait. Whoever runs the plugin opens it; who asks at one that nobody has open, or of
/// which the plugin ends, is told that nothing runs.
#[derive(Debug, Default)]
pub(crate) struct Desk(Mutex<Option<mpsc::Sender<Question>>>);

impl Desk {
    fn window(&self) -> MutexGuard<'_, Option<mpsc::Sender<Question>>> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// From now on questions come here.
    pub(crate) fn open(&self) -> mpsc::Receiver<Question> {
        let (sender, receiver) = mpsc::channel(WAITING);
        *self.window() = Some(sender);
        receiver
    }

    /// Asks, and waits for the answer.
    pub(crate) async fn ask<Q, R>(&self, question: Q) -> Result<R, Unanswered>
    where
        Q: Send + 'static,
        R: Send + 'static,
    {
        let window = self.window().clone();
        let window = window.ok_or(Unanswered::NotRunning)?;
        let (reply, answered) = oneshot::channel();
        let asked: Question = Box::new(Asked { question, reply });
        window.try_send(asked).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Unanswered::Busy,
            mpsc::error::TrySendError::Closed(_) => Unanswered::NotRunning,
        })?;
        answered.await.unwrap_or(Err(Unanswered::NotRunning))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Doubles = Asked<u32, u32>;

    #[tokio::test]
    async fn who_asks_is_answered_or_told_why_not() {
        let desk = Desk::default();
        assert_eq!(desk.ask::<u32, u32>(1).await, Err(Unanswered::NotRunning));
        let mut questions = desk.open();
        let answers = async {
            let asked = questions
                .recv()
                .await
                .unwrap()
                .downcast::<Doubles>()
                .unwrap();
            asked.reply.send(Ok(asked.question * 2)).unwrap();
        };
        let (answer, ()) = tokio::join!(desk.ask::<u32, u32>(21), answers);
        assert_eq!(answer, Ok(42));
        // Nobody answers any more: whoever waits is told.
        let ends = async { drop(questions) };
        let (answer, ()) = tokio::join!(desk.ask::<u32, u32>(1), ends);
        assert_eq!(answer, Err(Unanswered::NotRunning));
    }

    #[tokio::test]
    async fn a_queue_that_is_full_says_so() {
        let desk = Desk::default();
        let _questions = desk.open();
        let mut waiting: Vec<_> = (0..WAITING)
            .map(|n| Box::pin(desk.ask::<usize, ()>(n)))
            .collect();
        for asked in &mut waiting {
            assert!(futures_are_pending(asked).await);
        }
        assert_eq!(desk.ask::<usize, ()>(0).await, Err(Unanswered::Busy));
    }

    async fn futures_are_pending<T>(future: &mut (impl Future<Output = T> + Unpin)) -> bool {
        let moment = std::time::Duration::from_millis(1);
        tokio::time::timeout(moment, future).await.is_err()
    }
}
