//! When a new generation has proved itself against the one before.

use std::time::{Duration, Instant};

/// Questions for which the instance before is kept.
const QUESTIONS: u32 = 50;
/// Time from the first of them for which it is kept.
const TIME: Duration = Duration::from_secs(30);

/// What a call was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Given {
    /// What its kind is there for: a frame, an event.
    Question,
    /// The time.
    Tick,
}

/// How it stands after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes on.
    Open,
    /// It is over, and well.
    Passed,
    /// It is over, and every question was answered with an error.
    Failed,
}

/// A probation. Whoever traps or passes a limit during it has failed without asking here. It begins with
/// the first question and is over when one was answered: who is asked nothing, at a camera that is away,
/// stays on it.
#[derive(Debug)]
pub(crate) struct Probation {
    sits_since: Instant,
    /// From the first question on.
    until: Option<Instant>,
    questions_left: u32,
    /// One was answered without an error.
    answered: bool,
}

impl Probation {
    pub(crate) fn begin(now: Instant) -> Self {
        Self {
            sits_since: now,
            until: None,
            questions_left: QUESTIONS,
            answered: false,
        }
    }

    /// A call has returned, with an answer or an error, and the instance lives.
    pub(crate) fn call(&mut self, given: Given, answered: bool, now: Instant) -> Verdict {
        let question = given == Given::Question;
        if question {
            self.questions_left = self.questions_left.saturating_sub(1);
            self.until.get_or_insert(now + TIME);
            self.answered |= answered;
        }
        let over = |until| self.questions_left == 0 || now >= until;
        if !self.until.is_some_and(over) {
            return Verdict::Open;
        }
        match self.answered {
            true => Verdict::Passed,
            // A tick tells nothing about questions: the next of them decides.
            false if question => Verdict::Failed,
            false => Verdict::Open,
        }
    }

    /// Whether nobody has asked it anything for as long as a probation lasts.
    pub(crate) fn is_idle(&self, now: Instant) -> bool {
        self.until.is_none() && now >= self.sits_since + TIME
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taimat_base::clock;

    /// Verdicts, without those that leave it open.
    fn verdicts(calls: &[(Given, bool, u64)]) -> Vec<Verdict> {
        let begin = clock::now();
        let mut probation = Probation::begin(begin);
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        let each = calls
            .iter()
            .map(|(given, answered, seconds)| probation.call(*given, *answered, at(*seconds)));
        each.filter(|v| *v != Verdict::Open).collect()
    }

    #[test]
    fn ends_after_so_many_calls_or_so_long() {
        let good = (Given::Question, true, 1);
        assert_eq!(verdicts(&[good; 49]), []);
        assert_eq!(verdicts(&[good; 50]), [Verdict::Passed]);
        assert_eq!(
            verdicts(&[good, (Given::Question, true, 31)]),
            [Verdict::Passed]
        );
        assert_eq!(
            verdicts(&[good, (Given::Tick, true, 31)]),
            [Verdict::Passed]
        );
    }

    #[test]
    fn who_was_asked_nothing_has_proved_nothing() {
        // A camera that is away gives no frames, for a day.
        let tick = |seconds| (Given::Tick, true, seconds);
        let mut calls: Vec<_> = (1..86_400).map(tick).collect();
        assert_eq!(verdicts(&calls), []);
        // Its probation begins with the first frame: one error is not all that it has to say.
        calls.extend([86_400, 86_401].map(|seconds| (Given::Question, false, seconds)));
        assert_eq!(verdicts(&calls), []);
        calls.push((Given::Question, true, 86_430));
        assert_eq!(verdicts(&calls), [Verdict::Passed]);
    }

    #[test]
    fn idle_is_who_was_not_asked_for_as_long_as_it_lasts() {
        let begin = clock::now();
        let mut probation = Probation::begin(begin);
        assert!(!probation.is_idle(begin + TIME / 2));
        assert!(probation.is_idle(begin + TIME));
        probation.call(Given::Tick, true, begin);
        assert!(probation.is_idle(begin + TIME));
        probation.call(Given::Question, false, begin);
        assert!(!probation.is_idle(begin + TIME));
    }

    #[test]
    fn errors_alone_do_not_pass_and_ticks_do_not_help() {
        let bad = (Given::Question, false, 1);
        assert_eq!(verdicts(&[bad; 50]), [Verdict::Failed]);
        let mut once = [bad; 50];
        once[20].1 = true;
        assert_eq!(verdicts(&once), [Verdict::Passed]);
        let ticks = [bad, (Given::Tick, true, 40), (Given::Question, false, 41)];
        assert_eq!(verdicts(&ticks), [Verdict::Failed]);
        let failing = [bad, (Given::Tick, false, 40)];
        assert_eq!(verdicts(&failing), []);
    }
}
