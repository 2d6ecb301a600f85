//! The documents by which Home Assistant finds cameras, held against what it says of them: "Device discovery
//! payload" of its MQTT integration, and the pages of the platforms `binary_sensor`, `event` and `image`. They
//! were run through its own parser and schemas once (`homeassistant` 2025.4.4).

use std::collections::BTreeSet;

use taimat_sdk::testing;

use super::*;

const NIGHT: i64 = 1_803_915_485_000_000;

/// Every kind of detectors that come with the house, one of somebody else, and three that are called as a
/// camera's own topics are.
const KINDS: [&str; 11] = [
    "motion",
    "person",
    "litter",
    "line-crossed",
    "tamper-moved",
    "camera-lost",
    "smoke",
    "xe-tải.2",
    "event",
    "picture",
    "status",
];

/// <https://www.home-assistant.io/integrations/binary_sensor/#device-class>
const DEVICE_CLASSES: [&str; 28] = [
    "battery",
    "battery_charging",
    "carbon_monoxide",
    "cold",
    "connectivity",
    "door",
    "garage_door",
    "gas",
    "heat",
    "light",
    "lock",
    "moisture",
    "motion",
    "moving",
    "occupancy",
    "opening",
    "plug",
    "power",
    "presence",
    "problem",
    "running",
    "safety",
    "smoke",
    "sound",
    "tamper",
    "update",
    "vibration",
    "window",
];

fn camera(name: &str, kinds: &[&str]) -> CameraState {
    CameraState {
        name: name.into(),
        online: true,
        since: NIGHT,
        kinds: kinds.iter().map(|kind| (*kind).into()).collect(),
        open: vec![],
    }
}

/// Topics and texts of what stands.
fn stands(cameras: &[CameraState]) -> Vec<(String, String)> {
    let chores = Mqtt(Settings::default())
        .tend("home", &[], cameras, NIGHT)
        .unwrap();
    let text = |message: Outgoing| match message {
        Outgoing::Mqtt(publish) => match publish.payload.into_iter().next() {
            Some(Chunk::Text(text)) => (publish.topic, text),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    chores.messages.into_iter().map(text).collect()
}

/// All keys of an object are among these; returns those that are there.
fn keys<'a>(of: &'a Value, known: &[&str]) -> BTreeSet<&'a str> {
    let there: BTreeSet<&str> = of.as_object().unwrap().keys().map(String::as_str).collect();
    for key in &there {
        assert!(known.contains(key), "{key} is nothing that is known: {of}");
    }
    there
}

/// What can be subscribed to and published at: no wildcards, not empty.
fn topic(of: &Value) -> &str {
    let topic = of.as_str().unwrap();
    assert!(!topic.is_empty() && topic.len() < 65_536, "{topic}");
    assert!(!topic.contains(['+', '#', '\0']), "{topic}");
    topic
}

/// A text that is not empty.
fn text(of: &Value) -> &str {
    of.as_str().filter(|text| !text.is_empty()).unwrap()
}

/// A document as Home Assistant takes it; its topics and the unique names of its entities.
fn check(document: &Value) -> (BTreeSet<String>, BTreeSet<String>) {
    let there = keys(
        document,
        &["dev", "o", "availability", "availability_mode", "cmps"],
    );
    assert!(["dev", "o", "cmps"].iter().all(|key| there.contains(key)));
    // A device has identifiers or connections; the origin of a device's document has a name.
    keys(&document["dev"], &["ids", "name", "mf", "sa"]);
    assert!(!document["dev"]["ids"].as_array().unwrap().is_empty());
    text(&document["dev"]["ids"][0]);
    keys(&document["o"], &["name", "sw", "url"]);
    text(&document["o"]["name"]);
    assert!(matches!(
        document["availability_mode"].as_str(),
        Some("all" | "any" | "latest")
    ));
    let (mut topics, mut names) = (BTreeSet::new(), BTreeSet::new());
    for one in document["availability"].as_array().unwrap() {
        // What is online and what is not is said in the words that are the default.
        keys(one, &["topic"]);
        topics.insert(topic(&one["topic"]).to_owned());
    }
    for (name, entity) in document["cmps"].as_object().unwrap() {
        assert!(!name.is_empty());
        let common = ["p", "name", "unique_id"];
        let (more, needed): (&[&str], &str) = match entity["p"].as_str().unwrap() {
            "image" => (&["image_topic", "content_type"], "image_topic"),
            "event" => (&["state_topic", "event_types"], "state_topic"),
            "binary_sensor" => (&["state_topic", "device_class"], "state_topic"),
            other => panic!("{other}"),
        };
        keys(entity, &[&common[..], more].concat());
        text(&entity["name"]);
        let unique = text(&entity["unique_id"]).to_owned();
        assert!(names.insert(unique), "{entity} has another's name");
        let at = topic(&entity[needed]).to_owned();
        assert!(topics.insert(at), "{entity} has another's topic");
        match entity["p"].as_str().unwrap() {
            "event" => {
                let types = entity["event_types"].as_array().unwrap();
                assert!(!types.is_empty());
                let types: BTreeSet<&str> = types.iter().map(text).collect();
                assert_eq!(types.len(), entity["event_types"].as_array().unwrap().len());
            }
            "binary_sensor" => {
                let class = entity["device_class"].as_str();
                assert!(class.is_none_or(|class| DEVICE_CLASSES.contains(&class)));
            }
            _ => {}
        }
    }
    (topics, names)
}

#[test]
fn documents_are_as_home_assistant_wants_them() {
    let cameras = [
        camera("cho-1", &KINDS),
        camera("router", &[]),
        camera("cau", &["motion"]),
    ];
    let all = stands(&cameras);
    let (mut subscribed, mut names) = (BTreeSet::new(), BTreeSet::new());
    let mut documents = 0;
    for (topic, text) in &all {
        let Some(rest) = topic.strip_prefix("homeassistant/") else {
            continue;
        };
        // <discovery_prefix>/device/<object_id>/config
        let id = rest
            .strip_prefix("device/")
            .and_then(|rest| rest.strip_suffix("/config"))
            .unwrap();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        assert!(!id.is_empty() && id.chars().all(plain), "{id}");
        let (topics, unique) = check(&serde_json::from_str(text).unwrap());
        subscribed.extend(topics);
        for name in unique {
            assert!(names.insert(name.clone()), "two devices have {name}");
        }
        documents += 1;
    }
    assert_eq!(documents, cameras.len());
    // What is published stands where it is looked for, in the words that are looked for.
    for (topic, text) in &all {
        if topic.starts_with("homeassistant/") {
            continue;
        }
        assert!(subscribed.contains(topic), "nobody looks at {topic}");
        let words: [&str; 2] = match topic.rsplit('/').next() {
            Some("status") => ["online", "offline"],
            _ => ["ON", "OFF"],
        };
        assert!(words.contains(&text.as_str()), "{topic}: {text}");
    }
    // An event's messages go to entities that are there, and its pulse is of a type that is known.
    for kind in KINDS {
        let task = testing::task(&[], testing::event("e1", "cho-1", kind, NIGHT));
        let Decision::Send(planned) = Mqtt(Settings::default()).compose(&task).unwrap() else {
            panic!("{kind}")
        };
        for one in planned {
            let Outgoing::Mqtt(publish) = one.message else {
                panic!("{kind}")
            };
            assert!(subscribed.contains(&publish.topic), "{}", publish.topic);
            if let (true, Some(Chunk::Text(pulse))) =
                (publish.topic.ends_with("/event"), publish.payload.first())
            {
                let pulse: Value = serde_json::from_str(pulse).unwrap();
                assert_eq!(pulse["event_type"], kind);
            }
        }
    }
}

#[test]
fn a_document_that_is_wrong_is_noticed() {
    let all = stands(&[camera("cho-1", &["motion"])]);
    let good: Value = serde_json::from_str(&all[0].1).unwrap();
    check(&good);
    let wrong: [fn(&mut Value); 6] = [
        |d| drop(d.as_object_mut().unwrap().remove("o")),
        |d| d["cmps"]["motion"]["p"] = "lamp".into(),
        |d| d["cmps"]["event"]["event_types"] = json!([]),
        |d| d["cmps"]["motion"]["state_topic"] = "taimat/+/motion".into(),
        |d| d["cmps"]["picture"]["unique_id"] = d["cmps"]["event"]["unique_id"].clone(),
        |d| d["cmps"]["motion"]["device_class"] = "litter".into(),
    ];
    for (number, change) in wrong.iter().enumerate() {
        let mut document = good.clone();
        change(&mut document);
        let checked = std::panic::catch_unwind(|| check(&document));
        assert!(checked.is_err(), "{number} was not noticed");
    }
}
