//! The outbox: targets are told what was ruled, each in order, at least once, until a deadline.

mod courier;
mod course;
mod media;
mod push;
mod upkeep;

pub(crate) use courier::Courier;
pub(crate) use upkeep::Upkeep;
