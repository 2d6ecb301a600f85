//! One load of a plugin with one set of settings: what instances are made of.

use std::sync::{Arc, Mutex};

use crate::host::InstanceContext;
use crate::load::Loaded;
use crate::spec::Grant;
use taimat_base::bucket::Bucket;

/// CPU time that a plugin has left, in seconds: all its instances together.
pub(crate) type CpuShare = Arc<Mutex<Bucket>>;

/// What instances are made of.
#[derive(Debug, Clone)]
pub(crate) struct Generation {
    /// Counted from 1 for each plugin.
    pub(crate) number: u64,
    /// The plugin's version.
    pub(crate) version: String,
    pub(crate) share: CpuShare,
    pub(crate) loaded: Loaded,
    pub(crate) context: InstanceContext,
    /// As JSON.
    pub(crate) settings: String,
    pub(crate) grant: Grant,
}
