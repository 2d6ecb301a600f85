//! A folder of two clips, changed in every way.

use std::fs;
use std::path::Path;

use taimat_audit::{AuditLog, Deed, Done, write_excerpt};

use super::names::*;
use super::*;
use crate::moment::Moment;
use crate::sample::{NOW, assertion, parts, payloads, sign, signer};
use crate::sign::Signer;
use crate::verify::{Trust, Verdict};

fn audit(folder: &Path) -> Vec<u8> {
    let mut log = AuditLog::open(folder, NOW).unwrap().log;
    let deed = Deed {
        done: Done::Export,
        by: "nguyen.van.a".into(),
        role: String::new(),
        what: serde_json::Map::new(),
        why: "Xô xát".into(),
        case: "112/2026".into(),
    };
    log.append(NOW, deed).unwrap();
    let mut lines = Vec::new();
    write_excerpt(folder, &[1], &mut lines).unwrap();
    lines
}

struct Made {
    folder: tempfile::TempDir,
    signer: Signer,
}

impl Made {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let signer = signer(folder.path());
        let mut assertion = assertion();
        assertion.camera.name = "<b>Chợ & \"ga\"</b>".into();
        let payloads = payloads();
        let audit = audit(&folder.path().join("audit"));
        let clip = |name: &str| {
            let header = sign(&signer, &assertion, &parts(&payloads)).bytes;
            let bytes = std::io::Cursor::new([header, payloads.concat()].concat());
            Clip {
                name: name.into(),
                assertion: &assertion,
                length: bytes.get_ref().len() as u64,
                bytes: Box::new(bytes),
            }
        };
        let clips = vec![clip("cho.mp4"), clip("ga tàu.mp4")];
        let facts = FolderFacts {
            export: &assertion.export,
            organization: "UBND phường Hòa Lạc",
            time_zone: "Asia/Ho_Chi_Minh",
            audit: &audit,
        };
        let mut sink = DirectorySink::create(&folder.path().join("bag")).unwrap();
        let written = write_folder(&signer, &facts, clips, &mut sink).unwrap();
        sink.finish().unwrap();
        assert_eq!(written.files, 12);
        Self { folder, signer }
    }

    fn bag(&self) -> std::path::PathBuf {
        self.folder.path().join("bag")
    }

    fn verify(&self) -> FolderReport {
        let trust = Trust::read(self.signer.key().root_pem(), None).unwrap();
        verify_folder(&self.bag(), &trust, NOW + 120_000).unwrap()
    }
}

#[test]
fn a_folder_is_genuine_and_its_record_can_be_read() {
    let made = Made::new();
    let report = made.verify();
    assert_eq!(
        (report.verdict, report.clips.len()),
        (Verdict::Genuine, 2),
        "{report}"
    );
    let page = fs::read_to_string(made.bag().join(RECORD)).unwrap();
    for text in [
        "&lt;b&gt;Chợ &amp; &quot;ga&quot;&lt;/b&gt;",
        "112/2026",
        "25/11/2024 07:00:00.000 +07:00",
        "-412, -410 ms",
        &made.signer.key().root_fingerprint(),
    ] {
        assert!(page.contains(text), "{text}\n{page}");
    }
    let listed = fs::read_to_string(made.bag().join(MANIFEST)).unwrap();
    let clip = listed
        .lines()
        .find(|line| line.ends_with("cho.mp4"))
        .unwrap();
    assert!(page.contains(clip.get(..64).unwrap()));
}

#[test]
fn every_file_that_is_changed_missing_or_added_is_named() {
    let made = Made::new();
    let tags = [TAG_MANIFEST, SIGNATURE, MANIFEST, BAGIT, INFO, ROOT, GUIDE];
    let data = [TIMELINE, AUDIT, RECORD, "data/cho.mp4"];
    for name in tags.into_iter().chain(data) {
        let file = made.bag().join(name);
        let good = fs::read(&file).unwrap();
        // In a line's middle, not in the white space of PEM.
        let mut bad = good.clone();
        let middle = good.len() / 2;
        bad[middle] = if bad[middle] == b'a' { b'b' } else { b'a' };
        fs::write(&file, &bad).unwrap();
        let report = made.verify();
        if name == SIGNATURE {
            // Of a signature that is damaged only that can be said that it is not the commune's.
            assert_ne!(report.verdict, Verdict::Genuine, "{report}");
        } else {
            assert_eq!(report.verdict, Verdict::Changed, "{name} changed: {report}");
        }
        fs::remove_file(&file).unwrap();
        let report = made.verify();
        let want = if name == SIGNATURE {
            Verdict::Unsigned
        } else {
            Verdict::Changed
        };
        assert_eq!(report.verdict, want, "{name} missing: {report}");
        let said = report.to_string().contains(&format!("{name}: is missing"));
        assert_eq!(said, name != SIGNATURE, "{report}");
        fs::write(&file, &good).unwrap();
    }
    assert_eq!(made.verify().verdict, Verdict::Genuine);
    fs::write(made.bag().join("data/more.txt"), "more").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", made.bag().join("link")).unwrap();
    let report = made.verify();
    let extra = |path: &str| FolderFinding::Extra { path: path.into() };
    assert!(
        report.findings.contains(&extra("data/more.txt")),
        "{report}"
    );
    assert!(report.findings.contains(&extra("link")), "{report}");
}

#[test]
fn a_folder_of_another_root_is_not_trusted() {
    let (mine, theirs) = (Made::new(), Made::new());
    let trust = Trust::read(theirs.signer.key().root_pem(), None).unwrap();
    let report = verify_folder(&mine.bag(), &trust, NOW + 120_000).unwrap();
    assert_eq!(
        (report.verdict, report.findings.len()),
        (Verdict::NotTrusted, 0),
        "{report}"
    );
}

#[test]
fn names_that_leave_the_folder_are_refused() {
    let made = Made::new();
    let (assertion, audit) = (assertion(), audit(&made.folder.path().join("audit2")));
    let facts = FolderFacts {
        export: &assertion.export,
        organization: "x",
        time_zone: "UTC",
        audit: &audit,
    };
    for name in ["../a.mp4", "a/b.mp4", "a.txt", ".mp4\n.mp4", "c:a.mp4"] {
        let clip = Clip {
            name: name.into(),
            assertion: &assertion,
            length: 0,
            bytes: Box::new(&b""[..]),
        };
        let mut sink = Nowhere;
        let written = write_folder(&made.signer, &facts, vec![clip], &mut sink);
        assert!(matches!(written, Err(FolderError::Name(_))), "{name}");
    }
    // Nobody read it, or it is not as long as was said.
    let clip = |length| Clip {
        name: "a.mp4".into(),
        assertion: &assertion,
        length,
        bytes: Box::new(&b"abc"[..]),
    };
    let written = write_folder(&made.signer, &facts, vec![clip(3)], &mut Nowhere);
    assert!(matches!(written, Err(FolderError::Length { read: 0, .. })));
    for length in [2, 4] {
        let mut zip = ZipSink::new(Vec::new(), "x", Moment(NOW));
        let written = write_folder(&made.signer, &facts, vec![clip(length)], &mut zip);
        assert!(matches!(written, Err(FolderError::Length { read: 3, .. })));
    }
}

#[test]
fn a_folder_that_was_not_written_to_its_end_has_not_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let bag = folder.path().join("bag");
    let mut sink = DirectorySink::create(&bag).unwrap();
    sink.file("bagit.txt", 1, &mut &b"x"[..]).unwrap();
    drop(sink);
    assert!(!bag.exists());
    // What is there is not written over.
    fs::create_dir(&bag).unwrap();
    assert!(DirectorySink::create(&bag).is_err());
}

/// Reads nothing.
struct Nowhere;

impl Sink for Nowhere {
    fn file(
        &mut self,
        _path: &str,
        _length: u64,
        _from: &mut dyn std::io::Read,
    ) -> std::io::Result<()> {
        Ok(())
    }
}
