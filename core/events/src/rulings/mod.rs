//! Rulings: what follows from an event. The commune's policy says it, or the rules of its file.

mod builtin;
mod desk;
mod hours;

pub use builtin::{AlertRule, Escalation};
pub(crate) use desk::Desk;
pub use hours::{BadHours, DayKinds, Hours};
