//! What is refused before it is signed.

use super::*;
use crate::assertion::Run;
use crate::boxes::boxed;
use crate::sample::{NOW, assertion, parts, payloads, run, signer};

/// What is said of an export with these parts and this assertion, and this rest of the header.
fn refused(signer: &Signer, assertion: &Assertion, parts: &[Part], rest: &Rest<'_>) -> SignError {
    let export = Export {
        assertion,
        parts,
        ftyp: &boxed(*b"ftyp", b"isom\0\0\x02\0isom"),
        tracks: &[1],
        rest,
    };
    signer.sign(&export).unwrap_err()
}

fn nothing(_: u64, _: &[u8]) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    Ok(Vec::new())
}

#[test]
fn many_threads_sign_with_one_signer() {
    fn shared<T: Send + Sync>() {}
    shared::<Signer>();
}

#[test]
fn an_export_without_person_reason_or_case_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let signer = signer(folder.path());
    let good = parts(&payloads());
    for field in 0..3 {
        let mut said = assertion();
        let export = &mut said.export;
        *[&mut export.by, &mut export.reason, &mut export.case][field] = "  ".into();
        let error = refused(&signer, &said, &good, &nothing);
        assert!(matches!(error, SignError::Without(_)), "{error}");
    }
    let mut late = assertion();
    late.export.at.0 = NOW + 400 * crate::time::DAY_MS;
    assert!(matches!(
        refused(&signer, &late, &good, &nothing),
        SignError::Key(_)
    ));
}

#[test]
fn parts_that_do_not_fit_the_chain_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let signer = signer(folder.path());
    let good = parts(&payloads());
    let mut said = assertion();
    said.chain = vec![run(&good)];
    let mut less = good.clone();
    less.remove(1);
    assert!(matches!(
        refused(&signer, &said, &less, &nothing),
        SignError::Chain(0)
    ));
    assert!(matches!(
        refused(&signer, &said, &[], &nothing),
        SignError::Parts(0)
    ));
    // Behind a place where parts were removed another run begins.
    let (first, second) = (&good[..1], &good[2..]);
    let behind = Run {
        before: taimat_audit::after(&run(&good[..2]).after, &good[2].link()),
        ..run(second)
    };
    said.chain = vec![run(first), behind];
    let kept = [first, second].concat();
    assert!(matches!(
        refused(&signer, &said, &kept, &nothing),
        SignError::Chain(1)
    ));
}

/// Lays the rest of a header out, given its `meta`.
type Layout<'a> = dyn Fn(&[u8]) -> Vec<u8> + 'a;

#[test]
fn a_header_that_is_laid_out_otherwise_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let signer = signer(folder.path());
    let good = parts(&payloads());
    let mut said = assertion();
    said.chain = vec![run(&good)];
    let media: u64 = good.iter().map(|p| p.bytes).sum();
    let mdat = |length: u64| [&1u32.to_be_bytes()[..], b"mdat", &length.to_be_bytes()].concat();
    let right = mdat(media + 16);
    let moov = boxed(*b"moov", b"");
    let free = boxed(*b"free", b"");
    let make = |parts: &[&[u8]]| parts.concat();
    let layouts: [&Layout<'_>; 6] = [
        &|_| Vec::new(),
        &|meta| make(&[&moov, meta]),
        &|meta| make(&[&moov, &free, meta, &right]),
        &|meta| make(&[&moov, meta, &mdat(media + 17)]),
        &|meta| make(&[&moov, meta, &right, b"x"]),
        &|meta| make(&[&moov, &boxed(*b"meta", b"another"), meta, &right]),
    ];
    for layout in layouts {
        let error = refused(&signer, &said, &good, &|_, meta| Ok(layout(meta)));
        assert!(matches!(error, SignError::Layout(_)), "{error}");
    }
}
