//! Tells an MQTT broker of cameras and events, in the way that Home Assistant finds by itself. What
//! stands (which devices there are, whether they are online, what is going on) is `upkeep`; an event is
//! a pulse, a picture and a state.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use taimat_sdk::alerter::{
    Alerter, CameraState, Chores, Chunk, Decision, Event, Item, Media, MediaKind, MqttPublish,
    Outgoing, Planned, Reply, Sent, Task, Verdict, alerter, said,
};
use taimat_sdk::host::commune;
use taimat_sdk::words::{self, Language};
use taimat_sdk::{Attribute, Error};

/// What comes back with an event that was told before.
const TOLD: &str = "told";
/// The memo of a message that is a picture, and attempts at it before the rest goes without.
const PICTURE: &str = "picture";
const PICTURE_ATTEMPTS: u32 = 2;
/// Events whose messages fit into one answer.
const MOST_ITEMS: usize = 5;

/// What a commune may set.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    channel: String,
    /// Where Home Assistant looks for devices.
    discovery: String,
    /// Where topics begin. Communes at one broker have different ones.
    base: String,
    /// Where the channel's last will says that the router is gone; below `base` if it is empty.
    status: String,
    picture_width: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            channel: "mqtt".into(),
            discovery: "homeassistant".into(),
            base: "taimat".into(),
            status: String::new(),
            picture_width: 1280,
        }
    }
}

#[derive(Debug)]
struct Mqtt(Settings);

/// Where a target's topics are: its address comes before the settings.
struct Topics<'a> {
    channel: &'a str,
    discovery: &'a str,
    base: &'a str,
    status: String,
}

impl Topics<'_> {
    fn publish(&self, topic: String, payload: Chunk, retain: bool) -> Outgoing {
        Outgoing::Mqtt(MqttPublish {
            channel: self.channel.into(),
            topic,
            payload: vec![payload],
            retain,
        })
    }

    fn text(&self, topic: String, text: impl Into<String>) -> Outgoing {
        self.publish(topic, Chunk::Text(text.into()), true)
    }

    /// The name of a camera's device: no other commune's camera has it.
    fn device(&self, camera: &str) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        format!("{}_{camera}", self.base)
            .chars()
            .map(plain)
            .collect()
    }

    fn of(&self, camera: &str, what: &str) -> String {
        format!("{}/{camera}/{what}", self.base)
    }
}

/// What Home Assistant calls a sensor of this kind; none is a plain one.
fn device_class(kind: &str) -> Option<&'static str> {
    match kind {
        "motion" | "change" | "line-crossed" | "intrusion" | "loitering" => Some("motion"),
        "person" | "crowd" => Some("occupancy"),
        "smoke" => Some("smoke"),
        kind if kind.starts_with("tamper-") => Some("tamper"),
        kind if kind.starts_with("camera-") => Some("problem"),
        _ => None,
    }
}

/// What a kind is called among a camera's topics and entities, where three names are others'.
fn part(kind: &str) -> Cow<'_, str> {
    match kind {
        "event" | "picture" | "status" => Cow::Owned(format!("kind-{kind}")),
        kind => Cow::Borrowed(kind),
    }
}

const fn on(open: bool) -> &'static str {
    if open { "ON" } else { "OFF" }
}

impl Mqtt {
    fn topics<'a>(&'a self, address: &'a [Attribute]) -> Topics<'a> {
        let own = &self.0;
        let base = said(address, "base")
            .unwrap_or(&own.base)
            .trim_end_matches('/');
        let status = said(address, "status").unwrap_or(&own.status);
        Topics {
            channel: said(address, "channel").unwrap_or(&own.channel),
            discovery: said(address, "discovery").unwrap_or(&own.discovery),
            base,
            status: match status {
                "" => format!("{base}/status"),
                status => status.into(),
            },
        }
    }

    /// The document by which Home Assistant knows a camera.
    fn device(topics: &Topics<'_>, camera: &CameraState, language: Language) -> Value {
        let name = &camera.name;
        let device = topics.device(name);
        let mut parts = Map::new();
        parts.insert(
            "picture".into(),
            json!({
                "p": "image",
                "name": language.choose("Hình sự kiện", "Event picture"),
                "unique_id": format!("{device}_picture"),
                "image_topic": topics.of(name, "picture"),
                "content_type": "image/jpeg",
            }),
        );
        // An entity that knows no type of event is refused.
        if !camera.kinds.is_empty() {
            parts.insert(
                "event".into(),
                json!({
                    "p": "event",
                    "name": language.choose("Sự kiện", "Event"),
                    "unique_id": format!("{device}_event"),
                    "state_topic": topics.of(name, "event"),
                    "event_types": camera.kinds,
                }),
            );
        }
        for kind in &camera.kinds {
            let part = part(kind);
            let mut sensor = json!({
                "p": "binary_sensor",
                "name": language.kind(kind),
                "unique_id": format!("{device}_{part}"),
                "state_topic": topics.of(name, &part),
            });
            if let Some(class) = device_class(kind) {
                sensor["device_class"] = class.into();
            }
            parts.insert(part.into_owned(), sensor);
        }
        json!({
            "dev": {
                "ids": [device],
                "name": commune::camera_title(name),
                "mf": "Taimat",
                "sa": commune::title(),
            },
            "o": { "name": "taimat" },
            "availability": [
                { "topic": topics.status },
                { "topic": topics.of(name, "status") },
            ],
            "availability_mode": "all",
            "cmps": parts,
        })
    }

    fn pulse(event: &Event, link: &str, now: i64) -> String {
        let language = Language::of_commune();
        json!({
            "event_type": event.kind,
            "id": event.id,
            "revision": event.revision,
            "severity": words::severity_word(event.severity),
            "confidence": (f64::from(event.best.confidence) * 100.0).round() / 100.0,
            "began": words::rfc3339(event.began),
            "text": words::lines(event, now, language).join("\n"),
            "link": link,
        })
        .to_string()
    }

    fn item(&self, topics: &Topics<'_>, item: &Item, now: i64) -> Vec<Planned> {
        let event = &item.event;
        // The host's own events may have no camera: they are the router's.
        let camera = if event.camera.is_empty() {
            "router"
        } else {
            &event.camera
        };
        let known = item.earlier.iter().any(|receipt| receipt.text == TOLD);
        let planned = |message, memo: &str| Planned {
            message,
            memo: memo.into(),
        };
        let mut messages = Vec::new();
        if event.picture && !known {
            let media = Media {
                kind: MediaKind::Picture,
                event: event.id.clone(),
                width: self.0.picture_width,
                marked: true,
            };
            let topic = topics.of(camera, "picture");
            let message = topics.publish(topic, Chunk::Media(media), true);
            messages.push(planned(message, PICTURE));
        }
        if !known {
            let pulse = Chunk::Text(Self::pulse(event, &item.link, now));
            let message = topics.publish(topics.of(camera, "event"), pulse, false);
            messages.push(planned(message, ""));
        }
        let state = topics.text(
            topics.of(camera, &part(&event.kind)),
            on(event.ended.is_none()),
        );
        messages.push(planned(state, ""));
        messages
    }
}

impl Alerter for Mqtt {
    type Settings = Settings;
    const SETTINGS_SCHEMA: &'static str = include_str!("../settings.schema.json");

    fn new(settings: Settings) -> Result<Self, Error> {
        Ok(Self(settings))
    }

    fn compose(&mut self, task: &Task) -> Result<Decision, Error> {
        let topics = self.topics(&task.address);
        // One answer has room for the messages of so many; of the oldest the state alone matters, and
        // that is upkeep's.
        let newest = task.items.len().saturating_sub(MOST_ITEMS);
        let items = task.items.iter().skip(newest);
        Ok(Decision::Send(
            items
                .flat_map(|item| self.item(&topics, item, task.now))
                .collect(),
        ))
    }

    fn judge(&mut self, _task: &Task, sent: &Sent, reply: &Reply) -> Result<Verdict, Error> {
        Ok(match reply {
            Reply::Accepted(_) => Verdict::Delivered(TOLD.into()),
            // The picture may be gone; what follows it is not.
            Reply::Failed(_) if sent.memo == PICTURE && sent.attempt >= PICTURE_ATTEMPTS => {
                Verdict::Delivered(String::new())
            }
            _ => Verdict::Usual,
        })
    }

    fn tend(
        &mut self,
        _target: &str,
        address: &[Attribute],
        cameras: &[CameraState],
        _now: i64,
    ) -> Result<Chores, Error> {
        let topics = self.topics(address);
        let language = Language::of_commune();
        let mut messages = Vec::new();
        for camera in cameras {
            let name = &camera.name;
            let device = topics.device(name);
            let document = Self::device(&topics, camera, language).to_string();
            let config = format!("{}/device/{device}/config", topics.discovery);
            messages.push(topics.text(config, document));
            let online = if camera.online { "online" } else { "offline" };
            messages.push(topics.text(topics.of(name, "status"), online));
            for kind in &camera.kinds {
                let open = camera.open.contains(kind);
                messages.push(topics.text(topics.of(name, &part(kind)), on(open)));
            }
        }
        Ok(Chores {
            messages,
            ask_again: 0,
        })
    }
}

alerter!(Mqtt);

#[cfg(test)]
mod discovery_tests;
#[cfg(test)]
mod tests {
    use super::*;
    use taimat_sdk::alerter::Receipt;
    use taimat_sdk::testing;

    const NIGHT: i64 = 1_803_915_485_000_000;

    fn topics_of(messages: &[Outgoing]) -> Vec<(&str, bool)> {
        messages
            .iter()
            .map(|message| match message {
                Outgoing::Mqtt(publish) => (publish.topic.as_str(), publish.retain),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    fn sent(task: &Task) -> Vec<Outgoing> {
        match Mqtt(Settings::default()).compose(task).unwrap() {
            Decision::Send(planned) => planned.into_iter().map(|p| p.message).collect(),
            Decision::Skip(why) => panic!("{why}"),
        }
    }

    #[test]
    fn an_event_is_a_pulse_once_and_a_state_until_it_ends() {
        let mut task = testing::task(&[], testing::event("e1", "cho-1", "motion", NIGHT));
        let first = sent(&task);
        let expected = [
            ("taimat/cho-1/picture", true),
            ("taimat/cho-1/event", false),
            ("taimat/cho-1/motion", true),
        ];
        assert_eq!(topics_of(&first), expected);
        task.items[0].event.ended = Some(NIGHT + 1);
        task.items[0].earlier.push(Receipt {
            revision: 1,
            at: NIGHT,
            text: TOLD.into(),
        });
        let second = sent(&task);
        assert_eq!(topics_of(&second), [("taimat/cho-1/motion", true)]);
        let Outgoing::Mqtt(publish) = &second[0] else {
            unreachable!()
        };
        assert!(matches!(&publish.payload[0], Chunk::Text(text) if text == "OFF"));
    }

    #[test]
    fn what_stands_is_a_device_a_camera() {
        let camera = CameraState {
            name: "cho-1".into(),
            online: false,
            since: NIGHT,
            kinds: vec!["motion".into(), "tamper-moved".into()],
            open: vec!["motion".into()],
        };
        let address = [Attribute {
            key: "base".into(),
            value: "dam-ha/taimat".into(),
        }];
        let chores = Mqtt(Settings::default())
            .tend("home", &address, &[camera], NIGHT)
            .unwrap();
        let topics: Vec<&str> = topics_of(&chores.messages).iter().map(|t| t.0).collect();
        let expected = [
            "homeassistant/device/dam_ha_taimat_cho_1/config",
            "dam-ha/taimat/cho-1/status",
            "dam-ha/taimat/cho-1/motion",
            "dam-ha/taimat/cho-1/tamper-moved",
        ];
        assert_eq!(topics, expected);
        let Outgoing::Mqtt(config) = &chores.messages[0] else {
            unreachable!()
        };
        let Chunk::Text(text) = &config.payload[0] else {
            unreachable!()
        };
        let document: Value = serde_json::from_str(text).unwrap();
        assert_eq!(document["cmps"]["tamper-moved"]["device_class"], "tamper");
        assert_eq!(document["availability"][0]["topic"], "dam-ha/taimat/status");
    }

    #[test]
    fn a_picture_that_is_gone_holds_nothing_back() {
        let task = testing::task(&[], testing::event("e1", "cho-1", "motion", NIGHT));
        let judged = |memo: &str, attempt| {
            let sent = Sent {
                step: 0,
                attempt,
                at: NIGHT,
                memo: memo.into(),
            };
            let lost = Reply::Failed("no picture".into());
            Mqtt(Settings::default())
                .judge(&task, &sent, &lost)
                .unwrap()
        };
        assert!(matches!(judged(PICTURE, 1), Verdict::Usual));
        assert!(matches!(judged(PICTURE, 2), Verdict::Delivered(_)));
        assert!(matches!(judged("", 2), Verdict::Usual));
    }
}
