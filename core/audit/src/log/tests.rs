//! What the log finds, and what it survives.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::Digest;

const NOW: i64 = 1_795_718_400_000;
const YEAR: i64 = 366 * 86_400_000;

fn deed(why: &str) -> Deed {
    let mut what = serde_json::Map::new();
    what.insert("camera".into(), "hoa-lac/nguyen-du-1".into());
    Deed {
        done: Done::Export,
        by: "nguyen.van.a".into(),
        role: "duty".into(),
        what,
        why: why.into(),
        case: "112/2026".into(),
    }
}

fn open(folder: &Path) -> Opened {
    AuditLog::open(folder, NOW).unwrap()
}

/// A log of two years with six entries; its head.
fn written(folder: &Path) -> Receipt {
    let mut log = open(folder).log;
    for i in 0..5 {
        log.append(NOW + i, deed("Xô xát trước chợ")).unwrap();
    }
    log.append(NOW + YEAR, deed("next year")).unwrap()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let years = super::files::years(folder).unwrap();
    let of = |year: &i16| super::files::of_year(folder, *year);
    years.iter().map(of).collect()
}

#[test]
fn goes_on_over_years_and_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let receipt = written(folder.path());
    assert_eq!(receipt.n, 6);
    let names: Vec<_> = files(folder.path());
    assert_eq!(names.len(), 2);
    assert!(names[0].ends_with("audit-2026.jsonl"));
    let opened = open(folder.path());
    assert_eq!(opened.cut, None);
    assert_eq!(opened.log.tail().head, receipt.head);
    let mut log = opened.log;
    // The clock was set back to a year that has ended.
    let receipt = log.append(NOW, deed("late")).unwrap();
    let verified = verify(folder.path(), Some(&receipt.head)).unwrap();
    assert_eq!((verified.tail.n, verified.files), (7, 2));
    assert_eq!(fs::read_to_string(&names[1]).unwrap().lines().count(), 2);
}

#[test]
fn an_empty_log_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let opened = open(folder.path());
    assert_eq!(opened.log.tail(), Tail::default());
    assert_eq!(verify(folder.path(), None).unwrap().tail, Tail::default());
}

#[test]
fn two_do_not_write_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let _first = open(folder.path());
    assert!(AuditLog::open(folder.path(), NOW).is_err());
}

#[test]
fn what_is_too_long_is_refused_and_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(folder.path()).log;
    let long = log.append(NOW, deed(&"ă".repeat(MAX_LINE_BYTES)));
    assert!(matches!(long, Err(AuditError::TooLong(_))));
    assert_eq!(log.append(NOW, deed("short")).unwrap().n, 1);
    verify(folder.path(), None).unwrap();
}

#[test]
fn lines_missing_at_the_end_are_found_by_a_known_head() {
    let folder = tempfile::tempdir().unwrap();
    let receipt = written(folder.path());
    let last = files(folder.path()).pop().unwrap();
    fs::remove_file(last).unwrap();
    verify(folder.path(), None).unwrap();
    let known = verify(folder.path(), Some(&receipt.head));
    assert!(matches!(known, Err(AuditError::OtherHead { .. })));
}

#[test]
fn an_excerpt_joins_an_entry_to_the_head_and_tells_of_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let receipt = written(folder.path());
    let mut text = Vec::new();
    assert!(write_excerpt(folder.path(), &[3, 5], &mut text).unwrap());
    let excerpt = read_excerpt(&mut text.as_slice()).unwrap();
    assert_eq!(excerpt.head, receipt.head);
    assert_eq!(excerpt.lines, 4);
    let numbers: Vec<u64> = excerpt.entries.iter().map(|(e, _)| e.n).collect();
    assert_eq!(numbers, [3, 5]);
    let text = String::from_utf8(text).unwrap();
    assert_eq!(text.matches("nguyen.van.a").count(), 2);
    assert!(!write_excerpt(folder.path(), &[7], &mut Vec::new()).unwrap());
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        let same = read_excerpt(&mut bytes.as_slice()).is_ok_and(|e| e.head == receipt.head);
        assert!(!same, "byte {at}");
    }
}

/// All that a log's files hold, by year.
fn content(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let one = |path: PathBuf| (path.clone(), fs::read(path).unwrap());
    files(folder).into_iter().map(one).collect()
}

#[test]
fn every_byte_that_is_changed_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let receipt = written(folder.path());
    for (path, bytes) in content(folder.path()) {
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            fs::write(&path, &changed).unwrap();
            let found = verify(folder.path(), Some(&receipt.head));
            assert!(found.is_err(), "{} byte {at}", path.display());
        }
        fs::write(&path, &bytes).unwrap();
    }
    verify(folder.path(), Some(&receipt.head)).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_torn_last_line_is_cut_and_named(keep in 1usize..300, zeros in any::<bool>()) {
        let folder = tempfile::tempdir().unwrap();
        written(folder.path());
        let (path, bytes) = content(folder.path()).pop().unwrap();
        let keep = keep.min(bytes.len() - 1);
        let mut torn = bytes.clone();
        // What the power left of the next line: its beginning, or a hole of the file system.
        torn.extend(bytes[..keep].iter().map(|b| if zeros { 0 } else { *b }));
        fs::write(&path, &torn).unwrap();
        prop_assert!(verify(folder.path(), None).is_err());
        let opened = open(folder.path());
        let cut = opened.cut.unwrap();
        prop_assert_eq!((cut.after, cut.bytes.len()), (bytes.len() as u64, keep));
        let mut log = opened.log;
        let receipt = log.append(NOW + YEAR, deed("after the power came back")).unwrap();
        prop_assert_eq!(receipt.n, 7);
        verify(folder.path(), Some(&receipt.head)).unwrap();
    }

    #[test]
    fn lines_taken_out_moved_or_doubled_are_found(at in 0usize..5, to in 0usize..5, what in 0..3) {
        let folder = tempfile::tempdir().unwrap();
        let receipt = written(folder.path());
        let (path, bytes) = content(folder.path()).remove(0);
        let text = String::from_utf8(bytes).unwrap();
        let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
        match what {
            0 => { lines.remove(at); }
            1 => lines.swap(at, to),
            _ => lines.insert(to, lines[at]),
        }
        fs::write(&path, lines.concat()).unwrap();
        let found = verify(folder.path(), Some(&receipt.head)).is_err();
        prop_assert_eq!(found, what != 1 || at != to);
    }

    #[test]
    fn whatever_lies_there_is_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("audit-2026.jsonl"), &bytes).unwrap();
        let verified = verify(folder.path(), None);
        prop_assert_eq!(verified.is_ok(), bytes.is_empty());
        let _opened = AuditLog::open(folder.path(), NOW).is_ok();
        prop_assert!(read_excerpt(&mut bytes.as_slice()).is_err());
    }
}

#[test]
fn the_first_line_hangs_on_nothing() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).log.append(NOW, deed("first")).unwrap();
    let (_, bytes) = content(folder.path()).pop().unwrap();
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains(&format!("\"before\":\"{}\"", Digest::default())));
}
