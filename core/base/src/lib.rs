//! Words that all rooms share: identifiers, units, the clock, CPU time, supervised tasks, configuration
//! problems, redaction, restraint in logs, allowances, shares of what is limited, text of others, files
//! and a metrics helper.
//!
//! Owner: everyone. Cost: nothing here runs on the packet path except [`clock::now`].
//! Not here: anything that knows what a camera sends, or how it is stored or shown.

pub mod backoff;
pub mod bucket;
pub mod budget;
pub mod clock;
pub mod cpu;
pub mod files;
pub mod guarantees;
pub mod ids;
pub mod metrics;
pub mod peer;
pub mod ports;
pub mod problem;
pub mod redact;
pub mod refusals;
pub mod seldom;
pub mod shares;
pub mod tasks;
pub mod text;
pub mod units;

pub use ids::{CameraId, CameraKey, ChannelId, CommuneId, PluginId, Profile, SessionId};
pub use problem::{Place, Problem};
pub use redact::{Redactor, Secret};
pub use seldom::Seldom;
