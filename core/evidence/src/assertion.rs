//! What an export says of itself, signed with it: which camera, when, by which clock, what is missing,
//! who took it out and for which case.

use serde::{Deserialize, Serialize};
use taimat_audit::Digest;
use taimat_base::redact::SourceUrl;

use crate::moment::Moment;

/// Under which name it stands in the manifest.
pub(crate) const LABEL: &str = "vn.taimat.evidence";
/// Its version: what is added keeps it, what changes its meaning raises it.
pub(crate) const VERSION: u32 = 1;

/// The whole of it, but for the parts, which are taken from the recording's index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assertion {
    /// Whose camera.
    pub commune: Commune,
    /// Which camera.
    pub camera: Camera,
    /// From when until when.
    pub interval: Interval,
    /// By which clock.
    pub clock: Clock,
    /// What is missing in the interval, and why.
    pub gaps: Vec<Gap>,
    /// Where the parts stand in the camera's chain: mostly one run; one more behind each place where
    /// parts were removed before the export.
    pub chain: Vec<Run>,
    /// Where the export stands in the log of what people did.
    pub audit: AuditPlace,
    /// Who took it out, and why.
    pub export: ExportFacts,
    /// How it is coded.
    pub codec: CodecFacts,
    /// Whether pictures were coded again: never.
    pub transcoded: bool,
    /// Whether the camera's own signatures are in the stream.
    pub camera_signed_sei: bool,
}

/// A commune.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commune {
    /// As in addresses.
    pub id: String,
    /// As people say it.
    pub name: String,
}

/// A camera, as far as it is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Camera {
    /// As in addresses.
    pub id: String,
    /// As people say it.
    pub name: String,
    /// Where it is reached, without what it is signed in with.
    pub uri: ShownAddress,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub make: Option<String>,
    /// Which one of theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Which one of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Its address on the wire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// A camera's address as it may be shown to everybody; empty if it has none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShownAddress(String);

impl ShownAddress {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&SourceUrl> for ShownAddress {
    fn from(url: &SourceUrl) -> Self {
        Self(url.to_string())
    }
}

/// Where something is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// In words.
    pub name: String,
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
}

/// Asked and given: what is asked and not given is among the gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    /// What was asked for.
    pub requested: [Moment; 2],
    /// What the parts cover: they are given whole, so a little more.
    pub covered: [Moment; 2],
}

/// Where times come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Clock {
    /// What says when a picture was taken.
    pub source: ClockSource,
    /// How far the camera's clock was ahead of the router's, at the start and at the end.
    pub camera_minus_server_ms: Option<[i64; 2]>,
    /// By how much the camera's clock runs fast, in millionths.
    pub drift_ppm: Option<f64>,
    /// By what the router's clock was held: `ntp`, `none`.
    pub server_sync: String,
    /// How wrong the router's clock was at most.
    pub server_error_ms: Option<u64>,
}

/// What says when a picture was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClockSource {
    /// The camera's sender reports.
    RtcpSr,
    /// When it came to the router.
    Arrival,
}

/// Something missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// From when.
    pub from: Moment,
    /// Until when.
    pub to: Moment,
    /// Why, as the timeline says it: `camera-unreachable`.
    pub reason: String,
}

/// Parts that follow each other in the camera's chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// How many.
    pub parts: u64,
    /// The chain before the first.
    pub before: Digest,
    /// The chain after the last: whoever has the parts computes it.
    pub after: Digest,
}

/// A place in the log of what people did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditPlace {
    /// The entry's number.
    pub entry: u64,
    /// The log's head with this entry.
    pub head: Digest,
}

/// Who took it out, and why. What is named here as obligatory can not be empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportFacts {
    /// The export's name.
    pub id: String,
    /// Who; obligatory.
    pub by: String,
    /// As what.
    pub role: String,
    /// Why; obligatory.
    pub reason: String,
    /// For which case; obligatory.
    pub case: String,
    /// When it was signed.
    pub at: Moment,
    /// By which version of the router.
    pub software: String,
    /// On which machine.
    pub host: String,
}

/// How it is coded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodecFacts {
    /// Pictures: `h264`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video: Option<String>,
    /// Sound: `aac`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio: Option<String>,
}

/// A recorded part, from the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// How many bytes of media.
    pub bytes: u64,
    /// Their SHA-256, made when they were recorded.
    pub leaf: Digest,
    /// When it begins, in milliseconds since 1970.
    pub start_utc_ms: i64,
    /// How long it lasts.
    pub duration_ms: u64,
}

impl Part {
    /// As it stands in the camera's chain.
    #[must_use]
    pub fn link(&self) -> taimat_audit::Link {
        taimat_audit::Link {
            leaf: self.leaf,
            start_utc_ms: self.start_utc_ms,
            duration_ms: self.duration_ms,
        }
    }
}

/// The parts as they are written: three lists, which take less room than a list of parts. With them a
/// tool that says "chunk 14" names a time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct PartLists {
    pub(crate) bytes: Vec<u64>,
    pub(crate) start_utc_ms: Vec<i64>,
    pub(crate) duration_ms: Vec<u64>,
}

impl PartLists {
    pub(crate) fn of(parts: &[Part]) -> Self {
        Self {
            bytes: parts.iter().map(|p| p.bytes).collect(),
            start_utc_ms: parts.iter().map(|p| p.start_utc_ms).collect(),
            duration_ms: parts.iter().map(|p| p.duration_ms).collect(),
        }
    }
}

/// As it is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Written {
    pub(crate) version: u32,
    #[serde(flatten)]
    pub(crate) assertion: Assertion,
    pub(crate) parts: PartLists,
}

/// Whether parts and runs agree; the first run that does not.
pub(crate) fn broken_run(parts: &[Part], runs: &[Run]) -> Option<usize> {
    let mut rest = parts;
    for (number, run) in runs.iter().enumerate() {
        let count = usize::try_from(run.parts).unwrap_or(usize::MAX);
        let Some((mine, behind)) = rest.split_at_checked(count) else {
            return Some(number);
        };
        let after = mine.iter().fold(run.before, |so_far, part| {
            taimat_audit::after(&so_far, &part.link())
        });
        if after != run.after {
            return Some(number);
        }
        rest = behind;
    }
    (!rest.is_empty()).then_some(runs.len())
}
