//! What an export says of itself, for the tests of this room: those within it, and those beside it.

use taimat_audit::Digest;
use taimat_base::redact::SourceUrl;
use taimat_evidence::{
    Assertion, AuditPlace, Camera, Clock, ClockSource, CodecFacts, Commune, ExportFacts, Interval,
    Moment, Place,
};

/// Of a few seconds from a time on, in milliseconds since 1970.
pub(crate) fn assertion(now: i64) -> Assertion {
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
            requested: [Moment(now + 300), Moment(now + 4_000)],
            covered: [Moment(now), Moment(now + 4_000)],
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
            at: Moment(now + 60_000),
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
