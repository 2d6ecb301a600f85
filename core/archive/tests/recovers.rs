//! What a crash cuts short is ended at the next start.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a set-up that fails fails its test"
)]

mod house;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use house::{House, gaps, key, micros, recorded, until};
use rusqlite::Connection;
use taimat_archive::{Archive, GapReason, Timeline};
use taimat_base::clock;
use taimat_base::metrics::Registry;
use taimat_testkit::movies::movies_below;

const SECOND: Duration = Duration::from_secs(1);

/// Five pieces of ten seconds, each with a file of its own, and ten seconds between them.
async fn five(folder: &Path) -> (SystemTime, Vec<PathBuf>) {
    let house = House::open(folder, vec![recorded("cho")]);
    // Segments end once a minute, this camera's at 37 s: in a pause.
    let hour_ago = clock::unix_seconds(clock::wall()) as u64 - 3600;
    let begun = SystemTime::UNIX_EPOCH + Duration::from_secs(hour_ago / 60 * 60 + 20);
    let mut camera = house.camera("cho", begun);
    until("joined", || camera.channel.readers() == 1).await;
    for _ in 0..5 {
        camera.film(10 * SECOND).await;
        camera.pause(10 * SECOND);
    }
    let end = camera.at;
    until("it is in the index", || {
        house.of("cho", begun, end).recorded.len() == 5
    })
    .await;
    house.close().await;
    let all = movies_below(folder);
    assert_eq!(all.len(), 5, "{all:?}");
    (begun, all)
}

/// The number of a segment by its file.
fn number(file: &Path) -> u64 {
    let name = file.file_stem().unwrap().to_str().unwrap();
    u64::from_str_radix(name.rsplit_once('-').unwrap().1, 16).unwrap()
}

fn of(archive: &Archive, from: SystemTime, to: SystemTime) -> Timeline {
    let timeline = archive.timeline(&key("cho"), micros(from), micros(to));
    timeline.unwrap()
}

#[tokio::test]
async fn a_removal_that_was_cut_short_is_ended_and_copies_elsewhere_are_not_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let (begun, all) = five(folder.path()).await;
    // Four were being removed. Of two there are copies elsewhere; of one of each kind the file had gone already.
    let index = Connection::open(folder.path().join("index.db")).unwrap();
    for file in &all[..4] {
        index
            .execute("UPDATE segment SET state = 2 WHERE id = ?1", [number(file)])
            .unwrap();
    }
    for file in &all[2..4] {
        index
            .execute(
                "INSERT INTO copy (segment, target, state, until, worth, bytes) \
                 VALUES (?1, 'kho', 1, 0, 0, 1)",
                [number(file)],
            )
            .unwrap();
    }
    drop(index);
    std::fs::remove_file(&all[1]).unwrap();
    std::fs::remove_file(&all[3]).unwrap();

    // Twice: what is put in order stays so.
    for run in 0..2 {
        let archive = Archive::open(folder.path(), 0, &Registry::new()).unwrap();
        for piece in 0..5_u32 {
            let from = begun + 20 * piece * SECOND;
            let timeline = of(&archive, from, from + 9 * SECOND);
            let expected = match piece {
                0 | 1 => (vec![GapReason::Evicted], None),
                2 | 3 => (vec![], Some(true)),
                _ => (vec![], Some(false)),
            };
            let elsewhere = timeline.recorded.first().map(|piece| piece.elsewhere);
            assert_eq!((gaps(&timeline), elsewhere), expected, "{piece}, run {run}");
        }
        drop(archive);
        assert_eq!(movies_below(folder.path()), all[4..], "run {run}");
        let checked = taimat_archive::check(folder.path(), true).unwrap();
        assert_eq!(checked.wrong, [], "run {run}");
        assert_eq!(checked.segments, 1);
        // What is elsewhere does not count here, and nothing counts twice.
        let index = Connection::open(folder.path().join("index.db")).unwrap();
        let stored: u64 = index
            .query_row("SELECT sum(stored) FROM stream", [], |row| row.get(0))
            .unwrap();
        assert_eq!(stored, all[4].metadata().unwrap().len(), "run {run}");
    }
}

#[tokio::test]
async fn an_older_segment_that_is_ended_late_does_not_set_the_chain_back() {
    let folder = tempfile::tempdir().unwrap();
    let (begun, all) = five(folder.path()).await;
    let index = folder.path().join("index.db");
    let chain = |index: &Path| -> Vec<u8> {
        let index = Connection::open(index).unwrap();
        index
            .query_row("SELECT chain FROM stream", [], |row| row.get(0))
            .unwrap()
    };
    let before = chain(&index);
    // As after a sync that failed: it was being written, and others came after it.
    let open = Connection::open(&index).unwrap();
    open.execute(
        "UPDATE segment SET state = 0, parts = NULL, end = start, bytes = 0 WHERE id = ?1",
        [number(&all[1])],
    )
    .unwrap();
    drop(open);
    let archive = Archive::open(folder.path(), 0, &Registry::new()).unwrap();
    let from = begun + 20 * SECOND;
    assert_eq!(of(&archive, from, from + 10 * SECOND).gaps, []);
    drop(archive);
    assert_eq!(chain(&index), before);
    let checked = taimat_archive::check(folder.path(), true).unwrap();
    assert_eq!(checked.wrong, []);
}

#[tokio::test]
async fn a_file_of_which_only_the_name_got_to_the_disk_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let (begun, all) = five(folder.path()).await;
    let last = all.last().unwrap();
    let beside = |id: u64| last.with_file_name(format!("235959.999-{id:x}.mp4"));
    let next = number(last) + 1;
    std::fs::write(beside(next), "").unwrap();
    std::fs::write(beside(next + 1), vec![0; 5000]).unwrap();
    // What is something else is left alone.
    std::fs::write(beside(next + 2), "somebody's").unwrap();
    let archive = Archive::open(folder.path(), 0, &Registry::new()).unwrap();
    assert_eq!(of(&archive, begun, begun + 10 * SECOND).gaps, []);
    assert!(!beside(next).exists());
    assert!(!beside(next + 1).exists());
    assert!(beside(next + 2).exists());
}
