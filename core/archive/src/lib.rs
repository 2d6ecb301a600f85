//! What cameras show, kept as the commune decided, and found again.
//!
//! Owner: `server` makes one [`Archive`]. Cost: one task that looks at all streams ten times a second, one
//! thread that appends, hashes and syncs; memory for the second that is being filled.
//! Not here: who may see it (`api`), what an export is signed with (`evidence`), what a storage plugin is
//! (`contract`), how it is run (`sandbox`).

mod archive;
mod assemble;
#[cfg(feature = "backdate")]
mod backdate;
mod builtin;
mod chain;
mod chain_box;
mod check;
mod config;
mod copies;
mod disk_space;
mod error;
mod facts;
mod holds;
mod index;
mod keeper;
mod keeping;
mod layout;
mod load;
mod marks;
mod metrics;
mod modes;
mod moment;
mod owed;
mod packed;
mod part;
mod playback;
mod played;
mod reason;
mod rebuild;
mod recorder;
mod recording;
mod recover;
mod run;
mod scan;
mod sound;
mod standing;
mod ticks;
mod timeline;
mod trouble;
mod volume;
mod watching;

pub use archive::Archive;
#[cfg(feature = "backdate")]
pub use backdate::backdate;
pub use check::{Checked, Wrong, WrongFile, check, have_mended, rebuild};
pub use config::{CameraArchive, CommuneArchive, Keep, Mode, Scheduled, StoreKind, StoreSpec};
pub use disk_space::Space;
pub use error::ArchiveError;
pub use facts::LOCAL;
pub use holds::{FOLDER as AUDIT, Hold, NewHold};
pub use marks::{Happened, Mark, TakeOrder};
pub use playback::{MovieFile, MoviePiece, PieceError, SegmentFile};
pub use reason::GapReason;
pub use rebuild::{Apart, Rebuilt, Unfit};
pub use standing::{CameraStanding, StorageStanding, StoreStanding};
pub use timeline::{Gap, Recorded, Timeline};
pub use trouble::{Trouble, TroubleKind};
pub use watching::{ArchiveSurroundings, Watching};
