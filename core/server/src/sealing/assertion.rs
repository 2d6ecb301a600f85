//! What an export says of itself, from the index and the communes' files.

use std::path::Path;

use taimat_archive::{GapReason, MovieFile, MoviePiece};
use taimat_audit::Digest;
use taimat_contract::UnixMicros;
use taimat_evidence::{
    Assertion, AuditPlace, Camera, Clock, ClockSource, CodecFacts, Commune, ExportFacts, Gap,
    Interval, Moment, Part, Run, ShownAddress,
};

use crate::exports::{Taken, TakenClip};

/// What systemd writes as long as the clock is held by others'.
const SYNCHRONIZED: &str = "/run/systemd/timesync/synchronized";
/// With this a camera's own signature begins in its stream (ONVIF Media Signing).
const SIGNED_SEI: [u8; 16] = [
    0x00, 0x5b, 0xc9, 0x3f, 0x2d, 0x71, 0x5e, 0x95, 0xad, 0xa4, 0x79, 0x6f, 0x90, 0x87, 0x6f, 0x6a,
];
/// So much of a recording is looked through for it.
const LOOKED_THROUGH: u64 = 8 << 20;

/// A part of a movie, as it is signed.
pub(super) fn part(piece: &MoviePiece) -> Part {
    let link = piece.link();
    Part {
        bytes: piece.bytes,
        leaf: link.leaf,
        start_utc_ms: link.start_utc_ms,
        duration_ms: link.duration_ms,
    }
}

fn moment(micros: i64) -> Moment {
    Moment(micros.div_euclid(1000))
}

/// What a clip says of itself.
pub(super) fn assertion(export: &Taken, clip: &TakenClip, parts: &[Part]) -> Assertion {
    let (order, movie) = (&export.order, &clip.movie);
    let covered = movie.covered();
    let whole = |at: UnixMicros| moment(at.0);
    let first = movie
        .pieces
        .first()
        .map_or(covered.start, |piece| piece.start);
    let last = movie.pieces.last().map_or(covered.end, |piece| piece.end);
    let video = movie.codecs.first().cloned();
    Assertion {
        commune: Commune {
            id: order.commune.to_string(),
            name: clip.facts.commune.clone(),
        },
        camera: Camera {
            id: clip.camera.camera.to_string(),
            name: clip.facts.title.clone(),
            uri: clip
                .facts
                .url
                .as_ref()
                .map(ShownAddress::from)
                .unwrap_or_default(),
            make: None,
            model: None,
            serial: None,
            mac: None,
            place: None,
        },
        interval: Interval {
            requested: [whole(order.from), whole(order.to)],
            covered: [moment(first), moment(last)],
        },
        clock: clock_facts(movie),
        gaps: movie
            .gaps
            .iter()
            .map(|gap| Gap {
                from: whole(gap.start),
                to: whole(gap.end),
                reason: GapReason::as_str(gap.reason).into(),
            })
            .collect(),
        chain: runs(movie, parts),
        audit: AuditPlace {
            entry: export.receipt.n,
            head: export.receipt.head,
        },
        export: facts(export),
        codec: CodecFacts {
            video,
            audio: movie.codecs.get(1).cloned(),
        },
        transcoded: false,
        camera_signed_sei: is_signed_by_camera(movie).unwrap_or(false),
    }
}

/// Who took it out, and why.
pub(super) fn facts(export: &Taken) -> ExportFacts {
    let order = &export.order;
    ExportFacts {
        id: export.id.clone(),
        by: order.who.clone(),
        role: String::new(),
        reason: order.why.clone(),
        case: order.case_number.clone(),
        at: moment(export.now.0),
        software: env!("CARGO_PKG_VERSION").into(),
        host: host(),
    }
}

/// Where the parts stand in the camera's chain.
fn runs(movie: &MovieFile, parts: &[Part]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (piece, part) in movie.pieces.iter().zip(parts) {
        let before = Digest(piece.chain);
        let after = taimat_audit::after(&before, &part.link());
        match runs.last_mut() {
            Some(run) if run.after == before => {
                run.parts += 1;
                run.after = after;
            }
            _ => runs.push(Run {
                parts: 1,
                before,
                after,
            }),
        }
    }
    runs
}

fn clock_facts(movie: &MovieFile) -> Clock {
    let ahead = |piece: &MoviePiece| {
        let camera = piece.camera?;
        Some((piece.start, (camera - piece.start).div_euclid(1000)))
    };
    let first = movie.pieces.iter().find_map(ahead);
    let last = movie.pieces.iter().rev().find_map(ahead);
    let ends = first.zip(last);
    let drift = ends.and_then(|((from, early), (to, late))| {
        let span = (to - from) as f64 / 1000.0;
        // Over less than a minute it says nothing.
        (span >= 60_000.0).then(|| (late - early) as f64 / span * 1e6)
    });
    let synchronized = Path::new(SYNCHRONIZED).exists();
    Clock {
        source: if ends.is_some() {
            ClockSource::RtcpSr
        } else {
            ClockSource::Arrival
        },
        camera_minus_server_ms: ends.map(|((_, early), (_, late))| [early, late]),
        drift_ppm: drift,
        server_sync: if synchronized { "ntp" } else { "unknown" }.into(),
        server_error_ms: None,
    }
}

fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname");
    name.unwrap_or_default().trim().to_owned()
}

/// Whether the camera's own signatures are in its stream: they are in each group of pictures.
fn is_signed_by_camera(movie: &MovieFile) -> Option<bool> {
    use std::os::unix::fs::FileExt as _;
    let mut left = LOOKED_THROUGH;
    for piece in movie.pieces.iter().take(4) {
        let bytes = piece.bytes.min(left);
        left -= bytes;
        let mut media = vec![0; usize::try_from(bytes).ok()?];
        let file = std::fs::File::open(&piece.path).ok()?;
        file.read_exact_at(&mut media, piece.offset).ok()?;
        if media
            .windows(SIGNED_SEI.len())
            .any(|bytes| bytes == SIGNED_SEI)
        {
            return Some(true);
        }
    }
    Some(false)
}
