//! The smallest policy: tells a target of warnings and alarms, and counts what it was asked. With
//! `does` in its settings it answers as policies must not.

use serde::Deserialize;
use taimat_sdk::policy::{Alert, Event, Mode, Policy, Ruling, Severity, Situation, policy};
use taimat_sdk::{Attribute, Error, host};

/// What it does instead of answering well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
enum Deed {
    /// It answers well.
    #[default]
    Nothing,
    /// It panics.
    Panic,
    /// It tells more targets than it may.
    TooMuch,
    /// It writes to its state and says then that it can not answer.
    Regret,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    target: String,
    does: Deed,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            target: "duty-desk".into(),
            does: Deed::Nothing,
        }
    }
}

struct Ruler(Settings);

/// How often it was asked, this time included; kept in the state.
fn asked() -> Result<u64, Error> {
    let before = host::state::get("asked")?;
    let before = before.and_then(|bytes| Some(u64::from_le_bytes(bytes.try_into().ok()?)));
    let asked = before.unwrap_or(0) + 1;
    host::state::set("asked", &asked.to_le_bytes())?;
    Ok(asked)
}

impl Policy for Ruler {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, Error> {
        Ok(Self(settings))
    }

    #[expect(clippy::panic, reason = "that is the point")]
    fn on_event(&mut self, event: &Event, _situation: &Situation) -> Result<Ruling, Error> {
        let asked = asked()?;
        let alert = || Alert::to(&*self.0.target);
        let alerts = match self.0.does {
            Deed::Panic => panic!("on purpose"),
            Deed::Regret => return Err(Error::Retry("not now".into())),
            Deed::TooMuch => vec![alert(); 33],
            Deed::Nothing if event.severity >= Severity::Warning => vec![alert()],
            Deed::Nothing => Vec::new(),
        };
        Ok(Ruling {
            alerts,
            notes: vec![Attribute {
                key: "asked".into(),
                value: asked.to_string(),
            }],
            memo: host::commune::title(),
            ..Ruling::default()
        })
    }

    fn recording(&mut self, _camera: &str, now: i64) -> Result<Mode, Error> {
        let night = host::commune::local(now).hour < 6;
        Ok(if night { Mode::Continuous } else { Mode::Usual })
    }
}

policy!(Ruler);
