//! The log of what people did with recordings: append-only, each line bound to all before it.
//!
//! A folder with a file a year, `audit-2026.jsonl`. A line is
//! `{"entry":{…},"before":"…","hash":"…"}`, where `hash` is the SHA-256 of the 32 bytes of `before`
//! and the SHA-256 of the text of `entry`. So a line can be handed on without its entry, by the
//! entry's SHA-256: whoever holds an excerpt sees that one entry leads to the head, and not what else
//! was done.

mod append;
mod deed;
mod error;
mod excerpt;
mod files;
mod line;
#[cfg(test)]
mod tests;
mod verify;

pub use append::{AuditLog, CutTail, Opened, Receipt};
pub use deed::{Deed, Done, Entry};
pub use error::AuditError;
pub use excerpt::{Excerpt, ExcerptError, read_excerpt, write_excerpt};
pub use line::MAX_LINE_BYTES;
pub use verify::{Tail, Verified, replay, verify};
