//! Frames of pixels, communes, events and segments, for native unit tests.

use std::rc::Rc;

use crate::bindings::taimat::plugin::types::{Attribute, Detection, Severity};
use crate::commune::{CameraFacts, TargetFacts};
use crate::frame::Frame;
use crate::{alerter, policy, storage};

pub use crate::memory::{Memory, Picture};
pub use crate::written::Commune;

/// The last of these pictures as a frame; those before are what `previous` gives. Pictures are
/// `interval` microseconds apart.
pub fn frame(pictures: &Rc<Vec<Picture>>, at: usize, interval: i64) -> Frame {
    frame_at(pictures, at, at as i64 * interval)
}

/// As [`frame`], at a moment in microseconds since 1970.
pub fn frame_at(pictures: &Rc<Vec<Picture>>, at: usize, moment: i64) -> Frame {
    let memory = Memory::new(pictures, at);
    Frame::in_memory(memory.info(moment), memory)
}

/// What [`crate::host::commune`] answers from now on, in this thread.
pub fn commune(commune: Commune) {
    crate::written::put(commune);
}

/// A camera of a [`Commune`].
pub fn camera(name: &str, title: &str, tags: &[&str]) -> CameraFacts {
    CameraFacts {
        name: name.into(),
        title: title.into(),
        tags: tags.iter().map(|t| (*t).into()).collect(),
        owner: String::new(),
    }
}

/// A target of a [`Commune`].
pub fn target(name: &str, tags: &[&str]) -> TargetFacts {
    TargetFacts {
        name: name.into(),
        alerter: "alerter".into(),
        title: name.into(),
        tags: tags.iter().map(|t| (*t).into()).collect(),
    }
}

/// An event that has begun, for alerters. `began` is in microseconds since 1970.
pub fn event(id: &str, camera: &str, kind: &str, began: i64) -> alerter::Event {
    alerter::Event {
        id: id.into(),
        revision: 1,
        phase: alerter::Phase::Opened,
        camera: camera.into(),
        kind: kind.into(),
        severity: Severity::Warning,
        began,
        ended: None,
        best: best(kind, began),
        detections: 1,
        plugin: "detector".into(),
        picture: true,
        clip: false,
        answered: None,
        extra: Vec::new(),
    }
}

/// A task about one event, for alerters, composed when it began.
pub fn task(address: &[(&str, &str)], event: alerter::Event) -> alerter::Task {
    let pair = |(key, value): &(&str, &str)| Attribute {
        key: (*key).into(),
        value: (*value).into(),
    };
    alerter::Task {
        key: "task".into(),
        target: "target".into(),
        address: address.iter().map(pair).collect(),
        now: event.began,
        items: vec![alerter::Item {
            link: format!("https://taimat.example/#/events/{}", event.id),
            event,
            picture_link: None,
            clip_link: None,
            answer_link: None,
            earlier: Vec::new(),
        }],
    }
}

/// A server's answer.
pub fn answered(status: u16, body: &str) -> alerter::Reply {
    alerter::Reply::Http(alerter::Response {
        status,
        headers: Vec::new(),
        body: body.into(),
    })
}

/// The same as [`event`], for policies.
pub fn policy_event(id: &str, camera: &str, kind: &str, began: i64) -> policy::Event {
    policy::Event {
        id: id.into(),
        revision: 1,
        phase: policy::Phase::Opened,
        camera: camera.into(),
        kind: kind.into(),
        severity: Severity::Warning,
        began,
        ended: None,
        best: best(kind, began),
        detections: 1,
        plugin: "detector".into(),
        picture: true,
        clip: false,
        answered: None,
        extra: Vec::new(),
    }
}

/// What a policy is told when an event begins and nothing else is known.
pub fn situation(now: i64) -> policy::Situation {
    policy::Situation {
        why: policy::Cause::Opened,
        now,
        asked: 0,
        memo: String::new(),
        told: Vec::new(),
        others: Vec::new(),
        same_last_hour: 1,
    }
}

/// A minute of a camera that a detector looked at without seeing anything, for storage plugins. It is
/// nowhere yet.
pub fn segment(id: u64, camera: &str, start: i64) -> storage::Segment {
    storage::Segment {
        id,
        camera: camera.into(),
        start,
        duration_ms: 60_000,
        size: 15_000_000,
        watched: true,
        kinds: Vec::new(),
        highest: None,
        held: false,
        keep_until: None,
        copies: Vec::new(),
    }
}

/// A place without end, for storage plugins.
pub fn place(name: &str) -> storage::Target {
    storage::Target {
        name: name.into(),
        used: 0,
        quota: None,
        healthy: true,
    }
}

fn best(kind: &str, at: i64) -> Detection {
    Detection {
        kind: kind.into(),
        at,
        confidence: 0.9,
        regions: Vec::new(),
        track: None,
        text: String::new(),
        extra: Vec::new(),
    }
}
