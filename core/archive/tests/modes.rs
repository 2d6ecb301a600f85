//! What is kept of what is recorded for events only, with what came before them; by policy, and by its orders.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a set-up that fails fails its test"
)]

mod house;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use house::{Around, Camera, House, commune, file, key, micros, recorded, until};
use rusqlite::{Connection, OpenFlags};
use taimat_archive::{
    Archive, ArchiveSurroundings, CameraArchive, CommuneArchive, GapReason, Happened, Keep, Mark,
    Mode, TakeOrder, Timeline,
};
use taimat_base::metrics::Registry;
use taimat_base::tasks::Tasks;
use taimat_base::{CameraId, CommuneId, PluginId, clock};
use taimat_contract::failure::Unanswered;
use taimat_contract::policy::{Policies, Policy, RecordingMode, Ruling, Situation};
use taimat_contract::{Event, Severity, UnixMicros};
use taimat_hub::Hub;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: i64 = 86_400_000_000;

fn on_event(camera: &str) -> CameraArchive {
    CameraArchive {
        mode: Mode::OnEvent,
        keep: Keep {
            severity: Severity::Notice,
            ..Keep::default()
        },
        ..recorded(camera)
    }
}

fn mark(at: SystemTime, seconds: u64, severity: Severity) -> Mark {
    Mark {
        event: format!("e{}", micros(at).0),
        camera: key("cho").camera,
        kind: "line-crossed".into(),
        severity,
        start: micros(at),
        end: Some(micros(at + Duration::from_secs(seconds))),
    }
}

async fn film(house: &House, camera: &mut Camera, span: Duration) {
    let begun = camera.at;
    camera.film(span).await;
    until("it was written", || {
        let (from, to) = (micros(begun), micros(camera.at));
        let timeline = house.archive.timeline(&key("cho"), from, to).unwrap();
        timeline
            .recorded
            .iter()
            .any(|one| to.0 - one.end.0 < 50_000)
    })
    .await;
}

/// When segments begin and end, until when they are kept, and how much they are worth.
fn segments(folder: &Path) -> Vec<(i64, i64, i64, u8)> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let index = Connection::open_with_flags(folder.join("index.db"), flags).unwrap();
    let mut all = index
        .prepare("SELECT start, end, until, worth FROM segment WHERE state = 1 AND asks = 0 ORDER BY start")
        .unwrap();
    let all = all.query_map([], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    });
    all.unwrap().collect::<Result<_, _>>().unwrap()
}

fn timeline(house: &House, from: SystemTime, to: SystemTime) -> Timeline {
    let (from, to) = (micros(from), micros(to));
    house.archive.timeline(&key("cho"), from, to).unwrap()
}

/// Whether a moment is recorded.
fn has(timeline: &Timeline, at: SystemTime) -> bool {
    let at = micros(at);
    timeline
        .recorded
        .iter()
        .any(|one| one.start <= at && at < one.end)
}

#[tokio::test(flavor = "multi_thread")]
async fn of_what_waits_for_events_only_what_they_are_about_stays() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::open(folder.path(), vec![on_event("cho")]);
    // An hour ago: whatever no event wants was let go long since.
    let begun = clock::wall() - MINUTE * 60;
    let happened = begun + MINUTE * 4;
    house
        .archive
        .learn(vec![Happened::Event(mark(happened, 5, Severity::Alarm))], 1)
        .await
        .unwrap();
    // One that is less than what counts.
    let small = mark(begun + MINUTE * 7, 5, Severity::Info);
    house
        .archive
        .learn(vec![Happened::Event(small)], 2)
        .await
        .unwrap();
    let mut camera = house.camera("cho", begun);
    film(&house, &mut camera, MINUTE * 10).await;
    until("the rest is let go", || {
        let all = timeline(&house, begun, camera.at - MINUTE);
        !has(&all, begun + MINUTE) && !has(&all, begun + MINUTE * 7)
    })
    .await;
    tokio::time::sleep(SECOND * 2).await;
    let all = timeline(&house, begun, camera.at - MINUTE);
    // With the ten seconds before it and the twenty after.
    for second in 0..35 {
        let at = happened - SECOND * 10 + SECOND * second;
        assert!(has(&all, at), "{second}: {all:?}");
    }
    // By whole segments, which are a minute.
    let kept: i64 = all.recorded.iter().map(|one| one.end.0 - one.start.0).sum();
    assert!(kept <= 180_000_000, "{kept}");
    assert!(
        all.gaps.iter().all(|gap| gap.reason == GapReason::Aged),
        "{all:?}"
    );
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_finds_the_minutes_before_it_still_there() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::open(folder.path(), vec![on_event("cho")]);
    let begun = clock::wall() - MINUTE * 2;
    let mut camera = house.camera("cho", begun);
    film(&house, &mut camera, MINUTE * 2).await;
    until("what is complete was asked about", || {
        !segments(folder.path()).is_empty()
    })
    .await;
    let ring = segments(folder.path());
    for (_, end, until, worth) in &ring {
        // Nothing has happened: they wait for three minutes, and are worth little.
        assert_eq!((until - end, *worth), (180_000_000, 5));
    }
    // Now something has, as the second of them began.
    let (_, border, _, _) = ring[0];
    let at = SystemTime::UNIX_EPOCH + Duration::from_micros(border.unsigned_abs()) + SECOND * 3;
    let event = Happened::Event(mark(at, 1, Severity::Warning));
    house.archive.learn(vec![event], 1).await.unwrap();
    until("the one before it is kept too", || {
        // While it is asked about it is not among them.
        let all = segments(folder.path());
        let first = all.first().filter(|(_, end, ..)| *end == border);
        first.is_some_and(|(_, end, until, worth)| until - end == 90 * DAY && *worth == 160)
    })
    .await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_policy_orders_stays_as_long_as_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::open(folder.path(), vec![on_event("cho")]);
    let begun = clock::wall() - MINUTE * 60;
    let wanted = begun + MINUTE * 3;
    // Of an event that itself is less than what counts.
    let order = |until: SystemTime| {
        Happened::Take(TakeOrder {
            mark: mark(wanted, 20, Severity::Info),
            until: Some(micros(until)),
        })
    };
    let later = clock::wall() + MINUTE * 60;
    house.archive.learn(vec![order(later)], 1).await.unwrap();
    let mut camera = house.camera("cho", begun);
    film(&house, &mut camera, MINUTE * 6).await;
    until("the rest is let go", || {
        !has(&timeline(&house, begun, camera.at), begun + MINUTE)
    })
    .await;
    tokio::time::sleep(SECOND * 2).await;
    let all = timeline(&house, begun, camera.at);
    assert!(
        (0..20).all(|second| has(&all, wanted + SECOND * second)),
        "{all:?}"
    );
    house.close().await;
}

/// A policy that says what a test has it say.
#[derive(Debug)]
struct Says(Mutex<Result<RecordingMode, ()>>);

#[async_trait]
impl Policy for Says {
    async fn on_event(&self, _: &Event, _: &Situation) -> Result<Ruling, Unanswered> {
        Err(Unanswered::NotRunning)
    }

    async fn recording(&self, _: &CameraId, _: UnixMicros) -> Result<RecordingMode, Unanswered> {
        self.0.lock().unwrap().map_err(|()| Unanswered::NotRunning)
    }
}

#[derive(Debug)]
struct OfCommune(Arc<Says>);

#[async_trait]
impl Policies for OfCommune {
    fn policy(&self, _: &CommuneId, _: &PluginId) -> Option<Arc<dyn Policy>> {
        Some(Arc::clone(&self.0) as Arc<dyn Policy>)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_says_what_is_recorded_over_the_file_and_keeps_its_word_when_it_fails() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::new();
    let house = House {
        archive: Arc::new(Archive::open(folder.path(), 0, &registry).unwrap()),
        hub: Arc::new(Hub::new()),
        tasks: Tasks::new(),
        registry,
    };
    let says = Arc::new(Says(Mutex::new(Ok(RecordingMode::Off))));
    let around = ArchiveSurroundings {
        watching: Arc::new(Around),
        policies: Arc::new(OfCommune(Arc::clone(&says))),
        storages: Arc::new(Around),
        places: Arc::new(Around),
    };
    let own = CommuneArchive {
        policy: Some("night".parse().unwrap()),
        ..file(vec![recorded("cho")])
    };
    house.archive.configure(vec![own.clone()]);
    house
        .archive
        .run(&house.tasks, Arc::clone(&house.hub), around);
    let mode = || {
        house.archive.standing(&commune()).unwrap().cameras[0]
            .mode
            .clone()
    };
    let camera = house.camera("cho", clock::wall());
    let readers = || camera.channel.readers();
    tokio::time::sleep(SECOND).await;
    assert_eq!((mode().as_str(), readers()), ("off", 0));
    for (answer, expected) in [
        (Ok(RecordingMode::OnEvent), "on-event"),
        // It fails: as it said before.
        (Err(()), "on-event"),
        (Ok(RecordingMode::Usual), "continuous"),
        (Ok(RecordingMode::Off), "off"),
    ] {
        *says.0.lock().unwrap() = answer;
        house.archive.configure(vec![own.clone()]);
        if answer.is_err() {
            tokio::time::sleep(SECOND).await;
        }
        until(expected, || mode() == expected).await;
        let reads = usize::from(expected != "off");
        until("it is recorded, or not", || readers() == reads).await;
    }
    house.close().await;
}
