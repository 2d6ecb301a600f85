//! Tells a server of events as CloudEvents 1.0 in structured JSON; several go as a batch. The channel
//! knows the address and signs.

use serde::Deserialize;
use serde_json::{Value, json};
use taimat_sdk::alerter::{
    Alerter, Answer, Decision, Event, Item, Phase, Task, alerter, post, said,
};
use taimat_sdk::host::commune;
use taimat_sdk::words::{self, Language};
use taimat_sdk::{Attribute, Error, Rect};

/// What a commune may set.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    channel: String,
    /// Behind the channel's address.
    path: String,
    /// Begins `source`, before the camera: the commune as the server knows it.
    source: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            channel: "webhook".into(),
            path: String::new(),
            source: String::new(),
        }
    }
}

#[derive(Debug)]
struct Webhook(Settings);

const fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Opened => "opened",
        Phase::Updated => "updated",
        Phase::Closed => "closed",
    }
}

fn pairs(extra: &[Attribute]) -> Value {
    let pairs = extra
        .iter()
        .map(|a| (a.key.clone(), Value::from(a.value.as_str())));
    Value::Object(pairs.collect())
}

/// Rounded, so that a fraction does not show what a float is.
fn round(value: f32) -> f64 {
    (f64::from(value) * 10_000.0).round() / 10_000.0
}

fn region(rect: &Rect) -> Value {
    json!([rect.x, rect.y, rect.width, rect.height].map(round))
}

fn answer(answer: &Answer) -> Value {
    json!({
        "who": answer.who,
        "at": words::rfc3339(answer.at),
        "false_alarm": answer.false_alarm,
    })
}

/// When it was last heard of, as far as the event says it.
fn changed(event: &Event) -> i64 {
    let answered = event.answered.as_ref().map(|answer| answer.at);
    let later = [event.ended, answered].into_iter().flatten();
    later.fold(event.began, i64::max)
}

impl Webhook {
    fn source(&self, camera: &str) -> String {
        let own = self.0.source.trim_matches('/');
        let parts = [own, camera].into_iter().filter(|part| !part.is_empty());
        let parts: Vec<&str> = parts.collect();
        format!("/{}", parts.join("/"))
    }

    fn event(&self, item: &Item, now: i64) -> Value {
        let event = &item.event;
        let language = Language::of_commune();
        let mut data = json!({
            "id": event.id,
            "revision": event.revision,
            "phase": phase(event.phase),
            "camera": event.camera,
            "camera_title": commune::camera_title(&event.camera),
            "commune": commune::title(),
            "kind": event.kind,
            "severity": words::severity_word(event.severity),
            "title": words::headline(event, language),
            "text": words::lines(event, now, language).join("\n"),
            "began": words::rfc3339(event.began),
            "ended": event.ended.map(words::rfc3339),
            "detections": event.detections,
            "plugin": event.plugin,
            "picture": event.picture,
            "clip": event.clip,
            "best": {
                "at": words::rfc3339(event.best.at),
                "confidence": round(event.best.confidence),
                "text": event.best.text,
                "regions": event.best.regions.iter().map(region).collect::<Vec<_>>(),
                "track": event.best.track,
                "extra": pairs(&event.best.extra),
            },
            "answered": event.answered.as_ref().map(answer),
            "extra": pairs(&event.extra),
            "link": item.link,
        });
        let links = [
            ("picture_link", &item.picture_link),
            ("clip_link", &item.clip_link),
            ("answer_link", &item.answer_link),
        ];
        for (name, link) in links {
            if let Some(link) = link {
                data[name] = Value::from(link.as_str());
            }
        }
        json!({
            "specversion": "1.0",
            "id": format!("{}-{}", event.id, event.revision),
            "type": format!("vn.taimat.event.{}", phase(event.phase)),
            "source": self.source(&event.camera),
            "subject": event.kind,
            "time": words::rfc3339(changed(event)),
            "severity": words::severity_word(event.severity),
            "datacontenttype": "application/json",
            "data": data,
        })
    }
}

impl Alerter for Webhook {
    type Settings = Settings;
    const SETTINGS_SCHEMA: &'static str = include_str!("../settings.schema.json");

    fn new(settings: Settings) -> Result<Self, Error> {
        Ok(Self(settings))
    }

    fn compose(&mut self, task: &Task) -> Result<Decision, Error> {
        let channel = said(&task.address, "channel").unwrap_or(&self.0.channel);
        let path = said(&task.address, "path").unwrap_or(&self.0.path);
        let events: Vec<Value> = task.items.iter().map(|i| self.event(i, task.now)).collect();
        let (content_type, body) = match events.as_slice() {
            [one] => ("application/cloudevents+json", one.to_string()),
            _ => (
                "application/cloudevents-batch+json",
                Value::Array(events).to_string(),
            ),
        };
        Ok(Decision::Send(vec![post(
            channel,
            path,
            content_type,
            body,
        )]))
    }
}

alerter!(Webhook);

#[cfg(test)]
mod tests {
    use super::*;
    use taimat_sdk::alerter::{Body, Chunk, Outgoing};
    use taimat_sdk::testing;

    const NIGHT: i64 = 1_803_915_485_000_000;

    fn sent(source: &str, task: &Task) -> (String, Value) {
        let settings = Settings {
            source: source.into(),
            ..Settings::default()
        };
        let decision = Webhook::new(settings).unwrap().compose(task).unwrap();
        let Decision::Send(planned) = decision else {
            panic!("{decision:?}")
        };
        let Outgoing::Http(request) = &planned[0].message else {
            panic!("{planned:?}")
        };
        let Body::Content(chunks) = &request.body else {
            panic!("{request:?}")
        };
        let Chunk::Text(text) = &chunks[0] else {
            panic!("{chunks:?}")
        };
        let content_type = request.head.headers[0].value.clone();
        (content_type, serde_json::from_str(text).unwrap())
    }

    #[test]
    fn one_event_is_a_cloud_event_and_several_are_a_batch() {
        let mut task = testing::task(&[], testing::event("e1", "cho-1", "motion", NIGHT));
        let (content_type, event) = sent("hoa-lac", &task);
        assert_eq!(content_type, "application/cloudevents+json");
        assert_eq!(event["id"], "e1-1");
        assert_eq!(event["type"], "vn.taimat.event.opened");
        assert_eq!(event["source"], "/hoa-lac/cho-1");
        assert_eq!(event["time"], "2027-03-01T22:38:05+07:00");
        assert_eq!(event["data"]["best"]["confidence"], 0.9);
        assert!(event["data"].get("picture_link").is_none());
        task.items.push(task.items[0].clone());
        task.items[1].event.camera = String::new();
        let (content_type, batch) = sent("", &task);
        assert_eq!(content_type, "application/cloudevents-batch+json");
        assert_eq!(batch[1]["source"], "/");
    }
}
