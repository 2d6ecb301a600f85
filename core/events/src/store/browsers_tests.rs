//! Browsers on disk, and which of them are told of what.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use taimat_base::CommuneId;
use taimat_contract::policy::{Alert, DeliveryState, Ruling, Why};
use taimat_contract::{PushEndpoint, Severity, UnixMicros};

use super::tests::{at, closed, event, opened, store};
use super::*;
use crate::delivery::DeliveryStatus;
use crate::error::StoreError;
use crate::event::Event;
use crate::log::{Happening, NotToldReason};
use crate::push::{Language, NewSubscription, Subscription, Wants};
use crate::target::{CommuneAlerts, Target};

const DAY: i64 = 24 * 60;
/// The browser of RFC 8291, appendix A.
const KEY: &str =
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";

fn commune() -> CommuneId {
    "thu".parse().unwrap()
}

fn alerts() -> Arc<CommuneAlerts> {
    let target = |(name, alerter): (&str, &str)| {
        let target = Target {
            title: name.into(),
            alerter: alerter.parse().unwrap(),
            tags: vec![],
            address: vec![],
            deadline: Duration::from_secs(3600),
        };
        (name.to_owned(), target)
    };
    Arc::new(CommuneAlerts {
        targets: BTreeMap::from([("phones", "push"), ("desk", "mail")].map(target)),
        ..CommuneAlerts::default()
    })
}

fn new(who: &str, at_least: Severity) -> NewSubscription {
    let url = format!("https://push.example.net/{who}");
    NewSubscription {
        commune: commune(),
        endpoint: PushEndpoint::new(&url, KEY, "BTBZMqHH6r4Tts7J_aSIgg").unwrap(),
        who: who.into(),
        wants: Wants {
            language: Language::English,
            at_least,
            cameras: vec![],
            kinds: vec![],
        },
    }
}

async fn asks(store: &EventStore, who: &str, at_least: Severity) -> Subscription {
    store.subscribe(new(who, at_least), at(1)).await.unwrap()
}

fn tell(target: &str) -> Ruling {
    Ruling {
        alerts: vec![Alert {
            target: target.into(),
            follow: true,
            group: String::new(),
            not_before: UnixMicros(0),
        }],
        ..Ruling::default()
    }
}

async fn answer(store: &EventStore, now: UnixMicros, ruling: Ruling) -> Question {
    let question = store.question(&commune(), now).unwrap().unwrap();
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
    question
}

/// What waits, by target.
fn waiting(store: &EventStore) -> Vec<String> {
    let waiting = DeliveryStatus::Waiting;
    let all = store.deliveries(&commune(), Some(waiting), Some("phones"), None);
    let mut all: Vec<String> = all.unwrap().into_iter().map(|d| d.target).collect();
    all.sort();
    all
}

async fn ends(store: &EventStore, target: &str, now: UnixMicros, end: End) {
    let Turn::Now(head) = store.turn(&commune(), target, now).unwrap() else {
        panic!("nothing is due for {target}");
    };
    let ended = Ended {
        number: head.number,
        commune: commune(),
        target: target.into(),
        attempts: 1,
        receipt: None,
        end,
    };
    store.ended(ended, None, now).await.unwrap();
}

fn said(store: &EventStore, event: &Event) -> Vec<String> {
    let story = store.story(event.id).unwrap();
    let word = |happening: &Happening| match happening {
        Happening::Ruled { tell, not_told, .. } => {
            let not: Vec<_> = not_told.iter().map(|n| (&*n.target, n.reason)).collect();
            format!("ruled {tell:?} {not:?}")
        }
        Happening::Delivered { target, .. } => format!("delivered {target}"),
        Happening::Undelivered { target, error, .. } => format!("undelivered {target}: {error}"),
        Happening::Skipped { target, .. } => format!("skipped {target}"),
        Happening::TakenBack { target, .. } => format!("taken back {target}"),
        other => format!("{other:?}"),
    };
    story
        .log
        .iter()
        .map(|entry| word(&entry.happening))
        .collect()
}

#[tokio::test]
async fn a_browser_that_asks_again_is_the_same_and_one_that_is_removed_waits_for_nothing() {
    let store = store();
    let first = asks(&store, "An", Severity::Warning).await;
    let again = NewSubscription {
        who: "An ở trực ban".into(),
        ..new("An", Severity::Alarm)
    };
    let again = store.subscribe(again, at(9)).await.unwrap();
    assert_eq!(
        (again.number, again.made, again.renewed),
        (first.number, at(1), at(9))
    );
    assert_eq!(store.browsers(&commune()).unwrap(), [again]);
    let other: CommuneId = "khac".parse().unwrap();
    assert_eq!(store.browsers(&other).unwrap(), []);
    let event = event(1);
    store.write(vec![opened(&event)], at(10)).await.unwrap();
    let raised = Ruling {
        severity: Some(Severity::Alarm),
        ..tell("phones")
    };
    answer(&store, at(10), raised).await;
    assert_eq!(waiting(&store), ["phones/1"]);
    assert!(
        !store
            .remove_browser(&other, first.number, at(11))
            .await
            .unwrap()
    );
    assert!(
        store
            .remove_browser(&commune(), first.number, at(11))
            .await
            .unwrap()
    );
    assert!(waiting(&store).is_empty());
    let endpoint = new("Ba", Severity::Info).endpoint.url().clone();
    asks(&store, "Ba", Severity::Info).await;
    assert!(
        store
            .unsubscribe(&commune(), endpoint.clone(), at(12))
            .await
            .unwrap()
    );
    assert!(
        !store
            .unsubscribe(&commune(), endpoint, at(12))
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn there_are_so_many_and_one_that_was_forgotten_makes_room() {
    let store = store();
    for number in 0..200 {
        asks(&store, &format!("p{number}"), Severity::Info).await;
    }
    let full = store.subscribe(new("late", Severity::Info), at(2)).await;
    assert!(matches!(full, Err(StoreError::Refused(_))), "{full:?}");
    // One that is there may say anew what it wants.
    store
        .subscribe(new("p7", Severity::Alarm), at(80 * DAY))
        .await
        .unwrap();
    let late = store
        .subscribe(new("late", Severity::Info), at(92 * DAY))
        .await;
    let browsers = store.browsers(&commune()).unwrap();
    assert_eq!(browsers.len(), 200);
    assert!(browsers.contains(&late.unwrap()));
    assert!(browsers.iter().any(|b| b.who == "p7"));
    assert!(browsers.iter().all(|b| b.who != "p0"));
}

#[tokio::test]
async fn each_is_told_of_what_it_wants_and_of_the_end_of_what_it_was_told() {
    let store = store();
    asks(&store, "all", Severity::Info).await;
    asks(&store, "alarms", Severity::Alarm).await;
    let elsewhere = NewSubscription {
        wants: Wants {
            cameras: vec!["cau-2".parse().unwrap()],
            ..new("elsewhere", Severity::Info).wants
        },
        ..new("elsewhere", Severity::Info)
    };
    store.subscribe(elsewhere, at(1)).await.unwrap();
    let event = event(1);
    store.write(vec![opened(&event)], at(2)).await.unwrap();
    answer(&store, at(2), tell("phones")).await;
    assert_eq!(waiting(&store), ["phones/1"]);
    ends(&store, "phones/1", at(3), End::Delivered).await;
    // Who asks meanwhile is told of nothing that was before.
    asks(&store, "late", Severity::Info).await;
    store
        .write(vec![closed(&event, at(5))], at(5))
        .await
        .unwrap();
    let question = answer(&store, at(5), Ruling::default()).await;
    // To the policy it is one target.
    let told: Vec<_> = question
        .situation
        .told
        .iter()
        .map(|t| (&*t.target, t.state))
        .collect();
    assert_eq!(told, [("phones", DeliveryState::Delivered)]);
    assert_eq!(waiting(&store), ["phones/1"]);
    assert_eq!(
        said(&store, &event),
        [
            "Opened",
            "ruled [\"phones\"] []",
            "delivered phones/1",
            "Closed",
            "ruled [\"phones\"] []"
        ]
    );
}

#[tokio::test]
async fn where_nobody_asked_it_is_said_so() {
    let store = store();
    asks(&store, "alarms", Severity::Alarm).await;
    let event = event(1);
    store.write(vec![opened(&event)], at(2)).await.unwrap();
    answer(&store, at(2), tell("phones")).await;
    assert!(waiting(&store).is_empty());
    assert_eq!(said(&store, &event)[1], "ruled [] [(\"phones\", Unwanted)]");
    assert_eq!(
        serde_json::to_string(&NotToldReason::Unwanted).unwrap(),
        "\"unwanted\""
    );
    // Nobody was told of it, so nobody is told of its end.
    store
        .write(vec![closed(&event, at(5))], at(5))
        .await
        .unwrap();
    answer(&store, at(5), Ruling::default()).await;
    assert!(waiting(&store).is_empty());
}

#[tokio::test]
async fn the_policy_is_asked_when_no_browser_could_be_reached() {
    let store = store();
    for who in ["one", "two", "three"] {
        asks(&store, who, Severity::Info).await;
    }
    let event = event(1);
    store.write(vec![opened(&event)], at(2)).await.unwrap();
    answer(&store, at(2), tell("phones")).await;
    let failed = || End::Failed("no connection".into());
    ends(&store, "phones/1", at(3), failed()).await;
    // That one is gone for good, and what waits for it too.
    ends(&store, "phones/2", at(3), End::Gone("HTTP 410".into())).await;
    assert_eq!(store.browsers(&commune()).unwrap().len(), 2);
    assert!(store.question(&commune(), at(4)).unwrap().is_none());
    assert_eq!(store.unreached().unwrap(), []);
    ends(&store, "phones/3", at(4), failed()).await;
    let unreached = store.unreached().unwrap();
    assert_eq!(
        unreached,
        [(commune(), "phones".to_owned(), "no connection".to_owned())]
    );
    let question = answer(&store, at(4), Ruling::default()).await;
    assert_eq!(question.situation.why, Why::Undelivered);
    assert_eq!(question.situation.told[0].state, DeliveryState::Failed);
    assert_eq!(
        said(&store, &event)[2..],
        [
            "undelivered phones/1: no connection",
            "skipped phones/2",
            "undelivered phones/3: no connection",
            "undelivered phones: no connection"
        ]
    );
}

#[tokio::test]
async fn what_is_taken_back_is_said_once_for_all_browsers() {
    let store = store();
    for who in ["one", "two"] {
        asks(&store, who, Severity::Info).await;
    }
    let event = event(1);
    store.write(vec![opened(&event)], at(2)).await.unwrap();
    let again = Ruling {
        ask_again: 60,
        ..tell("phones")
    };
    answer(&store, at(2), again).await;
    assert_eq!(waiting(&store).len(), 2);
    let quiet = Ruling {
        suppress: Some("a festival".into()),
        ..Ruling::default()
    };
    answer(&store, at(5), quiet).await;
    assert!(waiting(&store).is_empty());
    let said = said(&store, &event);
    let back = said.iter().filter(|line| *line == "taken back phones");
    assert_eq!(back.count(), 1, "{said:?}");
}

#[tokio::test]
async fn a_browser_that_is_away_has_a_bounded_pile_and_delays_nobody() {
    let store = store();
    asks(&store, "away", Severity::Info).await;
    for number in 1..=40 {
        let event = event(number);
        store.write(vec![opened(&event)], at(50)).await.unwrap();
        let both = Ruling {
            alerts: [tell("phones").alerts, tell("desk").alerts].concat(),
            ..Ruling::default()
        };
        answer(&store, at(50), both).await;
    }
    assert_eq!(waiting(&store).len(), 32);
    assert_eq!(
        said(&store, &event(40))[1],
        "ruled [\"desk\"] [(\"phones\", Full)]"
    );
    let state = store.target_states(&commune()).unwrap();
    let phones = state.iter().find(|state| state.name == "phones").unwrap();
    assert_eq!((phones.waiting, phones.oldest), (32, Some(at(50))));
    assert!(state.iter().all(|state| !state.name.contains('/')));
}

#[tokio::test]
async fn somebody_tries_all_browsers_or_one() {
    let store = store();
    let (name, phones) = ("phones".to_owned(), alerts().targets["phones"].clone());
    let test = |number| Event {
        kind: "test".into(),
        severity: Severity::Info,
        ..event(number)
    };
    let none = store
        .test(test(1), "An", (name.clone(), phones.clone()), at(2))
        .await;
    assert!(matches!(&none, Err(StoreError::Refused(why)) if why.contains("no browser")));
    for who in ["one", "two"] {
        asks(&store, who, Severity::Alarm).await;
    }
    store
        .test(test(2), "An", (name, phones.clone()), at(3))
        .await
        .unwrap();
    assert_eq!(waiting(&store), ["phones/1", "phones/2"]);
    let one = ("phones/2".to_owned(), phones.clone());
    store.test(test(3), "An", one, at(3)).await.unwrap();
    assert_eq!(waiting(&store), ["phones/1", "phones/2", "phones/2"]);
    let unknown = ("phones/9".to_owned(), phones);
    let unknown = store.test(test(4), "An", unknown, at(3)).await;
    assert!(matches!(unknown, Err(StoreError::Unknown)));
}
