//! Rules of a commune's file: what follows from which events.

use std::time::Duration;

use taimat_base::CameraId;
use taimat_contract::Severity;
use taimat_contract::commune::CommuneFacts;
use taimat_contract::event::Event;
use taimat_contract::hours::{DayKinds, Hours, Moment};
use wildmatch::WildMatch;

/// What follows from events that are like this. All that is named has to fit; what is not, does not
/// matter.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AlertRule {
    /// Patterns of kinds.
    pub kinds: Vec<String>,
    /// Patterns of cameras' names. What the house sees of itself may have none, and fits none.
    pub cameras: Vec<String>,
    /// The camera has one of these tags.
    pub tags: Vec<String>,
    /// At least this severe.
    pub at_least: Option<Severity>,
    /// Begun within these hours, on the commune's clock.
    pub hours: Option<Hours>,
    /// Begun on such a day.
    pub days: Option<DayKinds>,
    /// It is this severe from then on. The first rule that says so decides.
    pub severity: Option<Severity>,
    /// Nobody is told, for this reason, and no later rule is looked at.
    pub quiet: Option<String>,
    /// Targets that are told.
    pub tell: Vec<String>,
    /// They are told also when it is over, and when somebody deals with it.
    pub follow: bool,
    /// What waits for one target with the same group goes out together.
    pub group: String,
    /// So long it may wait for others of its group.
    pub wait: Duration,
    /// Who else is told when nobody deals with it.
    pub escalate: Option<Escalation>,
}

/// Who else is told when nobody deals with an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Escalation {
    /// After so long, and at once when a target of the rule can not be reached.
    pub after: Duration,
    /// Targets that are told then.
    pub tell: Vec<String>,
}

impl AlertRule {
    /// Whether it is about an event.
    pub(crate) fn fits(&self, event: &Event, facts: &CommuneFacts) -> bool {
        let named = |patterns: &[String], name: &str| {
            patterns.is_empty() || patterns.iter().any(|p| WildMatch::new(p).matches(name))
        };
        let camera = event.camera.as_ref().map_or("", CameraId::as_str);
        let tagged = self.tags.is_empty() || {
            let facts = facts.cameras.iter().find(|c| c.name.as_str() == camera);
            facts.is_some_and(|c| c.tags.iter().any(|tag| self.tags.contains(tag)))
        };
        named(&self.kinds, &event.kind)
            && named(&self.cameras, camera)
            && tagged
            && self.at_least.is_none_or(|least| event.severity >= least)
            && (self.hours.is_none() && self.days.is_none()
                || Moment::of(event.began, facts).is_in(self.hours, self.days))
    }
}
