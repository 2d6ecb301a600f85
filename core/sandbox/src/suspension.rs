//! How long one that fails again and again has to wait.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Failures within [`WINDOW`] after which there is a pause.
pub(crate) const MAX_FAILURES: usize = 3;
const WINDOW: Duration = Duration::from_secs(60);
/// Pauses, one after the other; the last again and again.
const PAUSES: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(300),
];

/// The failures of one plugin at one camera.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    recent: VecDeque<Instant>,
    pauses: usize,
}

impl Failures {
    /// It failed: how long it has to wait, or `None` if it may try again at once.
    pub(crate) fn another(&mut self, now: Instant) -> Option<Duration> {
        self.recent
            .retain(|at| now.saturating_duration_since(*at) < WINDOW);
        if self.recent.is_empty() {
            self.pauses = 0;
        }
        self.recent.push_back(now);
        if self.recent.len() < MAX_FAILURES {
            return None;
        }
        let pause = PAUSES[self.pauses];
        self.pauses = (self.pauses + 1).min(PAUSES.len() - 1);
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taimat_base::clock;

    #[test]
    fn waits_longer_each_time_and_forgets_after_a_minute() {
        let (mut failures, begin) = (Failures::default(), clock::now());
        let mut at = |seconds: u64| {
            let pause = failures.another(begin + Duration::from_secs(seconds));
            pause.map(|pause| pause.as_secs())
        };
        assert_eq!([0, 1, 2].map(&mut at), [None, None, Some(1)]);
        assert_eq!(
            [3, 8, 38, 39].map(&mut at),
            [Some(5), Some(30), Some(300), Some(300)]
        );
        assert_eq!([200, 201, 202].map(at), [None, None, Some(1)]);
    }
}
