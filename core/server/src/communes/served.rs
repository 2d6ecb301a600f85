//! One commune as it is served, judged alone: what its folder says is taken over, or what was good last stays.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use taimat_base::files::Stamp;
use taimat_base::{CommuneId, Place, Problem};

use crate::config::{Commune, FolderRead, Written, lost};

/// A file that says less than before and was written in place has to stay as it is for so long before it is
/// believed: whoever writes a file in pieces pauses for less.
const SETTLED: Duration = Duration::from_secs(2);

/// What comes of a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// It says what is in force.
    Same,
    /// It is in force from now on.
    Taken,
    /// Something is wrong with it; what was good last stays.
    Refused,
    /// It may be half of what is being written. To be read again then.
    Unsettled(Instant),
}

/// A commune.
#[derive(Debug)]
pub(crate) struct Served {
    id: CommuneId,
    /// What is in force.
    good: Option<Good>,
    /// What is wrong with the folder as it is now.
    problems: Vec<Problem>,
    /// What the file was like when it was read last, and since when it is so.
    seen: Option<(Stamp, Instant)>,
}

#[derive(Debug)]
struct Good {
    commune: Arc<Commune>,
    /// The file; without a stamp, it is from before this start.
    written: Written,
}

impl Served {
    /// A commune that is served from what was kept, if there is something, until its folder says something good.
    pub(crate) fn new(id: CommuneId, kept: Option<FolderRead>) -> Self {
        let good = kept.and_then(|kept| {
            Some(Good {
                commune: Arc::new(kept.commune.ok()?),
                written: kept.written?,
            })
        });
        Self {
            id,
            good,
            problems: Vec::new(),
            seen: None,
        }
    }

    pub(crate) fn id(&self) -> &CommuneId {
        &self.id
    }

    /// What is in force, if anything is.
    pub(crate) fn commune(&self) -> Option<&Arc<Commune>> {
        self.good.as_ref().map(|good| &good.commune)
    }

    /// The file that is good, to be kept for the next start. None if what is in force was kept.
    pub(crate) fn text(&self) -> Option<&str> {
        let good = self.good.as_ref()?;
        good.written.stamp.as_ref()?;
        Some(&good.written.text)
    }

    /// What is wrong with the folder as it is now, and what is served meanwhile if that is not what ran before.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut problems = self.problems.clone();
        let Some(first) = problems.first() else {
            return problems;
        };
        let place = Place::file(first.place.file.clone());
        let instead = match &self.good {
            None => "nothing of this commune is served until this is mended",
            Some(good) if good.written.stamp.is_none() => {
                "this commune is served as its file was when it was good last, before the router was started"
            }
            Some(_) => return problems,
        };
        problems.push(Problem::new(place, instead));
        problems
    }

    /// Takes in what the folder says at a moment, by the clock and by the wall's.
    pub(crate) fn judge(&mut self, read: FolderRead, now: Instant, wall: SystemTime) -> Judgement {
        let stamp = read
            .written
            .as_ref()
            .and_then(|written| written.stamp.clone());
        if self.seen.as_ref().map(|(seen, _)| seen) != stamp.as_ref() {
            self.seen = stamp.map(|stamp| (stamp, now));
        }
        let (commune, written) = match (read.commune, read.written) {
            (Ok(commune), Some(written)) => (commune, written),
            (Err(problems), _) => {
                self.problems = problems;
                return Judgement::Refused;
            }
            // What means something was written somewhere.
            (Ok(_), None) => return Judgement::Same,
        };
        if let Some(again) = self.unsettled(&written, now, wall) {
            return Judgement::Unsettled(again);
        }
        self.problems.clear();
        let same = self
            .good
            .as_ref()
            .is_some_and(|good| *good.commune == commune);
        match &mut self.good {
            // Who holds what is in force keeps it: nothing has changed.
            Some(good) if same => good.written = written,
            good => {
                *good = Some(Good {
                    commune: Arc::new(commune),
                    written,
                });
            }
        }
        if same {
            Judgement::Same
        } else {
            Judgement::Taken
        }
    }

    /// When to look again at a file that may be half of what is being written.
    fn unsettled(&self, written: &Written, now: Instant, wall: SystemTime) -> Option<Instant> {
        let (good, (stamp, since)) = (self.good.as_ref()?, self.seen.as_ref()?);
        let in_place = match &good.written.stamp {
            // A file that took the place of another one was whole when it did, unless it was written to since.
            Some(before) => before.is_same_file(stamp) || stamp.is_as_written(),
            // Of one that was written while no router ran, its own time is all that is known.
            None => age(wall, stamp.modified()) < SETTLED,
        };
        let again = *since + SETTLED;
        (in_place && now < again && lost(&good.written.text, &written.text)).then_some(again)
    }
}

/// How long ago, or how far ahead: clocks of disks and of machines differ.
fn age(wall: SystemTime, then: SystemTime) -> Duration {
    wall.duration_since(then)
        .unwrap_or_else(|ahead| ahead.duration())
}

#[cfg(test)]
mod tests;
