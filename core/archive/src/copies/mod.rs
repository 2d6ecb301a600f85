//! Copies of segments at other places: made, held against what was recorded, held again from time to time,
//! mended, brought back, let go.

mod bring;
mod check;
mod copier;
mod fetch;
pub(crate) mod fetched;
mod folder;
mod kept;
mod pauses;
mod repair;
pub(crate) mod repairs;
mod work;

pub(crate) use copier::Copier;
pub(crate) use work::try_again;
