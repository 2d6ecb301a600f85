//! Keys over the years, and exports that they signed.

use std::io::Cursor;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::names::*;
use super::*;
use crate::moment::Moment;
use crate::sample::{NOW, PASSPHRASE, assertion, parts, payloads, sign, signer};
use crate::sign::Signer;
use crate::verify::{Trust, Verdict, verify_file};

const YEAR: i64 = 366 * crate::time::DAY_MS;

struct Places {
    folder: tempfile::TempDir,
}

impl Places {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }
    fn keys(&self) -> PathBuf {
        self.folder.path().join("state/evidence")
    }
    fn stick(&self) -> PathBuf {
        self.folder.path().join("stick/root.key")
    }
    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.keys().join(name)).unwrap()
    }
    fn trust(&self) -> Trust {
        Trust::read(&self.read(ROOT), Some(&self.read(RETIRED))).unwrap()
    }
}

fn exported(signer: &Signer, at_ms: i64) -> Vec<u8> {
    let payloads = payloads();
    let mut assertion = assertion();
    assertion.export.at = Moment(at_ms);
    let header = sign(signer, &assertion, &parts(&payloads)).bytes;
    [header, payloads.concat()].concat()
}

fn verdict(file: &[u8], trust: &Trust, now_ms: i64) -> Verdict {
    verify_file(&mut Cursor::new(file), trust, now_ms)
        .unwrap()
        .verdict
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_roots_key_is_on_the_stick_only_and_sealed() {
    let places = Places::new();
    let _signer = signer(places.folder.path());
    assert!(
        std::fs::read_to_string(places.stick())
            .unwrap()
            .contains("ENCRYPTED PRIVATE KEY")
    );
    assert_eq!(
        (mode(&places.stick()), mode(&places.keys().join(SIGNING))),
        (0o600, 0o600)
    );
    assert!(!places.read(ROOT).contains("PRIVATE"));
    // A second root is refused, and so is one inside the router's folders.
    let state = places.folder.path().join("state");
    let inside = state.join("root.key");
    let root = |key_file, passphrase| NewRoot {
        organization: "x",
        key_file,
        passphrase,
    };
    let again = init(&places.keys(), &state, &root(&inside, PASSPHRASE), NOW);
    assert!(matches!(again, Err(KeyError::Present(_))));
    let other = places.folder.path().join("other/evidence");
    let within = init(&other, &state, &root(&inside, PASSPHRASE), NOW);
    assert!(matches!(within, Err(KeyError::Inside { .. })));
    let link = places.folder.path().join("link");
    std::os::unix::fs::symlink(&state, &link).unwrap();
    let linked = link.join("root.key");
    let within = init(&other, &state, &root(&linked, PASSPHRASE), NOW);
    assert!(matches!(within, Err(KeyError::Inside { .. })));
    let outside = places.folder.path().join("k");
    let short = init(&other, &state, &root(&outside, "short"), NOW);
    assert!(matches!(short, Err(KeyError::ShortPassphrase(12))));
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let places = Places::new();
    let _signer = signer(places.folder.path());
    let file = places.keys().join(SIGNING);
    for mode in [0o640, 0o604, 0o660] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let opened = SigningKey::open(&places.keys());
        let text = opened.err().unwrap().to_string();
        assert!(text.contains("chmod 600"), "{text}");
    }
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::set_permissions(places.keys(), std::fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(
        SigningKey::open(&places.keys()),
        Err(KeyError::Wide { .. })
    ));
}

#[test]
fn a_key_signs_for_a_year_and_its_exports_hold_for_thirty() {
    let places = Places::new();
    let signer = signer(places.folder.path());
    let file = exported(&signer, NOW + 1_000);
    for years in [0, 5, 29, 45] {
        // The date that counts is when it was signed: certificates outlive their use.
        assert_eq!(
            verdict(&file, &places.trust(), NOW + years * YEAR),
            Verdict::Genuine
        );
    }
    let key = SigningKey::open(&places.keys()).unwrap();
    assert!(key.signs_at(NOW + 1_000).is_ok());
    assert!(matches!(key.signs_at(NOW + YEAR), Err(KeyError::Over(_))));
    assert!(matches!(key.signs_at(NOW - YEAR), Err(KeyError::NotYet(_))));
    // In the future, as the checking machine sees it.
    assert_eq!(
        verdict(&file, &places.trust(), NOW - 10 * crate::time::DAY_MS),
        Verdict::NotValidThen
    );
}

#[test]
fn what_a_retired_key_signed_holds_and_the_key_is_gone() {
    let places = Places::new();
    let old = signer(places.folder.path());
    let former = places.read(SIGNING);
    let file = exported(&old, NOW + 1_000);
    // Not at a whole second, as the list has it.
    let later = NOW + 300 * crate::time::DAY_MS + 400;
    let same_second = exported(&old, later - 100);
    let done = retire(
        &places.keys(),
        &places.stick(),
        PASSPHRASE,
        Because::Over,
        later,
    )
    .unwrap();
    let now = places.read(SIGNING);
    assert!(!now.contains(former.lines().nth(1).unwrap()));
    assert_eq!(
        std::fs::read_dir(places.keys().join(CERTIFICATES))
            .unwrap()
            .count(),
        2
    );
    assert_eq!(done.former.split(':').count(), 16);
    assert_eq!(verdict(&file, &places.trust(), later), Verdict::Genuine);
    assert_eq!(
        verdict(&same_second, &places.trust(), later),
        Verdict::Genuine
    );
    // Somebody kept a copy of the key, and signs with it on.
    let late = exported(&old, later + 1_000);
    assert_eq!(
        verdict(&late, &places.trust(), later),
        Verdict::NotValidThen
    );
    let next = Signer::new(SigningKey::open(&places.keys()).unwrap()).unwrap();
    let fresh = exported(&next, later + 1_000);
    assert_eq!(verdict(&fresh, &places.trust(), later), Verdict::Genuine);
    let wrong = retire(
        &places.keys(),
        &places.stick(),
        "not the passphrase",
        Because::Over,
        later,
    );
    assert!(matches!(wrong, Err(KeyError::Passphrase(_))));
}

#[test]
fn nothing_of_a_compromised_key_holds() {
    let places = Places::new();
    let old = signer(places.folder.path());
    let file = exported(&old, NOW + 1_000);
    let without = Trust::read(&places.read(ROOT), None).unwrap();
    retire(
        &places.keys(),
        &places.stick(),
        PASSPHRASE,
        Because::Compromised,
        NOW + 2_000,
    )
    .unwrap();
    assert_eq!(
        verdict(&file, &places.trust(), NOW + 3_000),
        Verdict::NotValidThen
    );
    assert_eq!(verdict(&file, &without, NOW + 3_000), Verdict::Genuine);
}

#[test]
fn another_roots_key_retires_nothing() {
    let (mine, theirs) = (Places::new(), Places::new());
    let _signers = (signer(mine.folder.path()), signer(theirs.folder.path()));
    let before = mine.read(SIGNING);
    let done = retire(
        &mine.keys(),
        &theirs.stick(),
        PASSPHRASE,
        Because::Over,
        NOW,
    );
    assert!(matches!(done, Err(KeyError::OtherRoot(_))));
    assert_eq!(mine.read(SIGNING), before);
}
