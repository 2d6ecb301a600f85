//! One detector at one camera: gives it frames and ticks, and passes on what it detects.

use std::time::Duration;

use taimat_base::clock;
use taimat_base::tasks::Stop;
use taimat_contract::{Delivery, Detected, Detection, Detector, FrameReader, UnixMicros, Want};

use super::instance::ReadyDetector;
use crate::place::Place;
use crate::probation::Given;
use crate::seat::{Answer, Desired, Seat};

/// How often `on-tick` is called.
const TICK: Duration = Duration::from_secs(1);

/// One detector at one camera.
pub(crate) struct DetectorRunner {
    seat: Seat<ReadyDetector>,
    reader: Option<(Want, Box<dyn FrameReader>)>,
}

impl DetectorRunner {
    pub(crate) fn new(seat: Seat<ReadyDetector>) -> Self {
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
                next = next(&mut self.reader), if watching => match next {
                    Some(delivery) => self.frame(&delivery).await,
                    None => return,
                },
                () = clock::until(resume) => {
                    self.seat.resume(&desired.borrow().clone());
                }
                _ = ticks.tick() => self.tick().await,
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
            let Some((guest, share)) = self.seat.turn() else {
                return;
            };
            let called = share.spend(guest.detector.on_frame(delivery)).await;
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
        let Some((guest, share)) = self.seat.turn() else {
            return;
        };
        let called = share.spend(guest.detector.on_tick(now)).await;
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
