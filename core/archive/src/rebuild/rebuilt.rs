//! What an index was made of.

use super::apart::Apart;

/// What is named at most: what is more is in the log.
const MOST_NAMED: usize = 10_000;

/// What an index was made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rebuilt {
    /// Segments.
    pub segments: u64,
    /// Parts.
    pub parts: u64,
    /// Of them, those that nothing vouches for but their own file: no former index, and no file behind theirs.
    pub unproven: u64,
    /// What did not fit, and was put aside.
    pub apart: Vec<Apart>,
}

impl Rebuilt {
    /// Something was put aside.
    pub(super) fn name(&mut self, apart: Apart) {
        tracing::error!(%apart, "a recording does not fit the others");
        if self.apart.len() < MOST_NAMED {
            self.apart.push(apart);
        }
    }
}
