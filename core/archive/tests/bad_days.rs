//! Bad days: damaged files, a lost index, two routers, full disks, strange questions.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a set-up that fails fails its test"
)]

mod house;

use std::path::Path;
use std::time::{Duration, SystemTime};

use house::{Camera, House, commune, file, key, micros, pictures_in, recorded, until};
use taimat_archive::{Archive, ArchiveError, CameraArchive, GapReason, Keep, NewHold, Timeline};
use taimat_base::clock;
use taimat_base::metrics::Registry;
use taimat_contract::UnixMicros;
use taimat_testkit::movies::movies_below;

const MINUTE: Duration = Duration::from_secs(60);

fn of(archive: &Archive, camera: &str, from: SystemTime, to: SystemTime) -> Timeline {
    archive
        .timeline(&key(camera), micros(from), micros(to))
        .unwrap()
}

/// Films some time and waits until it is in the index.
async fn film(house: &House, name: &str, camera: &mut Camera, span: Duration) {
    let begun = camera.at;
    camera.film(span).await;
    let end = micros(camera.at);
    until("it is in the index", || {
        // At its very end less than the network's jitter is nothing: so it is asked for more.
        let timeline = of(
            &house.archive,
            name,
            begun,
            camera.at + Duration::from_secs(1),
        );
        let last = timeline.recorded.last();
        last.is_some_and(|last| end.0 - last.end.0 < 50_000)
    })
    .await;
}

fn reopen(folder: &Path) -> Archive {
    Archive::open(folder, 0, &Registry::new()).unwrap()
}

fn gaps(timeline: &Timeline) -> Vec<GapReason> {
    timeline.gaps.iter().map(|gap| gap.reason).collect()
}

#[tokio::test]
async fn an_index_that_is_lost_or_damaged_is_made_anew_from_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::open(folder.path(), vec![recorded("cho")]);
    let begun = clock::wall() - Duration::from_secs(3600);
    let mut camera = house.camera("cho", begun);
    film(&house, "cho", &mut camera, 3 * MINUTE).await;
    camera.pause(MINUTE);
    film(&house, "cho", &mut camera, MINUTE).await;
    let end = camera.at;
    let hold = NewHold {
        camera: key("cho").camera,
        start: micros(begun),
        end: micros(end),
        until: None,
        who: "Lan".into(),
        why: "vụ trộm".into(),
        case_number: "12/2026".into(),
    };
    house.archive.hold(hold).await.unwrap();
    let before = of(&house.archive, "cho", begun, end);
    let movie = |archive: &Archive| {
        let movie = archive.movie(&key("cho"), micros(begun), micros(end));
        let movie = movie.unwrap();
        let chain: Vec<[u8; 32]> = movie.pieces.iter().map(|piece| piece.chain).collect();
        (chain, movie.movie.header(&[], &[]))
    };
    let first = movie(&house.archive);
    house.close().await;

    let index = folder.path().join("index.db");
    for damage in ["gone", "not one", "torn"] {
        match damage {
            "gone" => std::fs::remove_file(&index).unwrap(),
            "not one" => std::fs::write(&index, "this is no index").unwrap(),
            _ => {
                let mut bytes = std::fs::read(&index).unwrap();
                bytes[100..4000].fill(0xAA);
                std::fs::write(&index, bytes).unwrap();
            }
        }
        let archive = reopen(folder.path());
        let after = of(&archive, "cho", begun, end);
        assert_eq!(after.recorded, before.recorded, "{damage}");
        let again = movie(&archive);
        let differs = again.0.iter().zip(&first.0).position(|(a, b)| a != b);
        assert_eq!((differs, again.0.len()), (None, first.0.len()), "{damage}");
        assert!(again.1 == first.1, "{damage}: the header");
        // Who held what is in the log that nobody can change.
        let holds = archive.holds(&commune()).unwrap();
        assert_eq!(holds.len(), 1, "{damage}");
        assert_eq!(holds[0].case_number, "12/2026");
    }
}

#[tokio::test]
async fn a_damaged_file_costs_itself() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::open(folder.path(), vec![recorded("cho")]);
    let begun = clock::wall() - Duration::from_secs(3600);
    let mut camera = house.camera("cho", begun);
    film(&house, "cho", &mut camera, 4 * MINUTE).await;
    let end = camera.at;
    house.close().await;
    let all = movies_below(folder.path());
    assert!(all.len() >= 4, "{all:?}");
    // The index is lost as well: each file speaks for itself.
    std::fs::remove_file(folder.path().join("index.db")).unwrap();
    std::fs::write(&all[1], "no recording").unwrap();
    let archive = reopen(folder.path());
    let timeline = of(&archive, "cho", begun, end);
    assert_eq!(timeline.recorded.len(), 2, "{timeline:?}");
    assert_eq!(gaps(&timeline), [GapReason::Unknown]);
    // What could not be read is put aside as it is.
    let within = all[1].strip_prefix(folder.path()).unwrap();
    let aside = folder.path().join("_apart").join(within);
    assert_eq!(std::fs::read(aside).unwrap(), b"no recording");
}

#[tokio::test]
async fn half_a_part_is_cut_off_and_what_is_whole_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::open(folder.path(), vec![recorded("cho")]);
    let begun = clock::wall() - Duration::from_secs(3600);
    let mut camera = house.camera("cho", begun);
    film(&house, "cho", &mut camera, Duration::from_secs(20)).await;
    house.close().await;
    let file = movies_below(folder.path()).pop().unwrap();
    let whole = std::fs::read(&file).unwrap();
    let pictures = pictures_in(&file);
    // As if the index had not come so far, and the file a little further.
    std::fs::remove_file(folder.path().join("index.db")).unwrap();
    let mut torn = whole.clone();
    torn.extend_from_slice(&whole[whole.len() - 3000..]);
    std::fs::write(&file, &torn).unwrap();
    drop(reopen(folder.path()));
    assert_eq!(std::fs::read(&file).unwrap(), whole);
    // And a little less far: the last part is not whole.
    std::fs::remove_file(folder.path().join("index.db")).unwrap();
    std::fs::write(&file, &whole[..whole.len() - 10]).unwrap();
    drop(reopen(folder.path()));
    let left = pictures_in(&file);
    assert!(
        (pictures - 10..pictures).contains(&left),
        "{left} of {pictures}"
    );
}

#[tokio::test]
async fn two_routers_do_not_share_an_archive() {
    let folder = tempfile::tempdir().unwrap();
    let first = reopen(folder.path());
    let second = Archive::open(folder.path(), 0, &Registry::new());
    assert!(matches!(second, Err(ArchiveError::InUse(_))), "{second:?}");
    drop(first);
    reopen(folder.path());
}

#[tokio::test]
async fn strange_questions_are_answered_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::open(folder.path(), vec![recorded("cho")]);
    let begun = clock::wall() - Duration::from_secs(600);
    let mut camera = house.camera("cho", begun);
    film(&house, "cho", &mut camera, Duration::from_secs(30)).await;
    let archive = &house.archive;
    let year = 366 * 86_400_000_000;
    let (from, to) = (micros(begun), micros(camera.at));
    for (from, to) in [
        (to, from),
        (from, from),
        (UnixMicros(i64::MIN), UnixMicros(i64::MAX)),
        (from, UnixMicros(from.0 + 10 * year)),
        (UnixMicros(from.0 - 10 * year), to),
    ] {
        let timeline = archive.timeline(&key("cho"), from, to);
        assert!(
            matches!(timeline, Err(ArchiveError::Refused(_))),
            "{timeline:?}"
        );
        let movie = archive.movie(&key("cho"), from, to);
        assert!(matches!(movie, Err(ArchiveError::Refused(_))));
    }
    // In the future, in a gap, of a camera that nobody knows.
    let ahead = UnixMicros(to.0 + year);
    let timeline = archive.timeline(&key("cho"), ahead, UnixMicros(ahead.0 + 1_000_000));
    assert_eq!(gaps(&timeline.unwrap()), [GapReason::NotYet]);
    for (camera, from) in [
        ("cho", ahead),
        ("cho", UnixMicros(from.0 - 60_000_000)),
        ("nobody", from),
    ] {
        let movie = archive.movie(&key(camera), from, UnixMicros(from.0 + 1_000_000));
        assert!(matches!(movie, Err(ArchiveError::Unknown)), "{camera}");
    }
}

#[tokio::test]
async fn what_is_over_goes_and_what_is_held_stays() {
    let folder = tempfile::tempdir().unwrap();
    let short = CameraArchive {
        keep: Keep {
            usual: Duration::from_secs(1800),
            ..Keep::default()
        },
        ..recorded("cho")
    };
    let house = House::with(folder.path(), file(vec![short]));
    // Half of it is older than half an hour.
    let begun = clock::wall() - 33 * MINUTE;
    let mut camera = house.camera("cho", begun);
    let held = NewHold {
        camera: key("cho").camera,
        start: micros(begun + 65 * Duration::from_secs(1)),
        end: micros(begun + 70 * Duration::from_secs(1)),
        until: None,
        who: "Lan".into(),
        why: "vụ trộm".into(),
        case_number: String::new(),
    };
    let held = house.archive.hold(held).await.unwrap();
    film(&house, "cho", &mut camera, 6 * MINUTE).await;
    let end = camera.at;
    until("what is over is gone", || {
        let timeline = of(&house.archive, "cho", begun, end);
        gaps(&timeline).contains(&GapReason::Aged)
    })
    .await;
    let kept = of(
        &house.archive,
        "cho",
        begun + 65 * Duration::from_secs(1),
        begun + 70 * Duration::from_secs(1),
    );
    assert_eq!(kept.gaps, [], "held");
    house
        .archive
        .release(&commune(), held.number, "Lan", "xong")
        .await
        .unwrap();
    until("it goes as well", || {
        let kept = of(
            &house.archive,
            "cho",
            begun + 65 * Duration::from_secs(1),
            begun + 70 * Duration::from_secs(1),
        );
        gaps(&kept) == [GapReason::Aged]
    })
    .await;
    // What is not over is there, and so are its files.
    let timeline = of(&house.archive, "cho", begun + 5 * MINUTE, end);
    assert_eq!(timeline.gaps, []);
    let left = movies_below(folder.path());
    assert!((3..=5).contains(&left.len()), "{left:?}");
}

#[tokio::test]
async fn a_quota_is_kept_by_letting_the_oldest_go_and_full_of_held_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let commune_file = |quota| taimat_archive::CommuneArchive {
        quota: Some(quota),
        ..file(vec![recorded("cho")])
    };
    let house = House::with(folder.path(), commune_file(1 << 40));
    let begun = clock::wall() - Duration::from_secs(7200);
    let mut camera = house.camera("cho", begun);
    film(&house, "cho", &mut camera, 6 * MINUTE).await;
    let used = house.archive.standing(&commune()).unwrap().stores[0].used;
    house.archive.configure(vec![commune_file(used / 2)]);
    until("the oldest goes", || {
        let used_now = house.archive.standing(&commune()).unwrap().stores[0].used;
        used_now <= used / 2
    })
    .await;
    let timeline = of(&house.archive, "cho", begun, camera.at);
    assert_eq!(gaps(&timeline)[0], GapReason::Evicted);
    assert_eq!(timeline.gaps[0].start, micros(begun), "the oldest first");

    let all = NewHold {
        camera: key("cho").camera,
        start: micros(begun),
        end: micros(camera.at),
        until: None,
        who: "Lan".into(),
        why: "tất cả".into(),
        case_number: String::new(),
    };
    let held = house.archive.hold(all).await.unwrap();
    house.archive.configure(vec![commune_file(1000)]);
    until("it is said that all is held", || {
        !house.archive.troubles().is_empty()
    })
    .await;
    until("nothing new is recorded", || camera.channel.readers() == 0).await;
    let before = movies_below(folder.path());
    assert!(!before.is_empty());
    // Nothing that is held went.
    house
        .archive
        .release(&commune(), held.number, "Lan", "xong")
        .await
        .unwrap();
    until("it goes on", || house.archive.troubles().is_empty()).await;
    until("it is recorded again", || camera.channel.readers() == 1).await;
}
