//! The events on disk: one SQLite file, one thread that writes.
//!
//! What waits is committed together, so that many events cost one wait for the disk. Nobody is told
//! of anything before it is there.

mod browsers;
mod deliveries;
mod ended;
mod enqueue;
mod event_store;
mod outbox;
mod query;
mod retention;
mod rows;
mod rulings;
mod schema;
mod stands;
mod story;
mod waits;
mod writer;

pub use deliveries::TargetState;
pub(crate) use ended::{End, Ended};
pub(crate) use event_store::Write;
pub use event_store::{Answer, EventStore};
pub(crate) use outbox::{Head, HeadEvent, Tried, Turn};
pub use query::{EventPage, EventQuery, EventState, Standing};
pub use retention::Keep;
pub(crate) use rulings::{Question, Ruled};
pub(crate) use stands::Topic;

#[cfg(test)]
mod bounds_tests;
#[cfg(test)]
mod browsers_tests;
#[cfg(test)]
mod telling_tests;
#[cfg(test)]
mod tests;
