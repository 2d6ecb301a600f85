//! An export for tests: a few parts of no meaning under a header of no pictures.

use taimat_audit::{Digest, after, beginning};
use taimat_base::redact::SourceUrl;

use crate::assertion::{
    Assertion, AuditPlace, Camera, Clock, ClockSource, CodecFacts, Commune, ExportFacts, Interval,
    Part, Place, Run,
};
use crate::boxes::boxed;
use crate::keys::{NewRoot, SigningKey, init};
use crate::moment::Moment;
use crate::sign::{Export, SignedHeader, Signer};

/// 2024-11-25T00:00:00Z.
pub(crate) const NOW: i64 = 1_732_492_800_000;
pub(crate) const PASSPHRASE: &str = "một cụm từ dài";

pub(crate) fn assertion() -> Assertion {
    let url = "rtsp://admin:hunter2@192.0.2.7/Streaming?pwd=hunter2";
    Assertion {
        commune: Commune {
            id: "hoa-lac".into(),
            name: "Phường Hòa Lạc".into(),
        },
        camera: Camera {
            id: "nguyen-du-1".into(),
            name: "Nguyễn Du – ngã ba chợ".into(),
            uri: (&SourceUrl::new(url.parse().unwrap())).into(),
            make: Some("Imou".into()),
            model: None,
            serial: None,
            mac: Some("00:11:22:33:44:55".into()),
            place: Some(Place {
                name: "Nguyễn Du".into(),
                latitude: 21.525,
                longitude: 107.967,
            }),
        },
        interval: Interval {
            requested: [Moment(NOW + 300), Moment(NOW + 4_000)],
            covered: [Moment(NOW), Moment(NOW + 4_000)],
        },
        clock: Clock {
            source: ClockSource::RtcpSr,
            camera_minus_server_ms: Some([-412, -410]),
            drift_ppm: Some(3.1),
            server_sync: "ntp".into(),
            server_error_ms: Some(8),
        },
        gaps: Vec::new(),
        chain: Vec::new(),
        audit: AuditPlace {
            entry: 7,
            head: Digest::of(&[b"audit"]),
        },
        export: ExportFacts {
            id: "01JDEXPORT0000000000000001".into(),
            by: "nguyen.van.a".into(),
            role: "investigator".into(),
            reason: "Xô xát trước chợ".into(),
            case: "112/2026".into(),
            at: Moment(NOW + 60_000),
            software: "0.1.0".into(),
            host: "nas-hl-1".into(),
        },
        codec: CodecFacts {
            video: Some("h264".into()),
            audio: None,
        },
        transcoded: false,
        camera_signed_sei: false,
    }
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
