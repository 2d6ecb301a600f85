//! What can not be taken back unseen: a camera's chain of hashes, and the log of what people did.
//!
//! Owner: nobody; the archive, signed exports, the API and access call it. Cost: two SHA-256 of a few
//! bytes a part; one sync of the disk for each thing that a person did.
//! Not here: what an export is, who may do what, where recordings are.

mod chain;
mod digest;
mod log;

pub use chain::{Link, after, beginning};
pub use digest::{BadDigest, Digest};
pub use log::{
    AuditError, AuditLog, CutTail, Deed, Done, Entry, Excerpt, ExcerptError, MAX_LINE_BYTES,
    Opened, Receipt, Tail, Verified, read_excerpt, replay, verify, write_excerpt,
};
