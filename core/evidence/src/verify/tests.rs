//! Exports of a few parts, changed in every way.

use std::io::Cursor;

use proptest::prelude::*;

use super::*;
use crate::sample::*;

struct Sample {
    file: Vec<u8>,
    trust: Trust,
    root: String,
    list: String,
    header: usize,
}

fn sample() -> Sample {
    let folder = tempfile::tempdir().unwrap();
    let signer = signer(folder.path());
    let payloads = payloads();
    let header = sign(&signer, &assertion(), &parts(&payloads)).bytes;
    let (root, list) = (
        signer.key().root_pem().to_owned(),
        signer.key().retired_pem().to_owned(),
    );
    Sample {
        header: header.len(),
        file: [header, payloads.concat()].concat(),
        trust: Trust::read(&root, Some(&list)).unwrap(),
        root,
        list,
    }
}

fn verify(file: &[u8], trust: &Trust) -> FileReport {
    verify_file(&mut Cursor::new(file), trust, NOW + 120_000).unwrap()
}

fn bad_parts(report: &FileReport) -> Vec<usize> {
    let one = |finding: &Finding| match finding {
        Finding::Part { part, .. } => Some(*part),
        _ => None,
    };
    report.findings.iter().filter_map(one).collect()
}

#[test]
fn what_is_signed_is_genuine_and_says_what_it_is() {
    let sample = sample();
    let report = verify(&sample.file, &sample.trust);
    assert_eq!(
        (report.verdict, report.findings.len()),
        (Verdict::Genuine, 0),
        "{report}"
    );
    let text = report.to_string();
    assert!(
        text.contains("112/2026") && text.contains("Phường Hòa Lạc"),
        "{text}"
    );
    assert!(!String::from_utf8_lossy(&sample.file).contains("hunter2"));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["verdict"], "genuine");
    assert_eq!(
        json["assertion"]["camera"]["uri"],
        "rtsp://192.0.2.7/Streaming?***"
    );
}

#[test]
fn every_byte_that_is_changed_is_found() {
    let sample = sample();
    for at in 0..sample.file.len() {
        let mut file = sample.file.clone();
        for bit in [at % 8, (at + 3) % 8] {
            file[at] ^= 1 << bit;
            let report = verify(&file, &sample.trust);
            assert_ne!(report.verdict, Verdict::Genuine, "byte {at}");
            file[at] = sample.file[at];
        }
    }
}

#[test]
fn all_bad_parts_are_named_with_bytes_and_times() {
    let sample = sample();
    let mut file = sample.file.clone();
    let second = sample.header + 201;
    for at in [second, second + 201, file.len() - 1] {
        file[at] ^= 1;
    }
    let report = verify(&file, &sample.trust);
    assert_eq!(report.verdict, Verdict::Changed);
    assert_eq!(bad_parts(&report), [1, 3]);
    let text = report.to_string();
    let (from, to) = (second, second + 202);
    let line = format!(
        "part 1: bytes {from} to {to}, 2024-11-25T00:00:01.000Z to 2024-11-25T00:00:02.000Z, differs"
    );
    assert!(text.contains(&line), "{text}");
}

#[test]
fn cut_appended_and_moved_is_found() {
    let Sample {
        file,
        trust,
        header,
        ..
    } = sample();
    for cut in 1..file.len() {
        assert_ne!(
            verify(&file[..cut], &trust).verdict,
            Verdict::Genuine,
            "cut at {cut}"
        );
    }
    let report = verify(&file[..file.len() - 205], &trust);
    assert_eq!(bad_parts(&report), [2, 3]);
    assert!(report.to_string().contains("is missing"));
    let appended = [&file[..], &crate::boxes::boxed(*b"free", b"more")].concat();
    let report = verify(&appended, &trust);
    let extra = Finding::Extra {
        from_byte: file.len() as u64,
        bytes: 12,
    };
    assert_eq!(
        (report.verdict, &report.findings[..]),
        (Verdict::Changed, &[extra][..])
    );
    // Two parts in the other order.
    let (a, b) = (header..header + 201, header + 201..header + 403);
    let swapped = [&file[..header], &file[b.clone()], &file[a], &file[b.end..]].concat();
    assert_eq!(bad_parts(&verify(&swapped, &trust)), [0, 1]);
    // A box before the others: the parts are still found good, where they are from the end.
    let before = [&crate::boxes::boxed(*b"free", b"")[..], &file].concat();
    let report = verify(&before, &trust);
    assert_eq!(
        (report.verdict, bad_parts(&report)),
        (Verdict::Changed, vec![])
    );
}

#[test]
fn a_manifest_of_another_clip_or_none_is_found() {
    let Sample {
        file,
        trust,
        header,
        ..
    } = sample();
    let folder = tempfile::tempdir().unwrap();
    let signer = signer(folder.path());
    let mut other = payloads();
    other[0][0] ^= 1;
    let manifest = sign(&signer, &assertion(), &parts(&other)).bytes;
    let transplant = [&manifest[..], &file[header..]].concat();
    let theirs = Trust::read(signer.key().root_pem(), None).unwrap();
    assert_eq!(bad_parts(&verify(&transplant, &theirs)), [0]);
    assert_eq!(verify(b"", &trust).verdict, Verdict::Unsigned);
    let at = 32 + 4;
    let mut without = file.clone();
    without[at..at + 4].copy_from_slice(b"free");
    assert_eq!(verify(&without, &trust).verdict, Verdict::Unsigned);
}

#[test]
fn another_root_is_not_trusted() {
    let (mine, theirs) = (sample(), sample());
    let report = verify(&mine.file, &theirs.trust);
    assert_eq!(
        (report.verdict, report.findings.len()),
        (Verdict::NotTrusted, 0)
    );
    assert_eq!(
        Trust::read(&mine.root, Some(&theirs.list)).err(),
        Some(BadTrust::List)
    );
    assert_eq!(Trust::read("no root", None).err(), Some(BadTrust::Root));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn hostile_files_do_no_harm(
        at in any::<prop::sample::Index>(),
        bytes in prop::collection::vec(any::<u8>(), 1..9),
        cut in any::<prop::sample::Index>(),
    ) {
        thread_local!(static SAMPLE: Sample = sample());
        SAMPLE.with(|sample| {
            let mut file = sample.file.clone();
            let at = at.index(sample.header);
            for (i, byte) in bytes.iter().enumerate() {
                file[at + i] = *byte;
            }
            file.truncate(cut.index(file.len()) + 1);
            let report = verify(&file, &sample.trust);
            prop_assert!(report.verdict != Verdict::Genuine || file == sample.file);
            Ok(())
        })?;
    }

    #[test]
    fn whatever_comes_is_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        thread_local!(static TRUST: Trust = sample().trust);
        let file = [&crate::boxes::boxed(*b"uuid", &[&crate::boxes::C2PA_UUID[..], &bytes].concat())[..], &bytes].concat();
        TRUST.with(|trust| {
            prop_assert_ne!(verify(&file, trust).verdict, Verdict::Genuine);
            Ok(())
        })?;
    }
}
