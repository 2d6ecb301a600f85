//! Places that are in trouble are left alone for a while, each time longer.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use taimat_base::CommuneId;
use taimat_contract::place::PlaceError;

/// The first pause, and the longest: a place that works again is used within a minute.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// A place of a commune.
pub(super) type PlaceKey = (CommuneId, String);

/// Which places are left alone, and until when.
#[derive(Debug, Default)]
pub(super) struct Pauses(Mutex<HashMap<PlaceKey, (u32, Instant)>>);

impl Pauses {
    /// Whether it is left alone now.
    pub(super) fn covers(&self, place: &PlaceKey, now: Instant) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(place).is_some_and(|(_, until)| *until > now)
    }

    /// How something went there. What is our own fault says nothing of the place.
    pub(super) fn note<T>(&self, place: &PlaceKey, went: &Result<T, PlaceError>, now: Instant) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match went {
            Err(PlaceError::Source(_)) => {}
            Ok(_) | Err(PlaceError::Missing) => drop(all.remove(place)),
            Err(error) => {
                let (times, until) = all.entry(place.clone()).or_insert((0, now));
                let pause = FIRST.saturating_mul(1 << (*times).min(16)).min(LONGEST);
                // A place that says itself when it may be asked again knows better.
                let said = match error {
                    PlaceError::Later { after, .. } => after.unwrap_or_default(),
                    _ => Duration::ZERO,
                };
                *until = now + pause.max(said.min(LONGEST));
                *times = times.saturating_add(1);
            }
        }
    }

    /// All are tried again at once: their settings may be others.
    pub(super) fn forget(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

#[cfg(test)]
mod tests {
    use taimat_base::clock;

    use super::*;

    #[test]
    fn pauses_grow_to_a_minute_and_end_when_it_works() {
        let (pauses, key) = (Pauses::default(), ("thu".parse().unwrap(), "s3".to_owned()));
        let mut now = clock::thread_now();
        let broken: Result<(), _> = Err(PlaceError::later("500"));
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            pauses.note(&key, &broken, now);
            let pause = Duration::from_secs(seconds);
            assert!(pauses.covers(&key, now + pause - Duration::from_millis(1)));
            now += pause;
            assert!(!pauses.covers(&key, now), "{seconds}");
        }
        pauses.note(&key, &Ok(()), now);
        pauses.note(&key, &broken, now);
        assert!(!pauses.covers(&key, now + FIRST));
        // A file of ours that can not be read is no reason to leave a place alone.
        pauses.forget();
        let ours: Result<(), _> = Err(PlaceError::Source("gone".into()));
        pauses.note(&key, &ours, now);
        assert!(!pauses.covers(&key, now));
        let busy: Result<(), _> = Err(PlaceError::Later {
            why: "429".into(),
            after: Some(Duration::from_secs(30)),
        });
        pauses.note(&key, &busy, now);
        assert!(pauses.covers(&key, now + Duration::from_secs(29)));
    }
}
