//! Disks that are full: of somebody else's files, of our own, of what is held. Nothing that is held or was committed
//! is lost, it is said, the gap has its reason, and within a second after there is room it is recorded again.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a set-up that fails fails its test"
)]

mod house;

use std::time::{Duration, SystemTime};

use house::disk::{self, Disk};
use house::{
    Beat, Camera, House, RATE, commune, file, film_for, filming, gaps, key, micros, recorded, until,
};
use taimat_archive::{Gap, GapReason, NewHold, TroubleKind};
use taimat_base::clock;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Films some minutes that were over a while ago, and waits until they are in the index.
async fn past(house: &House, name: &str, span: Duration) -> (Camera, SystemTime, SystemTime) {
    let begun = clock::wall() - span - MINUTE;
    let mut camera = house.camera(name, begun);
    until("joined", || camera.channel.readers() == 1).await;
    camera.film_of(&house::blown_up(4096), span).await;
    let end = camera.at;
    until("it is in the index", || {
        let last = house.of(name, begun, end + SECOND).recorded;
        last.last()
            .is_some_and(|last| micros(end).0 - last.end.0 < 50_000)
    })
    .await;
    // From now on as time goes by.
    camera.at = clock::wall();
    (camera, begun, end)
}

fn hold(name: &str, from: SystemTime, to: SystemTime, until: Option<SystemTime>) -> NewHold {
    NewHold {
        camera: key(name).camera,
        start: micros(from),
        end: micros(to),
        until: until.map(micros),
        who: "Lan".into(),
        why: "vụ trộm".into(),
        case_number: String::new(),
    }
}

/// All between two moments is there, and can be given out.
fn is_whole(house: &House, name: &str, from: SystemTime, to: SystemTime) {
    assert_eq!(house.of(name, from, to).gaps, [], "what was there is there");
    let movie = house.archive.movie(&key(name), micros(from), micros(to));
    for piece in &movie.unwrap().pieces {
        let length = std::fs::metadata(&piece.path).unwrap().len();
        assert!(length >= piece.offset + piece.bytes);
    }
}

#[tokio::test]
async fn a_disk_that_somebody_else_fills_and_frees() {
    if !disk::here("a_disk_that_somebody_else_fills_and_frees") {
        return;
    }
    let disk = Disk::new(48);
    let house = House::open(&disk.path(), vec![recorded("cho")]);
    let (camera, begun, end) = past(&house, "cho", 2 * MINUTE).await;
    // All of it is held, and what is to come: nothing can be removed to make room.
    let held = hold("cho", begun, clock::wall() + 60 * MINUTE, None);
    house.archive.hold(held).await.unwrap();
    let resumed = camera.at;
    let mut cameras = [camera];
    film_for(&mut cameras, 2 * SECOND).await;
    let theirs = disk.fill(0);
    let full = clock::wall();
    let said = until("it is said that the disk is full", || {
        house.has(TroubleKind::Failing)
    });
    filming(&mut cameras, said).await;
    film_for(&mut cameras, 4 * SECOND).await;
    std::fs::remove_file(theirs).unwrap();
    let freed = clock::wall();
    // That room is short at this rate, in so small a disk, is right too.
    let over = until("it is over", || !house.has(TroubleKind::Failing));
    filming(&mut cameras, over).await;
    film_for(&mut cameras, 3 * SECOND).await;
    let now = clock::wall() - 2 * SECOND;
    let timeline = house.of("cho", resumed, now);
    assert_eq!(gaps(&timeline), [GapReason::DiskFull], "{timeline:?}");
    let gap = timeline.gaps[0];
    let late = gap.end.0 - micros(freed).0;
    println!("recorded again {} ms after there was room", late / 1000);
    assert!(
        late <= 1_000_000,
        "{late} µs after there was room: {timeline:?}"
    );
    assert!(gap.start.0 >= micros(full).0 - 1_000_000, "{timeline:?}");
    assert!(house.lost("cho", GapReason::DiskFull) >= 3);
    is_whole(&house, "cho", begun, end);
    house.close().await;
    let checked = taimat_archive::check(&disk.path(), true).unwrap();
    assert_eq!(checked.wrong, []);
}

#[tokio::test]
async fn a_disk_that_somebody_else_fills_to_the_last_byte_is_given_room_by_the_oldest() {
    if !disk::here("a_disk_that_somebody_else_fills_to_the_last_byte_is_given_room_by_the_oldest") {
        return;
    }
    let disk = Disk::new(48);
    let house = House::open(&disk.path(), vec![recorded("cho")]);
    let (camera, begun, end) = past(&house, "cho", 4 * MINUTE).await;
    let mut cameras = [camera];
    film_for(&mut cameras, 2 * SECOND).await;
    disk.fill(0);
    let full = clock::wall();
    filming(&mut cameras, async {
        // Nothing is held: the index has to be written for what goes to go, and there is no room for it either.
        until("the oldest goes", || {
            gaps(&house.of("cho", begun, end)).contains(&GapReason::Evicted)
        })
        .await;
        until("it is over", || !house.has(TroubleKind::Failing)).await;
    })
    .await;
    film_for(&mut cameras, 5 * SECOND).await;
    let now = clock::wall() - 2 * SECOND;
    let timeline = house.of("cho", now - SECOND, now);
    assert_eq!(timeline.gaps, [], "it is recorded");
    let timeline = house.of("cho", full, now);
    let lost: i64 = timeline
        .gaps
        .iter()
        .filter(|gap| gap.reason == GapReason::DiskFull)
        .map(|gap| gap.end.0 - gap.start.0)
        .sum();
    assert!(lost <= 4_000_000, "{lost} µs: {timeline:?}");
    house.close().await;
    let checked = taimat_archive::check(&disk.path(), true).unwrap();
    assert_eq!(checked.wrong, []);
}

#[tokio::test]
async fn a_disk_that_we_fill_keeps_its_floor_and_the_newest() {
    if !disk::here("a_disk_that_we_fill_keeps_its_floor_and_the_newest") {
        return;
    }
    let disk = Disk::new(256);
    disk.fill(100 << 20);
    let floor = 40 << 20;
    let house = House::above(&disk.path(), floor, file(vec![recorded("cho")]));
    let begun = clock::wall() - 2 * MINUTE;
    let mut camera = house.camera("cho", begun);
    // A megabyte a second, as time goes by: there is to be room for a minute of it above the floor.
    let large = house::blown_up(100_000);
    let mut beat = Beat::start();
    let mut least = u64::MAX;
    for n in 0..usize::try_from(32 * RATE).unwrap() {
        if n % 20 == 0 {
            // So that another segment begins.
            camera.pause(3 * SECOND);
            least = least.min(disk.free());
        }
        camera.send(&large[n % large.len()], Beat::STEP);
        beat.next().await;
    }
    let end = camera.at;
    until("it is in the index", || {
        let last = house.of("cho", begun, end + SECOND).recorded;
        last.last()
            .is_some_and(|last| micros(end).0 - last.end.0 < 50_000)
    })
    .await;
    // Each two seconds are followed by three without pictures.
    let oldest = house.of("cho", begun + 3500 * MS, begun + 4500 * MS);
    assert_eq!(gaps(&oldest), [GapReason::Evicted], "the oldest went");
    let newest = gaps(&house.of("cho", end - 9 * SECOND, end));
    assert_eq!(newest, [GapReason::PicturesMissing; 2]);
    assert_eq!(house.lost("cho", GapReason::DiskFull), 0);
    assert!(least > floor, "{least} of {floor}");
    assert!(!house.has(TroubleKind::Full));
    house.close().await;
    let checked = taimat_archive::check(&disk.path(), true).unwrap();
    assert_eq!(checked.wrong, []);
}

#[tokio::test]
async fn a_disk_full_of_what_is_held_goes_on_when_a_hold_ends() {
    if !disk::here("a_disk_full_of_what_is_held_goes_on_when_a_hold_ends") {
        return;
    }
    let disk = Disk::new(64);
    let floor = 10 << 20;
    let house = House::above(&disk.path(), floor, file(vec![recorded("cho")]));
    let (ago, far) = (clock::wall() - 10 * MINUTE, clock::wall() + 60 * MINUTE);
    let first = house.archive.hold(hold("cho", ago, far, None)).await;
    let (camera, begun, end) = past(&house, "cho", 4 * MINUTE).await;
    let some = (begun + 100 * SECOND, begun + 102 * SECOND);
    let held = house.archive.hold(hold("cho", some.0, some.1, None));
    held.await.unwrap();
    let mut cameras = [camera];
    film_for(&mut cameras, 2 * SECOND).await;
    let (refused, over) = filming(&mut cameras, async {
        let readers = || house.hub.get(&key("cho")).unwrap().readers();
        disk.fill(floor - (1 << 20));
        until("it is said that all is held", || {
            house.has(TroubleKind::Full)
        })
        .await;
        until("nothing new is recorded", || readers() == 0).await;
        let refused = clock::wall();
        is_whole(&house, "cho", begun, end);
        let standing = house.archive.standing(&commune()).unwrap();
        assert!(standing.cameras[0].refused);
        // Another hold of the same: nothing changes as long as there is one.
        let over = clock::wall() + 4 * SECOND;
        let second = house.archive.hold(hold("cho", ago, far, Some(over)));
        second.await.unwrap();
        let first = first.unwrap().number;
        let commune = commune();
        let released = house.archive.release(&commune, first, "Lan", "xong");
        released.await.unwrap();
        until("it is recorded again", || readers() == 1).await;
        assert!(clock::wall() >= over, "nothing that is held made room");
        until("it is over", || !house.has(TroubleKind::Full)).await;
        (refused, over)
    })
    .await;
    film_for(&mut cameras, 4 * SECOND).await;
    let timeline = house.of("cho", refused, clock::wall() - 2 * SECOND);
    // The film came much faster than time goes by, so that much room is made: what is recorded and closed by now
    // may have gone again.
    let is_refusal = |gap: &Gap| gap.reason == GapReason::NoRoom;
    let (refusals, rest): (Vec<Gap>, Vec<Gap>) =
        timeline.gaps.iter().copied().partition(is_refusal);
    assert!(
        refusals.len() == 1 && rest.iter().all(|gap| gap.reason == GapReason::Evicted),
        "{timeline:?}"
    );
    let gap = refusals[0];
    let late = gap.end.0 - micros(over).0;
    println!("recorded again {} ms after a hold had ended", late / 1000);
    assert!(late <= 1_000_000, "{late} µs after the hold had ended");
    is_whole(&house, "cho", some.0, some.1);
    // What went is what nobody held any more, and that is said.
    let first = house.of("cho", begun, begun + SECOND);
    assert_eq!(gaps(&first), [GapReason::Evicted]);
    house.close().await;
    let checked = taimat_archive::check(&disk.path(), true).unwrap();
    assert_eq!(checked.wrong, []);
}
