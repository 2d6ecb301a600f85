//! A browser that asked to be told, and of what.

use serde::{Deserialize, Serialize};
use taimat_base::{CameraId, CommuneId};
use taimat_contract::{PushEndpoint, Severity, UnixMicros};
use utoipa::ToSchema;

use crate::error::StoreError;
use crate::event::Event;
use crate::target;

/// A language that notifications are worded in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub enum Language {
    /// Tiếng Việt.
    #[default]
    #[serde(rename = "vi")]
    Vietnamese,
    /// English.
    #[serde(rename = "en")]
    English,
}

impl Language {
    /// The first of the two in Vietnamese, the second in English.
    pub(crate) fn choose<T>(self, vietnamese: T, english: T) -> T {
        match self {
            Self::Vietnamese => vietnamese,
            Self::English => english,
        }
    }

    /// BCP 47.
    pub(crate) fn tag(self) -> &'static str {
        self.choose("vi", "en")
    }
}

/// What somebody wants to be told, of what the commune tells at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Wants {
    /// In this language.
    #[serde(default)]
    pub language: Language,
    /// Of events this severe.
    #[serde(default = "usual")]
    pub at_least: Severity,
    /// At these cameras; empty is all, and what has none.
    #[serde(default)]
    #[schema(value_type = Vec<String>, required = false)]
    pub cameras: Vec<CameraId>,
    /// Of these kinds; empty is all.
    #[serde(default)]
    pub kinds: Vec<String>,
}

fn usual() -> Severity {
    Severity::Warning
}

impl Wants {
    /// Cameras, and kinds, that one browser names at most.
    pub const MAX_NAMED: usize = 64;
    /// Bytes of a kind.
    const MAX_KIND: usize = 64;

    /// Whether an event that is so severe is wanted.
    pub(crate) fn fits(&self, event: &Event, severity: Severity) -> bool {
        let camera = event.camera.as_ref();
        let at = self.cameras.is_empty() || camera.is_some_and(|at| self.cameras.contains(at));
        let of = self.kinds.is_empty() || self.kinds.contains(&event.kind);
        severity >= self.at_least && at && of
    }

    pub(crate) fn checked(&self) -> Result<(), StoreError> {
        let many = self.cameras.len().max(self.kinds.len()) > Self::MAX_NAMED;
        if many || self.kinds.iter().any(|kind| kind.len() > Self::MAX_KIND) {
            let most = Self::MAX_NAMED;
            let why =
                format!("at most {most} cameras and {most} kinds, none longer than {most} bytes");
            return Err(StoreError::Refused(why));
        }
        Ok(())
    }
}

/// A browser asks to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSubscription {
    /// Of what happens in this commune.
    pub commune: CommuneId,
    /// Where. One that asks again is the same browser.
    pub endpoint: PushEndpoint,
    /// Who sits there: the name that the person gave.
    pub who: String,
    /// Of what.
    pub wants: Wants,
}

/// A browser that asked to be told. Where it is told is shown to nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Subscription {
    /// Its number.
    pub number: u64,
    /// Who sits there: the name that the person gave.
    pub who: String,
    /// Of what it is told.
    pub wants: Wants,
    /// Since when.
    pub made: UnixMicros,
    /// When it asked last: a console that is opened asks again.
    pub renewed: UnixMicros,
}

impl Subscription {
    /// What the outbox and stories call it, as one of a target's.
    pub fn name_under(&self, target: &str) -> String {
        target::of_browser(target, self.number)
    }
}

/// A browser, and where it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Browser {
    pub(crate) subscription: Subscription,
    pub(crate) endpoint: PushEndpoint,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_all_that_is_serious() {
        let wants: Wants = serde_json::from_str("{}").unwrap();
        assert_eq!(
            (wants.language.tag(), wants.at_least),
            ("vi", Severity::Warning)
        );
        assert!(wants.cameras.is_empty() && wants.kinds.is_empty());
        assert!(serde_json::from_str::<Wants>(r#"{"kind":["litter"]}"#).is_err());
        assert!(serde_json::from_str::<Wants>(r#"{"language":"fr"}"#).is_err());
    }

    #[test]
    fn what_one_browser_names_is_bounded() {
        let kinds = |count: usize, bytes: usize| Wants {
            kinds: vec!["x".repeat(bytes); count],
            ..serde_json::from_str("{}").unwrap()
        };
        assert!(kinds(64, 64).checked().is_ok());
        assert!(kinds(65, 1).checked().is_err());
        assert!(kinds(1, 65).checked().is_err());
    }
}
