//! The plug is pulled while twenty cameras are recorded: two seconds are lost at most, nothing that the index names
//! is missing, and every file plays.
//!
//! What a disk would have then is what its device has: what the kernel keeps in memory is not in the image.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a set-up that fails fails its test"
)]

mod house;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use house::disk::Disk;
use house::fleet::{self, CAMERAS, Fleet};
use house::pictures_in;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rusqlite::{Connection, OpenFlags};
use taimat_testkit::movies::movies_below;

/// Run by the test below, as a process of its own.
#[test]
fn records_until_the_plug_is_pulled() {
    fleet::record_if_told();
}

#[test]
fn a_power_cut_costs_two_seconds() {
    // `CUTS=20` for the whole proof.
    let cuts: u32 = std::env::var("CUTS").map_or(3, |text| text.parse().unwrap());
    let disk = Disk::ext4(512);
    let child = Fleet::start("records_until_the_plug_is_pulled", &disk.path());
    let pid = Pid::from_raw(child.id().try_into().unwrap());
    let (mut worst, mut parts) = (Duration::ZERO, 0);
    for round in 0..cuts {
        // Not always at the same place of a second.
        std::thread::sleep(Duration::from_millis(3000 + u64::from(round * 137 % 1000)));
        kill(pid, Signal::SIGSTOP).unwrap();
        // A sync that was begun is done to its end: the cut is after it.
        while !is_stopped(child.id()) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let stopped = SystemTime::now();
        let cut = disk.copy();
        kill(pid, Signal::SIGCONT).unwrap();

        // The journal is replayed.
        cut.mount();
        parts += rows_have_their_bytes(&cut.path());
        let lost = fleet::lost(&cut.path(), stopped);
        println!("cut {round}: {lost:?}");
        worst = worst.max(lost);
        let checked = taimat_archive::check(&cut.path(), true).unwrap();
        assert_eq!(checked.wrong, [], "cut {round}");
        let all = movies_below(&cut.path());
        assert!(all.len() >= CAMERAS, "{} files", all.len());
        // All that were being written, and some of those before.
        let newest = all.iter().rev().take(CAMERAS);
        for file in newest.chain(all.iter().step_by((all.len() / 20).max(1))) {
            assert!(pictures_in(file) > 0, "{}", file.display());
        }
    }
    child.kill();
    println!("{cuts} power cuts: {worst:?} lost at most; {parts} rows, each with its bytes");
    assert!(parts > 0, "nothing was in the index yet");
    // A machine that does other things meanwhile may be late; the proof is run on one that does not.
    let most = match std::env::var_os("CUTS") {
        Some(_) => Duration::from_secs(2),
        None => Duration::from_secs(3),
    };
    assert!(worst <= most, "{worst:?} were lost");
}

/// Whether no thread of a process is within a system call any more.
fn is_stopped(process: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    threads.flatten().all(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        let (_, state) = stat.rsplit_once(')').unwrap_or_default();
        state.trim_start().starts_with('T')
    })
}

/// The index as the cut left it, before anything is put in order: each byte that it names is there. Returns how
/// many parts it names.
fn rows_have_their_bytes(root: &Path) -> u64 {
    let index = Connection::open_with_flags(
        root.join("index.db"),
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .unwrap();
    let by_number: HashMap<u64, PathBuf> = movies_below(root)
        .into_iter()
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap();
            let (_, id) = name.rsplit_once('-').unwrap();
            (u64::from_str_radix(id, 16).unwrap(), path.clone())
        })
        .collect();
    let mut all = index
        .prepare("SELECT id, bytes, (SELECT count(*) FROM part WHERE segment = id) FROM segment")
        .unwrap();
    let all = all
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap();
    let mut parts = 0;
    for one in all {
        let (id, bytes, own): (u64, u64, u64) = one.unwrap();
        let path = by_number
            .get(&id)
            .unwrap_or_else(|| panic!("no file of {id:x}"));
        let length = std::fs::metadata(path).unwrap().len();
        assert!(length >= bytes, "{}: {length} of {bytes}", path.display());
        parts += own;
    }
    parts
}
