//! The router as a whole: configuration, composition, reload, shutdown order.
//!
//! Owner: the binary `taimat`, and tests that run a router inside their own process. This is the
//! only room that knows everyone.
//! Not here: what any part does.

mod admin;
pub mod budgets;
pub mod check;
mod communes;
pub mod config;
mod data_folder;
mod descriptors;
#[cfg(feature = "evidence")]
pub mod evidence;
mod exports;
mod house;
mod http;
pub mod options;
pub mod probe;
mod recordings;
pub mod recordings_command;
mod reload;
pub mod report;
mod rooms;
pub mod router;
#[cfg(feature = "evidence")]
mod sealing;
mod shown;
#[cfg(feature = "tools")]
pub mod simulate;

pub use options::Options;
pub use router::Router;
