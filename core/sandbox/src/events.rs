//! Events and pairs on their way to components: what the kinds that are asked about events share.

use taimat_contract as c;

use crate::bindings::v0_3::taimat::plugin::{events, types};

pub(crate) fn attribute(pair: &c::Attribute) -> types::Attribute {
    types::Attribute {
        key: pair.key.clone(),
        value: pair.value.clone(),
    }
}

pub(crate) fn own_attribute(pair: types::Attribute) -> c::Attribute {
    c::Attribute {
        key: pair.key,
        value: pair.value,
    }
}

pub(crate) fn severity(severity: c::Severity) -> types::Severity {
    match severity {
        c::Severity::Info => types::Severity::Info,
        c::Severity::Notice => types::Severity::Notice,
        c::Severity::Warning => types::Severity::Warning,
        c::Severity::Alarm => types::Severity::Alarm,
    }
}

pub(crate) fn own_severity(severity: types::Severity) -> c::Severity {
    match severity {
        types::Severity::Info => c::Severity::Info,
        types::Severity::Notice => c::Severity::Notice,
        types::Severity::Warning => c::Severity::Warning,
        types::Severity::Alarm => c::Severity::Alarm,
    }
}

pub(crate) fn phase(phase: c::event::Phase) -> events::Phase {
    match phase {
        c::event::Phase::Opened => events::Phase::Opened,
        c::event::Phase::Updated => events::Phase::Updated,
        c::event::Phase::Closed => events::Phase::Closed,
    }
}

fn detection(detection: &c::Detection) -> types::Detection {
    let rect = |r: &c::Rect| types::Rect {
        x: r.x,
        y: r.y,
        width: r.width,
        height: r.height,
    };
    types::Detection {
        kind: detection.kind.clone(),
        at: detection.at.0,
        confidence: detection.confidence,
        regions: detection.regions.iter().map(rect).collect(),
        track: detection.track,
        text: detection.text.clone(),
        extra: detection.extra.iter().map(attribute).collect(),
    }
}

pub(crate) fn event(event: &c::Event) -> events::Event {
    let answered = event.answered.as_ref().map(|answer| events::Answer {
        who: answer.who.clone(),
        at: answer.at.0,
        false_alarm: answer.false_alarm,
    });
    events::Event {
        id: event.id.clone(),
        revision: event.revision,
        phase: phase(event.phase),
        camera: event
            .camera
            .as_ref()
            .map_or(String::new(), ToString::to_string),
        kind: event.kind.clone(),
        severity: severity(event.severity),
        began: event.began.0,
        ended: event.ended.map(|at| at.0),
        best: detection(&event.best),
        detections: event.detections,
        plugin: event.plugin.to_string(),
        picture: event.picture,
        clip: event.clip,
        answered,
        extra: event.extra.iter().map(attribute).collect(),
    }
}
