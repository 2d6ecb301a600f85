//! When detections are an event: what the commune's file says, and what holds if it says nothing.

use std::time::Duration;

use taimat_base::CameraId;
use taimat_contract::Severity;
use wildmatch::WildMatch;

/// When detections of one kind are an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventRule {
    /// They have to go on for so long before they are one.
    pub minimum: Duration,
    /// So long after the last one it is over.
    pub gap: Duration,
    /// So long after its end no other of its kind begins at the camera.
    pub cool_down: Duration,
    /// Different tracks are different events.
    pub by_track: bool,
    /// How much attention it deserves, until the policy says otherwise.
    pub severity: Severity,
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl EventRule {
    /// What suits a kind of detection.
    pub fn usual(kind: &str) -> Self {
        let usual = Self {
            minimum: Duration::ZERO,
            gap: seconds(10),
            cool_down: Duration::ZERO,
            by_track: true,
            severity: Severity::Notice,
        };
        match kind {
            // A leaf moves for less than a second; a street moves again and again.
            "motion" => Self {
                minimum: seconds(1),
                cool_down: seconds(20),
                by_track: false,
                severity: Severity::Info,
                ..usual
            },
            // Who steps back and forth on the line has crossed it once.
            "line-crossed" => Self {
                gap: seconds(3),
                ..usual
            },
            "intrusion" => Self {
                severity: Severity::Warning,
                ..usual
            },
            // What lies there is now and then hidden by who walks past.
            "object-left" | "litter" => Self {
                gap: seconds(60),
                severity: Severity::Warning,
                ..usual
            },
            _ if kind.starts_with("tamper-") => Self {
                gap: seconds(30),
                cool_down: seconds(60),
                by_track: false,
                severity: Severity::Alarm,
                ..usual
            },
            _ => usual,
        }
    }
}

/// What a commune's file says otherwise, for some kinds at some cameras.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventRuleChange {
    /// Patterns of cameras; none is all.
    pub cameras: Vec<String>,
    /// Patterns of kinds; none is all.
    pub kinds: Vec<String>,
    /// Instead of [`EventRule::minimum`].
    pub minimum: Option<Duration>,
    /// Instead of [`EventRule::gap`].
    pub gap: Option<Duration>,
    /// Instead of [`EventRule::cool_down`].
    pub cool_down: Option<Duration>,
    /// Instead of [`EventRule::by_track`].
    pub by_track: Option<bool>,
    /// Instead of [`EventRule::severity`].
    pub severity: Option<Severity>,
}

impl EventRuleChange {
    fn is_for(&self, camera: &CameraId, kind: &str) -> bool {
        let fits = |patterns: &[String], text: &str| {
            patterns.is_empty() || patterns.iter().any(|p| WildMatch::new(p).matches(text))
        };
        fits(&self.cameras, camera.as_str()) && fits(&self.kinds, kind)
    }
}

/// What a plugin's section says about events. Each setting is taken from the first that names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventRules(pub Vec<EventRuleChange>);

impl EventRules {
    /// The rule for a kind at a camera.
    pub fn of(&self, camera: &CameraId, kind: &str) -> EventRule {
        let mut rule = EventRule::usual(kind);
        let changes: Vec<_> = self
            .0
            .iter()
            .filter(|change| change.is_for(camera, kind))
            .collect();
        for change in changes.into_iter().rev() {
            rule.minimum = change.minimum.unwrap_or(rule.minimum);
            rule.gap = change.gap.unwrap_or(rule.gap);
            rule.cool_down = change.cool_down.unwrap_or(rule.cool_down);
            rule.by_track = change.by_track.unwrap_or(rule.by_track);
            rule.severity = change.severity.unwrap_or(rule.severity);
        }
        rule
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_names_a_setting_decides() {
        let rules = EventRules(vec![
            EventRuleChange {
                cameras: vec!["cho-*".into()],
                gap: Some(seconds(99)),
                ..EventRuleChange::default()
            },
            EventRuleChange {
                kinds: vec!["motion".into(), "tamper-*".into()],
                gap: Some(seconds(5)),
                severity: Some(Severity::Warning),
                ..EventRuleChange::default()
            },
        ]);
        let at = |camera: &str, kind| rules.of(&camera.parse().unwrap(), kind);
        let motion = at("cho-1", "motion");
        assert_eq!(
            (motion.gap, motion.severity),
            (seconds(99), Severity::Warning)
        );
        assert_eq!(motion.minimum, seconds(1));
        assert_eq!(at("cau", "tamper-moved").gap, seconds(5));
        assert_eq!(at("cau", "litter"), EventRule::usual("litter"));
    }
}
