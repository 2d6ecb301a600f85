use std::time::{Duration, SystemTime};

use rusqlite::Connection;
use taimat_base::CommuneId;

use taimat_contract::{Attribute, Detection, Severity, UnixMicros};

use super::*;
use crate::error::StoreError;
use crate::event::{Event, EventId, EventPicture, Phase};
use crate::grouping::{Change, Course};
use crate::log::{Happening, Told};
use crate::silence::NewSilence;

const MINUTE: i64 = 60_000_000;

fn id(number: u128) -> EventId {
    EventId::new(
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + number as u64),
        number,
    )
}

pub(super) fn at(minutes: i64) -> UnixMicros {
    UnixMicros(minutes * MINUTE)
}

pub(super) fn event(number: u128) -> Event {
    let began = at(i64::try_from(number).unwrap());
    Event {
        id: id(number),
        revision: 1,
        phase: Phase::Opened,
        commune: "thu".parse().unwrap(),
        camera: Some("cho-1".parse().unwrap()),
        kind: "litter".into(),
        severity: Severity::Warning,
        began,
        last: began,
        ended: None,
        best: Detection {
            kind: "litter".into(),
            at: began,
            confidence: 0.75,
            regions: vec![],
            track: Some(7),
            text: "một túi rác".into(),
            extra: vec![Attribute {
                key: "place".into(),
                value: "cổng chợ Đông".into(),
            }],
        },
        detections: 3,
        plugin: "litter".into(),
        picture: false,
        answered: None,
        assigned: None,
        silenced: false,
        extra: vec![],
    }
}

pub(super) fn opened(event: &Event) -> Write {
    Write {
        change: Change::Opened(Box::new(event.clone())),
        picture: None,
    }
}

pub(super) fn closed(event: &Event, at: UnixMicros) -> Write {
    let course = Course {
        began: event.began,
        last: at,
        best: event.best.clone(),
        detections: 9,
    };
    Write {
        change: Change::Closed(event.id, course),
        picture: None,
    }
}

pub(super) fn store() -> EventStore {
    EventStore::open(None).unwrap().0
}

fn commune() -> CommuneId {
    "thu".parse().unwrap()
}

fn found(store: &EventStore, query: EventQuery) -> Vec<EventId> {
    let page = store.events(&commune(), &query).unwrap();
    page.events.iter().map(|event| event.id).collect()
}

#[tokio::test]
async fn what_is_told_is_on_the_disk_and_still_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (store, damaged) = EventStore::open(Some(folder.path())).unwrap();
    assert_eq!(damaged, None);
    let mut told = store.follow();
    let picture = EventPicture {
        plain: vec![1; 3],
        marked: vec![2; 3],
    };
    let write = Write {
        picture: Some(picture),
        ..opened(&event(1))
    };
    store.write(vec![write], at(1)).await.unwrap();
    let told = told.recv().await.unwrap();
    assert_eq!((told.entry.seq, told.entry.revision), (1, 1));
    // Somebody else opens it as it is at this moment, as after a power cut.
    let copy = tempfile::tempdir().unwrap();
    for file in ["events.db", "events.db-wal"] {
        std::fs::copy(folder.path().join(file), copy.path().join(file)).unwrap();
    }
    let (after, _) = EventStore::open(Some(copy.path())).unwrap();
    let story = after.story(id(1)).unwrap();
    assert_eq!(story.event, told.event);
    assert!(story.event.picture);
    assert_eq!(after.picture(id(1), true).unwrap(), [2; 3]);
    assert_eq!(after.open_events().unwrap(), vec![told.event.clone()]);
}

#[tokio::test]
async fn its_story_is_told_in_order() {
    let store = store();
    let one = event(1);
    store.write(vec![opened(&one)], at(1)).await.unwrap();
    store
        .answer(one.id, " Lan ", Answer::Seen, at(2))
        .await
        .unwrap();
    // The second to press the key changes nothing.
    let again = store
        .answer(one.id, "Minh", Answer::Seen, at(3))
        .await
        .unwrap();
    assert_eq!(again.event.answered.unwrap().who, "Lan");
    store
        .comment(one.id, "Minh", "đã gọi\ntổ 5", at(4))
        .await
        .unwrap();
    store
        .assign(one.id, "Lan", Some("Minh"), at(5))
        .await
        .unwrap();
    store.write(vec![closed(&one, at(6))], at(6)).await.unwrap();
    store
        .answer(one.id, "Lan", Answer::FalseAlarm, at(7))
        .await
        .unwrap();
    store
        .answer(one.id, "Lan", Answer::TakenBack, at(8))
        .await
        .unwrap();
    let story = store.story(one.id).unwrap();
    let what: Vec<String> = story
        .log
        .iter()
        .map(|entry| {
            serde_json::to_value(entry).unwrap()["what"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(
        what,
        [
            "opened",
            "answered",
            "commented",
            "assigned",
            "closed",
            "answered",
            "reopened"
        ]
    );
    let revisions: Vec<u32> = story.log.iter().map(|entry| entry.revision).collect();
    assert_eq!(revisions, [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(story.event.revision, 7);
    assert_eq!(story.event.ended, Some(at(6)));
    assert_eq!(story.event.answered, None);
    assert_eq!(story.event.assigned.as_deref(), Some("Minh"));
}

#[tokio::test]
async fn what_people_say_is_held_to_what_it_should_be() {
    let store = store();
    store.write(vec![opened(&event(1))], at(1)).await.unwrap();
    let refused = |result: Result<Told, StoreError>| {
        assert!(matches!(result, Err(StoreError::Refused(_))), "{result:?}");
    };
    refused(store.answer(id(1), " \n", Answer::Seen, at(1)).await);
    refused(store.comment(id(1), "Lan", "  ", at(1)).await);
    refused(store.comment(id(1), "Lan", &"a".repeat(2_001), at(1)).await);
    let unknown = store.answer(id(2), "Lan", Answer::Seen, at(1)).await;
    assert!(matches!(unknown, Err(StoreError::Unknown)));
    let told = store
        .comment(id(1), "La\u{1b}[2Jn", "a\u{7}b", at(1))
        .await
        .unwrap();
    assert!(
        matches!(&told.entry.happening, Happening::Commented { who, text }
            if !who.contains('\u{1b}') && text == "a b")
    );
}

#[tokio::test]
async fn events_are_found() {
    let store = store();
    let mut all: Vec<Event> = (1..=6).map(event).collect();
    all[1].camera = Some("cau".parse().unwrap());
    all[2].kind = "motion".into();
    all[2].severity = Severity::Info;
    all[3].commune = "hoa-lac".parse().unwrap();
    all[4].best.text = "xe máy".into();
    store
        .write(all.iter().map(opened).collect(), at(10))
        .await
        .unwrap();
    store
        .write(vec![closed(&all[0], at(2))], at(10))
        .await
        .unwrap();
    store
        .answer(all[0].id, "Lan", Answer::FalseAlarm, at(10))
        .await
        .unwrap();
    store
        .comment(all[5].id, "Lan", "đường Nguyễn Du", at(10))
        .await
        .unwrap();
    let ids = |numbers: &[u128]| numbers.iter().map(|n| id(*n)).collect::<Vec<_>>();
    let all_of_it = EventQuery::default();
    assert_eq!(found(&store, all_of_it.clone()), ids(&[6, 5, 3, 2, 1]));
    let by = |change: fn(&mut EventQuery)| {
        let mut query = EventQuery::default();
        change(&mut query);
        found(&store, query)
    };
    assert_eq!(by(|q| q.camera = Some("cau".into())), ids(&[2]));
    assert_eq!(by(|q| q.kind = Some("motion".into())), ids(&[3]));
    assert_eq!(
        by(|q| q.severity = Some(Severity::Notice)),
        ids(&[6, 5, 2, 1])
    );
    assert_eq!(by(|q| q.state = Some(EventState::Open)), ids(&[6, 5, 3, 2]));
    assert_eq!(by(|q| q.state = Some(EventState::FalseAlarm)), ids(&[1]));
    assert_eq!(
        by(|q| q.state = Some(EventState::Unanswered)),
        ids(&[6, 5, 3, 2])
    );
    assert_eq!(by(|q| q.from = Some(3 * MINUTE)), ids(&[6, 5, 3]));
    assert_eq!(by(|q| q.to = Some(2 * MINUTE)), ids(&[2, 1]));
    // Without marks, in any order, as the beginning of a word.
    assert_eq!(by(|q| q.text = Some("XE may".into())), ids(&[5]));
    assert_eq!(by(|q| q.text = Some("duong nguy".into())), ids(&[6]));
    assert_eq!(
        by(|q| q.text = Some("dong cong".into())),
        ids(&[6, 5, 3, 2, 1])
    );
    assert_eq!(by(|q| q.text = Some("\" OR * NEAR(".into())), ids(&[]));
    let first = store
        .events(
            &commune(),
            &EventQuery {
                limit: Some(2),
                ..all_of_it.clone()
            },
        )
        .unwrap();
    assert_eq!(first.next, Some(id(5)));
    assert_eq!(
        by(|q| (q.limit, q.before) = (Some(3), Some(id(5)))),
        ids(&[3, 2, 1])
    );
    let standing = store.standing(&commune()).unwrap();
    assert_eq!((standing.open, standing.unanswered), (4, 3));
}

#[tokio::test]
async fn who_was_away_is_told_what_it_missed() {
    let store = store();
    for number in 1..=3 {
        store
            .write(vec![opened(&event(number))], at(1))
            .await
            .unwrap();
    }
    let seq = store
        .events(&commune(), &EventQuery::default())
        .unwrap()
        .seq;
    assert_eq!(seq, 3);
    store.comment(id(2), "Lan", "a", at(2)).await.unwrap();
    store
        .write(vec![closed(&event(3), at(4))], at(4))
        .await
        .unwrap();
    let missed = store.told_after(seq).unwrap();
    let seen: Vec<_> = missed.iter().map(|t| (t.entry.seq, t.event.id)).collect();
    assert_eq!(seen, [(4, id(2)), (5, id(3))]);
    assert_eq!(missed[0].entry.revision, 2);
    assert_eq!(store.told_after(5).unwrap(), []);
    assert_eq!(store.told_after(u64::MAX).unwrap(), []);
}

#[tokio::test]
async fn old_events_are_let_go_but_not_those_that_go_on() {
    let store = store();
    let all: Vec<Event> = (1..=10).map(event).collect();
    store
        .write(all.iter().map(opened).collect(), at(1))
        .await
        .unwrap();
    let ends: Vec<Write> = all[1..].iter().map(|e| closed(e, e.began)).collect();
    store.write(ends, at(20)).await.unwrap();
    let keep = |minutes: u64, count| Keep {
        commune: commune(),
        time: Duration::from_secs(minutes * 60),
        count,
    };
    let left = || found(&store, EventQuery::default()).len();
    assert!(!store.let_go(keep(100, 100), at(20)).await.unwrap());
    assert_eq!(left(), 10);
    store.let_go(keep(15, 100), at(20)).await.unwrap();
    // 2, 3, 4 ended before; 1 goes on.
    assert_eq!(left(), 7);
    store.let_go(keep(100, 3), at(20)).await.unwrap();
    assert_eq!(left(), 4);
    assert_eq!(store.open_events().unwrap().len(), 1);
    // Nothing of them is left, and no number is given twice.
    let rows: i64 = store
        .read(|from| Ok(from.query_row("SELECT count(*) FROM log", [], |r| r.get(0))?))
        .unwrap();
    assert_eq!(rows, 1 + 3 * 2);
    let text = EventQuery {
        text: Some("rac".into()),
        ..EventQuery::default()
    };
    assert_eq!(found(&store, text).len(), 4);
}

#[tokio::test]
async fn nobody_is_told_of_what_is_silenced() {
    let store = store();
    let silence = |camera: Option<&str>, kind: Option<&str>, until| NewSilence {
        commune: commune(),
        camera: camera.map(|c| c.parse().unwrap()),
        kind: kind.map(str::to_owned),
        until,
        who: "Lan".into(),
        why: "chợ Tết".into(),
    };
    let made = store
        .silence(silence(Some("cho-1"), Some("litter"), at(10)), at(5))
        .await
        .unwrap();
    assert!(
        store
            .silence(silence(None, None, at(5)), at(5))
            .await
            .is_err()
    );
    assert!(
        store
            .silence(silence(None, None, at(60 * 24 * 31 + 5)), at(5))
            .await
            .is_err()
    );
    let mut other = event(2);
    other.camera = Some("cau".parse().unwrap());
    store
        .write(vec![opened(&event(1)), opened(&other)], at(6))
        .await
        .unwrap();
    store.write(vec![opened(&event(3))], at(11)).await.unwrap();
    let silenced = |number| store.story(id(number)).unwrap().event.silenced;
    assert_eq!([1, 2, 3].map(silenced), [true, false, false]);
    assert_eq!(store.silences(at(6)).unwrap(), vec![made.clone()]);
    assert_eq!(store.silences(at(10)).unwrap(), []);
    let elsewhere = "hoa-lac".parse().unwrap();
    assert!(!store.end_silence(&elsewhere, made.number).await.unwrap());
    assert!(store.end_silence(&commune(), made.number).await.unwrap());
    assert_eq!(store.silences(at(6)).unwrap(), []);
}

#[tokio::test]
async fn a_full_disk_costs_what_came_then_and_nothing_that_was_told() {
    let store = store();
    store.write(vec![opened(&event(1))], at(1)).await.unwrap();
    store.limited_to(1).await.unwrap();
    let mut told = store.follow();
    let mut full = 0;
    for number in 2..200 {
        let picture = EventPicture {
            plain: vec![0; 20_000],
            marked: vec![0; 20_000],
        };
        let write = Write {
            picture: Some(picture),
            ..opened(&event(number))
        };
        match store.write(vec![write], at(1)).await {
            Ok(()) => assert_eq!(told.recv().await.unwrap().event.id, id(number)),
            Err(error) => {
                assert!(error.is_full(), "{error}");
                full += 1;
            }
        }
    }
    assert!(full > 100, "{full}");
    assert!(
        told.try_recv().is_err(),
        "somebody was told of what is not there"
    );
    assert!(store.story(id(1)).is_ok());
    assert!(matches!(store.story(id(199)), Err(StoreError::Unknown)));
    store.limited_to(1 << 30).await.unwrap();
    store.write(vec![opened(&event(500))], at(2)).await.unwrap();
    assert!(store.story(id(500)).is_ok());
}

#[tokio::test]
async fn one_that_fails_takes_nobody_along() {
    let store = store();
    let one = store.write(vec![opened(&event(1))], at(1));
    let twice = store.write(vec![opened(&event(2)), opened(&event(2))], at(1));
    let three = store.write(vec![opened(&event(3))], at(1));
    let (one, twice, three) = tokio::join!(one, twice, three);
    assert!(one.is_ok() && twice.is_err() && three.is_ok());
    assert_eq!(found(&store, EventQuery::default()), [id(3), id(1)]);
}

#[tokio::test]
async fn a_damaged_file_is_put_aside_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.db");
    std::fs::write(
        &file,
        b"no database at all, and longer than a header would be; ".repeat(100),
    )
    .unwrap();
    let (store, damaged) = EventStore::open(Some(folder.path())).unwrap();
    let damaged = damaged.unwrap();
    assert!(std::fs::read(&damaged).unwrap().starts_with(b"no database"));
    store.write(vec![opened(&event(1))], at(1)).await.unwrap();
    drop(store);
    // A file of a later router is left as it is.
    let connection = Connection::open(&file).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let later = EventStore::open(Some(folder.path()));
    assert!(matches!(later, Err(StoreError::Newer(99))));
}
