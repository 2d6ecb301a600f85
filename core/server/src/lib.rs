//! The router as a whole: configuration, composition, reload, shutdown order.
//!
//! Owner: the binary `taimat`, and tests that run a router inside their own process. This is the
//! only room that knows everyone.
//! Not here: what any part does.

mod admin;
pub mod config;
pub mod plugin;
pub mod probe;
mod process;
pub mod recording;
mod reload;
pub mod router;
pub mod simulate;

pub use router::{Options, Router};
