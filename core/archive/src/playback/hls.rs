//! A clip as a playlist (RFC 8216bis): byte ranges of the files as they were recorded.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::clip::{Clip, ClipPart};
use crate::timeline::JITTER;

/// What a player fetches at once begins with a key frame, and is about this long, in microseconds.
const PIECE: i64 = 2_000_000;
/// However seldom key frames are, it is no longer than this.
const LONGEST: i64 = 20_000_000;

/// The playlist. `name` gives a segment's address by its number. `ended` says that nothing is added to it.
pub(crate) fn playlist(clip: &Clip, ended: bool, name: impl Fn(u64) -> String) -> String {
    let pieces = pieces(&clip.parts);
    let longest = pieces.iter().map(|piece| length(piece)).max().unwrap_or(1);
    let target = (longest + 999_999) / 1_000_000;
    let mut text = String::new();
    let kind = if ended { "VOD" } else { "EVENT" };
    // Writing to a text can not fail.
    let _written = write!(
        text,
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:{}\n#EXT-X-PLAYLIST-TYPE:{kind}\n\
         #EXT-X-MEDIA-SEQUENCE:0\n",
        target.max(1)
    );
    if pieces.iter().all(|piece| piece.first().is_some_and(begins)) {
        text.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
    }
    let mut before: Option<&ClipPart> = None;
    for piece in &pieces {
        let (Some(first), Some(last)) = (piece.first(), piece.last()) else {
            continue;
        };
        let file = name(first.segment.id);
        let another = before.is_none_or(|b| b.segment.format != first.segment.format);
        let far = before.is_some_and(|b| {
            let apart = first.row.start - b.row.end;
            !(-JITTER..=JITTER).contains(&apart)
        });
        if before.is_some() && (another || far) {
            text.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if another || far {
            let bytes = first.segment.init.len();
            let _written = writeln!(text, "#EXT-X-MAP:URI=\"{file}\",BYTERANGE=\"{bytes}@0\"");
        }
        let at = Timestamp::from_microsecond(first.row.start).unwrap_or(Timestamp::UNIX_EPOCH);
        let bytes = last.offset + last.row.bytes() - first.offset;
        let seconds = length(piece) as f64 / 1e6;
        let _written = write!(
            text,
            "#EXT-X-PROGRAM-DATE-TIME:{at:.3}\n#EXTINF:{seconds:.6},\n#EXT-X-BYTERANGE:{bytes}@{}\n{file}\n",
            first.offset
        );
        before = Some(last);
    }
    if ended {
        text.push_str("#EXT-X-ENDLIST\n");
    }
    text
}

fn length(piece: &[ClipPart]) -> i64 {
    match (piece.first(), piece.last()) {
        (Some(first), Some(last)) => (last.row.end - first.row.start).max(1),
        _ => 1,
    }
}

/// Whether a player can begin with it.
fn begins(part: &ClipPart) -> bool {
    part.row.video.samples.first().is_some_and(|s| s.sync)
}

/// Parts that are fetched together.
fn pieces(parts: &[ClipPart]) -> Vec<&[ClipPart]> {
    let mut all = Vec::new();
    let mut from = 0;
    for (place, part) in parts.iter().enumerate().skip(1) {
        let (Some(first), Some(before)) = (parts.get(from), parts.get(place - 1)) else {
            continue;
        };
        let span = part.row.start - first.row.start;
        let apart = part.row.start - before.row.end;
        let another = part.segment.id != before.segment.id;
        let far = !(-JITTER..=JITTER).contains(&apart);
        if another || far || span >= LONGEST || begins(part) && span >= PIECE {
            all.extend(parts.get(from..place));
            from = place;
        }
    }
    all.extend(parts.get(from..).filter(|rest| !rest.is_empty()));
    all
}
