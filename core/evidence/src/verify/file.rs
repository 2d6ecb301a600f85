//! One file: its manifest, its header, each of its parts.

use std::io::{self, Read, Seek, SeekFrom};

use der::Decode as _;
use sha2::{Digest as _, Sha256};
use taimat_audit::Digest;
use x509_cert::Certificate;

use crate::assertion::{Part, PartLists, Written, broken_run};
use crate::boxes::{HeaderHash, MDAT_HEADER, ORDER};
use crate::moment::Moment;

use super::layout::{Layout, Placed};
use super::manifest::{BadManifest, Manifest};
use super::report::{FileReport, Finding, SignedBy, Verdict};
use super::trust::{Trust, Wrong, key};

/// A manifest of [`crate::MAX_PARTS`] parts has less.
const MAX_MANIFEST_BYTES: u64 = 16 * 1024 * 1024;
/// As much as is read at once.
const PIECE: usize = 256 * 1024;

/// Checks a file. Nothing is asked of the network, nor of the router; memory is that of the manifest.
pub fn verify_file<F: Read + Seek>(
    file: &mut F,
    trust: &Trust,
    now_ms: i64,
) -> io::Result<FileReport> {
    let layout = Layout::read(file)?;
    let Some(place) = layout.manifest.and_then(|at| layout.boxes.get(at)) else {
        return Ok(FileReport::unsigned());
    };
    let Some(body) = read_manifest(file, place, layout.length)? else {
        return Ok(changed(BadManifest::Box));
    };
    let manifest = match Manifest::read(&body) {
        Ok(manifest) => manifest,
        Err(why) => return Ok(changed(why)),
    };
    let signer = manifest.signature.certificates.first();
    let signer = signer.and_then(|der| Certificate::from_der(der).ok());
    let Some((signer, public)) = signer.and_then(|signer| Some((key(&signer)?, signer))) else {
        return Ok(changed(BadManifest::Signature));
    };
    if !manifest.signature.is_of(&signer, manifest.claim) {
        return Ok(changed(BadManifest::NotSigned));
    }
    let mut findings = contradictions(&manifest);
    findings.extend(header(file, &layout, &manifest)?);
    findings.extend(parts(file, &layout, &manifest)?);
    let at = manifest.written.assertion.export.at;
    let wrong = trust.judge(&public, at.0, now_ms).err();
    let verdict = match (&wrong, findings.is_empty()) {
        (_, false) => Verdict::Changed,
        (Some(Wrong::Signer), _) => Verdict::NotTrusted,
        (Some(Wrong::Date(_)), _) => Verdict::NotValidThen,
        (None, true) => Verdict::Genuine,
    };
    let objection = wrong.map(|wrong| match wrong {
        Wrong::Signer => "the signer is not one of this root's".to_owned(),
        Wrong::Date(why) => format!("signed at {at}, as the file says: {why}"),
    });
    Ok(FileReport {
        verdict,
        findings,
        objection,
        signed_by: Some(SignedBy {
            name: public.tbs_certificate.subject.to_string(),
            serial: public.tbs_certificate.serial_number.to_string(),
            at,
        }),
        parts: manifest.binding.parts.len(),
        assertion: Some(manifest.written.assertion),
    })
}

fn changed(why: BadManifest) -> FileReport {
    let why = why.to_string();
    FileReport {
        verdict: Verdict::Changed,
        findings: vec![Finding::Manifest { why }],
        ..FileReport::unsigned()
    }
}

/// The manifest's box without its length and kind; none if it is not whole.
fn read_manifest<F: Read + Seek>(
    file: &mut F,
    place: &Placed,
    length: u64,
) -> io::Result<Option<Vec<u8>>> {
    let body = place.head.length - place.head.head;
    if place.head.head != 8 || place.end() > length || body > MAX_MANIFEST_BYTES {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(place.at + place.head.head))?;
    file.by_ref().take(body).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// What is signed and can not be true.
fn contradictions(manifest: &Manifest<'_>) -> Vec<Finding> {
    let finding = |why: String| Finding::Contradiction { why };
    let Some(parts) = joined(manifest) else {
        return vec![finding(
            "the lists of parts are not equally long".to_owned(),
        )];
    };
    let runs = &manifest.written.assertion.chain;
    let broken = broken_run(&parts, runs);
    let of = |run| {
        finding(format!(
            "run {run} of the parts does not fit the camera's chain"
        ))
    };
    broken.map(of).into_iter().collect()
}

/// The parts by both lists, which have to agree.
fn joined(manifest: &Manifest<'_>) -> Option<Vec<Part>> {
    let Written { parts: lists, .. } = &manifest.written;
    let PartLists {
        bytes,
        start_utc_ms,
        duration_ms,
    } = lists;
    let bound = &manifest.binding.parts;
    let even = [bytes.len(), start_utc_ms.len(), duration_ms.len()];
    if even != [bound.len(); 3] {
        return None;
    }
    let times = start_utc_ms.iter().zip(duration_ms);
    let all = bound.iter().zip(bytes).zip(times);
    all.map(|(((size, leaf), said), (start, duration))| {
        let part = Part {
            bytes: *size,
            leaf: Digest((*leaf).try_into().ok()?),
            start_utc_ms: *start,
            duration_ms: *duration,
        };
        (size == said).then_some(part)
    })
    .collect()
}

/// The boxes around the media.
fn header<F: Read + Seek>(
    file: &mut F,
    layout: &Layout,
    manifest: &Manifest<'_>,
) -> io::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut wrong = |why: &str| {
        let why = why.to_owned();
        findings.push(Finding::Header { why });
    };
    if !layout.in_order() {
        wrong("the boxes are not `ftyp`, `uuid`, `moov`, `meta` and `mdat`, in this order");
        return Ok(findings);
    }
    let mut hash = HeaderHash::default();
    let mut piece = vec![0; PIECE];
    for (place, kind) in layout.boxes.iter().zip(ORDER) {
        if kind == *b"uuid" {
            continue;
        }
        let media = if kind == *b"mdat" {
            manifest.binding.media
        } else {
            0
        };
        let length = place.head.length.saturating_sub(media);
        if kind == *b"mdat" && (place.head.head != MDAT_HEADER || length != MDAT_HEADER) {
            wrong("`mdat` is not as long as the parts are");
            return Ok(findings);
        }
        hash.begins_at(place.at);
        file.seek(SeekFrom::Start(place.at))?;
        pieces(file, &mut piece, length, |piece| hash.bytes(piece))?;
    }
    if hash.end() != *manifest.binding.header {
        wrong("its hash is another: `ftyp`, `moov`, `meta` or the beginning of `mdat` was changed");
    }
    Ok(findings)
}

/// The media, part for part.
fn parts<F: Read + Seek>(
    file: &mut F,
    layout: &Layout,
    manifest: &Manifest<'_>,
) -> io::Result<Vec<Finding>> {
    let binding = &manifest.binding;
    let order = layout.in_order();
    let mdat = layout.boxes.get(ORDER.len() - 1).filter(|_| order);
    // Where the boxes can not be followed, the media are looked for where they were from the end.
    let from_end = layout.length.saturating_sub(binding.media);
    let start = mdat.map_or(from_end, |mdat| mdat.at + MDAT_HEADER);
    let lists = &manifest.written.parts;
    let mut findings = Vec::new();
    let mut at = start;
    let mut piece = vec![0; PIECE];
    file.seek(SeekFrom::Start(start))?;
    for (part, (bytes, leaf)) in binding.parts.iter().enumerate() {
        let mut hasher = Sha256::new();
        let read = pieces(file, &mut piece, *bytes, |piece| hasher.update(piece))?;
        let end = at.saturating_add(*bytes);
        if read < *bytes || hasher.finalize().as_slice() != *leaf {
            let from = lists.start_utc_ms.get(part).copied().unwrap_or(0);
            let long = lists.duration_ms.get(part).copied().unwrap_or(0);
            findings.push(Finding::Part {
                part,
                from_byte: at,
                to_byte: end,
                from: Moment(from),
                to: Moment(from.saturating_add_unsigned(long)),
                missing: read == 0,
            });
        }
        at = end;
    }
    if layout.length > at {
        findings.push(Finding::Extra {
            from_byte: at,
            bytes: layout.length - at,
        });
    }
    Ok(findings)
}

/// Gives so many bytes, a piece at a time; how many there were.
fn pieces<F: Read>(
    file: &mut F,
    piece: &mut [u8],
    count: u64,
    mut each: impl FnMut(&[u8]),
) -> io::Result<u64> {
    let mut left = count;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
        let space = piece.get_mut(..most).unwrap_or(&mut []);
        let read = match file.read(space) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        each(space.get(..read).unwrap_or(&[]));
        left -= read as u64;
    }
    Ok(count - left)
}
