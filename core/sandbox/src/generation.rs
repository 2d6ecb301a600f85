//! One load of a plugin with one set of settings: what instances are made of.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use taimat_base::CameraKey;
use taimat_contract::{Detector, Failure, Want};

use crate::host::Shared;
use crate::instance::Instance;
use crate::limits::Bucket;
use crate::load::{Grant, Loaded, within};

/// Makes detectors that are ready to look at frames.
#[async_trait]
pub(crate) trait Factory: Send + Sync + Debug {
    /// A started and configured detector, and what it needs to see of the camera.
    async fn make(&self, camera: &CameraKey) -> Result<(Box<dyn Detector>, Want), Failure>;
}

/// What instances are made of.
#[derive(Debug, Clone)]
pub(crate) struct Generation {
    /// Counted from 1 for each plugin.
    pub(crate) number: u64,
    /// The plugin's version.
    pub(crate) version: String,
    /// Calls after which an instance is replaced; 0 for never.
    pub(crate) recycle: u64,
    /// Detections a minute and camera.
    pub(crate) detections: u32,
    /// CPU time that is left, in seconds: all cameras together.
    pub(crate) share: Arc<Mutex<Bucket>>,
    pub(crate) factory: Arc<dyn Factory>,
}

/// Makes instances of a component.
#[derive(Debug)]
pub(crate) struct ComponentFactory {
    pub(crate) loaded: Loaded,
    pub(crate) shared: Shared,
    pub(crate) settings: String,
    pub(crate) grant: Grant,
}

#[async_trait]
impl Factory for ComponentFactory {
    async fn make(&self, camera: &CameraKey) -> Result<(Box<dyn Detector>, Want), Failure> {
        let mut instance = Instance::start(&self.loaded.prepared, &self.shared, camera).await?;
        instance.configure(&self.settings).await?;
        let want = instance.wants(&camera.camera).await?;
        let want = within(want, &self.loaded.package, &self.grant).ok_or_else(|| {
            let error = "a detector needs the grant frames = { width = …, fps = … }";
            Failure::Said(taimat_contract::PluginError::Settings(error.into()))
        })?;
        Ok((Box::new(instance), want))
    }
}
