//! What the host gives a plugin: one file a capability. Each says when it is granted, makes its
//! part of an instance, and answers the calls; `wire.rs` links them for each version of the contract.

pub(crate) mod channels;
pub(crate) mod commune;
pub(crate) mod context;
mod data;
pub(crate) mod frames;
pub(crate) mod log;
pub(crate) mod metrics;
pub(crate) mod state;
pub(crate) mod stderr;
pub(crate) mod wasi;
pub(crate) mod wire;

pub(crate) use context::{InstanceContext, PluginCommon};
pub(crate) use data::HostState;
