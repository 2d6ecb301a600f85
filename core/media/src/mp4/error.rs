//! What can go wrong.

use crate::h264::SpsError;

/// Why something can not be written as MP4.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mp4Error {
    /// The camera's parameter sets do not say enough.
    #[error("parameter sets can not be described: {0}")]
    ParameterSets(#[from] SpsError),
    /// The camera's description of its sound does not say enough.
    #[error("the {0} of the sound can not be described")]
    Sound(&'static str),
    /// More of something than the format has room for.
    #[error("{0} is too large for MP4")]
    TooLarge(&'static str),
    /// Nothing to write.
    #[error("there is no {0}")]
    Missing(&'static str),
    /// What was handed over contradicts itself.
    #[error("{0} does not fit")]
    Mismatch(&'static str),
}

/// Why bytes are not what we wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The bytes end too early.
    #[error("{need} bytes are needed")]
    Incomplete {
        /// How many there have to be, counted from the first one; with so many, more may be needed.
        need: usize,
    },
    /// They are something else, or damaged.
    #[error("damaged: {0}")]
    Malformed(&'static str),
    /// It claims to be larger than anything we write.
    #[error("{0} is larger than any we write")]
    TooLarge(&'static str),
}
