//! A component as a policy.

use std::sync::Arc;

use async_trait::async_trait;
use taimat_base::CameraId;
use taimat_contract as c;
use taimat_contract::policy::{Alert, DeliveryState, RecordingMode, Take, Why};
use taimat_contract::{Event, Failure, Ruling, Situation, UnixMicros};

use crate::answers::{self, Answers, asked};
use crate::bindings::v0_3::exports::taimat::plugin::policy as wire;
use crate::budget::Budget;
use crate::events;
use crate::generation::Generation;
use crate::instance::Instance;
use crate::place::Place;
use crate::seat::Making;

/// What a policy is asked.
pub(crate) enum PolicyQuestion {
    /// What follows from an event.
    OnEvent(Box<(Event, Situation)>),
    /// What is recorded of a camera.
    Recording(CameraId, UnixMicros),
}

/// What it answers.
pub(crate) enum PolicyReply {
    /// To the first.
    Ruling(Ruling),
    /// To the second.
    Mode(RecordingMode),
}

/// A configured policy.
pub(crate) struct ReadyPolicy {
    instance: Instance,
    exports: wire::Guest,
}

impl std::fmt::Debug for ReadyPolicy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadyPolicy")
            .field("instance", &self.instance)
            .finish_non_exhaustive()
    }
}

impl ReadyPolicy {
    /// Starts and configures one.
    pub(crate) fn make(
        generation: Arc<Generation>,
        place: Place,
        budget: Arc<Budget>,
    ) -> Making<Self> {
        Box::pin(async move {
            let pre = &generation.loaded.prepared.pre;
            let start = answers::start(&generation, &place, &budget, |store, instance| {
                wire::GuestIndices::new(pre)?.load(store, instance)
            });
            let (instance, exports) = start.await?;
            Ok(Self { instance, exports })
        })
    }
}

#[async_trait]
impl Answers for ReadyPolicy {
    type Question = PolicyQuestion;
    type Reply = PolicyReply;

    fn instance(&mut self) -> &mut Instance {
        &mut self.instance
    }

    async fn answer(&mut self, question: &PolicyQuestion) -> Result<PolicyReply, Failure> {
        let Self { instance, exports } = self;
        match question {
            PolicyQuestion::OnEvent(about) => {
                let (event, situation) = &**about;
                let now = situation.now;
                let (event, situation) = (events::event(event), self::situation(situation));
                asked!(
                    instance,
                    now,
                    |store| exports.call_on_event(store, &event, &situation),
                    |said| Ok(PolicyReply::Ruling(ruling(said).checked(now)?))
                )
            }
            PolicyQuestion::Recording(camera, now) => asked!(
                instance,
                *now,
                |store| exports.call_recording(store, camera.as_str(), now.0),
                |said| Ok(PolicyReply::Mode(mode(said)))
            ),
        }
    }
}

fn situation(situation: &Situation) -> wire::Situation {
    let told = situation.told.iter().map(|told| wire::Told {
        target: told.target.clone(),
        at: told.at.0,
        state: match told.state {
            DeliveryState::Waiting => wire::Delivery::Waiting,
            DeliveryState::Delivered => wire::Delivery::Delivered,
            DeliveryState::Failed => wire::Delivery::Failed,
            DeliveryState::Skipped => wire::Delivery::Skipped,
        },
    });
    let others = situation.others.iter().map(|other| wire::Other {
        id: other.id.clone(),
        camera: other
            .camera
            .as_ref()
            .map_or(String::new(), ToString::to_string),
        kind: other.kind.clone(),
        severity: events::severity(other.severity),
        phase: events::phase(other.phase),
        began: other.began.0,
        answered: other.answered,
        told: other.told,
    });
    wire::Situation {
        why: match situation.why {
            Why::Opened => wire::Cause::Opened,
            Why::Updated => wire::Cause::Updated,
            Why::Closed => wire::Cause::Closed,
            Why::Answered => wire::Cause::Answered,
            Why::Timer => wire::Cause::Timer,
            Why::Undelivered => wire::Cause::Undelivered,
        },
        now: situation.now.0,
        asked: situation.asked,
        memo: situation.memo.clone(),
        told: told.collect(),
        others: others.collect(),
        same_last_hour: situation.same_last_hour,
    }
}

fn ruling(ruling: wire::Ruling) -> Ruling {
    let alert = |alert: wire::Alert| Alert {
        target: alert.target,
        follow: alert.follow,
        group: alert.group,
        not_before: UnixMicros(alert.not_before),
    };
    let take = |take: wire::Take| Take {
        camera: take.camera,
        before: take.before,
        after: take.after,
        keep_days: take.keep_days,
    };
    let notes = ruling.notes.into_iter().map(events::own_attribute);
    Ruling {
        severity: ruling.severity.map(events::own_severity),
        suppress: ruling.suppress,
        alerts: ruling.alerts.into_iter().map(alert).collect(),
        takes: ruling.takes.into_iter().map(take).collect(),
        ask_again: ruling.ask_again,
        notes: notes.collect::<Vec<c::Attribute>>(),
        memo: ruling.memo,
    }
}

fn mode(mode: wire::Mode) -> RecordingMode {
    match mode {
        wire::Mode::Usual => RecordingMode::Usual,
        wire::Mode::Off => RecordingMode::Off,
        wire::Mode::OnEvent => RecordingMode::OnEvent,
        wire::Mode::Continuous => RecordingMode::Continuous,
    }
}
