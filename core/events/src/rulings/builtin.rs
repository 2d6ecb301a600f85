//! The policy that is built in: rules in `commune.toml`. It rules where a commune has no policy of its own,
//! and while that one fails.

use std::time::Duration;

use taimat_contract::event::Event;
use taimat_contract::policy::{Alert, Ruling, Situation, Why};
use taimat_contract::{Severity, UnixMicros};

use crate::alert_rule::AlertRule;
use crate::target::CommuneAlerts;

/// The soonest that a policy may be asked again, in seconds.
const SOONEST: u64 = 5;

/// What follows where a file has targets and no rules: whoever can be told is told of what is serious.
fn usual(targets: impl Iterator<Item = String>) -> AlertRule {
    AlertRule {
        at_least: Some(Severity::Warning),
        tell: targets.collect(),
        follow: true,
        ..AlertRule::default()
    }
}

/// Rules. Pure: the answer comes from the arguments.
pub(super) fn rule(alerts: &CommuneAlerts, event: &Event, situation: &Situation) -> Ruling {
    let usual = [usual(alerts.targets.keys().cloned())];
    let rules = if alerts.rules.is_empty() {
        &usual
    } else {
        &alerts.rules[..]
    };
    let mut ruling = Ruling::default();
    if situation.asked == 0 {
        let mut fitting = rules.iter().filter(|rule| rule.fits(event, &alerts.facts));
        ruling.severity = fitting
            .find_map(|rule| rule.severity)
            .filter(|severity| *severity != event.severity);
    }
    // What the first rules make of it is what the others see.
    let event = &Event {
        severity: ruling.severity.unwrap_or(event.severity),
        ..event.clone()
    };
    for rule in rules {
        if !rule.fits(event, &alerts.facts) {
            continue;
        }
        if let Some(why) = &rule.quiet {
            // Who was told of it already is not left without its end.
            if situation.told.is_empty() {
                ruling.suppress = Some(why.clone());
            }
            break;
        }
        tell(rule, event, situation, &mut ruling);
    }
    ruling
}

fn tell(rule: &AlertRule, event: &Event, situation: &Situation, ruling: &mut Ruling) {
    // Counted from when somebody was told first.
    let since = situation.told.iter().map(|told| told.at).min();
    let since = since.unwrap_or(event.began);
    let begins = matches!(situation.why, Why::Opened | Why::Updated) || situation.asked == 0;
    let mut alert = |target: &String, wait: Duration| {
        let told = situation.told.iter().any(|told| told.target == *target)
            || ruling.alerts.iter().any(|alert| alert.target == *target);
        if !told {
            ruling.alerts.push(Alert {
                target: target.clone(),
                follow: rule.follow,
                group: rule.group.clone(),
                not_before: match wait.is_zero() {
                    true => UnixMicros(0),
                    false => situation.now.after(wait),
                },
            });
        }
    };
    if begins {
        rule.tell.iter().for_each(|target| alert(target, rule.wait));
    }
    let Some(escalation) = &rule.escalate else {
        return;
    };
    if event.answered.is_some() {
        return;
    }
    let waited = situation.now.since(since);
    let unreached = situation.why == Why::Undelivered;
    if unreached || waited >= escalation.after {
        for target in &escalation.tell {
            alert(target, Duration::ZERO);
        }
    } else {
        let seconds = (escalation.after - waited).as_secs_f64().ceil() as u64;
        let seconds = u32::try_from(seconds.max(SOONEST)).unwrap_or(u32::MAX);
        let sooner = ruling.ask_again == 0 || seconds < ruling.ask_again;
        if sooner {
            ruling.ask_again = seconds;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use taimat_contract::Detection;
    use taimat_contract::commune::{CameraFacts, CommuneFacts};
    use taimat_contract::event::{Answer, Phase};
    use taimat_contract::policy::{DeliveryState, Told};

    use super::*;
    use crate::alert_rule::Escalation;
    use crate::target::Target;

    /// 15:00 in Hà Nội.
    const NOW: UnixMicros = UnixMicros(1_800_000_000_000_000);

    fn event(kind: &str, camera: &str, severity: Severity) -> Event {
        Event {
            id: "e".into(),
            revision: 1,
            phase: Phase::Opened,
            camera: Some(camera.parse().unwrap()),
            kind: kind.into(),
            severity,
            began: NOW,
            ended: None,
            best: Detection {
                kind: kind.into(),
                at: NOW,
                confidence: 1.0,
                regions: vec![],
                track: None,
                text: String::new(),
                extra: vec![],
            },
            detections: 1,
            plugin: "a".parse().unwrap(),
            picture: false,
            clip: false,
            answered: None,
            extra: vec![],
        }
    }

    fn situation(why: Why, now: UnixMicros, asked: u32, told: &[&str]) -> Situation {
        let told = told.iter().map(|target| Told {
            target: (*target).into(),
            at: NOW,
            state: DeliveryState::Waiting,
        });
        Situation {
            why,
            now,
            asked,
            memo: String::new(),
            told: told.collect(),
            others: vec![],
            same_last_hour: 1,
        }
    }

    fn alerts(rules: Vec<AlertRule>) -> CommuneAlerts {
        let target = |name: &str| {
            let target = Target {
                title: name.into(),
                alerter: "log".parse().unwrap(),
                tags: vec![],
                address: vec![],
                deadline: Duration::from_secs(60),
            };
            (name.to_owned(), target)
        };
        let facts = CommuneFacts {
            cameras: vec![CameraFacts {
                name: "cho-1".parse().unwrap(),
                title: String::new(),
                tags: vec!["market".into()],
                owner: String::new(),
                zones: vec![],
            }],
            ..CommuneFacts::default()
        };
        CommuneAlerts {
            policy: None,
            rules,
            targets: ["deputy", "desk"].map(target).into(),
            facts: Arc::new(facts),
        }
    }

    fn told(ruling: &Ruling) -> Vec<&str> {
        ruling.alerts.iter().map(|a| a.target.as_str()).collect()
    }

    #[test]
    fn without_rules_whoever_can_be_told_is_told_of_what_is_serious() {
        let alerts = alerts(vec![]);
        let first = situation(Why::Opened, NOW, 0, &[]);
        let notice = rule(&alerts, &event("motion", "cho-1", Severity::Notice), &first);
        assert_eq!(notice, Ruling::default());
        let warning = rule(
            &alerts,
            &event("litter", "cho-1", Severity::Warning),
            &first,
        );
        assert_eq!(told(&warning), ["deputy", "desk"]);
        assert!(warning.alerts[0].follow);
        // Once is enough.
        let second = situation(Why::Updated, NOW, 1, &["deputy", "desk"]);
        let again = rule(
            &alerts,
            &event("litter", "cho-1", Severity::Warning),
            &second,
        );
        assert_eq!(told(&again), [] as [&str; 0]);
    }

    #[test]
    fn all_that_a_rule_names_has_to_fit() {
        let rules = vec![
            AlertRule {
                kinds: vec!["camera-*".into()],
                quiet: Some("the weather".into()),
                ..AlertRule::default()
            },
            AlertRule {
                kinds: vec!["litter".into()],
                tags: vec!["market".into()],
                severity: Some(Severity::Alarm),
                tell: vec!["desk".into()],
                ..AlertRule::default()
            },
            AlertRule {
                at_least: Some(Severity::Alarm),
                hours: Some("14:00-16:00".parse().unwrap()),
                tell: vec!["deputy".into()],
                group: "day".into(),
                wait: Duration::from_secs(30),
                ..AlertRule::default()
            },
        ];
        let alerts = alerts(rules);
        let first = situation(Why::Opened, NOW, 0, &[]);
        let ask = |kind, camera| rule(&alerts, &event(kind, camera, Severity::Notice), &first);
        assert_eq!(ask("camera-lost", "cho-1").suppress.unwrap(), "the weather");
        // What the second rule makes of it is what the third sees.
        let litter = ask("litter", "cho-1");
        assert_eq!(
            (told(&litter), litter.severity),
            (vec!["desk", "deputy"], Some(Severity::Alarm))
        );
        assert_eq!(litter.alerts[0].not_before, UnixMicros(0));
        assert_eq!(
            litter.alerts[1].not_before,
            NOW.after(Duration::from_secs(30))
        );
        assert_eq!(ask("litter", "le-loi"), Ruling::default());
        assert_eq!(ask("motion", "cho-1"), Ruling::default());
    }

    #[test]
    fn what_nobody_answers_goes_further() {
        let alerts = alerts(vec![AlertRule {
            tell: vec!["desk".into()],
            escalate: Some(Escalation {
                after: Duration::from_secs(300),
                tell: vec!["deputy".into()],
            }),
            ..AlertRule::default()
        }]);
        let event = event("litter", "cho-1", Severity::Warning);
        let ask = |event: &Event, why, seconds, told: &[&str]| {
            let now = NOW.after(Duration::from_secs(seconds));
            rule(&alerts, event, &situation(why, now, 1, told))
        };
        let first = rule(&alerts, &event, &situation(Why::Opened, NOW, 0, &[]));
        assert_eq!((told(&first), first.ask_again), (vec!["desk"], 300));
        // A change in between leaves the time as it was.
        assert_eq!(ask(&event, Why::Updated, 100, &["desk"]).ask_again, 200);
        let late = ask(&event, Why::Timer, 300, &["desk"]);
        assert_eq!((told(&late), late.ask_again), (vec!["deputy"], 0));
        assert_eq!(
            ask(&event, Why::Timer, 600, &["desk", "deputy"]),
            Ruling::default()
        );
        let unreached = ask(&event, Why::Undelivered, 20, &["desk"]);
        assert_eq!(told(&unreached), ["deputy"]);
        let answered = Event {
            answered: Some(Answer {
                who: "An".into(),
                at: NOW,
                false_alarm: false,
            }),
            ..event
        };
        assert_eq!(
            ask(&answered, Why::Timer, 300, &["desk"]),
            Ruling::default()
        );
    }
}
