//! Places where copies of recordings are kept, other than the archive's own folders: what a backend
//! reaches by a channel, and S3. The archive calls; nothing here is tried again by itself, but for parts of
//! an S3 upload.

mod all;
mod backend;
mod connector;
mod content;
mod counted;
mod errand;
mod exchange;
mod incoming;
mod metrics;
mod patience;
mod s3;
pub(crate) mod spec;
mod unready;

pub(crate) use all::AllPlaces;
pub(crate) use backend::BackendPlace;
pub(crate) use s3::S3Place;
pub(crate) use unready::Unready;
