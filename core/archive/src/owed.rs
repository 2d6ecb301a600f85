//! What a stream has to tell the disk's thread, while that takes nothing: what was lost, and what is closed.

use std::collections::VecDeque;

use crate::error::ArchiveError;
use crate::index::rows::Change;
use crate::recording::Step;

/// So much waits of one stream: losses that follow each other are one, so this is hundreds of good moments
/// between bad ones. What is beyond is not told: it is missing all the same, for no known reason.
const MOST: usize = 1024;
/// Two losses between which there is less are one, in microseconds.
const NEAR: i64 = 2_000_000;

/// In the order in which it has to be told.
#[derive(Debug, Default)]
pub(crate) struct Owed(VecDeque<Step>);

impl Owed {
    /// Something that could not be told. Media are not kept here, nor what was to begin with them.
    pub(crate) fn push(&mut self, step: Step) {
        match (&step, self.0.back_mut()) {
            (Step::Append(..) | Step::Begin(_), _) => return,
            (
                Step::Note(Change::Gap {
                    start, end, reason, ..
                }),
                Some(Step::Note(Change::Gap {
                    end: before,
                    reason: same,
                    ..
                })),
            ) if reason == same && (*start - *before).abs() <= NEAR => {
                *before = (*before).max(*end);
                return;
            }
            _ => {}
        }
        if self.0.len() < MOST {
            self.0.push_back(step);
        }
    }

    /// Tells as much as is taken.
    pub(crate) fn tell(&mut self, mut tell: impl FnMut(Step) -> Result<(), ArchiveError>) {
        while let Some(step) = self.0.pop_front() {
            let again = match &step {
                Step::Note(change) => Step::Note(change.clone()),
                Step::Close { id, watched } => Step::Close {
                    id: *id,
                    watched: *watched,
                },
                Step::Append(..) | Step::Begin(_) => continue,
            };
            if tell(step).is_err() {
                self.0.push_front(again);
                return;
            }
        }
    }

    /// Whether all was told.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(start: i64, end: i64, reason: &'static str) -> Step {
        Step::Note(Change::Gap {
            stream: 1,
            start,
            end,
            reason,
        })
    }

    #[test]
    fn what_follows_each_other_is_one_and_nothing_is_told_twice() {
        let mut owed = Owed::default();
        for second in 0..100_000 {
            owed.push(lost(
                second * 1_000_000,
                (second + 1) * 1_000_000,
                "disk-slow",
            ));
        }
        owed.push(Step::Close {
            id: 7,
            watched: true,
        });
        owed.push(lost(200_000_000_000, 200_001_000_000, "disk-slow"));
        let mut told = Vec::new();
        let mut room = 2;
        let mut tell = |step| {
            if room == 0 {
                return Err(ArchiveError::Refused("full".into()));
            }
            room -= 1;
            told.push(format!("{step:?}"));
            Ok(())
        };
        owed.tell(&mut tell);
        assert!(!owed.is_empty());
        owed.tell(|step| {
            told.push(format!("{step:?}"));
            Ok(())
        });
        assert!(owed.is_empty());
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[0].contains("start: 0, end: 100000000000"), "{told:?}");
        assert!(told[1].contains("Close"), "{told:?}");
    }

    #[test]
    fn it_has_an_end() {
        let mut owed = Owed::default();
        for n in 0..1_000_000 {
            owed.push(lost(n * 10_000_000, n * 10_000_000 + 1, "disk-slow"));
        }
        assert_eq!(owed.0.len(), MOST);
    }
}
