//! Rulings: what follows from an event. The commune's policy says it, or the rules of its file.

mod builtin;
mod desk;

pub(crate) use desk::Desk;
