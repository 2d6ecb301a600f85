//! Descriptions of streams (SDP, RFC 8866) as cameras write them.
//!
//! A line that is not understood is skipped and counted; what is left is used. Refused is only what
//! describes nothing, or is larger than any description. Choosing among what is described is
//! `tracks`' matter. Cost: one pass; memory is bounded by the constants of
//! `parser`, `attribute` and `format`.

mod attribute;
mod description;
mod format;
mod parser;
#[cfg(test)]
mod tests;
mod text;

pub use attribute::Direction;
pub use description::{Connection, Description, Media, MediaKind};
pub use format::Format;
pub use parser::{MAX_BYTES, MAX_LINES, MAX_MEDIA, SdpError};
