//! From a detection to a target that knows: what follows, in which order, and what is left after a failure.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a set-up that fails fails its test"
)]

mod house;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use house::{House, Sent, alerts, fail, ok, rule};
use taimat_contract::alerter::{Planned, Verdict};
use taimat_contract::message::Reply;
use taimat_contract::policy::{Alert, Ruling};
use taimat_contract::{Failure, PluginError, Severity, Unanswered, UnixMicros};
use taimat_events::{
    Answer, BUILT_IN, CommuneAlerts, DeliveryStatus, Happening, NotToldReason, Story,
};

fn words(story: &Story) -> Vec<&'static str> {
    let word = |happening: &Happening| match happening {
        Happening::Opened => "opened",
        Happening::Updated => "updated",
        Happening::Closed => "closed",
        Happening::Answered { .. } => "answered",
        Happening::Ruled { .. } => "ruled",
        Happening::Composed { .. } => "composed",
        Happening::Tried { .. } => "tried",
        Happening::Delivered { .. } => "delivered",
        Happening::Undelivered { .. } => "undelivered",
        Happening::Skipped { .. } => "skipped",
        Happening::Tested { .. } => "tested",
        Happening::Retried { .. } => "retried",
        _ => "else",
    };
    story
        .log
        .iter()
        .map(|entry| word(&entry.happening))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_is_told_once_and_the_event_tells_how() {
    let house = House::start(alerts(vec![rule(&["desk"])])).await;
    let id = house.see("litter", 1).await;
    let story = house.until(id, |s| words(s).contains(&"delivered")).await;
    assert_eq!(words(&story), ["opened", "ruled", "composed", "delivered"]);
    let Happening::Ruled { by, tell, .. } = &story.log[1].happening else {
        panic!("{story:?}");
    };
    assert_eq!(
        (by.as_str(), tell.as_slice()),
        (BUILT_IN, &["desk".to_owned()][..])
    );
    let [sent] = &house.sent()[..] else {
        panic!("{:?}", house.sent());
    };
    assert_eq!(
        sent.text,
        format!("desk litter opened {id} [] http://router/#/event/thu/{id}")
    );
    // Being told of changes nothing about the event.
    assert_eq!(story.event.revision, 1);
    assert_eq!(story.deliveries[0].state, DeliveryStatus::Delivered);
    // An answer changes the message that is there, with what the target gave back.
    house.events.answer(id, "An", Answer::Seen).await.unwrap();
    let story = house
        .until(id, |s| {
            s.deliveries.len() == 2 && s.deliveries[1].ended.is_some()
        })
        .await;
    assert_eq!(
        words(&story)[4..],
        ["answered", "ruled", "composed", "delivered"]
    );
    let second = house.sent().pop().unwrap();
    assert!(second.text.contains("[1=receipt-1]"), "{}", second.text);
    assert_ne!(second.key, sent.key);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_told_says_so() {
    let quiet = taimat_events::AlertRule {
        quiet: Some("the market is loud".into()),
        ..taimat_events::AlertRule::default()
    };
    let house = House::start(alerts(vec![quiet])).await;
    let id = house.see("litter", 1).await;
    let story = house.until(id, |s| s.log.len() == 2).await;
    let Happening::Ruled { suppressed, .. } = &story.log[1].happening else {
        panic!("{story:?}");
    };
    assert_eq!(suppressed.as_deref(), Some("the market is loud"));
    assert!(house.sent().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_bears_the_same_key_and_order_is_kept() {
    let house = House::start(alerts(vec![rule(&["desk"])])).await;
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    // The alerter wants it again at once, so that the test need not wait.
    house.answer(move |_| match counted.fetch_add(1, Ordering::SeqCst) {
        0 | 1 => fail("refused"),
        _ => ok(),
    });
    house.judge(|_, reply| match reply {
        Reply::Failed(_) => Verdict::Again(1),
        _ => Verdict::Usual,
    });
    let first = house.see("litter", 1).await;
    let second = house.see("litter", 2).await;
    house
        .until(second, |s| words(s).contains(&"delivered"))
        .await;
    let keys: Vec<(String, bool)> = house
        .sent()
        .iter()
        .map(|sent| (sent.key.clone(), sent.text.contains(&first.to_string())))
        .collect();
    assert_eq!(keys.len(), 4, "{keys:?}");
    assert!(
        keys[..3]
            .iter()
            .all(|(key, of_first)| *of_first && *key == keys[0].0),
        "{keys:?}"
    );
    assert!(!keys[3].1 && keys[3].0 != keys[0].0);
    let story = house
        .until(first, |s| words(s).contains(&"delivered"))
        .await;
    // The same error twice is said once.
    assert_eq!(
        words(&story),
        ["opened", "ruled", "composed", "tried", "delivered"]
    );
    assert_eq!(story.deliveries[0].attempts, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_dead_endpoint_delays_only_itself() {
    let house = House::start(alerts(vec![rule(&["desk", "boss"])])).await;
    house.hang("boss");
    let mut last = None;
    for track in 0..20 {
        last = Some(house.see("litter", track).await);
    }
    house
        .until(last.unwrap(), |s| words(s).contains(&"delivered"))
        .await;
    let to = |name: &str| {
        house
            .sent()
            .iter()
            .filter(|s| s.text.starts_with(name))
            .count()
    };
    assert_eq!((to("desk"), to("boss")), (20, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_worded_before_a_restart_goes_out_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::start_in(folder.path(), alerts(vec![rule(&["desk"])])).await;
    house.hang("desk");
    let id = house.see("litter", 1).await;
    house.until(id, |s| words(s).contains(&"composed")).await;
    eventually(|| !house.sent().is_empty()).await;
    let before = house.sent().remove(0);
    house.stop().await;
    let house = House::start_in(folder.path(), alerts(vec![rule(&["desk"])])).await;
    house.until(id, |s| words(s).contains(&"delivered")).await;
    let after = house.sent().remove(0);
    assert_eq!((after.key, after.text), (before.key, before.text));
}

async fn eventually(so: impl Fn() -> bool) {
    for _ in 0..400 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("it never was so");
}

fn with_policy(rules: Vec<taimat_events::AlertRule>) -> CommuneAlerts {
    CommuneAlerts {
        policy: Some("night".parse().unwrap()),
        ..alerts(rules)
    }
}

fn tell(target: &str) -> Ruling {
    Ruling {
        alerts: vec![Alert {
            target: target.into(),
            follow: false,
            group: String::new(),
            not_before: UnixMicros(0),
        }],
        ..Ruling::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_communes_policy_rules_and_its_rules_where_it_fails() {
    let house = House::start(with_policy(vec![rule(&["desk"])])).await;
    house.rule_by(|event, _| match event.kind.as_str() {
        "litter" => Ok(Ruling {
            severity: Some(Severity::Alarm),
            ..tell("boss")
        }),
        "crowd" => Ok(tell("nobody")),
        _ => Err(Unanswered::Failed(Failure::Said(PluginError::Retry(
            "not now".into(),
        )))),
    });
    let litter = house.see("litter", 1).await;
    let story = house
        .until(litter, |s| words(s).contains(&"delivered"))
        .await;
    assert_eq!(story.event.severity, Severity::Alarm);
    let Happening::Ruled { by, .. } = &story.log[1].happening else {
        panic!("{story:?}");
    };
    assert_eq!(by, "night");
    let crowd = house.see("crowd", 2).await;
    let story = house.until(crowd, |s| words(s).contains(&"ruled")).await;
    let Happening::Ruled { not_told, .. } = &story.log[1].happening else {
        panic!("{story:?}");
    };
    assert_eq!(not_told[0].reason, NotToldReason::Unknown);
    // Where it fails, whoever the rules name is told, and that is an event.
    let motion = house.see("motion", 3).await;
    let story = house
        .until(motion, |s| words(s).contains(&"delivered"))
        .await;
    let Happening::Ruled { by, instead_of, .. } = &story.log[1].happening else {
        panic!("{story:?}");
    };
    assert_eq!(by, BUILT_IN);
    assert!(instead_of.as_ref().unwrap().contains("not now"));
    house.until_event("policy-failed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alerter_that_always_has_something_else_comes_to_an_end() {
    let house = House::start(alerts(vec![rule(&["desk"])])).await;
    house.judge(|planned: &Planned, _| Verdict::Instead(vec![planned.clone()]));
    let id = house.see("litter", 1).await;
    let story = house.until(id, |s| words(s).contains(&"undelivered")).await;
    assert_eq!(story.deliveries[0].state, DeliveryStatus::Failed);
    assert_eq!(house.sent().len(), 17);
    let keys: std::collections::BTreeSet<String> =
        house.sent().into_iter().map(|sent| sent.key).collect();
    assert_eq!(keys.len(), 17);
    let undelivered = house.until_event("alert-undelivered").await;
    assert_eq!(undelivered.best.extra[0].value, "desk");
    // A person has it tried once more, and it is no trouble any more.
    house.judge(|_, _| Verdict::Usual);
    let commune = "thu".parse().unwrap();
    let delivery = story.deliveries[0].number;
    house.events.retry(&commune, delivery, "An").await.unwrap();
    house
        .until(id, |s| s.deliveries[0].state == DeliveryStatus::Delivered)
        .await;
    house.until(undelivered.id, |s| !s.event.is_open()).await;
    assert!(house.events.retry(&commune, delivery, "An").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_no_more_is_told_nothing_until_somebody_tries_it() {
    let house = House::start(alerts(vec![rule(&["desk"])])).await;
    house.judge(|_, _| Verdict::Gone("the chat was left".into()));
    let first = house.see("litter", 1).await;
    house
        .until(first, |s| words(s).contains(&"undelivered"))
        .await;
    let second = house.see("litter", 2).await;
    let story = house.until(second, |s| words(s).contains(&"ruled")).await;
    let Happening::Ruled { not_told, .. } = &story.log[1].happening else {
        panic!("{story:?}");
    };
    assert_eq!(not_told[0].reason, NotToldReason::Gone);
    house.judge(|_, _| Verdict::Usual);
    let commune = "thu".parse().unwrap();
    let told = house.events.test(&commune, "desk", "An").await.unwrap();
    let story = house
        .until(told.event.id, |s| words(s).contains(&"delivered"))
        .await;
    assert_eq!(words(&story), ["tested", "composed", "delivered"]);
    let third = house.see("litter", 3).await;
    house
        .until(third, |s| words(s).contains(&"delivered"))
        .await;
    assert!(house.events.test(&commune, "nobody", "An").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_does_not_want_to_hear_of_is_kept_and_not_told() {
    let house = House::start(alerts(vec![rule(&["desk"])])).await;
    house.silence("litter").await;
    let id = house.see("litter", 1).await;
    let story = house.until(id, |s| words(s).contains(&"ruled")).await;
    let Happening::Ruled { not_told, .. } = &story.log[1].happening else {
        panic!("{story:?}");
    };
    assert_eq!(not_told[0].reason, NotToldReason::Silenced);
    assert_eq!(house.sent(), [] as [Sent; 0]);
}
