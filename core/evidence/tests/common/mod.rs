//! Clips that ffmpeg coded, laid out as exports are, and the programs they are tried with.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a set-up that fails fails its test"
)]

#[path = "../../src/sample/assertion.rs"]
mod shared;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use taimat_audit::{Digest, after, beginning};
use taimat_evidence::{
    Assertion, Export, NewRoot, Part, Run, SignedHeader, Signer, SigningKey, init,
};

/// 2025-11-25T00:00:00Z.
pub(crate) const NOW: i64 = 1_764_028_800_000;
pub(crate) const PASSPHRASE: &str = "một cụm từ dài";

/// Runs a program to its end. One that is not there fails the test and says how to get it.
pub(crate) fn run(program: &Path, package: &str, args: &[&str]) -> Output {
    let output = Command::new(program).args(args).output();
    output.unwrap_or_else(|e| panic!("starting {} ({package}): {e}", program.display()))
}

/// Runs a program that has to succeed; what it says.
pub(crate) fn good(program: &str, package: &str, args: &[&str]) -> String {
    let output = run(Path::new(program), package, args);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {said}{wrong}");
    said
}

pub(crate) fn openssl(args: &[&str]) -> String {
    good("openssl", "Debian package openssl", args)
}

/// Python with the packages that are pinned.
pub(crate) fn interpreter() -> PathBuf {
    let target = option_env!("CARGO_TARGET_DIR").map(PathBuf::from);
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = target.unwrap_or_else(|| here.join("../../target"));
    target.join("python/bin/python")
}

pub(crate) fn python(args: &[&str]) -> String {
    let python = interpreter();
    good(text(&python), "`cargo xtask python` installs it", args)
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A progressive MP4, taken apart.
pub(crate) struct Movie {
    pub(crate) ftyp: Vec<u8>,
    moov: Vec<u8>,
    pub(crate) media: Vec<u8>,
    media_at: u64,
}

/// A few seconds of a drawn scene.
pub(crate) fn movie(folder: &Path, size: &str, seconds: &str, rate: &str) -> Movie {
    let file = folder.join("source.mp4");
    let source = format!("testsrc2=size={size}:rate={rate}:duration={seconds}");
    let package = "Debian package ffmpeg";
    let input = ["-v", "error", "-y", "-f", "lavfi", "-i", &source];
    let coded = [
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-pix_fmt",
        "yuv420p",
        "-g",
        rate,
    ];
    let plain = [
        "-fflags",
        "+bitexact",
        "-movflags",
        "+faststart",
        text(&file),
    ];
    good(
        "ffmpeg",
        package,
        &[&input[..], &coded[..], &plain[..]].concat(),
    );
    let bytes = std::fs::read(&file).unwrap();
    let mut movie = Movie {
        ftyp: vec![],
        moov: vec![],
        media: vec![],
        media_at: 0,
    };
    let mut at = 0;
    while at < bytes.len() {
        let length = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let body = &bytes[at..at + length];
        match &body[4..8] {
            b"ftyp" => movie.ftyp = body.to_vec(),
            b"moov" => movie.moov = body.to_vec(),
            b"mdat" => (movie.media, movie.media_at) = (body[8..].to_vec(), at as u64 + 8),
            _ => {}
        }
        at += length;
    }
    movie
}

impl Movie {
    /// `moov`, `meta` and the beginning of `mdat`, with samples where they come to lie.
    fn rest(&self, manifest: u64, meta: &[u8]) -> Vec<u8> {
        let mut moov = self.moov.clone();
        let before = self.ftyp.len() + moov.len() + meta.len() + 16;
        let shift = before as u64 + manifest - self.media_at;
        let table = moov.windows(4).position(|w| w == b"stco").unwrap() + 8;
        let count = u32::from_be_bytes(moov[table..table + 4].try_into().unwrap()) as usize;
        for entry in moov[table + 4..].chunks_exact_mut(4).take(count) {
            let old = u32::from_be_bytes((&*entry).try_into().unwrap());
            let new = u32::try_from(u64::from(old) + shift).unwrap();
            entry.copy_from_slice(&new.to_be_bytes());
        }
        let length = (self.media.len() as u64 + 16).to_be_bytes();
        [&moov, meta, &1u32.to_be_bytes(), b"mdat", &length].concat()
    }

    /// The media in so many parts of about the same size.
    pub(crate) fn parts(&self, count: usize) -> Vec<Part> {
        let size = self.media.len().div_ceil(count);
        let one = |(i, bytes): (usize, &[u8])| Part {
            bytes: bytes.len() as u64,
            leaf: Digest::of(&[bytes]),
            start_utc_ms: NOW + 1_000 * i64::try_from(i).unwrap(),
            duration_ms: 1_000,
        };
        self.media.chunks(size).enumerate().map(one).collect()
    }

    pub(crate) fn sign(
        &self,
        signer: &Signer,
        assertion: &Assertion,
        parts: &[Part],
    ) -> SignedHeader {
        let mut assertion = assertion.clone();
        let before = beginning("hoa-lac", "nguyen-du-1");
        assertion.chain = vec![Run {
            parts: parts.len() as u64,
            before,
            after: parts.iter().fold(before, |c, p| after(&c, &p.link())),
        }];
        let rest = |manifest: u64, meta: &[u8]| Ok(self.rest(manifest, meta));
        let export = Export {
            assertion: &assertion,
            parts,
            ftyp: &self.ftyp,
            tracks: &[1],
            rest: &rest,
        };
        signer.sign(&export).unwrap()
    }
}

pub(crate) fn signer(folder: &Path) -> Signer {
    let state = folder.join("state");
    let keys = state.join("evidence");
    let root = NewRoot {
        organization: "UBND phường Hòa Lạc, Quảng Ninh",
        key_file: &folder.join("root.key"),
        passphrase: PASSPHRASE,
    };
    init(&keys, &state, &root, NOW).unwrap();
    Signer::new(SigningKey::open(&keys).unwrap()).unwrap()
}

pub(crate) fn assertion() -> Assertion {
    shared::assertion(NOW)
}
