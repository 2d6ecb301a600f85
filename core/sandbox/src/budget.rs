//! What one plugin may say at one place. It belongs to the two of them and not to an instance: a
//! fresh instance finds what the one before has left.

use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use taimat_base::Seldom;
use taimat_base::bucket::Bucket;

use crate::limits::Limits;
use crate::metrics::OwnMetrics;

/// The budget of a plugin at a place.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    left: Mutex<Left>,
    /// Where it writes its own metrics, if anybody reads them.
    pub(crate) own: Option<OwnMetrics>,
}

#[derive(Debug)]
struct Left {
    log_lines: Bucket,
    detections: Bucket,
    bad: Seldom,
}

impl Default for Left {
    fn default() -> Self {
        Self {
            log_lines: Bucket::new(0.0, 0.0),
            detections: Bucket::new(0.0, 0.0),
            bad: Seldom::default(),
        }
    }
}

impl Budget {
    /// Nothing until there are limits.
    pub(crate) fn new(own: OwnMetrics) -> Self {
        Self {
            left: Mutex::default(),
            own: Some(own),
        }
    }

    /// The limits that are in force. What was used up under others stays so.
    pub(crate) fn limit(&self, limits: &Limits) {
        let mut left = self.left();
        let lines = f64::from(limits.log_lines);
        left.log_lines.limit(lines, lines * 5.0);
        let minute = f64::from(limits.detections);
        left.detections.limit(minute / 60.0, minute);
    }

    /// Takes a line of log, if there is one left.
    pub(crate) fn log_line(&self, now: Instant) -> bool {
        self.left().log_lines.take(now)
    }

    /// Takes a detection, if there is one left.
    pub(crate) fn detection(&self, now: Instant) -> bool {
        self.left().detections.take(now)
    }

    /// A detection was bad: how many were since one was told, if it is to be told.
    pub(crate) fn bad_detection(&self, now: Instant) -> Option<u64> {
        self.left().bad.say(now)
    }

    fn left(&self) -> MutexGuard<'_, Left> {
        self.left.lock().unwrap_or_else(|e| e.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taimat_base::clock;

    #[test]
    fn what_is_used_up_stays_so_whatever_limits_come() {
        let (budget, now) = (Budget::default(), clock::now());
        assert!(!budget.log_line(now), "nothing before there are limits");
        let limits = Limits {
            log_lines: 2,
            detections: 3,
            ..Limits::default()
        };
        budget.limit(&limits);
        assert_eq!((0..50).filter(|_| budget.log_line(now)).count(), 10);
        assert_eq!((0..50).filter(|_| budget.detection(now)).count(), 3);
        // The next instance, with the same limits and with smaller ones.
        budget.limit(&limits);
        assert!(!budget.log_line(now) && !budget.detection(now));
        budget.limit(&Limits {
            log_lines: 1,
            ..limits
        });
        assert!(!budget.log_line(now));
    }
}
