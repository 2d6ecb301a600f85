//! A plugin that has one instance in its commune and answers the house's questions, whatever they are.
//! A question is never dropped: it waits, is answered, or whoever asked is told why not.

use std::time::Duration;

use taimat_base::clock;
use taimat_base::tasks::Stop;
use taimat_contract::Unanswered;

use crate::answers::Answers;
use crate::desk::{Asked, Question};
use crate::probation::Given;
use crate::seat::{Answer, Desired, Seat};

/// How soon to look again whether CPU time is left.
const SOON: Duration = Duration::from_millis(50);

/// Runs what is desired until told to stop.
pub(crate) async fn run<G: Answers>(mut seat: Seat<G>, mut desired: Desired, stop: Stop) {
    let mut questions = seat.context().desk.open();
    seat.follow(&desired.borrow_and_update().clone());
    loop {
        let resume = seat.resume_at();
        // Who is about to sit down is waited for; who is suspended is not.
        let someone = seat.guest().is_some();
        let tired = someone && !seat.has_share();
        let ready = !tired && (someone || !seat.is_preparing());
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            changed = desired.changed() => match changed {
                Ok(()) => seat.follow(&desired.borrow_and_update().clone()),
                Err(_plugin_gone) => return,
            },
            made = seat.made() => seat.take_place(made).await,
            () = clock::until(resume) => seat.resume(&desired.borrow().clone()),
            Some(question) = questions.recv(), if ready => answer(&mut seat, question).await,
            () = clock::sleep_until(clock::now() + SOON), if tired => {}
        }
    }
}

async fn answer<G: Answers>(seat: &mut Seat<G>, question: Question) {
    // A plugin that has become one of another kind is not asked what the one before was.
    let Ok(asked) = question.downcast::<Asked<G::Question, G::Reply>>() else {
        return;
    };
    let Asked { question, reply } = *asked;
    let mut answered = Err(Unanswered::NotRunning);
    // The second time is for the instance before, if there is one.
    for _ in 0..2 {
        let Some(guest) = seat.turn() else {
            break;
        };
        let called = guest.answer(&question).await;
        seat.set(|status| status.frames += 1);
        answered = match seat.judge(Given::Question, called) {
            Answer::Given(answer) => Ok(answer),
            Answer::Again => continue,
            Answer::Failed(failure) => Err(Unanswered::Failed(failure)),
        };
        break;
    }
    // Who asked may have given up.
    let _told = reply.send(answered);
    seat.recycle();
}
