//! A detector that sees too much, and one that never stops seeing: what people and the disk get of it is
//! bounded, counted, and told once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a set-up that fails fails its test"
)]

mod house;

use std::collections::BTreeSet;
use std::time::Duration;

use house::{GivenTime, House, alerts, each, rule};
use taimat_base::clock;
use taimat_contract::UnixMicros;
use taimat_events::{DeliveryStatus, EventQuery, EventRuleChange, EventState, EventStore};

const HELD_BACK: &str = "taimat_event_detections_held_back_total";
const SECOND: Duration = Duration::from_secs(1);

fn wall() -> UnixMicros {
    UnixMicros::from(clock::wall())
}

/// Deliveries of the commune that wait.
fn waiting(house: &House) -> usize {
    let (store, commune) = (house.events.store(), "thu".parse().unwrap());
    let waiting = store.deliveries(&commune, Some(DeliveryStatus::Waiting), None, None);
    waiting.unwrap().len()
}

fn standing(house: &House) -> u64 {
    let commune = "thu".parse().unwrap();
    house.events.store().standing(&commune).unwrap().open
}

/// What was sent, each under a key of its own.
fn keys(house: &House) -> usize {
    let sent = house.sent();
    let keys: BTreeSet<&str> = sent.iter().map(|one| one.key.as_str()).collect();
    assert_eq!(keys.len(), sent.len(), "something was sent twice");
    keys.len()
}

#[tokio::test]
async fn a_detector_that_floods_is_some_events_and_costs_no_other_camera_one() {
    const SECONDS: u64 = 4;
    const A_TENTH: u64 = 1_000;
    let time = GivenTime::begin();
    let house = House::start(alerts(vec![rule(&["desk"])])).await;
    let opened = || house.metric("taimat_event_opened_total", None);
    let mut published = 0;
    for tenth in 0..SECONDS * 10 {
        for _ in 0..A_TENTH {
            house.detect("cho", "litter", published, wall());
            published += 1;
        }
        time.passes(SECOND / 10).await;
        // Somebody else sees something in the midst of it.
        if tenth % 10 == 5 {
            house.detect("cau", "crowd", tenth, wall());
            published += 1;
        }
        time.until("all were taken or counted", || {
            opened() + house.metric(HELD_BACK, None) == published
        })
        .await;
    }
    assert_eq!(house.metric(HELD_BACK, Some("busy")), 0);
    // Sixty at once and then one a second, up to 64 that are open; and the other camera's.
    let floods = opened() - SECONDS;
    assert!((60..=64).contains(&floods), "{floods}");
    assert_eq!(standing(&house), floods + SECONDS);
    // More at once than there is room for is counted too, and the room goes on.
    for _ in 0..5_000 {
        house.detect("cho", "litter", published, wall());
        published += 1;
    }
    time.until("all were taken or counted", || {
        opened() + house.metric(HELD_BACK, None) == published
    })
    .await;
    let busy = house.metric(HELD_BACK, Some("busy"));
    assert!((3_900..=4_999).contains(&busy), "{busy}");
    let begun = opened();
    time.until("all are told", || keys(&house) as u64 == begun)
        .await;
    // It stops: all of them are over, and whoever was told of one is told of its end.
    time.passes(61 * SECOND).await;
    time.passes(SECOND).await;
    time.until("all are over and told", || {
        standing(&house) == 0 && keys(&house) as u64 == 2 * begun && waiting(&house) == 0
    })
    .await;
    // And the next is an event again.
    house.detect("cho", "litter", published, wall());
    time.until("the next one is told", || {
        keys(&house) as u64 == 2 * begun + 1
    })
    .await;
}

#[tokio::test]
async fn sixty_four_that_go_on_for_days_are_told_once_and_the_disk_does_not_grow() {
    const OPEN: u64 = 64;
    const STEP: Duration = Duration::from_secs(600);
    const A_DAY: u64 = 144;
    let time = GivenTime::begin();
    let folder = tempfile::tempdir().unwrap();
    let store = EventStore::open(Some(folder.path())).unwrap().0;
    let slow = EventRuleChange {
        gap: Some(2 * STEP),
        ..each()
    };
    let house = House::over(store, alerts(vec![rule(&["desk"])]), slow);
    let size = || {
        let files = ["events.db", "events.db-wal"].map(|name| folder.path().join(name));
        files
            .iter()
            .map(|file| std::fs::metadata(file).unwrap().len())
            .sum::<u64>()
    };
    let commune = "thu".parse().unwrap();
    let all = EventQuery {
        limit: Some(200),
        state: Some(EventState::Open),
        ..EventQuery::default()
    };
    let open = || house.events.store().events(&commune, &all).unwrap();
    let mut sizes = Vec::new();
    // What ended long ago would be let go.
    let days_ago = UnixMicros(wall().0 - 2 * 24 * 3_600_000_000);
    // Sixty begin at once, and the others the next time.
    for track in 0..OPEN {
        house.detect("cho", "litter", track, days_ago);
    }
    time.until("sixty have begun", || {
        house.metric(HELD_BACK, Some("many")) == OPEN - 60
    })
    .await;
    time.passes(STEP).await;
    for step in 1..=2 * A_DAY {
        let at = days_ago.after(STEP * u32::try_from(step).unwrap());
        for track in 0..=OPEN {
            house.detect("cho", "litter", track, at);
        }
        // One too many, always the same one.
        time.until("they were taken", || {
            house.metric(HELD_BACK, Some("many")) == OPEN - 60 + step
        })
        .await;
        let events = || open().events;
        time.until("they are written", || {
            let events = events();
            events.len() as u64 == OPEN && events.iter().all(|event| event.last == at)
        })
        .await;
        if step % A_DAY == 0 {
            sizes.push(size());
        }
        time.passes(STEP).await;
    }
    let told = open();
    assert!(
        told.events
            .iter()
            .all(|e| u64::from(e.detections) >= 2 * A_DAY)
    );
    assert_eq!(keys(&house) as u64, OPEN);
    // Opened, ruled, worded, told; nothing since.
    assert_eq!(told.seq, 4 * OPEN);
    assert!(sizes[1] <= sizes[0] + (64 << 10), "{sizes:?}");
    time.passes(2 * STEP).await;
    time.passes(SECOND).await;
    time.until("all are over and told", || {
        standing(&house) == 0 && keys(&house) as u64 == 2 * OPEN && waiting(&house) == 0
    })
    .await;
}
