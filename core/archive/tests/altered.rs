//! Files that were altered, cut, swapped, linked or forged are named and put aside when the index is made anew,
//! and no clip shows them from then on.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a set-up that fails fails its test"
)]

mod house;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use house::{House, key, micros, recorded, until};
use taimat_archive::{Archive, GapReason, PieceError, Rebuilt, Unfit, rebuild};
use taimat_base::clock;
use taimat_base::metrics::Registry;
use taimat_testkit::movies::movies_below;

const MINUTES: Duration = Duration::from_secs(240);

/// Four minutes of two cameras, on a disk.
struct Tape {
    folder: tempfile::TempDir,
    begun: SystemTime,
}

impl Tape {
    async fn record() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let house = House::open(folder.path(), vec![recorded("cho"), recorded("ga")]);
        let begun = clock::wall() - Duration::from_secs(3600);
        for name in ["cho", "ga"] {
            let mut camera = house.camera(name, begun);
            camera.film(MINUTES).await;
            until("it is in the index", || {
                let (from, to) = (micros(begun), micros(camera.at + Duration::from_secs(1)));
                let timeline = house.archive.timeline(&key(name), from, to).unwrap();
                let last = timeline.recorded.last();
                last.is_some_and(|last| micros(camera.at).0 - last.end.0 < 50_000)
            })
            .await;
        }
        house.close().await;
        let tape = Self { folder, begun };
        for name in ["cho", "ga"] {
            assert!(tape.files(name).len() >= 4, "{:?}", tape.files(name));
        }
        tape
    }

    /// The same again, to be altered.
    fn copy(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(self.folder.path(), folder.path());
        Self {
            folder,
            begun: self.begun,
        }
    }

    fn files(&self, camera: &str) -> Vec<PathBuf> {
        movies_below(&self.folder.path().join("hoa-lac").join(camera))
    }

    fn lose_index(&self) {
        for name in ["index.db", "index.db-wal", "index.db-shm"] {
            let _gone = std::fs::remove_file(self.folder.path().join(name));
        }
    }

    fn rebuild(&self) -> Rebuilt {
        rebuild(self.folder.path()).unwrap()
    }

    /// What was put aside: which files, and why.
    fn apart(&self, made: &Rebuilt) -> Vec<(PathBuf, Unfit)> {
        let all = made.apart.iter().map(|apart| {
            assert!(self.folder.path().join(&apart.now).exists(), "{apart}");
            (self.folder.path().join(&apart.path), apart.why)
        });
        all.collect()
    }

    fn open(&self) -> Archive {
        Archive::open(self.folder.path(), 0, &Registry::new()).unwrap()
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&to).unwrap();
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn flip(file: &Path, at: usize) {
    let mut bytes = std::fs::read(file).unwrap();
    let at = at.min(bytes.len() - 1);
    bytes[at] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

/// Where the payload of a file's first part is.
fn payload(file: &Path) -> usize {
    let bytes = std::fs::read(file).unwrap();
    let found = bytes.windows(4).position(|four| four == b"mdat");
    found.unwrap() + 100
}

/// The chain in a file's head.
fn chain_at(file: &Path) -> usize {
    let bytes = std::fs::read(file).unwrap();
    let found = bytes.windows(8).position(|eight| eight == b"taimat\x001");
    found.unwrap() + 8
}

#[tokio::test]
async fn what_nobody_altered_is_all_taken_up_with_and_without_the_former_index() {
    let tape = Tape::record().await;
    let count = tape.files("cho").len() + tape.files("ga").len();
    let with = tape.rebuild();
    assert_eq!((with.segments, with.unproven), (count as u64, 0));
    assert_eq!(with.apart, []);
    tape.lose_index();
    let without = tape.rebuild();
    assert_eq!(
        (without.segments, without.parts),
        (with.segments, with.parts)
    );
    assert_eq!(without.apart, []);
    // The newest file of each camera has none behind it.
    assert!(
        (1..with.parts / 2).contains(&without.unproven),
        "{without:?}"
    );
}

#[tokio::test]
async fn a_part_that_was_altered_is_named_and_no_clip_shows_it() {
    let tape = Tape::record().await;
    for former in [true, false] {
        let tape = tape.copy();
        let altered = tape.files("cho")[1].clone();
        flip(&altered, payload(&altered));
        let bytes = std::fs::read(&altered).unwrap();
        if !former {
            tape.lose_index();
        }
        let made = tape.rebuild();
        let apart = tape.apart(&made);
        assert_eq!(apart.len(), 1, "{apart:?}");
        assert_eq!(apart[0].0, altered);
        match apart[0].1 {
            // Which part, and when.
            Unfit::Part { part: 0, at } if former => {
                assert!(at > micros(tape.begun).0);
            }
            Unfit::Chain { from, to } if !former => assert!(from < to),
            why => panic!("{why}"),
        }
        // It is not lost.
        let now = tape.folder.path().join(&made.apart[0].now);
        assert!(!altered.exists());
        assert_eq!(std::fs::read(now).unwrap(), bytes);
        // And in no clip.
        let archive = tape.open();
        let (from, to) = (micros(tape.begun), micros(tape.begun + MINUTES));
        let movie = archive.movie(&key("cho"), from, to).unwrap();
        assert!(movie.pieces.iter().all(|piece| piece.path != altered));
        let reasons: Vec<GapReason> = movie.gaps.iter().map(|gap| gap.reason).collect();
        assert!(reasons.contains(&GapReason::Damaged), "{reasons:?}");
        for piece in &movie.pieces {
            piece.read().unwrap();
        }
        // A second time nothing is found.
        drop(archive);
        assert_eq!(tape.rebuild().apart, []);
    }
}

#[tokio::test]
async fn a_file_of_another_camera_or_time_is_not_taken_for_this_one() {
    let tape = Tape::record().await;
    for former in [true, false] {
        for how in [
            "copied",
            "linked",
            "symlinked",
            "swapped",
            "of another time",
        ] {
            let tape = tape.copy();
            let (mine, theirs) = (tape.files("cho")[1].clone(), tape.files("ga")[1].clone());
            let mut expected = vec![mine.clone()];
            match how {
                "copied" => drop(std::fs::copy(&theirs, &mine).unwrap()),
                "of another time" => drop(std::fs::copy(&tape.files("cho")[2], &mine).unwrap()),
                "linked" | "symlinked" => {
                    std::fs::remove_file(&mine).unwrap();
                    if how == "linked" {
                        std::fs::hard_link(&theirs, &mine).unwrap();
                    } else {
                        std::os::unix::fs::symlink(&theirs, &mine).unwrap();
                    }
                }
                _ => {
                    let bytes = std::fs::read(&mine).unwrap();
                    std::fs::copy(&theirs, &mine).unwrap();
                    std::fs::write(&theirs, bytes).unwrap();
                    expected.push(theirs.clone());
                }
            }
            if !former {
                tape.lose_index();
            }
            let made = tape.rebuild();
            let named: Vec<PathBuf> = tape.apart(&made).into_iter().map(|(p, _)| p).collect();
            for expected in &expected {
                assert!(named.contains(expected), "{how}: {named:?}");
            }
            // With the former index nothing else is; without it the neighbour may be the one that was altered.
            if former {
                assert_eq!(named.len(), expected.len(), "{how}: {named:?}");
            }
            let archive = tape.open();
            let (from, to) = (micros(tape.begun), micros(tape.begun + MINUTES));
            let movie = archive.movie(&key("cho"), from, to).unwrap();
            assert!(movie.pieces.iter().all(|piece| piece.path != mine), "{how}");
        }
    }
}

#[tokio::test]
async fn what_was_cut_or_changed_in_a_head_is_put_aside_whole() {
    let tape = Tape::record().await;
    for former in [true, false] {
        for how in ["cut", "appended", "chain", "head of a part", "no recording"] {
            let tape = tape.copy();
            let altered = tape.files("cho")[1].clone();
            let mut bytes = std::fs::read(&altered).unwrap();
            match how {
                "cut" => bytes.truncate(bytes.len() / 2),
                "appended" => bytes.extend_from_slice(b"more than there was"),
                "chain" => bytes[chain_at(&altered)] ^= 1,
                "head of a part" => {
                    let second = bytes.windows(4).enumerate();
                    let second = second.filter(|(_, four)| *four == b"moof").nth(1);
                    let second = second.unwrap().0;
                    bytes[second] ^= 1;
                }
                _ => bytes = b"no recording".to_vec(),
            }
            std::fs::write(&altered, &bytes).unwrap();
            if !former {
                tape.lose_index();
            }
            let made = tape.rebuild();
            let apart = tape.apart(&made);
            assert!(
                apart.iter().any(|(path, _)| *path == altered),
                "{how}: {apart:?}"
            );
            let kept = made
                .apart
                .iter()
                .find(|one| altered.ends_with(&one.path))
                .unwrap();
            let kept = std::fs::read(tape.folder.path().join(&kept.now)).unwrap();
            assert!(kept == bytes, "{how}: not a byte of it is lost");
        }
    }
}

#[tokio::test]
async fn the_newest_file_is_cut_where_it_was_torn_and_a_copy_of_it_is_kept() {
    let tape = Tape::record().await;
    tape.lose_index();
    let newest = tape.files("cho").pop().unwrap();
    let whole = std::fs::read(&newest).unwrap();
    let torn = &whole[..whole.len() - 10];
    std::fs::write(&newest, torn).unwrap();
    let made = tape.rebuild();
    let apart = tape.apart(&made);
    assert!(matches!(apart[..], [(_, Unfit::Torn { .. })]), "{apart:?}");
    assert!(made.apart[0].copied && newest.exists());
    let kept = std::fs::read(tape.folder.path().join(&made.apart[0].now)).unwrap();
    assert!(kept == torn);
}

#[tokio::test]
async fn a_router_that_finds_it_at_its_start_says_so() {
    let tape = Tape::record().await;
    let altered = tape.files("ga")[1].clone();
    flip(&altered, payload(&altered));
    tape.lose_index();
    let archive = tape.open();
    let troubles = archive.troubles();
    assert_eq!(troubles.len(), 1, "{troubles:?}");
    assert!(
        troubles[0].text.contains("_apart/hoa-lac/ga/main/"),
        "{troubles:?}"
    );
}

#[tokio::test]
async fn what_takes_the_place_of_a_file_while_it_is_in_the_index_is_not_given_out() {
    let tape = Tape::record().await;
    for linked in [false, true] {
        let tape = tape.copy();
        let (mine, theirs) = (tape.files("cho")[1].clone(), tape.files("ga")[1].clone());
        std::fs::remove_file(&mine).unwrap();
        if linked {
            std::fs::hard_link(&theirs, &mine).unwrap();
        } else {
            std::fs::copy(&theirs, &mine).unwrap();
        }
        let archive = tape.open();
        let (from, to) = (micros(tape.begun), micros(tape.begun + MINUTES));
        let movie = archive.movie(&key("cho"), from, to).unwrap();
        let (bad, good): (Vec<_>, Vec<_>) = movie.pieces.iter().partition(|p| p.path == mine);
        assert!(!bad.is_empty() && !good.is_empty());
        for piece in bad {
            let read = piece.read();
            assert!(matches!(read, Err(PieceError::Rotten { .. })), "{read:?}");
        }
        for piece in good {
            piece.read().unwrap();
        }
    }
}
