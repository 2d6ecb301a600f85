//! What is counted about decoding.

use std::sync::Arc;

use taimat_base::CameraKey;
use taimat_base::metrics::{Error, IntCounter, IntCounterVec, Owner, Owners, Register, Registry};

use crate::decode::Restart;

taimat_base::series! {
    /// Metrics with a series for each camera.
    families PerCamera;
    /// One camera's series.
    series CameraSeries;
    labels ["commune", "camera"];
    decoded: counter "taimat_vision_frames_decoded_total" "Frames decoded for detectors.",
    delivered: counter "taimat_vision_frames_delivered_total"
        "Frames handed to detectors, those included that were replaced by newer ones.",
    skipped: counter "taimat_vision_access_units_skipped_total"
        "Access units that were not decoded because decoding was too far behind.",
    cpu: seconds "taimat_vision_decode_seconds_total" "Time spent decoding and scaling.",
    waited: seconds "taimat_vision_wait_seconds_total"
        "Time access units waited for a decoder thread.",
}

/// All cameras' metrics.
#[derive(Debug)]
pub(crate) struct VisionFamilies {
    per_camera: PerCamera,
    restarts: IntCounterVec,
    owners: Owners<CameraKey>,
}

impl VisionFamilies {
    pub(crate) fn register(registry: &Registry) -> Result<Self, Error> {
        let r = Register(registry);
        Ok(Self {
            per_camera: PerCamera::register(r)?,
            restarts: r.counters(
                "taimat_vision_decoder_restarts_total",
                "Decoders started over, by cause.",
                &["commune", "camera", "cause"],
            )?,
            owners: Owners::default(),
        })
    }

    /// A camera's metrics, until they are dropped. A camera that is watched again may have two of them
    /// for a moment; the series are then those of the newer one.
    pub(crate) fn of(self: &Arc<Self>, camera: &CameraKey) -> CameraMetrics {
        let [commune, id] = labels(camera);
        let restarts = |cause: Restart| {
            let counter = self
                .restarts
                .with_label_values(&[commune, id, cause.as_str()]);
            (cause, counter)
        };
        let (owner, (series, restarts)) = self.owners.begin(camera.clone(), || {
            (
                self.per_camera.of([commune, id]),
                Restart::ALL.map(restarts),
            )
        });
        CameraMetrics {
            series,
            restarts,
            all: Arc::clone(self),
            owner,
        }
    }

    fn remove(&self, camera: &CameraKey) {
        let [commune, id] = labels(camera);
        self.per_camera.remove([commune, id]);
        for cause in Restart::ALL {
            let labels = [commune, id, cause.as_str()];
            // Those that were there.
            drop(self.restarts.remove_label_values(&labels));
        }
    }
}

fn labels(camera: &CameraKey) -> [&str; 2] {
    [camera.commune.as_str(), camera.camera.as_str()]
}

/// One camera's.
#[derive(Debug)]
pub(crate) struct CameraMetrics {
    series: CameraSeries,
    restarts: [(Restart, IntCounter); Restart::ALL.len()],
    all: Arc<VisionFamilies>,
    owner: Owner<CameraKey>,
}

impl std::ops::Deref for CameraMetrics {
    type Target = CameraSeries;

    fn deref(&self) -> &CameraSeries {
        &self.series
    }
}

impl CameraMetrics {
    /// Decoding started over.
    pub(crate) fn restart(&self, cause: Restart) {
        if let Some((_, counter)) = self.restarts.iter().find(|(c, _)| *c == cause) {
            counter.inc();
        }
    }
}

impl Drop for CameraMetrics {
    /// Nobody watches the camera any more: its series end.
    fn drop(&mut self) {
        self.owner.end(|camera| self.all.remove(camera));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_that_is_watched_again_keeps_its_series() {
        let registry = Registry::new();
        let families = Arc::new(VisionFamilies::register(&registry).unwrap());
        let camera = CameraKey::new("thu".parse().unwrap(), "cho".parse().unwrap());
        let old = families.of(&camera);
        let new = families.of(&camera);
        drop(old);
        assert!(!registry.gather().is_empty());
        new.restart(Restart::Panic);
        drop(new);
        assert!(registry.gather().is_empty());
    }
}
