//! The parts between two moments.

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::{Connection, params};
use taimat_contract::UnixMicros;
use taimat_hub::ChannelKey;

use crate::error::ArchiveError;
use crate::index::rows;
use crate::layout;
use crate::packed::PartRow;
use crate::ticks;
use crate::timeline::{Gap, Near, Timeline, timeline};

/// A clip is no longer than this: six hours.
pub(crate) const LONGEST: i64 = 6 * 3_600_000_000;
/// Parts of a clip at most.
const MOST: usize = 60_000;
/// Where the picture at its beginning refers to is looked for so far before it: a key frame a minute, and a
/// segment that began before that.
const BEFORE: i64 = 700_000_000;

/// A part of a clip, and where it lies.
#[derive(Debug, Clone)]
pub(crate) struct ClipPart {
    /// The segment.
    pub(crate) segment: Arc<ClipSegment>,
    /// Where its header begins in the file.
    pub(crate) offset: u64,
    pub(crate) row: PartRow,
    /// The chain before it.
    pub(crate) chain: [u8; 32],
}

impl ClipPart {
    /// Where its payload begins in the file.
    pub(crate) fn payload_offset(&self) -> u64 {
        self.offset + u64::from(self.row.header)
    }
}

/// A segment that a clip has parts of.
#[derive(Debug)]
pub(crate) struct ClipSegment {
    pub(crate) id: u64,
    /// Within the archive's folder.
    pub(crate) path: PathBuf,
    pub(crate) format: i64,
    /// What the file begins with, as players want it.
    pub(crate) init: Arc<Vec<u8>>,
    /// Where copies are, if it is not here.
    pub(crate) elsewhere: Vec<String>,
}

/// What there is between two moments.
#[derive(Debug)]
pub(crate) struct Clip {
    /// In the order in which it was recorded; the first one begins with a key frame if any does.
    pub(crate) parts: Vec<ClipPart>,
    /// What is missing.
    pub(crate) gaps: Vec<Gap>,
    pub(crate) from: i64,
    pub(crate) to: i64,
}

struct Row {
    id: u64,
    start: i64,
    format: i64,
    state: i64,
    chain: [u8; 32],
    parts: Option<Vec<u8>>,
}

/// The parts between two moments, from the key frame before on.
pub(crate) fn clip(
    index: &Connection,
    key: &ChannelKey,
    from: UnixMicros,
    to: UnixMicros,
    now: UnixMicros,
) -> Result<Clip, ArchiveError> {
    let (start, end) = crate::timeline::interval(from, to, LONGEST)?;
    let Timeline { gaps, .. } = timeline(index, key, from, to, now, &Near::default())?;
    let Some(stream) = rows::known(index, key)? else {
        return Err(ArchiveError::Unknown);
    };
    let mut all = index.prepare_cached(
        "SELECT id, start, format, state, chain, parts FROM segment \
         WHERE stream = ?1 AND start < ?3 AND start >= ?2 - ?4 AND end > ?2 - ?4 AND state != 2 \
         ORDER BY start, id",
    )?;
    let all = all.query_map(params![stream, start, end, BEFORE], |row| {
        Ok(Row {
            id: row.get(0)?,
            start: row.get(1)?,
            format: row.get(2)?,
            state: row.get(3)?,
            chain: row.get(4)?,
            parts: row.get(5)?,
        })
    })?;
    let mut parts: Vec<ClipPart> = Vec::new();
    let mut format: Option<(i64, Arc<Vec<u8>>)> = None;
    for row in all {
        let row = row?;
        let init = match &format {
            Some((number, init)) if *number == row.format => Arc::clone(init),
            _ => {
                let init: Vec<u8> = index
                    .prepare_cached("SELECT init FROM format WHERE number = ?1")?
                    .query_row([row.format], |row| row.get(0))?;
                let init = Arc::new(init);
                format = Some((row.format, Arc::clone(&init)));
                init
            }
        };
        take(index, key, row, init, &mut parts)?;
        // What is before the beginning is of use only from its last key frame on.
        let first = begin(&parts, start);
        parts.drain(..first);
        if parts.len() > MOST {
            return Err(ArchiveError::Refused(
                "too much is there: ask for less".into(),
            ));
        }
    }
    parts.retain(|part| part.row.start < end);
    let any = parts.iter().any(|part| part.row.end > start);
    if !any {
        parts.clear();
    }
    Ok(Clip {
        parts,
        gaps,
        from: start,
        to: end,
    })
}

/// The part with which what is shown at `start` begins: the one of the newest key frame that is not shown
/// after it, or, where nothing is at that time, the first one after it.
fn begin(parts: &[ClipPart], start: i64) -> usize {
    let Some(last) = parts.iter().rposition(|part| part.row.start <= start) else {
        return 0;
    };
    let wanted = ticks::video(start);
    let is_key = |part: &ClipPart| {
        let mut shown = part.row.video.shown();
        shown.any(|(at, sample)| sample.sync && at <= wanted)
    };
    // Where nothing is at the beginning, what was before is of no use.
    if parts.get(last).is_some_and(|part| part.row.end <= start) {
        return last + 1;
    }
    parts
        .get(..=last)
        .and_then(|before| before.iter().rposition(is_key))
        .unwrap_or(last)
}

fn take(
    index: &Connection,
    key: &ChannelKey,
    row: Row,
    init: Arc<Vec<u8>>,
    parts: &mut Vec<ClipPart>,
) -> Result<(), ArchiveError> {
    let packed = match row.parts {
        Some(parts) => parts,
        None => {
            let mut all =
                index.prepare_cached("SELECT packed FROM part WHERE segment = ?1 ORDER BY n")?;
            let all = all.query_map([row.id], |row| row.get::<_, Vec<u8>>(0))?;
            let all: Vec<Vec<u8>> = all.collect::<Result<_, _>>()?;
            all.concat()
        }
    };
    let mut offset = crate::chain_box::begin(&init);
    let segment = Arc::new(ClipSegment {
        id: row.id,
        path: layout::segment(key, row.start, row.id),
        format: row.format,
        init,
        elsewhere: if row.state == 3 {
            copies(index, row.id)?
        } else {
            Vec::new()
        },
    });
    let mut chain = row.chain;
    for own in PartRow::unpack_all(&packed)? {
        let (bytes, before) = (own.bytes(), chain);
        chain = crate::chain::after(&chain, &own);
        parts.push(ClipPart {
            segment: Arc::clone(&segment),
            offset,
            row: own,
            chain: before,
        });
        offset += bytes;
    }
    Ok(())
}

/// Where copies of a segment are.
pub(super) fn copies(index: &Connection, segment: u64) -> Result<Vec<String>, ArchiveError> {
    let mut all =
        index.prepare_cached("SELECT target FROM copy WHERE segment = ?1 AND state = 1")?;
    let all = all.query_map([segment], |row| row.get(0))?;
    Ok(all.collect::<Result<_, _>>()?)
}
