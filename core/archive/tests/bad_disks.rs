//! Disks that can only be read, are gone, hang, are slow, or lose what they were given. Nothing panics, whoever looks
//! at cameras does not notice, it is said, and it goes on when the disk does.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a set-up that fails fails its test, and figures are printed"
)]

mod house;

use std::path::Path;
use std::time::{Duration, SystemTime};

use house::disk::{self, Disk};
use house::{Beat, Camera, House, film_for, filming, gaps, micros, recorded, until};
use taimat_archive::{GapReason, Timeline, TroubleKind};
use taimat_base::clock;

const SECOND: Duration = Duration::from_secs(1);
/// What is missing for so long begins another segment: a picture does not stand longer than two seconds.
const CUT: Duration = Duration::from_secs(3);

/// Whoever has looked at the camera since it had sent so many pictures has seen all of them.
fn all_was_seen(camera: &Camera, since: u64) {
    assert_eq!(camera.seen(), camera.sent() - since);
}

/// Films for some time, and something of it never comes, so that another segment begins.
async fn with_a_cut(camera: &mut [Camera; 1]) {
    camera[0].pause(CUT);
    film_for(camera, 2 * SECOND).await;
}

fn between(house: &House, from: SystemTime) -> Timeline {
    house.of("cho", from, clock::wall() - 2 * SECOND)
}

/// Some seconds in which the disk is well, then some in which it is ill, then it is well again.
async fn ill_for_a_while(
    root: &Path,
    ill: impl FnOnce(),
    meanwhile: impl FnOnce(),
    well: impl FnOnce(),
) {
    let house = House::open(root, vec![recorded("cho")]);
    let begun = clock::wall();
    let mut cameras = [house.camera("cho", begun)];
    film_for(&mut cameras, 4 * SECOND).await;
    let since_then = cameras[0].sent();
    cameras[0].look();
    ill();
    let since = clock::wall();
    with_a_cut(&mut cameras).await;
    let said = until("it is said", || house.has(TroubleKind::Failing));
    filming(&mut cameras, said).await;
    film_for(&mut cameras, 2 * SECOND).await;
    all_was_seen(&cameras[0], since_then);
    meanwhile();
    well();
    let again = clock::wall();
    let over = until("it is over", || house.archive.troubles().is_empty());
    filming(&mut cameras, over).await;
    film_for(&mut cameras, 4 * SECOND).await;
    all_was_seen(&cameras[0], since_then);
    let timeline = between(&house, begun + SECOND);
    // The cut, and what did not get to the disk.
    let failed: Vec<_> = timeline
        .gaps
        .iter()
        .filter(|gap| gap.reason == GapReason::DiskFailed)
        .collect();
    assert_eq!(failed.len(), 1, "{timeline:?}");
    assert!(
        !gaps(&timeline).contains(&GapReason::Unknown),
        "{timeline:?}"
    );
    assert!(
        failed[0].start.0 >= micros(since).0 - 1_000_000,
        "{timeline:?}"
    );
    // The line of the camera is ahead since the cut.
    let late = failed[0].end.0 - micros(again + CUT).0;
    println!("recorded again {} ms after it was back", late / 1000);
    assert!(
        late <= 1_000_000,
        "{late} µs after it was back: {timeline:?}"
    );
    assert!(house.lost("cho", GapReason::DiskFailed) >= 3);
    house.close().await;
    let checked = taimat_archive::check(root, true).unwrap();
    assert_eq!(checked.wrong, []);
}

#[tokio::test]
async fn a_disk_that_can_only_be_read_for_a_while() {
    if !disk::here("a_disk_that_can_only_be_read_for_a_while") {
        return;
    }
    let disk = Disk::new(48);
    ill_for_a_while(&disk.path(), || disk.read_only(), || {}, || disk.unmount()).await;
}

#[tokio::test]
async fn a_disk_that_is_gone_for_a_while() {
    let disk = Disk::ext4(48);
    let nothing = || {
        let left = std::fs::read_dir(disk.path()).unwrap().count();
        assert_eq!(left, 0, "nothing is written to the disk under it");
    };
    ill_for_a_while(&disk.path(), || disk.unmount(), nothing, || disk.mount()).await;
}

#[tokio::test]
async fn a_folder_that_is_moved_away_and_back() {
    let around = tempfile::tempdir().unwrap();
    let (root, aside) = (around.path().join("archive"), around.path().join("aside"));
    let away = || {
        std::fs::rename(&root, &aside).unwrap();
        std::fs::create_dir(&root).unwrap();
    };
    let nothing = || assert_eq!(std::fs::read_dir(&root).unwrap().count(), 0);
    let back = || {
        std::fs::remove_dir(&root).unwrap();
        std::fs::rename(&aside, &root).unwrap();
    };
    ill_for_a_while(&root, away, nothing, back).await;
}

#[tokio::test]
async fn a_disk_that_the_kernel_gives_up() {
    let disk = Disk::ext4(48);
    let house = House::open(&disk.path(), vec![recorded("cho")]);
    let begun = clock::wall();
    let mut cameras = [house.camera("cho", begun)];
    film_for(&mut cameras, 4 * SECOND).await;
    let since_then = cameras[0].sent();
    cameras[0].look();
    disk.abort();
    let gone = clock::wall();
    filming(&mut cameras, async {
        until("it is said", || house.has(TroubleKind::Failing)).await;
        until("what is lost is counted", || {
            house.lost("cho", GapReason::DiskFailed) >= 3
        })
        .await;
    })
    .await;
    all_was_seen(&cameras[0], since_then);
    house.close().await;

    // Such a disk has to be mounted anew, which nobody can do while it is used.
    disk.unmount();
    disk.mount();
    let house = House::open(&disk.path(), vec![recorded("cho")]);
    let again = clock::wall();
    let mut cameras = [house.camera("cho", again)];
    film_for(&mut cameras, 4 * SECOND).await;
    let timeline = between(&house, begun);
    assert_eq!(gaps(&timeline), [GapReason::RouterStopped], "{timeline:?}");
    let lost = micros(gone).0 - timeline.gaps[0].start.0;
    assert!(lost <= 2_000_000, "{lost} µs before it was given up");
    house.close().await;
    let checked = taimat_archive::check(&disk.path(), true).unwrap();
    assert_eq!(checked.wrong, []);
}

#[tokio::test]
async fn a_disk_of_a_tenth_of_a_second_a_write() {
    let disk = Disk::ext4(64);
    let names = ["a", "b", "c", "d"];
    let house = House::open(&disk.path(), names.map(recorded).to_vec());
    let begun = clock::wall();
    let mut cameras = names.map(|name| house.camera(name, begun));
    film_for(&mut cameras, 2 * SECOND).await;
    disk.writes_a_second(10);
    let slow = clock::wall();
    film_for(&mut cameras, 15 * SECOND).await;
    let until_then = clock::wall();
    disk.writes_a_second(0);
    film_for(&mut cameras, 6 * SECOND).await;
    let took = house.seconds("taimat_segment_sync_seconds");
    println!("syncs took {took:.1} s in all");
    assert!(took > 2.0, "it was not slow: {took} s");
    for name in names {
        let timeline = house.of(name, begun, until_then);
        assert_eq!(timeline.gaps, [], "{name}");
        assert_eq!(house.lost(name, GapReason::DiskSlow), 0);
    }
    assert!(slow < until_then);
    house.close().await;
}

#[tokio::test]
async fn a_disk_that_hangs_costs_what_is_beyond_the_buffer_of_the_camera_that_sends_so_much() {
    let disk = Disk::ext4(512);
    let house = House::open(&disk.path(), vec![recorded("greedy"), recorded("modest")]);
    let begun = clock::wall();
    let (mut greedy, mut modest) = (house.camera("greedy", begun), house.camera("modest", begun));
    // 10 MiB a second: four seconds of it may wait.
    let large = house::blown_up(1 << 20);
    let film = async |span: Duration, greedy: &mut Camera, modest: &mut Camera| {
        let mut beat = Beat::start();
        for n in 0..span.as_millis() / Beat::STEP.as_millis() {
            let picture = &large[usize::try_from(n).unwrap() % large.len()];
            greedy.send(picture, Beat::STEP);
            modest.picture();
            beat.next().await;
        }
    };
    film(3 * SECOND, &mut greedy, &mut modest).await;
    let since_then = modest.sent();
    modest.look();
    disk.freeze();
    let frozen = clock::wall();
    film(12 * SECOND, &mut greedy, &mut modest).await;
    assert!(house.has(TroubleKind::Failing), "it is said");
    let lost = house.lost("greedy", GapReason::DiskSlow);
    assert!(lost >= 5, "{lost} parts");
    all_was_seen(&modest, since_then);
    disk.thaw();
    let thawed = clock::wall();
    film(5 * SECOND, &mut greedy, &mut modest).await;
    all_was_seen(&modest, since_then);
    until("it is over", || !house.has(TroubleKind::Failing)).await;
    let end = clock::wall() - 3 * SECOND;
    let timeline = house.of("modest", begun, end);
    assert_eq!(timeline.gaps, [], "a minute of it may wait");
    assert_eq!(house.lost("modest", GapReason::DiskSlow), 0);
    let timeline = house.of("greedy", begun, end);
    assert_eq!(gaps(&timeline), [GapReason::DiskSlow], "{timeline:?}");
    let gap = timeline.gaps[0];
    let waited = gap.start.0 - micros(frozen).0;
    println!(
        "{} ms waited, {} ms lost in {lost} parts",
        waited / 1000,
        (gap.end.0 - gap.start.0) / 1000
    );
    // 40 MiB of 10 MiB/s, but for the part that is being filled.
    assert!(waited >= 3_000_000, "{waited} µs waited: {timeline:?}");
    let late = gap.end.0 - micros(thawed).0;
    assert!(late <= 1_500_000, "{late} µs after it went on");
    // What is counted is what is listed: of each second there is a part of 0.8 s and one of the rest.
    let listed = gap.end.0 - gap.start.0;
    let counted = i64::try_from(lost).unwrap() * 500_000;
    assert!((listed - counted).abs() <= 2_000_000, "{listed} {counted}");
    house.close().await;
    let checked = taimat_archive::check(&disk.path(), true).unwrap();
    assert_eq!(checked.wrong, []);
}

#[tokio::test]
async fn a_sync_that_fails_costs_what_it_was_for_and_no_row_names_it() {
    let disk = Disk::thin(48);
    let house = House::open(&disk.path(), vec![recorded("cho")]);
    let begun = clock::wall();
    let mut cameras = [house.camera("cho", begun)];
    film_for(&mut cameras, 4 * SECOND).await;
    let since_then = cameras[0].sent();
    cameras[0].look();
    let theirs = disk.starve();
    let said = until("it is said", || house.has(TroubleKind::Failing));
    filming(&mut cameras, said).await;
    film_for(&mut cameras, 3 * SECOND).await;
    std::fs::remove_file(theirs).unwrap();
    let again = clock::wall();
    let over = until("it is over", || house.archive.troubles().is_empty());
    filming(&mut cameras, over).await;
    film_for(&mut cameras, 4 * SECOND).await;
    all_was_seen(&cameras[0], since_then);
    let timeline = between(&house, begun);
    assert!(
        !gaps(&timeline).contains(&GapReason::Unknown),
        "{timeline:?}"
    );
    let last = timeline.recorded.last().unwrap();
    assert!(last.start.0 <= micros(again + SECOND).0, "{timeline:?}");
    assert!(house.lost("cho", GapReason::DiskFailed) > 0);
    house.close().await;
    // What memory says does not count: only what is on the disk, as it was written.
    disk.unmount();
    disk.mount();
    let checked = taimat_archive::check(&disk.path(), true).unwrap();
    assert_eq!(checked.wrong, []);
}
