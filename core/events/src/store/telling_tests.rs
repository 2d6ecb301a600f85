//! Rulings and the outbox on disk, with a clock that is given.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use taimat_base::CommuneId;
use taimat_contract::policy::{Alert, DeliveryState, Ruling, Why};
use taimat_contract::{Attribute, Severity, UnixMicros};

use super::tests::{at, closed, event, opened, store};
use super::*;
use crate::delivery::DeliveryStatus;
use crate::event::Event;
use crate::log::{Happening, NotToldReason, SilencedBy};
use crate::silence::NewSilence;
use crate::target::{CommuneAlerts, Target};

pub(super) fn alerts() -> Arc<CommuneAlerts> {
    let target = |name: &str| {
        let target = Target {
            title: name.into(),
            alerter: "mail".parse().unwrap(),
            tags: vec![],
            address: vec![],
            deadline: Duration::from_secs(3600),
        };
        (name.to_owned(), target)
    };
    Arc::new(CommuneAlerts {
        targets: BTreeMap::from(["desk", "boss"].map(target)),
        ..CommuneAlerts::default()
    })
}

pub(super) fn alert(target: &str) -> Alert {
    Alert {
        target: target.into(),
        follow: true,
        group: String::new(),
        not_before: UnixMicros(0),
    }
}

pub(super) fn tell(target: &str) -> Ruling {
    Ruling {
        alerts: vec![alert(target)],
        ..Ruling::default()
    }
}

pub(super) fn commune() -> CommuneId {
    "thu".parse().unwrap()
}

/// Answers the next question that is due; what was asked.
pub(super) async fn answer(
    store: &EventStore,
    now: UnixMicros,
    ruling: Ruling,
) -> Option<Question> {
    let question = store.question(&commune(), now).unwrap()?;
    let ruled = Ruled {
        question: question.number,
        event: question.event.id,
        why: question.situation.why,
        by: "night".into(),
        instead_of: None,
        ruling,
        alerts: alerts(),
    };
    store.rule(ruled, now).await.unwrap();
    Some(question)
}

pub(super) fn head(store: &EventStore, target: &str, now: UnixMicros) -> Option<Box<Head>> {
    match store.turn(&commune(), target, now).unwrap() {
        Turn::Now(head) => Some(head),
        Turn::Later(_) | Turn::Idle => None,
    }
}

pub(super) async fn deliver(store: &EventStore, target: &str, now: UnixMicros) {
    let head = head(store, target, now).unwrap();
    let ended = Ended {
        number: head.number,
        commune: commune(),
        target: target.into(),
        attempts: 1,
        receipt: Some(format!("receipt of {}", head.events[0].event.revision)),
        end: End::Delivered,
    };
    store.ended(ended, None, now).await.unwrap();
}

#[tokio::test]
async fn a_question_is_asked_until_it_is_answered_and_again_when_the_policy_wants() {
    let store = store();
    let event = event(1);
    store.write(vec![opened(&event)], at(2)).await.unwrap();
    let first = store.question(&commune(), at(2)).unwrap().unwrap();
    assert_eq!(
        (first.situation.why, first.situation.asked),
        (Why::Opened, 0)
    );
    let ruling = Ruling {
        ask_again: 600,
        memo: "first".into(),
        severity: Some(Severity::Alarm),
        notes: vec![Attribute {
            key: "night".into(),
            value: "yes".into(),
        }],
        ..tell("desk")
    };
    answer(&store, at(2), ruling).await.unwrap();
    assert!(store.question(&commune(), at(3)).unwrap().is_none());
    assert_eq!(store.next_question().unwrap(), Some(at(12)));
    // The clock is set back by an hour: the time that is waited for is as long as before.
    store.shift(-at(60).0).await.unwrap();
    assert_eq!(store.next_question().unwrap(), Some(at(-48)));
    store.shift(at(60).0).await.unwrap();
    let again = store.question(&commune(), at(12)).unwrap().unwrap();
    let situation = &again.situation;
    assert_eq!((situation.why, situation.asked), (Why::Timer, 1));
    assert_eq!(
        (situation.memo.as_str(), situation.told.len()),
        ("first", 1)
    );
    assert_eq!(situation.told[0].state, DeliveryState::Waiting);
    assert_eq!(
        (again.event.severity, again.event.revision),
        (Severity::Alarm, 2)
    );
    assert_eq!(again.event.extra[0].value, "yes");
    answer(&store, at(12), Ruling::default()).await.unwrap();
    assert_eq!(store.next_question().unwrap(), None);
    // A timer after which nothing follows is nothing to tell.
    assert_eq!(store.story(event.id).unwrap().log.len(), 2);
}

#[tokio::test]
async fn who_is_named_again_is_told_what_is_new_and_nothing_twice() {
    let store = store();
    let event = event(1);
    store.write(vec![opened(&event)], at(2)).await.unwrap();
    answer(&store, at(2), tell("desk")).await.unwrap();
    // It waits: it will say how it is then.
    store
        .answer(event.id, "An", Answer::Seen, at(3))
        .await
        .unwrap();
    answer(&store, at(3), tell("desk")).await.unwrap();
    assert_eq!(
        store
            .deliveries(&commune(), None, None, None)
            .unwrap()
            .len(),
        1
    );
    deliver(&store, "desk", at(4)).await;
    // It is as it was told... the revision at which it was enqueued is older.
    store
        .write(vec![closed(&event, at(5))], at(5))
        .await
        .unwrap();
    answer(&store, at(5), Ruling::default()).await.unwrap();
    let head = head(&store, "desk", at(5)).expect("who follows is told of the end");
    assert_eq!(head.events[0].earlier[0].text, "receipt of 2");
    deliver(&store, "desk", at(6)).await;
    assert!(matches!(
        store.turn(&commune(), "desk", at(7)).unwrap(),
        Turn::Idle
    ));
    let told = store.story(event.id).unwrap().deliveries;
    assert!(told.iter().all(|d| d.state == DeliveryStatus::Delivered));
}

#[tokio::test]
async fn what_waits_for_the_same_morning_goes_out_together_and_can_be_taken_back() {
    let store = store();
    let all: Vec<Event> = (1..=3).map(event).collect();
    store
        .write(all.iter().map(opened).collect(), at(4))
        .await
        .unwrap();
    let morning = Ruling {
        alerts: vec![Alert {
            group: "morning".into(),
            not_before: at(60),
            ..alert("desk")
        }],
        ..Ruling::default()
    };
    for _ in 0..3 {
        answer(&store, at(4), morning.clone()).await.unwrap();
    }
    assert!(head(&store, "desk", at(59)).is_none());
    store
        .answer(all[1].id, "An", Answer::FalseAlarm, at(5))
        .await
        .unwrap();
    let back = Ruling {
        suppress: Some("a false alarm".into()),
        ..Ruling::default()
    };
    let asked = answer(&store, at(5), back.clone()).await.unwrap();
    assert_eq!(
        (asked.event.id, asked.situation.why),
        (all[1].id, Why::Answered)
    );
    // Others are shown, the newest first.
    let others: Vec<_> = asked
        .situation
        .others
        .iter()
        .map(|o| (&*o.id, o.told))
        .collect();
    let (third, first) = (all[2].id.to_string(), all[0].id.to_string());
    assert_eq!(others, [(&*third, true), (&*first, true)]);
    assert_eq!(asked.situation.same_last_hour, 3);
    let head = head(&store, "desk", at(60)).unwrap();
    let ids: Vec<_> = head.events.iter().map(|e| e.event.id).collect();
    assert_eq!(ids, [all[0].id, all[2].id]);
    assert_eq!(head.due, at(60));
    // What is left of it when all are taken back is not sent.
    for (event, minute) in [(&all[0], 61), (&all[2], 62)] {
        store
            .answer(event.id, "An", Answer::FalseAlarm, at(minute))
            .await
            .unwrap();
        answer(&store, at(minute), back.clone()).await.unwrap();
    }
    assert!(matches!(
        store.turn(&commune(), "desk", at(70)).unwrap(),
        Turn::Idle
    ));
    let taken = store.deliveries(&commune(), Some(DeliveryStatus::TakenBack), None, None);
    assert_eq!(taken.unwrap().len(), 1);
}

#[tokio::test]
async fn who_is_named_and_not_there_is_said() {
    let store = store();
    let event = event(1);
    store.write(vec![opened(&event)], at(2)).await.unwrap();
    let ruling = Ruling {
        alerts: vec![alert("desk"), alert("mayor")],
        ..Ruling::default()
    };
    answer(&store, at(2), ruling).await.unwrap();
    let story = store.story(event.id).unwrap();
    let Happening::Ruled { tell, not_told, .. } = &story.log[1].happening else {
        panic!("{story:?}");
    };
    assert_eq!(tell, &["desk"]);
    assert_eq!(
        (&*not_told[0].target, not_told[0].reason),
        ("mayor", NotToldReason::Unknown)
    );
}

#[tokio::test]
async fn a_file_of_an_earlier_version_goes_on() {
    for version in 1..=2 {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("events.db");
        schema::open_earlier(&file, version).unwrap();
        let (store, damaged) = EventStore::open(Some(folder.path())).unwrap();
        assert_eq!(damaged, None);
        store.write(vec![opened(&event(1))], at(2)).await.unwrap();
        answer(&store, at(2), tell("desk")).await.unwrap();
        assert!(head(&store, "desk", at(2)).is_some());
        assert_eq!(store.browsers(&commune()).unwrap(), []);
        drop(store);
        // Once is enough.
        let (store, damaged) = EventStore::open(Some(folder.path())).unwrap();
        assert_eq!(
            (damaged, store.browsers(&commune()).unwrap()),
            (None, vec![])
        );
    }
}

#[tokio::test]
async fn who_is_not_told_since_somebody_wants_silence_is_told_who() {
    let store = store();
    let wish = |who: &str, until| NewSilence {
        commune: commune(),
        camera: None,
        kind: Some("litter".into()),
        until,
        who: who.into(),
        why: "the market".into(),
    };
    let short = store.silence(wish("An", at(5)), at(1)).await.unwrap();
    let long = store.silence(wish("Lan", at(30)), at(1)).await.unwrap();
    let (first, second, third) = (event(1), event(2), event(3));
    for (event, minute) in [(&first, 2), (&second, 29)] {
        store.write(vec![opened(event)], at(minute)).await.unwrap();
    }
    // When it is ruled, another one is there and the one that held is over.
    store.silence(wish("Minh", at(90)), at(40)).await.unwrap();
    store.write(vec![opened(&third)], at(41)).await.unwrap();
    store.end_silence(&commune(), 3).await.unwrap();
    for _ in 0..3 {
        answer(&store, at(50), tell("desk")).await.unwrap();
    }
    let silences = [&first, &second, &third].map(|event| {
        let story = store.story(event.id).unwrap();
        let Happening::Ruled { not_told, .. } = &story.log[1].happening else {
            panic!("{story:?}");
        };
        assert_eq!(not_told[0].reason, NotToldReason::Silenced);
        not_told[0].silence.clone()
    });
    let by_lan = SilencedBy {
        number: long.number,
        who: "Lan".into(),
        until: at(30),
        why: "the market".into(),
    };
    assert!(short.number < long.number);
    // Of the two that held, the one that lasts; one that was taken back is nobody's.
    assert_eq!(silences, [Some(by_lan.clone()), Some(by_lan), None]);
}

#[tokio::test]
async fn what_waits_for_the_morning_is_hastened_by_who_wants_it_now() {
    let store = store();
    let all: Vec<Event> = (1..=2).map(event).collect();
    let later = |not_before| Ruling {
        ask_again: 60,
        alerts: vec![Alert {
            group: "morning".into(),
            not_before,
            ..alert("desk")
        }],
        ..Ruling::default()
    };
    store
        .write(all.iter().map(opened).collect(), at(2))
        .await
        .unwrap();
    for _ in 0..2 {
        answer(&store, at(2), later(at(60))).await.unwrap();
    }
    // Later than it waits for already is no reason to wait longer, and nothing is told twice.
    answer(&store, at(3), later(at(90))).await.unwrap();
    assert!(head(&store, "desk", at(59)).is_none());
    let Turn::Later(due) = store.turn(&commune(), "desk", at(59)).unwrap() else {
        panic!()
    };
    assert_eq!(due, at(60));
    // Half an hour sooner, then now: those of its group come along.
    answer(&store, at(4), later(at(30))).await.unwrap();
    assert!(head(&store, "desk", at(29)).is_none());
    assert!(head(&store, "desk", at(30)).is_some());
    answer(&store, at(5), tell("desk")).await.unwrap();
    let now = head(&store, "desk", at(5)).unwrap();
    let ids: Vec<_> = now.events.iter().map(|e| e.event.id).collect();
    assert_eq!(ids, [all[0].id, all[1].id]);
    // Once an attempt has failed, its wait is the target's, and nobody shortens it.
    let tried = Tried {
        number: now.number,
        target: "desk".into(),
        progress: None,
        attempts: 1,
        again: at(20),
        aside: false,
        error: "refused".into(),
    };
    store.tried(tried, at(5)).await.unwrap();
    answer(&store, at(6), tell("desk")).await.unwrap();
    assert!(head(&store, "desk", at(19)).is_none());
    assert!(head(&store, "desk", at(20)).is_some());
    let all = store.deliveries(&commune(), None, None, None).unwrap();
    assert_eq!(all.len(), 1);
}
