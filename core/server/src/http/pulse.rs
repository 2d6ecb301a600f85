//! What a connection did last, and whether it has taken too long for what comes next.
//!
//! Pure: it is told what happens and when.

use std::time::{Duration, Instant};

use taimat_base::budget::Cut;

/// How long a connection may take for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patience {
    /// For the head of a request, from its first byte on; for the first one from the beginning.
    pub(crate) request: Duration,
    /// Between an answer and the next request. Longer than proxies keep a connection that they do not use:
    /// who closes first must not be the one who waits.
    pub(crate) idle: Duration,
    /// For taking `answer_bytes`, while an answer waits to be taken.
    pub(crate) answer: Duration,
    /// What counts as taking an answer: a byte now and then does not. In one minute this is the slowest
    /// line that anybody watches by.
    pub(crate) answer_bytes: usize,
}

impl Patience {
    /// What connections get.
    pub(crate) const USUAL: Self = Self {
        request: Duration::from_secs(10),
        idle: Duration::from_secs(75),
        answer: Duration::from_secs(60),
        answer_bytes: 16 << 10,
    };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// For the first request, since the connection began.
    First(Instant),
    /// For the next one.
    Pause(Instant),
    /// A head has begun and not ended.
    Asking(Instant),
    /// A request is being answered. How long that may take is not decided here.
    Answering,
}

/// An answer that the other side does not take at once.
#[derive(Debug, Clone, Copy)]
struct Untaken {
    since: Instant,
    taken: usize,
}

/// A connection's state.
#[derive(Debug)]
pub(crate) struct Pulse {
    patience: Patience,
    phase: Phase,
    untaken: Option<Untaken>,
}

impl Pulse {
    /// It has just begun.
    pub(crate) fn new(patience: Patience, now: Instant) -> Self {
        Self {
            patience,
            phase: Phase::First(now),
            untaken: None,
        }
    }

    /// Bytes came.
    pub(crate) fn came(&mut self, now: Instant) {
        if let Phase::Pause(_) = self.phase {
            self.phase = Phase::Asking(now);
        }
    }

    /// The head of a request is whole.
    pub(crate) fn asked(&mut self) {
        self.phase = Phase::Answering;
    }

    /// The request is answered, as far as it is up to us.
    pub(crate) fn answered(&mut self, now: Instant) {
        self.phase = Phase::Pause(now);
    }

    /// There is something to send, and the other side takes nothing.
    pub(crate) fn waits(&mut self, now: Instant) {
        let begin = Untaken {
            since: now,
            taken: 0,
        };
        self.untaken.get_or_insert(begin);
    }

    /// The other side has taken so many bytes.
    pub(crate) fn took(&mut self, bytes: usize) {
        if let Some(untaken) = &mut self.untaken {
            untaken.taken += bytes;
            if untaken.taken >= self.patience.answer_bytes {
                self.untaken = None;
            }
        }
    }

    /// Nothing is left to be sent.
    pub(crate) fn took_all(&mut self) {
        self.untaken = None;
    }

    /// Why the connection has to end, if it has to.
    pub(crate) fn overdue(&self, now: Instant) -> Option<Cut> {
        let past = |since: Instant, limit| now.saturating_duration_since(since) > limit;
        let Patience {
            request,
            idle,
            answer,
            ..
        } = self.patience;
        if self
            .untaken
            .is_some_and(|untaken| past(untaken.since, answer))
        {
            return Some(Cut::SlowAnswer);
        }
        match self.phase {
            Phase::First(since) | Phase::Asking(since) => {
                past(since, request).then_some(Cut::SlowRequest)
            }
            Phase::Pause(since) => past(since, idle).then_some(Cut::Idle),
            Phase::Answering => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use taimat_base::clock;

    use super::*;

    fn pulse() -> (Pulse, impl Fn(u64) -> Instant) {
        let begin = clock::now();
        let after = move |seconds| begin + Duration::from_secs(seconds);
        (Pulse::new(Patience::USUAL, begin), after)
    }

    #[test]
    fn a_first_request_has_its_time_from_the_beginning_however_it_drips() {
        let (mut pulse, after) = pulse();
        for second in 0..10 {
            pulse.came(after(second));
        }
        assert_eq!(pulse.overdue(after(10)), None);
        assert_eq!(pulse.overdue(after(11)), Some(Cut::SlowRequest));
    }

    #[test]
    fn a_pause_may_be_long_and_the_next_request_may_not() {
        let (mut pulse, after) = pulse();
        pulse.asked();
        assert_eq!(pulse.overdue(after(1000)), None);
        pulse.answered(after(1000));
        assert_eq!(pulse.overdue(after(1075)), None);
        assert_eq!(pulse.overdue(after(1076)), Some(Cut::Idle));
        for second in 1060..1069 {
            pulse.came(after(second));
        }
        assert_eq!(pulse.overdue(after(1070)), None);
        assert_eq!(pulse.overdue(after(1071)), Some(Cut::SlowRequest));
        pulse.asked();
        pulse.came(after(1072));
        assert_eq!(pulse.overdue(after(2000)), None);
    }

    #[test]
    fn an_answer_is_taken_by_as_much_as_it_takes_and_not_by_any_byte() {
        let (mut pulse, after) = pulse();
        pulse.asked();
        pulse.waits(after(0));
        for second in 1..=60 {
            pulse.took(100);
            pulse.waits(after(second));
        }
        assert_eq!(pulse.overdue(after(60)), None);
        assert_eq!(pulse.overdue(after(61)), Some(Cut::SlowAnswer));
        pulse.took(16 << 10);
        assert_eq!(pulse.overdue(after(61)), None);
        pulse.waits(after(62));
        pulse.took(1);
        pulse.took_all();
        assert_eq!(pulse.overdue(after(1000)), None);
    }
}
