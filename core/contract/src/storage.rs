//! A storage plugin says where recordings are kept, and how long.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use taimat_base::{CommuneId, PluginId};

use crate::bounds::{self, OutOfBounds, holds, most};
use crate::detection::{Severity, UnixMicros};
use crate::failure::Unanswered;

/// A copy of a segment: one that is there, or one that is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// Where, by the name that `commune.toml` has.
    pub target: String,
    /// The plugin is asked again then; until it has answered, the copy stays.
    pub until: UnixMicros,
    /// When the target is nearly full, the copies with the lowest worth go first, the oldest of them
    /// first; those held never.
    pub worth: u8,
}

/// Some seconds of a camera, most often 60.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Stays the same. Below 2^53.
    pub id: u64,
    /// The camera's name in its commune.
    pub camera: String,
    /// When it begins.
    pub start: UnixMicros,
    /// Milliseconds.
    pub duration_ms: u32,
    /// Bytes.
    pub size: u64,
    /// A detector looked at all of it; if not, no events does not mean that nothing was there.
    pub watched: bool,
    /// Kinds of the events within it, at most [`Segment::MAX_KINDS`].
    pub kinds: Vec<String>,
    /// The highest severity among them.
    pub highest: Option<Severity>,
    /// Kept by somebody's order: never let go, whatever is said.
    pub held: bool,
    /// Not let go before, by the policy's order.
    pub keep_until: Option<UnixMicros>,
    /// Where it is or is to be, at most [`Placement::MAX_COPIES`].
    pub copies: Vec<Placed>,
}

impl Segment {
    /// Segments of one question at most.
    pub const MAX_ASKED: usize = 256;
    /// Kinds of events at most.
    pub const MAX_KINDS: usize = 32;
}

/// Where copies can be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageTarget {
    /// Its name in `commune.toml`.
    pub name: String,
    /// Bytes.
    pub used: u64,
    /// Bytes that it may have; none when there is no end.
    pub quota: Option<u64>,
    /// Takes and gives at present.
    pub healthy: bool,
}

impl StorageTarget {
    /// Targets of one question at most.
    pub const MAX_TARGETS: usize = 64;
}

/// Why a storage plugin is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReviewCause {
    /// The segments were just written.
    Fresh,
    /// The time of a copy is over.
    Due,
    /// An event or an order has changed what they are worth.
    Changed,
    /// Settings or targets have changed: everything is asked, a little at a time.
    Configured,
}

/// The copies of a segment that there are to be, all of them. No copies at all lets it go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// Which segment.
    pub id: u64,
    /// At most [`Placement::MAX_COPIES`], each at another target.
    pub copies: Vec<Placed>,
}

impl Placement {
    /// Copies of one segment at most.
    pub const MAX_COPIES: usize = 8;
}

/// A question to a storage plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// Why it is asked.
    pub why: ReviewCause,
    /// 1 to [`Segment::MAX_ASKED`], in order of time.
    pub segments: Vec<Segment>,
    /// Where copies can be.
    pub targets: Vec<StorageTarget>,
    /// The time.
    pub now: UnixMicros,
}

impl Review {
    /// The question itself, if it keeps to the contract: whoever asks has put it together of what an
    /// index holds.
    pub fn checked(&self) -> Result<(), OutOfBounds> {
        let count = self.segments.len();
        holds(count > 0, "a review", "about a segment at least")?;
        most("segments", count, Segment::MAX_ASKED)?;
        most("targets", self.targets.len(), StorageTarget::MAX_TARGETS)?;
        for segment in &self.segments {
            whole("the id of a segment", segment.id)?;
            whole("the size of a segment", segment.size)?;
            most(
                "kinds of a segment",
                segment.kinds.len(),
                Segment::MAX_KINDS,
            )?;
            copies(&segment.copies)?;
        }
        Ok(())
    }

    /// The answer, if it keeps to the contract. Segments that it does not name stay as they are.
    pub fn answered(&self, answer: Vec<Placement>) -> Result<Vec<Placement>, OutOfBounds> {
        most("placements", answer.len(), self.segments.len())?;
        let asked: BTreeMap<u64, &Segment> = self.segments.iter().map(|s| (s.id, s)).collect();
        let targets: BTreeSet<&str> = self.targets.iter().map(|t| t.name.as_str()).collect();
        let mut named = BTreeSet::new();
        for placement in &answer {
            let segment = asked.get(&placement.id);
            let segment = segment.ok_or(OutOfBounds::Not {
                what: "the id of a placement",
                rule: "that of a segment that was asked about",
            })?;
            holds(named.insert(placement.id), "a segment", "named once")?;
            copies(&placement.copies)?;
            for copy in &placement.copies {
                let stays = segment.copies.iter().any(|c| c.target == copy.target);
                let known = stays || targets.contains(copy.target.as_str());
                holds(known, "the target of a copy", "one that there is")?;
            }
        }
        Ok(answer)
    }
}

fn whole(what: &'static str, number: u64) -> Result<(), OutOfBounds> {
    holds(number < 1 << 53, what, "below 2^53")
}

fn copies(copies: &[Placed]) -> Result<(), OutOfBounds> {
    most("copies of a segment", copies.len(), Placement::MAX_COPIES)?;
    let mut targets = BTreeSet::new();
    for copy in copies {
        most("bytes of a target", copy.target.len(), 64)?;
        bounds::time("until of a copy", copy.until)?;
        let other = targets.insert(copy.target.as_str());
        holds(other, "a copy of a segment", "the only one at its target")?;
    }
    Ok(())
}

/// One of a commune's storage plugins, whatever instance of it is running at the moment. It answers from
/// the arguments: whoever asks writes the answer down first, and then copies and lets go.
#[async_trait]
pub trait Storage: Send + Sync + Debug {
    /// Which copies there are to be.
    async fn review(&self, review: &Review) -> Result<Vec<Placement>, Unanswered>;
}

/// Who knows the communes' storage plugins.
pub trait Storages: Send + Sync + Debug {
    /// One of a commune's, by the name that its file has; none if no component of it runs, or it is none.
    /// It is asked for again with every question: `commune.toml` changes.
    fn storage(&self, commune: &CommuneId, name: &PluginId) -> Option<Arc<dyn Storage>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMicros = UnixMicros(1_800_000_000_000_000);

    fn placed(target: &str) -> Placed {
        Placed {
            target: target.into(),
            until: NOW,
            worth: 1,
        }
    }

    fn segment(id: u64) -> Segment {
        Segment {
            id,
            camera: "gate".into(),
            start: NOW,
            duration_ms: 60_000,
            size: 1 << 20,
            watched: true,
            kinds: Vec::new(),
            highest: None,
            held: false,
            keep_until: None,
            copies: vec![placed("gone")],
        }
    }

    fn review(count: u64) -> Review {
        Review {
            why: ReviewCause::Fresh,
            segments: (0..count).map(segment).collect(),
            targets: vec![StorageTarget {
                name: "local".into(),
                used: 0,
                quota: None,
                healthy: true,
            }],
            now: NOW,
        }
    }

    fn refused(answer: Vec<Placement>) -> String {
        let answered = review(2).answered(answer);
        answered.map_or_else(|bad| bad.to_string(), |_good| String::new())
    }

    fn place(id: u64, copies: Vec<Placed>) -> Placement {
        Placement { id, copies }
    }

    #[test]
    fn a_question_is_about_1_to_256_segments() {
        assert!(review(0).checked().is_err());
        assert!(review(256).checked().is_ok());
        assert!(review(257).checked().is_err());
        let mut large = review(1);
        large.segments[0].id = 1 << 53;
        assert!(large.checked().unwrap_err().to_string().contains("2^53"));
    }

    #[test]
    fn an_answer_names_what_was_asked_about_and_targets_that_there_are() {
        assert_eq!(refused(Vec::new()), "");
        // One that is in the file no more may keep what it has.
        let both = vec![placed("local"), placed("gone")];
        assert_eq!(refused(vec![place(1, both)]), "");
        assert_eq!(refused(vec![place(0, Vec::new())]), "");
        let foreign = refused(vec![place(2, Vec::new())]);
        assert!(foreign.contains("asked about"), "{foreign}");
        let twice = refused(vec![place(1, Vec::new()), place(1, Vec::new())]);
        assert!(twice.contains("named once"), "{twice}");
        let nowhere = refused(vec![place(1, vec![placed("moon")])]);
        assert!(nowhere.contains("one that there is"), "{nowhere}");
        let same = refused(vec![place(1, vec![placed("local"), placed("local")])]);
        assert!(same.contains("the only one"), "{same}");
        let mut never = placed("local");
        never.until = UnixMicros(i64::MAX);
        assert!(refused(vec![place(1, vec![never])]).contains("2^53"));
        assert!(refused(vec![place(1, vec![placed("local"); 9])]).contains("9, at most 8"));
        let many = refused((0..3).map(|id| place(id, Vec::new())).collect());
        assert!(many.contains("3, at most 2"), "{many}");
    }
}
