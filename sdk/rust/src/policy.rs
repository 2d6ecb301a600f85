//! Policies: what follows from an event, and what is recorded when.
//!
//! ```
//! use taimat_sdk::policy::{Alert, Event, Policy, Ruling, Severity, Situation, policy};
//! use taimat_sdk::Error;
//!
//! struct TellTheDesk;
//!
//! impl Policy for TellTheDesk {
//!     type Settings = serde_json::Value;
//!     fn new(_settings: Self::Settings) -> Result<Self, Error> {
//!         Ok(Self)
//!     }
//!     fn on_event(&mut self, event: &Event, _situation: &Situation) -> Result<Ruling, Error> {
//!         if event.severity < Severity::Warning {
//!             return Ok(Ruling::default());
//!         }
//!         Ok(Ruling { alerts: vec![Alert::to("duty-desk")], ..Ruling::default() })
//!     }
//! }
//!
//! policy!(TellTheDesk);
//! ```

use serde::de::DeserializeOwned;

use crate::bindings::taimat::plugin::types::Error;
use crate::glue::Slot;

pub use crate::bindings::policy::exports::taimat::plugin::policy::{
    Alert, Cause, Delivery, Mode, Other, Ruling, Situation, Take, Told,
};
pub use crate::bindings::policy::taimat::plugin::events::{Answer, Event, Phase};
pub use crate::bindings::taimat::plugin::types::Severity;
#[doc(inline)]
pub use crate::policy_plugin as policy;

/// Says what follows from an event, and what is recorded when. Answers come from the arguments, the
/// settings, what `commune` says and what `state` holds, and from nothing else: a question may come
/// again.
pub trait Policy: Sized + 'static {
    /// What an operator may set; `serde(default)` makes settings optional.
    type Settings: DeserializeOwned;
    /// JSON Schema of the settings.
    const SETTINGS_SCHEMA: &'static str = "{}";

    /// Takes settings. An error should say which and what would be right.
    fn new(settings: Self::Settings) -> Result<Self, Error>;
    /// What follows from an event; an empty ruling changes nothing.
    fn on_event(&mut self, event: &Event, situation: &Situation) -> Result<Ruling, Error>;
    /// What is recorded of a camera from now on. `now` is in microseconds since 1970.
    fn recording(&mut self, camera: &str, now: i64) -> Result<Mode, Error> {
        let _unused = (camera, now);
        Ok(Mode::Usual)
    }
}

impl Default for Ruling {
    /// Changes nothing.
    fn default() -> Self {
        Self {
            severity: None,
            suppress: None,
            alerts: Vec::new(),
            takes: Vec::new(),
            ask_again: 0,
            notes: Vec::new(),
            memo: String::new(),
        }
    }
}

impl Alert {
    /// Tells a target at once, alone, and not again.
    pub fn to(target: impl Into<String>) -> Self {
        Self {
            target: target.into(),
            follow: false,
            group: String::new(),
            not_before: 0,
        }
    }
}

#[doc(hidden)]
impl<T: Policy> Slot<T> {
    pub fn on_event(&self, event: &Event, situation: &Situation) -> Result<Ruling, Error> {
        self.with(|policy| policy.on_event(event, situation))
    }

    pub fn recording(&self, camera: &str, now: i64) -> Result<Mode, Error> {
        self.with(|policy| policy.recording(camera, now))
    }
}

/// Exports a [`Policy`].
#[macro_export]
macro_rules! policy_plugin {
    ($type:ty) => {
        $crate::component! {
            $type, $crate::policy::Policy,

            use $crate::bindings::policy::exports::taimat::plugin as exports;

            impl exports::policy::Guest for Component {
                fn on_event(
                    event: $crate::policy::Event,
                    situation: $crate::policy::Situation,
                ) -> Result<$crate::policy::Ruling, $crate::Error> {
                    SLOT.with(|slot| slot.on_event(&event, &situation))
                }
                fn recording(
                    camera: String,
                    now: i64,
                ) -> Result<$crate::policy::Mode, $crate::Error> {
                    SLOT.with(|slot| slot.recording(&camera, now))
                }
            }

            $crate::bindings::policy::export_policy!(
                Component with_types_in $crate::bindings::policy
            );
        }
    };
}
