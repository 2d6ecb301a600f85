//! `timeline.json`: which file shows what, for programs.

use serde::Serialize;
use taimat_audit::Digest;

use crate::assertion::{Assertion, Clock, Gap, Interval};
use crate::moment::Moment;

/// A clip that was written.
#[derive(Debug)]
pub(super) struct Done<'a> {
    pub(super) path: String,
    pub(super) bytes: u64,
    pub(super) hash: Digest,
    pub(super) assertion: &'a Assertion,
}

#[derive(Serialize)]
struct Timeline<'a> {
    version: u32,
    export: &'a str,
    made: Moment,
    clips: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    file: &'a str,
    bytes: u64,
    sha256: Digest,
    camera: &'a str,
    name: &'a str,
    interval: Interval,
    clock: &'a Clock,
    gaps: &'a [Gap],
}

pub(super) fn json(
    export: &str,
    made: Moment,
    clips: &[Done<'_>],
) -> Result<String, serde_json::Error> {
    let timeline = Timeline {
        version: 1,
        export,
        made,
        clips: clips.iter().map(entry).collect(),
    };
    Ok(serde_json::to_string_pretty(&timeline)? + "\n")
}

fn entry<'a>(clip: &'a Done<'_>) -> Entry<'a> {
    let about = clip.assertion;
    Entry {
        file: &clip.path,
        bytes: clip.bytes,
        sha256: clip.hash,
        camera: &about.camera.id,
        name: &about.camera.name,
        interval: about.interval,
        clock: &about.clock,
        gaps: &about.gaps,
    }
}
