//! Folders of clips before tools that others wrote, and before ours.
#![allow(clippy::unwrap_used, reason = "a set-up that fails fails its test")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{NOW, assertion, interpreter, movie, openssl, run, signer, text};
use taimat_audit::{AuditLog, Deed, Done, write_excerpt};
use taimat_evidence::{
    Clip, DirectorySink, FolderFacts, FolderReport, Signer, Trust, Verdict, verify_folder,
    write_folder,
};

struct Bag {
    folder: tempfile::TempDir,
    signer: Signer,
}

fn audit(folder: &Path) -> Vec<u8> {
    let mut log = AuditLog::open(folder, NOW).unwrap().log;
    let deed = Deed {
        done: Done::Export,
        by: "nguyen.van.a".into(),
        role: "investigator".into(),
        what: serde_json::Map::new(),
        why: "Xô xát trước chợ".into(),
        case: "112/2026".into(),
    };
    log.append(NOW, deed).unwrap();
    let mut lines = Vec::new();
    assert!(write_excerpt(folder, &[1], &mut lines).unwrap());
    lines
}

fn bag() -> Bag {
    let folder = tempfile::tempdir().unwrap();
    let signer = signer(folder.path());
    let movie = movie(folder.path(), "160x120", "2", "10");
    let (assertion, parts) = (assertion(), movie.parts(2));
    let audit = audit(&folder.path().join("audit"));
    let clips = ["cho.mp4", "ga tàu.mp4"].map(|name| {
        let header = movie.sign(&signer, &assertion, &parts).bytes;
        let bytes = std::io::Cursor::new([&header[..], &movie.media].concat());
        Clip {
            name: name.into(),
            assertion: &assertion,
            length: bytes.get_ref().len() as u64,
            bytes: Box::new(bytes),
        }
    });
    let facts = FolderFacts {
        export: &assertion.export,
        organization: "UBND phường Hòa Lạc",
        time_zone: "Asia/Ho_Chi_Minh",
        audit: &audit,
    };
    let mut sink = DirectorySink::create(&folder.path().join("bag")).unwrap();
    write_folder(&signer, &facts, clips.into(), &mut sink).unwrap();
    sink.finish().unwrap();
    Bag { folder, signer }
}

impl Bag {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("bag").join(name)
    }

    fn ours(&self) -> FolderReport {
        let trust = Trust::read(self.signer.key().root_pem(), None).unwrap();
        verify_folder(&self.path(""), &trust, NOW + 120_000).unwrap()
    }

    /// Whether `sha256sum`, `bagit` and `openssl` are content, in this order.
    fn others(&self) -> [bool; 3] {
        let in_bag = |program: &str, args: &[&str]| {
            let mut command = Command::new(program);
            let output = command.args(args).current_dir(self.path("")).output();
            output.unwrap().status.success()
        };
        let sums = ["manifest-sha256.txt", "tagmanifest-sha256.txt"]
            .map(|list| in_bag("sha256sum", &["--quiet", "-c", list]));
        let script = "import sys, bagit; bagit.Bag(sys.argv[1]).validate()";
        let path = self.path("");
        let args = ["-W", "ignore", "-c", script, text(&path)];
        let bagit = run(&interpreter(), "`cargo xtask python` installs it", &args);
        let cms = [&self.cms("commune-root.pem")[..], &["/dev/null"]].concat();
        [
            sums == [true; 2],
            bagit.status.success(),
            in_bag("openssl", &cms),
        ]
    }

    fn cms<'a>(&self, roots: &'a str) -> [&'a str; 14] {
        [
            "cms",
            "-verify",
            "-binary",
            "-inform",
            "PEM",
            "-in",
            "tagmanifest-sha256.txt.p7s",
            "-content",
            "tagmanifest-sha256.txt",
            "-CAfile",
            roots,
            "-purpose",
            "any",
            "-out",
        ]
    }
}

#[test]
fn a_folder_is_good_for_all_and_a_change_is_found_by_all() {
    let bag = bag();
    assert_eq!(bag.others(), [true; 3]);
    let report = bag.ours();
    assert_eq!(report.verdict, Verdict::Genuine, "{report}");
    let clip = bag.path("data/cho.mp4");
    let good = std::fs::read(&clip).unwrap();
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    std::fs::write(&clip, &bad).unwrap();
    assert_eq!(bag.others(), [false, false, true]);
    let report = bag.ours();
    assert_eq!(report.verdict, Verdict::Changed);
    let said = report.to_string();
    assert!(
        said.contains("data/cho.mp4: differs") && said.contains("part 1: bytes"),
        "{said}"
    );
    std::fs::write(&clip, &good).unwrap();
    // Who changes the lists too is left with the signature.
    let list = bag.path("tagmanifest-sha256.txt");
    let text = std::fs::read_to_string(&list).unwrap();
    std::fs::write(
        &list,
        text.lines()
            .rev()
            .map(|l| l.to_owned() + "\n")
            .collect::<String>(),
    )
    .unwrap();
    assert_eq!(bag.others(), [true, true, false]);
    assert_eq!(bag.ours().verdict, Verdict::Changed);
}

#[test]
fn an_officer_signs_beside_with_a_token_of_another_kind() {
    let bag = bag();
    let at = |name: &str| bag.folder.path().join(name);
    let (key, certificate) = (at("officer.key"), at("officer.pem"));
    let new = [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "30",
        "-subj",
        "/CN=Can bo A",
    ];
    let out = [
        "-addext",
        "keyUsage=digitalSignature",
        "-keyout",
        text(&key),
        "-out",
        text(&certificate),
    ];
    openssl(&[&new[..], &out[..]].concat());
    let signature = bag.path("tagmanifest-sha256.txt.p7s");
    let both = at("both.p7s");
    let resign = [
        "cms", "-resign", "-inform", "PEM", "-outform", "PEM", "-md", "sha256", "-in",
    ];
    let with = [
        text(&signature),
        "-signer",
        text(&certificate),
        "-inkey",
        text(&key),
        "-out",
        text(&both),
    ];
    openssl(&[&resign[..], &with[..]].concat());
    std::fs::copy(&both, &signature).unwrap();
    let report = bag.ours();
    assert_eq!(report.verdict, Verdict::Genuine, "{report}");
    assert_eq!(report.signed_beside, ["CN=Can bo A"]);
    // OpenSSL wants the roots of both.
    let roots = at("roots.pem");
    let root = bag.signer.key().root_pem().to_owned();
    std::fs::write(
        &roots,
        root + &std::fs::read_to_string(&certificate).unwrap(),
    )
    .unwrap();
    let mut command = Command::new("openssl");
    let verified = command
        .args(bag.cms(text(&roots)))
        .arg("/dev/null")
        .current_dir(bag.path(""))
        .output();
    let verified = verified.unwrap();
    assert!(
        verified.status.success(),
        "{}",
        String::from_utf8_lossy(&verified.stderr)
    );
}
