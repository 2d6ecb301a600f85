//! One detector at one camera: gives it frames and ticks, and passes on what it detects.

use std::time::Duration;

use taimat_base::clock;
use taimat_base::tasks::Stop;
use taimat_contract::{Delivery, Detected, Detection, Detector, FrameReader, UnixMicros, Want};

use super::instance::{DetectorInstance, ReadyDetector};
use crate::place::Place;
use crate::probation::Given;
use crate::seat::{Answer, Desired, Seat};

/// How often `on-tick` is called.
const TICK: Duration = Duration::from_secs(1);

/// One detector at one camera.
pub(crate) struct DetectorRunner<D = DetectorInstance> {
    seat: Seat<ReadyDetector<D>>,
    reader: Option<(Want, Box<dyn FrameReader>)>,
}

impl<D: Detector + 'static> DetectorRunner<D> {
    pub(crate) fn new(seat: Seat<ReadyDetector<D>>) -> Self {
        Self { seat, reader: None }
    }

    /// Runs what is desired until told to stop.
    pub(crate) async fn run(mut self, mut desired: Desired, stop: Stop) {
        self.seat.follow(&desired.borrow_and_update().clone());
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            self.watch();
            let resume = self.seat.resume_at();
            let watching = self.seat.guest().is_some() && self.reader.is_some();
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                changed = desired.changed() => match changed {
                    Ok(()) => self.seat.follow(&desired.borrow_and_update().clone()),
                    Err(_plugin_gone) => return,
                },
                made = self.seat.made() => self.seat.take_place(made).await,
                // Before the frames: where one always waits, none of these would ever have its turn.
                () = clock::until(resume) => {
                    self.seat.resume(&desired.borrow().clone());
                }
                _ = ticks.tick() => self.tick().await,
                next = next(&mut self.reader), if watching => match next {
                    Some(delivery) => self.frame(&delivery).await,
                    None => return,
                },
            }
        }
    }

    /// Asks for the frames that whoever sits there needs. Those that come already are kept, if they
    /// are what is wanted.
    fn watch(&mut self) {
        let Some(want) = self.seat.guest().map(|guest| guest.want) else {
            return;
        };
        if self.reader.as_ref().is_none_or(|(have, _)| *have != want) {
            let Place::Camera(camera) = self.seat.place() else {
                return;
            };
            let reader = self.seat.context().source.watch(camera, &want);
            self.reader = Some((want, reader));
        }
    }

    async fn frame(&mut self, delivery: &Delivery) {
        let metrics = &self.seat.context().metrics;
        let skipped = u64::from(delivery.info.dropped_before);
        metrics.frames_skipped.inc_by(skipped);
        if !self.seat.has_share() {
            metrics.frames_skipped.inc();
            return;
        }
        // The second time is for the instance before, if there is one.
        for _ in 0..2 {
            let Some(guest) = self.seat.turn() else {
                return;
            };
            let called = guest.detector.on_frame(delivery).await;
            self.seat.set(|status| status.frames += 1);
            match self.seat.judge(Given::Question, called) {
                Answer::Given(detections) => self.publish(detections, Some(delivery)),
                Answer::Again => continue,
                Answer::Failed(why) => tracing::debug!(%why, "a frame was not looked at"),
            }
            break;
        }
        self.seat.recycle();
    }

    async fn tick(&mut self) {
        if !self.seat.has_share() {
            return;
        }
        let now = UnixMicros::from(clock::wall());
        let Some(guest) = self.seat.turn() else {
            return;
        };
        let called = guest.detector.on_tick(now).await;
        // The next tick is soon enough for the one before.
        if let Answer::Given(detections) = self.seat.judge(Given::Tick, called) {
            self.publish(detections, None);
        }
    }

    fn publish(&self, detections: Vec<Detection>, frame: Option<&Delivery>) {
        let (now, budget) = (clock::now(), self.seat.budget());
        let all = detections.len();
        let mut kept = detections;
        kept.retain(|_| budget.detection(now));
        let context = self.seat.context();
        let dropped = (all - kept.len()) as u64;
        context.metrics.detections_dropped.inc_by(dropped);
        if kept.is_empty() {
            return;
        }
        context.metrics.detections.inc_by(kept.len() as u64);
        self.seat
            .set(|status| status.detections += kept.len() as u64);
        if let Place::Camera(camera) = self.seat.place() {
            context.sink.publish(&Detected {
                camera,
                plugin: &context.plugin,
                detections: &kept,
                frame,
            });
        }
    }
}

async fn next(reader: &mut Option<(Want, Box<dyn FrameReader>)>) -> Option<Delivery> {
    match reader {
        Some((_, reader)) => reader.next().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use taimat_base::CameraId;
    use taimat_contract::{About, Failure, FrameId, FrameInfo};
    use taimat_vision::History;
    use tokio::sync::watch;

    use super::*;
    use crate::budget::Budget;
    use crate::generation::Generation;
    use crate::seat::Making;
    use crate::testing::{FloodSource, TestPlugin};

    static FRAMES: AtomicUsize = AtomicUsize::new(0);
    static TICKS: AtomicUsize = AtomicUsize::new(0);

    /// Takes a tenth of a second for a frame.
    #[derive(Debug)]
    struct Slow;

    #[async_trait]
    impl Detector for Slow {
        async fn describe(&mut self) -> Result<About, Failure> {
            Ok(About::default())
        }
        async fn configure(&mut self, _settings: &str) -> Result<(), Failure> {
            Ok(())
        }
        async fn wants(&mut self, _camera: &CameraId) -> Result<Want, Failure> {
            Ok(want())
        }
        async fn on_frame(&mut self, _frame: &Delivery) -> Result<Vec<Detection>, Failure> {
            FRAMES.fetch_add(1, Ordering::Relaxed);
            clock::sleep_until(clock::now() + TICK / 10).await;
            Ok(Vec::new())
        }
        async fn on_tick(&mut self, _now: UnixMicros) -> Result<Vec<Detection>, Failure> {
            TICKS.fetch_add(1, Ordering::Relaxed);
            Ok(Vec::new())
        }
        async fn save(&mut self) -> Result<Option<Vec<u8>>, Failure> {
            Ok(None)
        }
        async fn load(&mut self, _from_version: &str, _saved: &[u8]) -> Result<(), Failure> {
            Ok(())
        }
    }

    fn want() -> Want {
        Want {
            width: 64,
            height: 36,
            max_fps: 25.0,
            keyframes_only: false,
            history: 0,
        }
    }

    fn make(_: Arc<Generation>, _: Place, _: Arc<Budget>) -> Making<ReadyDetector<Slow>> {
        Box::pin(async {
            Ok(ReadyDetector {
                detector: Slow,
                want: want(),
            })
        })
    }

    #[tokio::test(start_paused = true)]
    async fn time_passes_for_a_detector_whose_frames_never_end() {
        let info = FrameInfo {
            id: FrameId(1),
            camera: "c0".parse().unwrap(),
            at: UnixMicros(0),
            width: 64,
            height: 36,
            key: true,
            dropped_before: 0,
        };
        let frames = Arc::new(History::new(Vec::new()));
        let source = FloodSource(Delivery { info, frames });
        let plugin = TestPlugin::new(Arc::new(source), 0);
        let desired = watch::Sender::new(plugin.generation(1));
        let (seat, _status) = Seat::new(TestPlugin::place("c0"), plugin.context.clone(), make);
        let runs = DetectorRunner::new(seat).run(desired.subscribe(), Stop::new());
        let ended = tokio::time::timeout(TICK * 10, runs).await;
        assert!(ended.is_err(), "it runs on");
        let (frames, ticks) = (
            FRAMES.load(Ordering::Relaxed),
            TICKS.load(Ordering::Relaxed),
        );
        assert!((95..=101).contains(&frames), "{frames}");
        assert!((9..=11).contains(&ticks), "{ticks}");
    }
}
