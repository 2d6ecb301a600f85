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
use house::{Camera, House, commune, file, filming, gaps, key, micros, recorded, until};
use taimat_archive::{GapReason, NewHold, TroubleKind};
use taimat_base::clock;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Films some minutes that were over a while ago, and waits until they are in the index.
async fn past(house: &House, name: &str, span: Duration) -> (Camera, SystemTime, SystemTime) {
    let begun = clock::wall() - span - MINUTE;
    let mut camera = house.camera(name, begun);
    until("joined", || camera.channel.readers() == 1).await;
    camera.film(span).await;
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
    let (full, freed) = filming(&mut cameras, async {
        tokio::time::sleep(2 * SECOND).await;
        let theirs = disk.fill(0);
        let full = clock::wall();
        until("it is said that the disk is full", || {
            house.has(TroubleKind::Failing)
        })
        .await;
        tokio::time::sleep(4 * SECOND).await;
        std::fs::remove_file(theirs).unwrap();
        let freed = clock::wall();
        until("it is over", || house.archive.troubles().is_empty()).await;
        tokio::time::sleep(3 * SECOND).await;
        (full, freed)
    })
    .await;
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
async fn a_disk_that_we_fill_keeps_its_floor_and_the_newest() {
    if !disk::here("a_disk_that_we_fill_keeps_its_floor_and_the_newest") {
        return;
    }
    let disk = Disk::new(48);
    disk.fill(8 << 20);
    let floor = disk.free() - (4 << 20);
    let house = House::above(&disk.path(), floor, file(vec![recorded("cho")]));
    let begun = clock::wall() - 12 * MINUTE;
    let mut camera = house.camera("cho", begun);
    let mut least = u64::MAX;
    // More than there is room for. A minute of it is 750 kB.
    for _ in 0..10 {
        camera.film(MINUTE).await;
        tokio::time::sleep(Duration::from_millis(1200)).await;
        least = least.min(disk.free());
    }
    let end = camera.at;
    until("it is in the index", || {
        let last = house.of("cho", begun, end + SECOND).recorded;
        last.last()
            .is_some_and(|last| micros(end).0 - last.end.0 < 50_000)
    })
    .await;
    let timeline = house.of("cho", begun, end);
    assert_eq!(gaps(&timeline), [GapReason::Evicted], "{timeline:?}");
    assert_eq!(timeline.gaps[0].start, micros(begun), "the oldest went");
    is_whole(&house, "cho", end - 3 * MINUTE, end);
    assert_eq!(house.lost("cho", GapReason::DiskFull), 0);
    // What comes within a second may be on its way while room is made.
    assert!(least + (1 << 20) > floor, "{least} of {floor}");
    house.close().await;
    let checked = taimat_archive::check(&disk.path(), true).unwrap();
    assert_eq!(checked.wrong, []);
}

#[tokio::test]
async fn a_disk_full_of_what_is_held_goes_on_when_a_hold_ends() {
    if !disk::here("a_disk_full_of_what_is_held_goes_on_when_a_hold_ends") {
        return;
    }
    let disk = Disk::new(48);
    disk.fill(8 << 20);
    let floor = disk.free() - (2 << 20);
    let house = House::above(&disk.path(), floor, file(vec![recorded("cho")]));
    // What is there and what comes is held for some seconds; half of it, which is not the newest, for good.
    let over = clock::wall() + 20 * SECOND;
    let far = clock::wall() + 60 * MINUTE;
    let all = hold("cho", clock::wall() - 10 * MINUTE, far, Some(over));
    house.archive.hold(all).await.unwrap();
    let (camera, begun, end) = past(&house, "cho", 4 * MINUTE).await;
    let half = (begun + 90 * SECOND, begun + 150 * SECOND);
    let held = house.archive.hold(hold("cho", half.0, half.1, None));
    held.await.unwrap();
    let resumed = camera.at;
    let mut cameras = [camera];
    let refused = filming(&mut cameras, async {
        let readers = || house.hub.get(&key("cho")).unwrap().readers();
        until("it is said that all is held", || {
            house.has(TroubleKind::Full)
        })
        .await;
        until("nothing new is recorded", || readers() == 0).await;
        let refused = clock::wall();
        assert!(refused + SECOND < over, "this machine is too busy");
        is_whole(&house, "cho", begun, end);
        let standing = house.archive.standing(&commune()).unwrap();
        assert!(standing.cameras[0].refused);
        until("it is recorded again", || readers() == 1).await;
        assert!(clock::wall() >= over, "nothing that is held made room");
        until("it is over", || house.archive.troubles().is_empty()).await;
        tokio::time::sleep(4 * SECOND).await;
        refused
    })
    .await;
    let timeline = house.of("cho", resumed, clock::wall() - 2 * SECOND);
    assert_eq!(gaps(&timeline), [GapReason::NoRoom], "{timeline:?}");
    let gap = timeline.gaps[0];
    assert!(gap.start <= micros(refused), "{timeline:?}");
    let late = gap.end.0 - micros(over).0;
    println!("recorded again {} ms after a hold had ended", late / 1000);
    assert!(late <= 1_000_000, "{late} µs after the hold had ended");
    is_whole(&house, "cho", half.0, half.1);
    // What went is what nobody held any more, and that is said.
    let first = house.of("cho", begun, begun + SECOND);
    assert_eq!(gaps(&first), [GapReason::Evicted]);
    house.close().await;
    let checked = taimat_archive::check(&disk.path(), true).unwrap();
    assert_eq!(checked.wrong, []);
}
