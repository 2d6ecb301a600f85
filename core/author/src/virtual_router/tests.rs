//! Days of one, two or three events, and what comes of them.

use super::*;
use taimat_contract::{Attribute, Detection};

fn s(seconds: i64) -> UnixMicros {
    UnixMicros(seconds * 1_000_000)
}

fn opens(id: &str, at: i64) -> (UnixMicros, Happening) {
    let event = Event {
        id: id.into(),
        revision: 1,
        phase: Phase::Opened,
        camera: Some("c".parse().unwrap()),
        kind: "motion".into(),
        severity: Severity::Notice,
        began: s(at),
        ended: None,
        best: Detection {
            kind: "motion".into(),
            at: s(at),
            confidence: 1.0,
            regions: Vec::new(),
            track: None,
            text: String::new(),
            extra: Vec::new(),
        },
        detections: 1,
        plugin: "motion".parse().unwrap(),
        picture: false,
        clip: false,
        answered: None,
        extra: Vec::new(),
    };
    (s(at), Happening::Opens(Box::new(event)))
}

fn router(day: Vec<(UnixMicros, Happening)>) -> VirtualRouter {
    let failing = BTreeMap::from([("far".to_owned(), Duration::from_secs(60))]);
    VirtualRouter::new(vec!["duty".into(), "far".into()], failing, day)
}

fn alert(target: &str, group: &str, not_before: i64) -> Alert {
    Alert {
        target: target.into(),
        follow: true,
        group: group.into(),
        not_before: s(not_before),
    }
}

/// Runs a router with a policy: what happened, a line each.
fn story(mut router: VirtualRouter, policy: impl Fn(&Question) -> Ruling) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(step) = router.next().unwrap() {
        lines.push(match step {
            Step::Asks(question) => {
                let ruling = policy(&question);
                router.ruled(&question, &ruling);
                let at = question.situation.now.0 / 1_000_000;
                format!("{at} {} {:?}", question.event.id, question.situation.why)
            }
            Step::Tells { at, target, events } => {
                format!("{} tells {target} {events:?}", at.0 / 1_000_000)
            }
            Step::GaveUp { at, target, .. } => format!("{} gave up {target}", at.0 / 1_000_000),
        });
    }
    lines
}

#[test]
fn who_follows_is_told_the_end_and_nothing_twice() {
    let day = vec![opens("a", 10), (s(20), Happening::Closes("a".into()))];
    let told = story(router(day), |_| Ruling {
        alerts: vec![alert("duty", "", 0), alert("nobody", "", 0)],
        ..Ruling::default()
    });
    let expected = [
        "10 a Opened",
        "10 tells duty [(\"a\", 1)]",
        "20 a Closed",
        "20 tells duty [(\"a\", 2)]",
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_waits_in_a_group_goes_out_together_with_its_newest_revision() {
    let day = vec![
        opens("a", 10),
        opens("b", 20),
        opens("c", 30),
        (s(40), Happening::Closes("a".into())),
    ];
    let told = story(router(day), |q| Ruling {
        alerts: vec![alert("duty", "night", 100)],
        suppress: (q.event.id == "b").then(|| "not b".into()),
        ..Ruling::default()
    });
    assert!(told.contains(&"100 tells duty [(\"a\", 2), (\"b\", 1), (\"c\", 1)]".to_owned()));
    let day = vec![opens("a", 10), (s(40), Happening::Closes("a".into()))];
    let told = story(router(day), |q| match q.situation.why {
        Why::Opened => Ruling {
            alerts: vec![alert("duty", "night", 100)],
            ..Ruling::default()
        },
        _ => Ruling {
            suppress: Some("over".into()),
            ..Ruling::default()
        },
    });
    assert_eq!(told, ["10 a Opened", "40 a Closed"]);
}

#[test]
fn a_target_that_is_not_reached_is_a_question() {
    let told = story(router(vec![opens("a", 10)]), |q| match q.situation.why {
        Why::Opened => Ruling {
            alerts: vec![alert("far", "", 0)],
            ..Ruling::default()
        },
        _ => {
            assert_eq!(q.situation.told[0].state, DeliveryState::Failed);
            Ruling::default()
        }
    });
    assert_eq!(
        told[1..],
        [
            "10 tells far [(\"a\", 1)]",
            "70 gave up far",
            "70 a Undelivered"
        ]
    );
}

#[test]
fn timers_memo_notes_and_severity_come_back() {
    let day = vec![opens("a", 10), opens("b", 3000), opens("c", 3700)];
    let told = story(router(day), |q| {
        let (event, situation) = (&q.event, &q.situation);
        if event.id == "c" {
            let others: Vec<&str> = situation.others.iter().map(|o| o.id.as_str()).collect();
            assert_eq!(
                (others.as_slice(), situation.same_last_hour),
                (&["b", "a"][..], 2)
            );
        }
        if event.id != "a" {
            return Ruling::default();
        }
        if situation.why == Why::Timer {
            assert_eq!((situation.asked, situation.memo.as_str()), (1, "m"));
            assert_eq!((event.severity, event.extra.len()), (Severity::Alarm, 1));
            assert_eq!(event.revision, 2);
            return Ruling::default();
        }
        Ruling {
            severity: Some(Severity::Alarm),
            ask_again: 30,
            memo: "m".into(),
            notes: vec![Attribute {
                key: "k".into(),
                value: "v".into(),
            }],
            ..Ruling::default()
        }
    });
    assert_eq!(
        told,
        [
            "10 a Opened",
            "40 a Timer",
            "3000 b Opened",
            "3700 c Opened"
        ]
    );
}
