//! How it goes with asking what becomes of segments: a plugin that fails is asked less, and less often; and
//! when settings have changed all is asked about, a little at a time.

use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, params};
use taimat_base::CommuneId;
use taimat_contract::storage::Segment;

use crate::config::CommuneArchive;
use crate::copies;
use crate::error::ArchiveError;
use crate::facts::Swept;
use crate::trouble::{Trouble, TroubleKind};

/// Segments of one question.
const AT_ONCE: usize = Segment::MAX_ASKED;
/// After a failure it is waited so long at first, and at most: each time twice as long.
const FIRST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(300);
/// A plugin that failed so often in a row is an event.
const OFTEN: u32 = 3;
/// And so is one whose failure has stood for so long, with nothing answered since.
const STANDS: Duration = Duration::from_secs(10);

/// How it goes with one commune's.
#[derive(Debug, Default)]
pub(crate) struct Asking {
    failures: u32,
    /// Segments of the next question, after a failure.
    most: Option<usize>,
    again: Option<Instant>,
    /// When it failed first.
    since: Option<Instant>,
    error: String,
    /// What the file said when it was asked.
    said: String,
}

impl Asking {
    /// Whether it may be asked now. With other settings it may go well.
    pub(crate) fn is_due(&mut self, said: &str, now: Instant) -> bool {
        if self.said != said {
            *self = Self {
                said: said.to_owned(),
                ..Self::default()
            };
        }
        self.again.is_none_or(|again| again <= now)
    }

    /// Segments of the next question. After each failure half as many, so that the one at which a plugin fails
    /// is found, and costs itself.
    pub(crate) fn batch(&self) -> usize {
        self.most.unwrap_or(AT_ONCE)
    }

    /// It has answered.
    pub(crate) fn answered(&mut self) {
        *self = Self {
            said: std::mem::take(&mut self.said),
            ..Self::default()
        };
    }

    /// It has not, when it was asked about so many.
    pub(crate) fn failed(&mut self, error: String, asked: usize, now: Instant) {
        self.most = Some((asked / 2).max(1));
        let pause = FIRST.saturating_mul(1 << self.failures.min(16));
        self.again = Some(now + pause.min(LONGEST));
        self.failures = self.failures.saturating_add(1);
        self.since.get_or_insert(now);
        self.error = error;
    }

    /// What is the matter, if it is.
    pub(crate) fn trouble(&self, commune: &CommuneArchive, now: Instant) -> Option<Trouble> {
        let storage = commune.storage.as_ref()?;
        self.is_failing(now).then(|| Trouble {
            kind: TroubleKind::Storage,
            commune: commune.commune.clone(),
            camera: None,
            about: storage.to_string(),
            text: format!("everything stays where it is: {}", self.error),
        })
    }

    /// Whether it fails, and not just once in a while.
    fn is_failing(&self, now: Instant) -> bool {
        let stands = |since| now.saturating_duration_since(since) >= STANDS;
        self.failures >= OFTEN || self.since.is_some_and(stands)
    }
}

fn name(commune: &CommuneId) -> String {
    format!("asked:{commune}")
}

/// How far it was asked since settings changed, and what they were.
pub(super) fn swept(
    index: &Connection,
    commune: &CommuneId,
) -> Result<Option<(String, Swept)>, ArchiveError> {
    let found: Option<String> = index
        .prepare_cached("SELECT value FROM meta WHERE name = ?1")?
        .query_row([name(commune)], |row| row.get(0))
        .optional()?;
    Ok(found.as_deref().and_then(|text| {
        let mut words = text.splitn(3, ' ');
        let (after, upto) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let said = words.next().unwrap_or_default().to_owned();
        Some((said, Swept { after, upto }))
    }))
}

/// Notes how far it was asked.
pub(super) fn note(
    to: &Connection,
    commune: &CommuneId,
    said: &str,
    swept: Swept,
) -> Result<(), ArchiveError> {
    let Swept { after, upto } = swept;
    to.prepare_cached("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)")?
        .execute(params![name(commune), format!("{after} {upto} {said}")])?;
    Ok(())
}

/// Settings are others than when it was asked: from now on all that there is is asked about. At the first time
/// nothing is, for all will be.
pub(super) fn begin(
    to: &Connection,
    commune: &CommuneId,
    said: &str,
    first: bool,
) -> Result<Swept, ArchiveError> {
    let upto: u64 = to.query_row("SELECT coalesce(max(id), 0) FROM segment", [], |row| {
        row.get(0)
    })?;
    let after = if first { upto } else { 0 };
    let swept = Swept { after, upto };
    note(to, commune, said, swept)?;
    copies::try_again(to, commune)?;
    Ok(swept)
}

#[cfg(test)]
mod tests {
    use taimat_base::clock;

    use super::*;

    #[test]
    fn a_failure_that_stands_is_said_though_there_is_nothing_more_to_ask() {
        let (mut asking, now) = (Asking::default(), clock::thread_now());
        asking.failed("it trapped".into(), 1, now);
        assert!(!asking.is_failing(now));
        assert!(asking.is_failing(now + STANDS));
        asking.answered();
        assert!(!asking.is_failing(now + STANDS));
    }

    #[test]
    fn who_fails_is_asked_less_and_less_often() {
        let (mut asking, mut now) = (Asking::default(), clock::thread_now());
        assert_eq!((asking.is_due("", now), asking.batch()), (true, AT_ONCE));
        let mut batches = Vec::new();
        for seconds in [2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            let most = asking.batch();
            asking.failed("it trapped".into(), most, now);
            let pause = Duration::from_secs(seconds);
            assert!(!asking.is_due("", now + pause - Duration::from_millis(1)));
            now += pause;
            assert!(asking.is_due("", now), "{seconds}");
            batches.push(asking.batch());
        }
        assert_eq!(batches, [128, 64, 32, 16, 8, 4, 2, 1, 1, 1]);
        asking.answered();
        assert_eq!((asking.is_due("", now), asking.batch()), (true, AT_ONCE));
        asking.failed("it trapped".into(), AT_ONCE, now);
        assert!(!asking.is_due("", now));
        assert!(asking.is_due("other settings", now));
    }
}
