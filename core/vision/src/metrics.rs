//! What is counted about decoding.

use std::sync::Arc;

use taimat_base::CameraKey;
use taimat_base::metrics::{Error, IntCounter, IntCounterVec, Register, Registry};

use crate::decode::Restart;

type Counter = prometheus::core::GenericCounter<prometheus::core::AtomicF64>;
type CounterVec = prometheus::core::GenericCounterVec<prometheus::core::AtomicF64>;

const LABELS: [&str; 2] = ["commune", "camera"];

#[derive(Debug)]
pub(crate) struct Metrics {
    decoded: IntCounterVec,
    delivered: IntCounterVec,
    skipped: IntCounterVec,
    cpu: CounterVec,
    waited: CounterVec,
    restarts: IntCounterVec,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, Error> {
        let r = Register(registry);
        Ok(Self {
            decoded: r.counters(
                "taimat_vision_frames_decoded_total",
                "Frames decoded for detectors.",
                &LABELS,
            )?,
            delivered: r.counters(
                "taimat_vision_frames_delivered_total",
                "Frames handed to detectors, those included that were replaced by newer ones.",
                &LABELS,
            )?,
            skipped: r.counters(
                "taimat_vision_access_units_skipped_total",
                "Access units that were not decoded because decoding was too far behind.",
                &LABELS,
            )?,
            cpu: r.counters(
                "taimat_vision_decode_seconds_total",
                "Time spent decoding and scaling.",
                &LABELS,
            )?,
            waited: r.counters(
                "taimat_vision_wait_seconds_total",
                "Time access units waited for a decoder thread.",
                &LABELS,
            )?,
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
            decoded: self.decoded.with_label_values(&labels),
            delivered: self.delivered.with_label_values(&labels),
            skipped: self.skipped.with_label_values(&labels),
            cpu: self.cpu.with_label_values(&labels),
            waited: self.waited.with_label_values(&labels),
            all: Arc::clone(self),
            camera: camera.clone(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct CameraMetrics {
    pub(crate) decoded: IntCounter,
    pub(crate) delivered: IntCounter,
    pub(crate) skipped: IntCounter,
    pub(crate) cpu: Counter,
    pub(crate) waited: Counter,
    all: Arc<Metrics>,
    camera: CameraKey,
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
        for family in [&all.decoded, &all.delivered, &all.skipped] {
            // Gone already when a second task of the same camera has ended before.
            let _removed = family.remove_label_values(&labels);
        }
        for family in [&all.cpu, &all.waited] {
            let _removed = family.remove_label_values(&labels);
        }
        for cause in Restart::ALL {
            let _removed =
                all.restarts
                    .remove_label_values(&[labels[0], labels[1], cause.as_str()]);
        }
    }
}
