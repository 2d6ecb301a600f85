//! When a new generation has proved itself against the one before.

use std::time::{Duration, Instant};

/// Calls for which the instance before is kept.
const CALLS: u32 = 50;
/// Time for which the instance before is kept.
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

/// A probation. Whoever traps or passes a limit during it has failed without asking here.
#[derive(Debug)]
pub(crate) struct Probation {
    calls_left: u32,
    until: Instant,
    /// There was a question.
    tried: bool,
    /// One was answered without an error.
    answered: bool,
}

impl Probation {
    pub(crate) fn begin(now: Instant) -> Self {
        Self {
            calls_left: CALLS,
            until: now + TIME,
            tried: false,
            answered: false,
        }
    }

    /// A call has returned, with an answer or an error, and the instance lives.
    pub(crate) fn call(&mut self, given: Given, answered: bool, now: Instant) -> Verdict {
        let question = given == Given::Question;
        self.tried |= question;
        self.answered |= question && answered;
        self.calls_left = self.calls_left.saturating_sub(1);
        if self.calls_left > 0 && now < self.until {
            return Verdict::Open;
        }
        match (self.tried, self.answered) {
            (false, _) | (_, true) => Verdict::Passed,
            // A tick tells nothing about questions: the next of them decides.
            _ if answered => Verdict::Open,
            _ => Verdict::Failed,
        }
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
            verdicts(&[good, (Given::Question, true, 30)]),
            [Verdict::Passed]
        );
        // A camera that is away gives no frames.
        assert_eq!(verdicts(&[(Given::Tick, true, 31)]), [Verdict::Passed]);
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
    }
}
