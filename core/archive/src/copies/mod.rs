//! Copies of segments at other places: made, held against what was recorded, let go.

mod copier;
mod folder;
mod work;

pub(crate) use copier::Copier;
