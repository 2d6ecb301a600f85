//! Detectors: one instance at each camera, shown its frames, answering with detections.

pub(crate) mod instance;
mod runner;

use taimat_base::tasks::Stop;
use taimat_contract::Kind;

use crate::board::SharedRunStatus;
use crate::kind::{Run, ServedKind};
use crate::place::Place;
use crate::rules::KindRules;
use crate::seat::{Desired, Seat, SeatContext};
use crate::version::ContractVersion;
use instance::ReadyDetector;
use runner::DetectorRunner;

/// Detectors.
pub(crate) const KIND: ServedKind = ServedKind {
    rules: KindRules {
        kind: Kind::Detector,
        export: "detector",
        world: "detector-plugin",
        since: ContractVersion::V0_1,
        imports: &["types", "log", "metrics", "state", "commune", "frames"],
    },
    places: |spec| spec.cameras.iter().cloned().map(Place::Camera).collect(),
    run,
};

fn run(place: Place, context: SeatContext, desired: Desired, stop: Stop) -> (SharedRunStatus, Run) {
    let (seat, status) = Seat::new(place, context, ReadyDetector::make);
    let runner = DetectorRunner::new(seat);
    (status, Box::pin(runner.run(desired, stop)))
}
