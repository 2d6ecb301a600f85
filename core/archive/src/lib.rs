//! What cameras show, kept as the commune decided, and found again.
//!
//! Owner: `server` makes one [`Archive`]. Cost: one task that looks at all streams ten times a second, one
//! thread that appends, hashes and syncs; memory for the second that is being filled.
//! Not here: who may see it (`api`), what an export is signed with (`evidence`), what a storage plugin is
//! (`contract`), how it is run (`sandbox`).

mod assemble;
mod chain;
mod chain_box;
mod config;
mod error;
mod index;
mod layout;
mod load;
mod metrics;
mod packed;
mod part;
mod reason;
mod recorder;
mod recording;
mod recover;
mod scan;
mod sound;
mod ticks;
mod volume;
mod watching;

pub use config::{CameraArchive, CommuneArchive, Keep, Mode, Scheduled, StoreKind, StoreSpec};
pub use error::ArchiveError;
pub use reason::GapReason;
pub use watching::{ArchiveSurroundings, Watching};
