//! Killed again and again while it records: a second is lost at most, nothing that the index names is missing,
//! and every file plays.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a set-up that fails fails its test"
)]

mod house;

use std::time::{Duration, SystemTime};

use house::fleet::{self, CAMERAS, Fleet};
use house::pictures_in;
use taimat_testkit::movies::movies_below;

/// Run by the test below, as a process of its own.
#[test]
fn records_until_it_is_killed() {
    fleet::record_if_told();
}

#[test]
fn a_kill_costs_a_second() {
    // `KILLS=100` for the whole proof: it takes minutes.
    let kills: u32 = std::env::var("KILLS").map_or(6, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut worst = Duration::ZERO;
    for round in 0..kills {
        let child = Fleet::start("records_until_it_is_killed", folder.path());
        // Not always at the same place of a second.
        std::thread::sleep(Duration::from_millis(2500 + u64::from(round * 137 % 1000)));
        let killed = SystemTime::now();
        child.kill();
        worst = worst.max(fleet::lost(folder.path(), killed));
    }
    println!("killed {kills} times: {worst:?} lost at most");
    // A machine that does other things meanwhile may be late; the proof is run on one that does not.
    let most = match std::env::var_os("KILLS") {
        Some(_) => Duration::from_secs(1),
        None => Duration::from_millis(1500),
    };
    assert!(worst <= most, "{worst:?} were lost");

    let all = movies_below(folder.path());
    assert!(all.len() >= CAMERAS * kills as usize, "{} files", all.len());
    // Each in turn takes minutes with a hundred kills: some of each.
    for file in all.iter().step_by((all.len() / 60).max(1)) {
        assert!(pictures_in(file) > 0, "{}", file.display());
    }
}
