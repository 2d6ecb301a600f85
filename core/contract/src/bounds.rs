//! What an answer may be: counts, bytes and numbers, as they stand beside each field of the contract.

use crate::detection::{Attribute, UnixMicros};

/// What an answer may not be. It is refused with the call, never cut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutOfBounds {
    /// More of something than there may be.
    #[error("{what}: {found}, at most {most}")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// How much there is.
        found: u64,
        /// How much there may be.
        most: u64,
    },
    /// Something that is not what it has to be.
    #[error("{what} is not {rule}")]
    Not {
        /// What.
        what: &'static str,
        /// What it would have to be.
        rule: &'static str,
    },
}

/// A text without a bound of its own.
pub(crate) const TEXT_BYTES: usize = 1024;
/// What a plugin is given back with the next question.
pub(crate) const MEMO_BYTES: usize = 4096;

/// So much and no more.
pub(crate) fn most(what: &'static str, found: usize, most: usize) -> Result<(), OutOfBounds> {
    if found <= most {
        return Ok(());
    }
    Err(OutOfBounds::TooMuch {
        what,
        found: found as u64,
        most: most as u64,
    })
}

/// A number between two.
pub(crate) fn between(
    what: &'static str,
    found: u32,
    range: std::ops::RangeInclusive<u32>,
    rule: &'static str,
) -> Result<(), OutOfBounds> {
    holds(range.contains(&found), what, rule)
}

/// What has to be so.
pub(crate) fn holds(so: bool, what: &'static str, rule: &'static str) -> Result<(), OutOfBounds> {
    if so {
        return Ok(());
    }
    Err(OutOfBounds::Not { what, rule })
}

/// Pairs, at most so many.
pub(crate) fn attributes(
    what: &'static str,
    list: &[Attribute],
    count: usize,
) -> Result<(), OutOfBounds> {
    most(what, list.len(), count)?;
    for Attribute { key, value } in list {
        most("bytes of a key", key.len(), 64)?;
        most("bytes of a value", value.len(), TEXT_BYTES)?;
    }
    Ok(())
}

/// A time that every language holds.
pub(crate) fn time(what: &'static str, at: UnixMicros) -> Result<(), OutOfBounds> {
    holds(at.is_exact(), what, "between -2^53 and 2^53")
}
