//! `taimat evidence`, the program: keys, and what it ends with for a file.
#![cfg(feature = "evidence")]
#![allow(clippy::unwrap_used, reason = "a set-up that fails fails its test")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use taimat_audit::{Digest, after, beginning};
use taimat_evidence::{
    Assertion, AuditPlace, Camera, Clock, ClockSource, CodecFacts, Commune, Export, ExportFacts,
    Interval, Moment, Part, Run, ShownAddress, Signer, SigningKey,
};

const MEDIA: [&[u8]; 2] = [b"the first second", b"the second one"];

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Self { folder };
        std::fs::write(place.at("passphrase"), "một cụm từ dài\n").unwrap();
        let made = place.run(&["init", "--organization", "UBND phường Hòa Lạc"], true);
        let said = String::from_utf8_lossy(&made.stdout);
        assert!(
            made.status.success() && said.contains("fingerprint"),
            "{made:?}"
        );
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, args: &[&str], root: bool) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_taimat"));
        command.arg("evidence").args(args).current_dir(&self.folder);
        if root {
            command.args(["--data", "state", "--root-key", "root.key"]);
            command.args(["--passphrase-file", "passphrase"]);
        }
        command.output().unwrap()
    }

    fn verify(&self, file: &str) -> (i32, String) {
        let root = ["--root", "state/evidence/root.pem"];
        let list = ["--retired", "state/evidence/retired.crl"];
        let args = [&["verify", file][..], &root, &list].concat();
        let output = self.run(&args, false);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code().unwrap(), said)
    }

    /// A clip of no pictures, signed by the key that is there now.
    fn clip(&self, name: &str) {
        let now = jiff::Timestamp::now().as_millisecond();
        let bytes = signed(&self.at("state/evidence"), now);
        std::fs::write(self.at(name), bytes).unwrap();
    }
}

fn signed(keys: &Path, now: i64) -> Vec<u8> {
    let part = |media: &&[u8]| Part {
        bytes: media.len() as u64,
        leaf: Digest::of(&[media]),
        start_utc_ms: now,
        duration_ms: 1_000,
    };
    let parts: Vec<Part> = MEDIA.iter().map(part).collect();
    let assertion = assertion(&parts, now);
    let a_box = |kind: &[u8; 4], body: &[u8]| {
        let length = u32::try_from(body.len() + 8).unwrap();
        [&length.to_be_bytes()[..], kind, body].concat()
    };
    let media: usize = MEDIA.iter().map(|m| m.len()).sum();
    let rest = |_: u64, meta: &[u8]| {
        let length = (media as u64 + 16).to_be_bytes();
        let moov = a_box(b"moov", b"");
        Ok([&moov[..], meta, &1u32.to_be_bytes(), b"mdat", &length].concat())
    };
    let export = Export {
        assertion: &assertion,
        parts: &parts,
        ftyp: &a_box(b"ftyp", b"isom\0\0\x02\0isom"),
        tracks: &[1],
        rest: &rest,
    };
    let signer = Signer::new(SigningKey::open(keys).unwrap()).unwrap();
    [signer.sign(&export).unwrap().bytes, MEDIA.concat()].concat()
}

fn assertion(parts: &[Part], now: i64) -> Assertion {
    let before = beginning("hoa-lac", "nguyen-du-1");
    let run = Run {
        parts: parts.len() as u64,
        before,
        after: parts.iter().fold(before, |c, p| after(&c, &p.link())),
    };
    let text = str::to_owned;
    Assertion {
        commune: Commune {
            id: text("hoa-lac"),
            name: text("Phường Hòa Lạc"),
        },
        camera: Camera {
            id: text("nguyen-du-1"),
            name: text("Nguyễn Du"),
            uri: ShownAddress::default(),
            make: None,
            model: None,
            serial: None,
            mac: None,
            place: None,
        },
        interval: Interval {
            requested: [Moment(now); 2],
            covered: [Moment(now); 2],
        },
        clock: Clock {
            source: ClockSource::Arrival,
            camera_minus_server_ms: None,
            drift_ppm: None,
            server_sync: text("ntp"),
            server_error_ms: None,
        },
        gaps: Vec::new(),
        chain: vec![run],
        audit: AuditPlace {
            entry: 1,
            head: before,
        },
        export: ExportFacts {
            id: text("1"),
            by: text("nguyen.van.a"),
            role: text("duty"),
            reason: text("Xô xát"),
            case: text("112/2026"),
            at: Moment(now),
            software: text("0.1.0"),
            host: text("nas"),
        },
        codec: CodecFacts {
            video: None,
            audio: None,
        },
        transcoded: false,
        camera_signed_sei: false,
    }
}

#[test]
fn each_outcome_has_its_exit_code() {
    let (place, other) = (Place::new(), Place::new());
    place.clip("clip.mp4");
    let (code, said) = place.verify("clip.mp4");
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("GENUINE") && said.contains("112/2026"),
        "{said}"
    );
    let good = std::fs::read(place.at("clip.mp4")).unwrap();
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    std::fs::write(place.at("bad.mp4"), &bad).unwrap();
    let (code, said) = place.verify("bad.mp4");
    assert!(code == 1 && said.contains("part 1: bytes"), "{code} {said}");
    std::fs::write(place.at("none.mp4"), b"\0\0\0\x08free").unwrap();
    assert_eq!(place.verify("none.mp4").0, 2);
    std::fs::write(other.at("foreign.mp4"), &good).unwrap();
    assert_eq!(other.verify("foreign.mp4").0, 3);
    assert_eq!(place.verify("no such file").0, 10);
    let json = [
        "verify",
        "bad.mp4",
        "--json",
        "--root",
        "state/evidence/root.pem",
    ];
    let json = place.run(&json, false).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["verdict"], "changed");
    assert_eq!(json["findings"][0]["part"], 1);
    // The next key signs on, and nothing of a compromised one holds.
    let done = place.run(&["retire"], true);
    assert!(done.status.success(), "{done:?}");
    place.clip("next.mp4");
    assert_eq!(
        (place.verify("clip.mp4").0, place.verify("next.mp4").0),
        (0, 0)
    );
    let done = place.run(&["retire", "--compromised"], true);
    assert!(done.status.success(), "{done:?}");
    assert_eq!(
        (place.verify("clip.mp4").0, place.verify("next.mp4").0),
        (0, 4)
    );
    // A second root is refused.
    let again = place.run(&["init", "--organization", "x"], true);
    assert_eq!(again.status.code(), Some(10));
}
