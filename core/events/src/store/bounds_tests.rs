//! What a policy may ask for, and a clock that is set: bounded, said, and nothing stands still.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use taimat_contract::UnixMicros;
use taimat_contract::policy::{Alert, Ruling, Why};

use super::telling_tests::{alert, alerts, answer, commune, deliver, head, tell};
use super::tests::{at, closed, event, opened, store};
use super::*;
use crate::delivery::DeliveryStatus;
use crate::log::{Happening, NotToldReason};
use crate::target::CommuneAlerts;

const HOUR: i64 = 60;

/// As many targets as a policy may name at once.
fn many() -> Arc<CommuneAlerts> {
    let desk = alerts().targets["desk"].clone();
    let names = (0..32).map(|n| format!("t{n:02}"));
    Arc::new(CommuneAlerts {
        targets: names.map(|name| (name, desk.clone())).collect(),
        ..CommuneAlerts::default()
    })
}

#[tokio::test]
async fn a_policy_that_has_all_told_of_everything_fills_what_there_is_and_no_more() {
    let (store, alerts) = (store(), many());
    let all = Ruling {
        alerts: alerts.targets.keys().map(|name| alert(name)).collect(),
        ..Ruling::default()
    };
    assert_eq!(all.alerts.len(), 32);
    let events: Vec<_> = (1..=400).map(event).collect();
    store
        .write(events.iter().map(opened).collect(), at(2))
        .await
        .unwrap();
    while let Some(question) = store.question(&commune(), at(500)).unwrap() {
        let ruled = Ruled {
            question: question.number,
            event: question.event.id,
            why: question.situation.why,
            by: "eager".into(),
            instead_of: None,
            ruling: all.clone(),
            alerts: Arc::clone(&alerts),
        };
        store.rule(ruled, at(500)).await.unwrap();
    }
    let (waiting, _) = store.backlog(at(500)).unwrap();
    assert_eq!(waiting, 10_000);
    // The last one that was told of something, and the first of which nobody is: the story says why.
    let said = |number: usize| {
        let story = store.story(events[number - 1].id).unwrap();
        match &story.log[1].happening {
            Happening::Ruled { tell, not_told, .. } => (tell.len(), not_told.clone()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(said(312).0, 32);
    let (told, not_told) = said(313);
    assert_eq!((told, not_told.len()), (16, 16));
    let (told, not_told) = said(400);
    assert_eq!((told, not_told.len()), (0, 32));
    assert!(not_told.iter().all(|one| one.reason == NotToldReason::Full));
    // Where something has gone out, something else may wait.
    deliver(&store, "t00", at(500)).await;
    let last = &events[399];
    store
        .write(vec![closed(last, at(500))], at(500))
        .await
        .unwrap();
    let only = Ruling {
        alerts: vec![alert("t00"), alert("t01")],
        ..Ruling::default()
    };
    let question = store.question(&commune(), at(500)).unwrap().unwrap();
    let ruled = Ruled {
        question: question.number,
        event: last.id,
        why: Why::Closed,
        by: "eager".into(),
        instead_of: None,
        ruling: only,
        alerts,
    };
    store.rule(ruled, at(500)).await.unwrap();
    let story = store.story(last.id).unwrap();
    assert_eq!(story.deliveries.len(), 1);
    let states = store.target_states(&commune()).unwrap();
    let waiting: BTreeMap<_, _> = states
        .into_iter()
        .map(|state| (state.name, state.waiting))
        .collect();
    assert_eq!(waiting.values().sum::<u64>(), 10_000);
}

#[tokio::test]
async fn a_policy_that_asks_again_for_ever_comes_to_an_end() {
    let store = store();
    let event = event(1);
    store.write(vec![opened(&event)], at(2)).await.unwrap();
    let again = Ruling {
        ask_again: 5,
        // Nothing new, and nothing to do: but it says something each time.
        suppress: Some("not yet".into()),
        ..Ruling::default()
    };
    let mut now = at(2);
    let mut asked = 0;
    // What is said is noted so often; then it is asked on, until it was asked two thousand times.
    while answer(&store, now, again.clone()).await.is_some() {
        asked += 1;
        now = now.after(Duration::from_secs(5));
        if asked == 250 {
            let nearly = move |to: &rusqlite::Connection, _: &mut Vec<crate::log::Told>| {
                Ok(to.execute("UPDATE event SET asked = 1990", [])?)
            };
            store.writer.run(nearly).await.unwrap();
        }
        assert!(asked <= 260, "it is still asked");
    }
    assert_eq!(asked, 260);
    assert_eq!(store.next_question().unwrap(), None);
    let story = store.story(event.id).unwrap();
    let ruled = |entry: &&crate::log::LogEntry| matches!(entry.happening, Happening::Ruled { .. });
    assert_eq!(story.log.iter().filter(ruled).count(), 200);
    // What happens to the event is asked about all the same, and told.
    store.write(vec![closed(&event, now)], now).await.unwrap();
    answer(&store, now, tell("desk")).await.unwrap();
    assert!(head(&store, "desk", now).is_some());
    assert_eq!(store.next_question().unwrap(), None);
    let last = store.story(event.id).unwrap().log.pop().unwrap();
    assert!(
        matches!(last.happening, Happening::Ruled { why: Why::Closed, tell, .. } if tell == ["desk"])
    );
}

/// A message that is due, one that was tried and waits, one for the morning, and a timer.
async fn waiting() -> (EventStore, String) {
    let store = store();
    let events: Vec<_> = (1..=3).map(event).collect();
    store
        .write(events.iter().map(opened).collect(), at(HOUR))
        .await
        .unwrap();
    let morning = Ruling {
        alerts: vec![Alert {
            not_before: at(HOUR + 30),
            ..alert("boss")
        }],
        ..Ruling::default()
    };
    let timed = Ruling {
        ask_again: 600,
        ..tell("desk")
    };
    for ruling in [timed, morning, tell("desk")] {
        answer(&store, at(HOUR), ruling).await.unwrap();
    }
    let due = head(&store, "desk", at(HOUR)).unwrap();
    let tried = Tried {
        number: due.number,
        target: "desk".into(),
        progress: None,
        attempts: 1,
        again: at(HOUR + 5),
        aside: false,
        error: "refused".into(),
    };
    store.tried(tried, at(HOUR)).await.unwrap();
    (store, due.key)
}

#[tokio::test]
async fn a_clock_that_is_set_lets_nothing_wait_longer_and_nothing_is_told_under_another_key() {
    for hours in [-1, 1] {
        let (store, key) = waiting().await;
        store.shift(at(hours * HOUR).0).await.unwrap();
        let then = |minutes| at(HOUR + hours * HOUR + minutes);
        assert!(head(&store, "desk", then(4)).is_none(), "{hours}");
        let due = head(&store, "desk", then(5)).unwrap();
        assert_eq!((&due.key, due.attempts), (&key, 1), "{hours}");
        // It has as long until it is given up as it had.
        assert_eq!(due.expires, then(60), "{hours}");
        deliver(&store, "desk", then(5)).await;
        // The one behind it was due when the clock was set, and still is.
        assert!(head(&store, "desk", then(5)).is_some(), "{hours}");
        assert!(head(&store, "boss", then(29)).is_none(), "{hours}");
        assert!(head(&store, "boss", then(30)).is_some(), "{hours}");
        assert_eq!(store.next_question().unwrap(), Some(then(10)), "{hours}");
    }
}

#[tokio::test]
async fn what_opens_while_the_clock_is_set_is_asked_about_at_once() {
    for hours in [-1, 1] {
        let store = store();
        let new = at(HOUR + hours * HOUR);
        // Opened just before it was set, and just after it, before anybody has noticed.
        store
            .write(vec![opened(&event(1))], at(HOUR))
            .await
            .unwrap();
        store.write(vec![opened(&event(2))], new).await.unwrap();
        store.shift(at(hours * HOUR).0).await.unwrap();
        for _ in 0..2 {
            answer(&store, new, tell("desk")).await.unwrap();
        }
        assert!(head(&store, "desk", new).is_some());
    }
}

#[tokio::test]
async fn a_target_that_is_reached_after_the_clock_was_set_back_is_no_trouble_any_more() {
    let (store, _) = waiting().await;
    let due = head(&store, "desk", at(HOUR + 5)).unwrap();
    let ended = |end: End| Ended {
        number: due.number,
        commune: commune(),
        target: "desk".into(),
        attempts: 2,
        receipt: None,
        end,
    };
    let failed = ended(End::Failed("refused".into()));
    store.ended(failed, None, at(HOUR + 5)).await.unwrap();
    assert_eq!(store.unreached().unwrap().len(), 1);
    store.shift(at(-HOUR).0).await.unwrap();
    deliver(&store, "desk", at(6)).await;
    assert_eq!(store.unreached().unwrap(), []);
}

#[tokio::test]
async fn a_clock_that_was_set_back_while_the_router_was_away_holds_nothing_back() {
    let (store, key) = waiting().await;
    store
        .write(vec![opened(&event(4))], at(HOUR))
        .await
        .unwrap();
    for _ in 0..2 {
        // The second time there is nothing to move.
        store.woken(at(0)).await.unwrap();
        let due = head(&store, "desk", at(5)).unwrap();
        assert_eq!((&due.key, due.expires), (&key, at(60)));
        assert!(head(&store, "boss", at(30)).is_some());
    }
    let asked = answer(&store, at(0), tell("desk")).await.unwrap();
    assert_eq!(asked.event.id, event(4).id);
    let waiting = store.deliveries(&commune(), Some(DeliveryStatus::Waiting), None, None);
    assert!(waiting.unwrap().iter().all(|d| d.made <= UnixMicros(0)));
}
