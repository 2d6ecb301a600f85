//! An export for tests: a few parts of no meaning under a header of no pictures.

#[path = "sample/assertion.rs"]
mod shared;

use taimat_audit::{Digest, after, beginning};

use crate::assertion::{Assertion, Part, Run};
use crate::boxes::boxed;
use crate::keys::{NewRoot, SigningKey, init};
use crate::sign::{Export, SignedHeader, Signer};

/// 2024-11-25T00:00:00Z.
pub(crate) const NOW: i64 = 1_732_492_800_000;
pub(crate) const PASSPHRASE: &str = "một cụm từ dài";

pub(crate) fn assertion() -> Assertion {
    shared::assertion(NOW)
}

/// Parts for these payloads, a second each.
pub(crate) fn parts(payloads: &[Vec<u8>]) -> Vec<Part> {
    let one = |(i, payload): (usize, &Vec<u8>)| Part {
        bytes: payload.len() as u64,
        leaf: Digest::of(&[payload]),
        start_utc_ms: NOW + 1_000 * i64::try_from(i).unwrap(),
        duration_ms: 1_000,
    };
    payloads.iter().enumerate().map(one).collect()
}

pub(crate) fn run(parts: &[Part]) -> Run {
    let before = beginning("hoa-lac", "nguyen-du-1");
    Run {
        parts: parts.len() as u64,
        before,
        after: parts.iter().fold(before, |c, p| after(&c, &p.link())),
    }
}

pub(crate) fn payloads() -> Vec<Vec<u8>> {
    let one = |i: u8| {
        (0..200 + usize::from(i))
            .map(|j| i ^ j.to_le_bytes()[0])
            .collect()
    };
    (1..5).map(one).collect()
}

pub(crate) fn signer(folder: &std::path::Path) -> Signer {
    let (keys, stick) = (folder.join("state/evidence"), folder.join("stick"));
    std::fs::create_dir_all(&stick).unwrap();
    let root = NewRoot {
        organization: "UBND phường Hòa Lạc",
        key_file: &stick.join("root.key"),
        passphrase: PASSPHRASE,
    };
    init(&keys, &folder.join("state"), &root, NOW).unwrap();
    Signer::new(SigningKey::open(&keys).unwrap()).unwrap()
}

pub(crate) fn sign(signer: &Signer, assertion: &Assertion, parts: &[Part]) -> SignedHeader {
    let media: u64 = parts.iter().map(|p| p.bytes).sum();
    let rest = move |uuid: u64, meta: &[u8]| {
        let moov = boxed(*b"moov", &boxed(*b"free", &uuid.to_be_bytes()));
        let mdat = [
            &1u32.to_be_bytes()[..],
            b"mdat",
            &(media + 16).to_be_bytes(),
        ]
        .concat();
        Ok([moov, meta.to_vec(), mdat].concat())
    };
    let mut assertion = assertion.clone();
    assertion.chain = vec![run(parts)];
    let ftyp = boxed(*b"ftyp", b"isom\0\0\x02\0isomiso2avc1mp41");
    let export = Export {
        assertion: &assertion,
        parts,
        ftyp: &ftyp,
        tracks: &[1],
        rest: &rest,
    };
    signer.sign(&export).unwrap()
}
