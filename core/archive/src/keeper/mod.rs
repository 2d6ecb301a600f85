//! Decides what becomes of segments, and does it: asks storage, removes what may go, makes room before there
//! is none.

mod asking;
mod gauges;
mod remove;
mod review;
mod space;

pub(crate) use asking::Asking;
pub(crate) use gauges::gauges;
pub(crate) use remove::{Removal, remove};
pub(crate) use review::{Question, review};
pub(crate) use space::{Shortage, aged, make_room, shortages};
