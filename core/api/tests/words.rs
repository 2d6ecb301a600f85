//! Every word that the API says about a camera has its sentence in the console, in both languages.
//! TypeScript does not see Rust's enums, and Rust does not see the catalogue: here both are read.

use std::collections::BTreeMap;

use taimat_archive::GapReason;
use taimat_hub::{FaultCause, SourceState};
use taimat_media::Quirk;

const LANGUAGES: [(&str, &str); 2] = [
    ("en", include_str!("../../console/src/lib/texts/en.ts")),
    ("vi", include_str!("../../console/src/lib/texts/vi.ts")),
];
/// As `ProfileView` says them.
const NO_SOUND: [&str; 5] = [
    "unsupported",
    "unconfigured",
    "back_channel",
    "refused",
    "none",
];
/// Kinds of problems that a person may be told of whose click was refused, and what there is no word for.
const PROBLEMS: [&str; 22] = [
    "noAnswer",
    "other",
    "refused",
    "request",
    "not-accepted",
    "not-found",
    "body",
    "content-type",
    "method",
    "configuration",
    "storage",
    "archive",
    "archive-busy",
    "not-signed",
    "internal",
    "busy",
    "events-busy",
    "timeout",
    "share",
    "full",
    "host",
    "origin",
];
/// What is recorded of a camera.
const MODES: [&str; 3] = ["off", "on-event", "continuous"];
const TRANSPORTS: [&str; 3] = ["tcp", "udp", "multicast"];

/// The entries of a catalogue: `key: 'text',`, the text on the same line or on the next.
fn entries(source: &str) -> BTreeMap<&str, &str> {
    let mut entries = BTreeMap::new();
    let mut key = None;
    for line in source.lines().map(str::trim) {
        let value = match key.take() {
            Some(pending) => Some((pending, line)),
            None => line
                .split_once(':')
                .map(|(name, value)| (name.trim_matches('\''), value.trim())),
        };
        match value {
            Some((name, "")) => key = Some(name),
            Some((name, value)) => {
                let text = value
                    .strip_prefix('\'')
                    .and_then(|rest| rest.strip_suffix("',"));
                if let Some(text) = text {
                    let before = entries.insert(name, text);
                    assert_eq!(before, None, "{name} is there twice");
                }
            }
            None => {}
        }
    }
    entries
}

fn keys() -> Vec<String> {
    // A camera that rests on demand is shown as connecting: whoever looks at it wakes it.
    let states = SourceState::ALL
        .into_iter()
        .filter(|s| *s != SourceState::Idle);
    let states = states.map(|s| format!("state_{}", s.as_str()));
    let causes = FaultCause::ALL.map(|c| format!("cause_{}", c.as_str()));
    let quirks = Quirk::ALL.map(|q| format!("quirk_{}", q.as_str()));
    let sound = NO_SOUND.map(|reason| format!("no_sound_{reason}"));
    let problems = PROBLEMS.map(|kind| format!("problem_{kind}"));
    let gaps = GapReason::ALL.map(|reason| format!("gap_{}", reason.as_str()));
    let modes = MODES.map(|mode| format!("mode_{mode}"));
    let ways = TRANSPORTS.map(|way| format!("transport_{way}"));
    states
        .chain(causes)
        .chain(quirks)
        .chain(sound)
        .chain(ways)
        .chain(problems)
        .chain(gaps)
        .chain(modes)
        .collect()
}

#[test]
fn every_word_has_its_text() {
    for (language, source) in LANGUAGES {
        let entries = entries(source);
        let missing: Vec<_> = keys()
            .into_iter()
            .filter(|key| entries.get(key.as_str()).is_none_or(|t| t.is_empty()))
            .collect();
        assert!(
            missing.is_empty(),
            "{language}.ts has no text for {missing:?}"
        );
    }
}

#[test]
fn no_text_is_about_a_quirk_that_is_gone() {
    let words = Quirk::ALL.map(Quirk::as_str);
    for (language, source) in LANGUAGES {
        for key in entries(source).keys() {
            if let Some(word) = key.strip_prefix("quirk_") {
                assert!(words.contains(&word), "{language}.ts speaks of {word}");
            }
        }
    }
}

#[test]
fn vietnamese_is_no_copy_of_english() {
    let [(_, en), (_, vi)] = LANGUAGES;
    let (en, vi) = (entries(en), entries(vi));
    for key in keys() {
        // The protocols' names are names.
        if !key.starts_with("transport_") {
            assert_ne!(en.get(key.as_str()), vi.get(key.as_str()), "{key}");
        }
    }
}
