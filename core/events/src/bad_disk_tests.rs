//! A disk that is full and a file that is damaged, with an outbox behind: what was acknowledged stays, what
//! goes out twice goes out under the same key, and it goes on afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Seek, SeekFrom, Write as _};
use std::path::Path;
use std::time::Duration;

use taimat_base::clock;
use taimat_contract::UnixMicros;

use crate::store::{Answer, EventStore};
use crate::{DeliveryStatus, EventId, EventQuery, Happening};

#[path = "../tests/house/mod.rs"]
mod house;

use house::{GivenTime, House, alerts, fail, ok, rule};

const SECOND: Duration = Duration::from_secs(1);

fn wall() -> UnixMicros {
    UnixMicros::from(clock::wall())
}

fn desk() -> House {
    let store = EventStore::open(None).unwrap().0;
    House::over(store, alerts(vec![rule(&["desk"])]), house::each())
}

fn all(house: &House) -> Vec<EventId> {
    let everything = EventQuery {
        limit: Some(500),
        ..EventQuery::default()
    };
    let (store, commune) = (house.events.store(), "thu".parse().unwrap());
    let page = store.events(&commune, &everything).unwrap();
    page.events.iter().map(|event| event.id).collect()
}

/// Whether the desk has been told of an event, as its story says.
fn told(house: &House, id: EventId) -> bool {
    let story = house.events.store().story(id).unwrap();
    let told = |happening: &Happening| matches!(happening, Happening::Delivered { .. });
    story.log.iter().any(|entry| told(&entry.happening))
}

/// What was sent, by key: each text is the same at each attempt.
fn texts(house: &House) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    for sent in house.sent() {
        let before = texts.insert(sent.key, sent.text.clone());
        assert!(before.is_none_or(|before| before == sent.text));
    }
    texts
}

#[tokio::test]
async fn a_full_disk_loses_nothing_that_was_acknowledged_and_tells_nothing_under_another_key() {
    let time = GivenTime::begin();
    let house = desk();
    let store = std::sync::Arc::clone(house.events.store());
    house.answer(|_| fail("refused"));
    house.detect("cho", "litter", 1, wall());
    time.until("tried", || house.sent().len() == 1).await;
    let first = all(&house)[0];
    let answered = house.events.answer(first, "An", Answer::Seen).await;
    answered.unwrap();
    let full = store.limited_to(1).await.unwrap();
    // It is filled by what comes; what does not fit never was an event, and is counted.
    let mut track = 1;
    while house.metric("taimat_event_not_kept_total", None) < 20 {
        track += 1;
        house.detect("cho", "litter", track, wall());
        time.passes(SECOND).await;
        assert!(track < 5_000, "it never was full at {full} pages");
        time.until("it was taken", || {
            let opened = house.metric("taimat_event_opened_total", None);
            let not_kept = house.metric("taimat_event_not_kept_total", None);
            let held_back = house.metric("taimat_event_detections_held_back_total", None);
            opened + not_kept + held_back == track
        })
        .await;
    }
    assert_eq!(house.metric("taimat_event_write_failing", None), 1);
    // Nobody is told that it was noted when it was not.
    let comment = "x".repeat(2_000);
    let refused = loop {
        match store.comment(first, "An", &comment, wall()).await {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(refused.is_full(), "{refused}");
    // The target can be reached again. What can not be written down is told again, the same; what can not be
    // worded is not told yet.
    house.answer(|_| ok());
    let kept = all(&house);
    let mut tenths = 0;
    time.brings("a minute", || {
        tenths += 1;
        tenths > 600
    })
    .await;
    let while_full = texts(&house);
    store.limited_to(1 << 30).await.unwrap();
    time.brings("all that were kept are told", || {
        let ended = |id: &EventId| {
            let story = store.story(*id).unwrap();
            let mut all = story.deliveries.iter();
            told(&house, *id) && all.all(|delivery| delivery.ended.is_some())
        };
        kept.iter().all(ended)
    })
    .await;
    assert!(kept.len() > 1);
    let after = texts(&house);
    for (key, text) in &while_full {
        assert_eq!(after.get(key), Some(text));
    }
    // One key for each time that an event was told of as it was then.
    let deliveries: BTreeSet<u64> = kept
        .iter()
        .flat_map(|id| store.story(*id).unwrap().deliveries)
        .map(|delivery| {
            assert_eq!(delivery.state, DeliveryStatus::Delivered);
            delivery.number
        })
        .collect();
    assert_eq!(after.len(), deliveries.len());
    let answer = store.event(first).unwrap().answered.unwrap();
    assert_eq!(answer.who, "An");
    // And it goes on.
    house.detect("cau", "litter", 1, wall());
    time.until("the next one is told", || {
        let all = all(&house);
        all.len() > kept.len() && told(&house, all[0])
    })
    .await;
    assert_eq!(house.metric("taimat_event_write_failing", None), 0);
}

/// Some hundred events that are told, and one that waits; the pages of the file afterwards.
async fn filled(folder: &Path, time: &GivenTime) -> EventId {
    let house = House::start_in(folder, alerts(vec![rule(&["desk"])])).await;
    for track in 0..60 {
        house.detect("cho", "litter", track, wall());
    }
    time.until("all are told", || house.sent().len() == 60)
        .await;
    house.answer(|_| fail("refused"));
    house.detect("cau", "litter", 1, wall());
    time.until("the last one waits", || house.sent().len() == 61)
        .await;
    let last = all(&house)[0];
    house.stop().await;
    last
}

#[tokio::test]
async fn a_damaged_file_is_put_aside_and_that_is_an_event_that_is_told() {
    for head in [true, false] {
        let time = GivenTime::begin();
        let folder = tempfile::tempdir().unwrap();
        filled(folder.path(), &time).await;
        let file = folder.path().join("events.db");
        let whole = std::fs::read(&file).unwrap();
        let mut damage = std::fs::File::options().write(true).open(&file).unwrap();
        if head {
            damage.write_all(&[0x5a; 64]).unwrap();
        } else {
            // The head is as it was, and so is what it says of the tables: a torn disk.
            let after = whole.len() / 8192 * 4096;
            damage.seek(SeekFrom::Start(after as u64)).unwrap();
            damage.write_all(&vec![0x5a; whole.len() - after]).unwrap();
        }
        drop(damage);
        let (store, aside) = EventStore::open(Some(folder.path())).unwrap();
        let aside = aside.unwrap_or_else(|| panic!("it was not noticed, {head}"));
        assert_eq!(std::fs::read(&aside).unwrap().len(), whole.len());
        let mut alerts = alerts(vec![rule(&["desk"])]);
        alerts.rules[0].kinds.push("events-damaged".into());
        let house = House::over(store, alerts, house::each());
        time.brings("it is told", || {
            let name = aside.file_name().unwrap().to_str().unwrap();
            let said = |id: &EventId| {
                let event = house.events.store().event(*id).unwrap();
                event.kind == "events-damaged" && event.best.text.contains(name)
            };
            all(&house).iter().any(|id| said(id) && told(&house, *id))
        })
        .await;
        house.detect("cho", "litter", 1, wall());
        time.until("it goes on", || {
            let all = all(&house);
            all.len() == 2 && all.iter().all(|id| told(&house, *id))
        })
        .await;
        // It was only at the start that it was so.
        time.passes(60 * SECOND).await;
        time.brings("it is over", || {
            let all = all(&house);
            let store = house.events.store();
            all.iter().all(|id| !store.event(*id).unwrap().is_open())
        })
        .await;
        house.stop().await;
        let (_, again) = EventStore::open(Some(folder.path())).unwrap();
        assert_eq!(again, None);
        tokio::time::resume();
    }
}
