//! Things that happen as often as somebody else likes are not said as often.

use std::time::{Duration, Instant};

/// So long between two lines about the same.
const EVERY: Duration = Duration::from_secs(10);

/// Whether to say something again, and how often it has happened unsaid.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seldom {
    next: Option<Instant>,
    unsaid: u64,
}

impl Seldom {
    /// It has happened: how often it did since it was last said, or `None` if it was said a moment
    /// ago. The first time is said at once.
    pub fn say(&mut self, now: Instant) -> Option<u64> {
        if self.next.is_some_and(|next| now < next) {
            self.unsaid += 1;
            return None;
        }
        self.next = Some(now + EVERY);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_the_first_and_then_how_many() {
        let (mut seldom, begin) = (Seldom::default(), crate::clock::now());
        assert_eq!(seldom.say(begin), Some(0));
        assert_eq!(seldom.say(begin + EVERY / 2), None);
        assert_eq!(seldom.say(begin + EVERY / 2), None);
        assert_eq!(seldom.say(begin + EVERY), Some(2));
        assert_eq!(seldom.say(begin + EVERY * 3), Some(0));
    }
}
