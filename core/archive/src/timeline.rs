//! What there is between two moments, and what there is not, with the reason: together it is all that was
//! asked for.

use std::collections::HashSet;

use rusqlite::{Connection, params};
use serde::Serialize;
use taimat_contract::UnixMicros;
use taimat_hub::ChannelKey;
use utoipa::ToSchema;

use crate::error::ArchiveError;
use crate::index::rows;
use crate::reason::GapReason;

/// What is missing between two parts and is less than this is the network's jitter, in microseconds.
pub(crate) const JITTER: i64 = 300_000;
/// What was recorded so lately may not be in the index yet.
const LATELY: i64 = 5_000_000;
/// The longest interval that is answered: a month.
const LONGEST: i64 = 31 * 86_400_000_000;
/// Segments and gaps of an answer at most: a month, and a camera that is lost once a minute.
const MOST: usize = 100_000;

/// Something that was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Recorded {
    /// From when on.
    pub start: UnixMicros,
    /// Until when.
    pub end: UnixMicros,
    /// It is kept elsewhere only: to be seen it has to be brought back, which asking for it begins.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub elsewhere: bool,
}

/// Where nothing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Gap {
    /// From when on.
    pub start: UnixMicros,
    /// Until when.
    pub end: UnixMicros,
    /// Why.
    pub reason: GapReason,
}

/// What there is of a stream, and what there is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Timeline {
    /// What was recorded, in order.
    pub recorded: Vec<Recorded>,
    /// What was not, in order.
    pub gaps: Vec<Gap>,
}

/// What can be seen at once although it is not on the disk that is recorded to.
#[derive(Debug, Default)]
pub(crate) struct Near<'a> {
    /// Segments that were brought back.
    pub(crate) fetched: HashSet<u64>,
    /// Places whose files can be read as they lie.
    pub(crate) folders: Vec<&'a str>,
}

impl Near<'_> {
    /// Which of some segments can be seen at once.
    fn of(&self, index: &Connection, first: u64, last: u64) -> Result<HashSet<u64>, ArchiveError> {
        let mut near = self.fetched.clone();
        let mut copies = index.prepare_cached(
            "SELECT segment FROM copy WHERE segment BETWEEN ?1 AND ?2 AND target = ?3 AND state = 1",
        )?;
        for folder in &self.folders {
            let copies = copies.query_map(params![first, last, folder], |row| row.get(0))?;
            for copy in copies {
                near.insert(copy?);
            }
        }
        Ok(near)
    }
}

/// An interval that makes sense.
pub(crate) fn interval(
    from: UnixMicros,
    to: UnixMicros,
    longest: i64,
) -> Result<(i64, i64), ArchiveError> {
    let refuse = |why: String| Err(ArchiveError::Refused(why));
    if to <= from {
        return refuse("the interval ends before it begins".into());
    }
    if !from.is_exact() || !to.is_exact() {
        return refuse("times are microseconds since 1970".into());
    }
    if to.0 - from.0 > longest {
        let hours = longest / 3_600_000_000;
        return refuse(format!("at most {hours} hours are given at once"));
    }
    Ok((from.0, to.0))
}

/// What there is of a stream between two moments.
pub(crate) fn timeline(
    index: &Connection,
    key: &ChannelKey,
    from: UnixMicros,
    to: UnixMicros,
    now: UnixMicros,
    near: &Near<'_>,
) -> Result<Timeline, ArchiveError> {
    let (from, to) = interval(from, to, LONGEST)?;
    let Some(stream) = rows::known(index, key)? else {
        return Ok(Timeline {
            recorded: Vec::new(),
            gaps: holes(&[], &[], (from, to), now.0, false),
        });
    };
    let segments = segments(index, stream, (from, to), near)?;
    let reasons = reasons(index, stream, (from, to), now.0)?;
    if segments.len() + reasons.len() >= MOST {
        return Err(ArchiveError::Refused(
            "too much is there: ask for less".into(),
        ));
    }
    let recorded = joined(segments, (from, to));
    let newest = newest(index, stream)?;
    let lately = newest.is_some_and(|end| now.0 - end < LATELY);
    let gaps = holes(&recorded, &reasons, (from, to), now.0, lately);
    Ok(Timeline { recorded, gaps })
}

fn newest(index: &Connection, stream: i64) -> Result<Option<i64>, ArchiveError> {
    Ok(index
        .prepare_cached("SELECT end FROM segment WHERE stream = ?1 ORDER BY start DESC LIMIT 1")?
        .query_row([stream], |row| row.get(0))
        .map(Some)
        .or_else(|error| match error {
            rusqlite::Error::QueryReturnedNoRows => Ok(None),
            other => Err(other),
        })?)
}

fn segments(
    index: &Connection,
    stream: i64,
    (from, to): (i64, i64),
    near: &Near<'_>,
) -> Result<Vec<Recorded>, ArchiveError> {
    // A segment is no longer than some minutes: with this the index finds the first at once.
    const EARLIER: i64 = 3_600_000_000;
    let mut all = index.prepare_cached(
        "SELECT start, end, state, id FROM segment INDEXED BY segment_in_time \
         WHERE stream = ?1 AND start < ?3 AND start >= ?2 - ?5 AND end > ?2 AND end > start \
         AND state != 2 ORDER BY start LIMIT ?4",
    )?;
    let all = all.query_map(params![stream, from, to, MOST, EARLIER], |row| {
        let recorded = Recorded {
            start: UnixMicros(row.get(0)?),
            end: UnixMicros(row.get(1)?),
            elsewhere: row.get::<_, i64>(2)? == 3,
        };
        Ok((row.get(3)?, recorded))
    })?;
    let mut all: Vec<(u64, Recorded)> = all.collect::<Result<_, _>>()?;
    let far = || {
        all.iter()
            .filter(|(_, one)| one.elsewhere)
            .map(|(id, _)| *id)
    };
    if let (Some(first), Some(last)) = (far().min(), far().max()) {
        let near = near.of(index, first, last)?;
        for (id, one) in &mut all {
            one.elsewhere &= !near.contains(id);
        }
    }
    Ok(all.into_iter().map(|(_, one)| one).collect())
}

fn reasons(
    index: &Connection,
    stream: i64,
    (from, to): (i64, i64),
    now: i64,
) -> Result<Vec<Gap>, ArchiveError> {
    let mut all = index.prepare_cached(
        "SELECT start, coalesce(end, ?4), reason FROM gap WHERE stream = ?1 AND start < ?3 \
         AND coalesce(end, ?4) > ?2 ORDER BY start LIMIT ?5",
    )?;
    let all = all.query_map(params![stream, from, to, now, MOST], |row| {
        Ok(Gap {
            start: UnixMicros(row.get(0)?),
            end: UnixMicros(row.get(1)?),
            reason: GapReason::of(&row.get::<_, String>(2)?),
        })
    })?;
    Ok(all.collect::<Result<_, _>>()?)
}

/// Segments that follow each other are one; what is recorded twice, as the clock was set back, is told once.
fn joined(segments: Vec<Recorded>, (from, to): (i64, i64)) -> Vec<Recorded> {
    let mut all: Vec<Recorded> = Vec::new();
    for mut next in segments {
        next.start = next.start.max(UnixMicros(from));
        next.end = next.end.min(UnixMicros(to));
        match all.last_mut() {
            Some(last)
                if next.start.0 - last.end.0 <= JITTER && next.elsewhere == last.elsewhere =>
            {
                last.end = last.end.max(next.end);
            }
            Some(last) => {
                next.start = next.start.max(last.end);
                if next.start < next.end {
                    all.push(next);
                }
            }
            None => all.push(next),
        }
    }
    // At the ends as between two: less than that is nothing.
    if let Some(first) = all.first_mut().filter(|f| f.start.0 - from <= JITTER) {
        first.start = UnixMicros(from);
    }
    if let Some(last) = all.last_mut().filter(|l| to - l.end.0 <= JITTER) {
        last.end = UnixMicros(to);
    }
    all
}

/// What is between what was recorded, by the reasons that are known.
fn holes(
    recorded: &[Recorded],
    reasons: &[Gap],
    (from, to): (i64, i64),
    now: i64,
    lately: bool,
) -> Vec<Gap> {
    let mut all = Vec::new();
    let mut reasons = reasons.iter().peekable();
    let mut at = from;
    let ends = recorded.iter().map(|r| (r.start.0, r.end.0));
    for (start, end) in ends.chain([(to, to)]) {
        while at < start {
            while reasons.peek().is_some_and(|gap| gap.end.0 <= at) {
                reasons.next();
            }
            let (until, reason) = match reasons.peek() {
                Some(gap) if gap.start.0 <= at => (gap.end.0, gap.reason),
                Some(gap) => (gap.start.0, GapReason::Unknown),
                None => (start, GapReason::Unknown),
            };
            let mut until = until.min(start);
            let mut reason = reason;
            // What has not come yet, or is not in the index yet.
            let newest = start == to && reason == GapReason::Unknown;
            if at >= now || newest && lately {
                (until, reason) = (start, GapReason::NotYet);
            } else if until > now {
                until = now;
            }
            push(&mut all, (at, until), reason);
            at = until;
        }
        at = at.max(end);
    }
    all
}

fn push(all: &mut Vec<Gap>, (start, end): (i64, i64), reason: GapReason) {
    if let Some(last) = all.last_mut()
        && last.end.0 == start
        && last.reason == reason
    {
        last.end = UnixMicros(end);
        return;
    }
    all.push(Gap {
        start: UnixMicros(start),
        end: UnixMicros(end),
        reason,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn recorded(start: i64, end: i64) -> Recorded {
        Recorded {
            start: UnixMicros(start),
            end: UnixMicros(end),
            elsewhere: false,
        }
    }

    fn gap(start: i64, end: i64, reason: GapReason) -> Gap {
        Gap {
            start: UnixMicros(start),
            end: UnixMicros(end),
            reason,
        }
    }

    #[test]
    fn what_is_missing_has_its_reason() {
        let second = 1_000_000;
        let there = [
            recorded(10 * second, 20 * second),
            recorded(30 * second, 40 * second),
        ];
        let reasons = [
            gap(0, 5 * second, GapReason::Aged),
            gap(20 * second, 25 * second, GapReason::CameraLost),
            gap(25 * second, 30 * second, GapReason::RouterStopped),
        ];
        let all = holes(&there, &reasons, (0, 60 * second), 50 * second, false);
        let expected = [
            gap(0, 5 * second, GapReason::Aged),
            gap(5 * second, 10 * second, GapReason::Unknown),
            gap(20 * second, 25 * second, GapReason::CameraLost),
            gap(25 * second, 30 * second, GapReason::RouterStopped),
            gap(40 * second, 50 * second, GapReason::Unknown),
            gap(50 * second, 60 * second, GapReason::NotYet),
        ];
        assert_eq!(all, expected);
        let all = holes(
            &there,
            &reasons,
            (35 * second, 60 * second),
            42 * second,
            true,
        );
        assert_eq!(all, [gap(40 * second, 60 * second, GapReason::NotYet)]);
    }

    proptest! {
        /// Asked is given and listed: nothing twice, nothing left out.
        #[test]
        fn all_that_was_asked_for_is_answered(
            pieces in prop::collection::vec((0..5_000_000_i64, 1..5_000_000_i64), 0..20),
            known in prop::collection::vec((0..5_000_000_i64, 1..5_000_000_i64), 0..20),
            from in 0..50_000_000_i64, length in 1..100_000_000_i64, now in 0..200_000_000_i64,
            lately in any::<bool>(),
        ) {
            let line = |pieces: &[(i64, i64)]| {
                let mut at = 0;
                let mut all = Vec::new();
                for (skip, length) in pieces {
                    all.push((at + skip, at + skip + length));
                    at += skip + length;
                }
                all
            };
            let to = from + length;
            let segments: Vec<Recorded> = line(&pieces).into_iter()
                .filter(|(start, end)| *start < to && *end > from)
                .map(|(start, end)| recorded(start, end)).collect();
            let reasons: Vec<Gap> = line(&known).into_iter()
                .map(|(start, end)| gap(start, end, GapReason::CameraLost)).collect();
            let there = joined(segments, (from, to));
            let gaps = holes(&there, &reasons, (from, to), now, lately);
            let mut all: Vec<(i64, i64)> = there.iter().map(|r| (r.start.0, r.end.0))
                .chain(gaps.iter().map(|g| (g.start.0, g.end.0))).collect();
            all.sort_unstable();
            let mut at = from;
            for (start, end) in all {
                prop_assert_eq!(start, at);
                prop_assert!(end > start);
                at = end;
            }
            prop_assert_eq!(at, to);
        }
    }
}
