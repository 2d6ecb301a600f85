//! Decoded frames for detectors: decoded once per camera, scaled per detector, the newest wins.
//!
//! Owner: one [`Vision`] for the process. Cost: decoding dominates (for 640×360, half a millisecond drawn,
//! about two on footage with a sensor's noise); a
//! camera that nobody watches costs nothing.
//! Not here: what a detector does with a frame, which cameras it may see.

mod camera;
pub mod decode;
pub mod fair;
mod history;
pub mod kernels;
mod metrics;
mod picture;
mod pool;
mod sampler;
mod shrink;
mod slot;
mod still;
mod subscription;
mod watchers;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use taimat_base::CameraKey;
use taimat_base::metrics::Registry;
use taimat_base::tasks::{Stop, Tasks};
use taimat_contract::{FrameReader, FrameSource, Want};
use taimat_hub::Hub;

use metrics::VisionFamilies;
use pool::Pool;
use subscription::Subscription;
use watchers::Watchers;

pub use history::{Frame, History};
pub use picture::Picture;
pub use sampler::Sampler;
pub use shrink::shrink;
pub use still::still;

/// Decodes cameras that are watched.
#[derive(Debug)]
pub struct Vision {
    hub: Arc<Hub>,
    pool: Arc<Pool>,
    metrics: Arc<VisionFamilies>,
    cameras: Mutex<HashMap<CameraKey, Weak<Watchers>>>,
    tasks: Tasks,
}

impl Vision {
    /// Starts `threads` decoder threads; 0 is one per core.
    pub fn start(
        hub: Arc<Hub>,
        threads: usize,
        registry: &Registry,
        stop: &Stop,
    ) -> Result<Arc<Self>, taimat_base::metrics::Error> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = if threads == 0 { cores } else { threads };
        Ok(Arc::new(Self {
            hub,
            pool: Arc::new(Pool::start(threads)),
            metrics: Arc::new(VisionFamilies::register(registry)?),
            cameras: Mutex::default(),
            tasks: Tasks::under(stop),
        }))
    }

    /// Stops decoding; readers come to an end.
    pub async fn stop(&self, deadline: Duration) {
        self.tasks.stop(deadline).await;
    }
}

impl FrameSource for Vision {
    fn watch(&self, camera: &CameraKey, want: &Want) -> Box<dyn FrameReader> {
        let mut cameras = self.cameras.lock().unwrap_or_else(|e| e.into_inner());
        let existing = cameras.get(camera).and_then(Weak::upgrade);
        let watchers = existing.unwrap_or_else(|| {
            cameras.retain(|_, watchers| watchers.strong_count() > 0);
            let made = Arc::new(Watchers::new(camera.clone()));
            cameras.insert(camera.clone(), Arc::downgrade(&made));
            let span = tracing::info_span!("decode", %camera);
            let weak = Arc::downgrade(&made);
            let run = camera::run(
                Weak::clone(&weak),
                made.gone(),
                Arc::clone(&self.hub),
                Arc::clone(&self.pool),
                self.metrics.of(camera),
            );
            self.tasks.spawn("decode", span, |stop| async move {
                tokio::select! {
                    () = run => {}
                    () = stop.cancelled() => {}
                }
                if let Some(watchers) = weak.upgrade() {
                    watchers.close();
                }
            });
            made
        });
        Box::new(Subscription::new(watchers, *want))
    }
}
