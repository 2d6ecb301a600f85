//! How long one that fails again and again has to wait.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Failures within [`WINDOW`] after which there is a pause.
pub(crate) const MAX_FAILURES: usize = 3;
/// Who runs as long without a failure has left the earlier ones behind.
const WINDOW: Duration = Duration::from_secs(60);
/// Pauses, one after the other; the last again and again.
const PAUSES: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(300),
];

/// Pauses that become longer.
#[derive(Debug, Default)]
pub(crate) struct Pauses {
    taken: usize,
}

impl Pauses {
    /// The next one.
    pub(crate) fn another(&mut self) -> Duration {
        let last = PAUSES.len() - 1;
        let pause = PAUSES[self.taken.min(last)];
        self.taken = (self.taken + 1).min(last);
        pause
    }

    /// The next one is the shortest again.
    pub(crate) fn begin_anew(&mut self) {
        self.taken = 0;
    }
}

/// The failures of one plugin at one place.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    /// Since the last pause.
    recent: VecDeque<Instant>,
    pauses: Pauses,
    /// From when on it has had a chance to do well: since the last failure, or the end of the pause after
    /// it. Time in which it paused is no time in which it did well.
    runs_since: Option<Instant>,
}

impl Failures {
    /// It failed: how long it has to wait, or `None` if it may try again at once. What was before a
    /// pause does not count after it; only the pauses themselves become longer.
    pub(crate) fn another(&mut self, now: Instant) -> Option<Duration> {
        let did_well = |since: Instant| now.saturating_duration_since(since) >= WINDOW;
        if self.runs_since.is_some_and(did_well) {
            self.pauses.begin_anew();
        }
        self.runs_since = Some(now);
        self.recent.retain(|at| !did_well(*at));
        self.recent.push_back(now);
        if self.recent.len() < MAX_FAILURES {
            return None;
        }
        self.recent.clear();
        let pause = self.pauses.another();
        self.runs_since = Some(now + pause);
        Some(pause)
    }

    /// It says itself that it did not work now and may later: how long it has to wait.
    pub(crate) fn for_now(&mut self, now: Instant) -> Duration {
        let pause = self.pauses.another();
        self.runs_since = Some(now + pause);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taimat_base::clock;

    /// Pauses in seconds after failures at these.
    fn pauses(failures: &[u64]) -> Vec<Option<u64>> {
        let (mut all, begin) = (Failures::default(), clock::now());
        let each = failures.iter().map(|seconds| {
            let pause = all.another(begin + Duration::from_secs(*seconds));
            pause.map(|pause| pause.as_secs())
        });
        each.collect()
    }

    #[test]
    fn failures_before_a_pause_do_not_count_after_it() {
        let all = pauses(&[0, 1, 2, 3, 4, 5, 10, 10, 10]);
        assert_eq!(
            all,
            [
                None,
                None,
                Some(1),
                None,
                None,
                Some(5),
                None,
                None,
                Some(30)
            ]
        );
    }

    #[test]
    fn a_pause_is_no_time_in_which_it_did_well() {
        let mut at = 0;
        let mut failures = Vec::new();
        // It fails three times as soon as it may, again and again.
        for pause in [1, 5, 30, 300, 300, 300] {
            failures.extend([at; 3]);
            at += pause;
        }
        let all = pauses(&failures);
        let told: Vec<u64> = all.into_iter().flatten().collect();
        assert_eq!(told, [1, 5, 30, 300, 300, 300]);
    }

    #[test]
    fn a_minute_without_a_failure_is_a_new_beginning() {
        // The pause of a second ends at 3: what runs well from then until 63 has made up for it.
        let all = pauses(&[0, 1, 2, 63, 64, 65]);
        assert_eq!(all, [None, None, Some(1), None, None, Some(1)]);
        let sooner = pauses(&[0, 1, 2, 62, 63, 64]);
        assert_eq!(sooner[5], Some(5));
        // Who fails now and then is not suspended.
        assert_eq!(pauses(&[0, 31, 62, 93, 124]), [None; 5]);
    }
}
