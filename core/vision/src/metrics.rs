//! What is counted about decoding.

use std::sync::Arc;

use taimat_base::CameraKey;
use taimat_base::metrics::{Error, IntCounterVec, Register, Registry};

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
        })
    }

    pub(crate) fn of(self: &Arc<Self>, camera: &CameraKey) -> CameraMetrics {
        let labels = [camera.commune.as_str(), camera.camera.as_str()];
        for cause in Restart::ALL {
            let _at_zero = self
                .restarts
                .with_label_values(&[labels[0], labels[1], cause.as_str()]);
        }
        CameraMetrics {
            series: self.per_camera.of(labels),
            all: Arc::clone(self),
            camera: camera.clone(),
        }
    }
}

/// One camera's.
#[derive(Debug)]
pub(crate) struct CameraMetrics {
    series: CameraSeries,
    all: Arc<VisionFamilies>,
    camera: CameraKey,
}

impl std::ops::Deref for CameraMetrics {
    type Target = CameraSeries;

    fn deref(&self) -> &CameraSeries {
        &self.series
    }
}

impl CameraMetrics {
    fn labels(&self) -> [&str; 2] {
        [self.camera.commune.as_str(), self.camera.camera.as_str()]
    }

    pub(crate) fn restart(&self, cause: Restart) {
        let [commune, camera] = self.labels();
        self.all
            .restarts
            .with_label_values(&[commune, camera, cause.as_str()])
            .inc();
    }
}

impl CameraMetrics {
    /// Nobody watches the camera any more: its series end.
    pub(crate) fn forget(&self) {
        let labels = self.labels();
        let all = &self.all;
        // Gone already when a second task of the same camera has ended before.
        all.per_camera.remove(labels);
        for cause in Restart::ALL {
            let _removed =
                all.restarts
                    .remove_label_values(&[labels[0], labels[1], cause.as_str()]);
        }
    }
}
