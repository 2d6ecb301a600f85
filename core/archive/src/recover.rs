//! At the start: what was written after the newest row is found again from the tails of files, and what was
//! begun is ended. Only what the last minutes may have left is looked at, however much there is.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use rusqlite::{Connection, params};
use taimat_hub::ChannelKey;

use crate::chain;
use crate::error::ArchiveError;
use crate::index::rows::{self, SegmentState};
use crate::layout;
use crate::packed::PartRow;
use crate::reason::GapReason;
use crate::scan::{self, Beginning, Scanned};

/// What was found.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    /// Segments that were being written.
    pub(crate) ended: u64,
    /// Of them, or besides: those that the index did not know.
    pub(crate) unknown: u64,
    /// Parts that the index did not know.
    pub(crate) parts: u64,
    /// Bytes behind the last whole part, cut off.
    pub(crate) cut: u64,
    /// Segments whose removal was ended.
    pub(crate) removed: u64,
}

/// Ends what was begun, and takes up what the index does not know.
pub(crate) fn recover(root: &Path, index: &mut Connection) -> Result<Found, ArchiveError> {
    let mut found = Found::default();
    let all = index.transaction()?;
    removals(root, &all, &mut found)?;
    let newest: u64 = all.query_row("SELECT coalesce(max(id), 0) FROM segment", [], |row| {
        row.get(0)
    })?;
    unfinished(root, &all, &mut found)?;
    for (key, path, id) in unknown(root, &all, newest)? {
        let known: bool = all.query_row(
            "SELECT count(*) > 0 FROM segment WHERE id = ?1",
            [id],
            |row| row.get(0),
        )?;
        if !known && take_up(root, &all, &key, &path, id, &mut found)? {
            found.unknown += 1;
        }
    }
    all.commit()?;
    Ok(found)
}

/// A segment whose removal was begun.
fn removals(root: &Path, index: &Connection, found: &mut Found) -> Result<(), ArchiveError> {
    let going = segments(index, SegmentState::Going)?;
    for segment in going {
        let path = root.join(segment.path());
        remove_file(&path)?;
        rows::gone(index, segment.id, GapReason::Evicted.as_str())?;
        found.removed += 1;
    }
    Ok(())
}

/// Removes a file, if it is there.
pub(crate) fn remove_file(path: &Path) -> Result<(), ArchiveError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(ArchiveError::disk("removing", path)(error))
        }
        _ => Ok(()),
    }
}

struct Unfinished {
    id: u64,
    stream: i64,
    key: ChannelKey,
    start: i64,
    end: i64,
    chain: [u8; 32],
}

impl Unfinished {
    fn path(&self) -> PathBuf {
        layout::segment(&self.key, self.start, self.id)
    }
}

fn segments(index: &Connection, state: SegmentState) -> Result<Vec<Unfinished>, ArchiveError> {
    let streams: HashMap<i64, ChannelKey> = rows::streams(index)?.into_iter().collect();
    let mut all = index.prepare(
        "SELECT id, stream, start, end, chain FROM segment WHERE state = ?1 ORDER BY id",
    )?;
    let all = all.query_map([state.code()], |row| {
        let number: i64 = row.get(1)?;
        let fields = (row.get(0)?, row.get(2)?, row.get(3)?, row.get(4)?);
        Ok((number, fields))
    })?;
    let mut found = Vec::new();
    for one in all {
        let (stream, (id, start, end, chain)) = one?;
        let key = streams.get(&stream).cloned();
        let key = key.ok_or_else(|| ArchiveError::Damaged("a segment without a stream".into()))?;
        found.push(Unfinished {
            id,
            stream,
            key,
            start,
            end,
            chain,
        });
    }
    Ok(found)
}

/// Of one segment a sync failed, and nothing more is written to it: what of it is on the disk is taken up now.
/// `doubted` is what was to be there, packed.
pub(crate) fn settle(
    root: &Path,
    index: &Connection,
    id: u64,
    doubted: &[u8],
) -> Result<Found, ArchiveError> {
    let doubted = PartRow::unpack_all(doubted)?;
    let mut found = Found::default();
    let mut all = segments(index, SegmentState::Open)?;
    all.retain(|segment| segment.id == id);
    for segment in &all {
        let path = root.join(segment.path());
        // What was to be written may be in memory still, which says nothing of the disk.
        match File::open(&path) {
            Ok(file) => posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)
                .map_err(|error| ArchiveError::disk("reading", &path)(error.into()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(ArchiveError::disk("reading", &path)(error)),
        }
        end(root, index, segment, Some(&doubted), &mut found)?;
    }
    Ok(found)
}

fn unfinished(root: &Path, index: &Connection, found: &mut Found) -> Result<(), ArchiveError> {
    let all = segments(index, SegmentState::Open)?;
    all.iter()
        .try_for_each(|segment| end(root, index, segment, None, found))
}

/// Ends a segment that was being written, with what of it is there. If it is known what should be behind the
/// last row, nothing else is taken up.
fn end(
    root: &Path,
    index: &Connection,
    segment: &Unfinished,
    doubted: Option<&[PartRow]>,
    found: &mut Found,
) -> Result<(), ArchiveError> {
    let path = root.join(segment.path());
    let mut packed = index.prepare("SELECT packed FROM part WHERE segment = ?1 ORDER BY n")?;
    let packed = packed.query_map([segment.id], |row| row.get::<_, Vec<u8>>(0))?;
    let packed: Vec<Vec<u8>> = packed.collect::<Result<_, _>>()?;
    let mut known = Vec::new();
    for one in &packed {
        known.extend(PartRow::unpack_all(one)?);
    }
    let beginning = match scan::beginning(&path) {
        Ok(beginning) => beginning,
        Err(error) => {
            tracing::warn!(%error, "a segment that was being written is gone");
            None
        }
    };
    let Some(beginning) = beginning else {
        index.execute("DELETE FROM part WHERE segment = ?1", [segment.id])?;
        index.execute("DELETE FROM segment WHERE id = ?1", [segment.id])?;
        if segment.end > segment.start {
            let lost = (segment.start, segment.end);
            rows::gap(index, segment.stream, lost, GapReason::Damaged.as_str())?;
        } else {
            // Nothing of it ever was on the disk.
            remove_file(&path)?;
        }
        return Ok(());
    };
    let from = beginning.length + known.iter().map(PartRow::bytes).sum::<u64>();
    let mut more = scan::parts(&path, &beginning, from, true)?;
    if let Some(doubted) = doubted {
        let same = more.parts.iter().zip(doubted);
        let same = same.take_while(|(is, was)| is.hash == was.hash).count();
        more.keep(from, same);
    }
    cut(&path, &more, found)?;
    found.ended += 1;
    found.parts += more.parts.len() as u64;
    let end = more.end;
    known.extend(more.parts);
    if known.is_empty() {
        // Begun, and nothing was written: nobody misses it.
        remove_file(&path)?;
    }
    finish(index, segment, &known, end)
}

/// Cuts off what is no whole part.
fn cut(path: &Path, scanned: &Scanned, found: &mut Found) -> Result<(), ArchiveError> {
    if !scanned.torn {
        return Ok(());
    }
    let disk = || ArchiveError::disk("cutting off half a part of", path);
    let file = File::options()
        .write(true)
        .open(path)
        .map_err(|error| disk()(error))?;
    let length = file.metadata().map_err(|error| disk()(error))?.len();
    file.set_len(scanned.end).map_err(|error| disk()(error))?;
    file.sync_data().map_err(|error| disk()(error))?;
    found.cut += length.saturating_sub(scanned.end);
    Ok(())
}

/// Closes a segment with what there is of it; one without a part is none.
fn finish(
    index: &Connection,
    segment: &Unfinished,
    parts: &[PartRow],
    bytes: u64,
) -> Result<(), ArchiveError> {
    index.execute("DELETE FROM part WHERE segment = ?1", [segment.id])?;
    let Some(last) = parts.last() else {
        index.execute("DELETE FROM segment WHERE id = ?1", [segment.id])?;
        return Ok(());
    };
    let mut packed = Vec::new();
    let mut chain = segment.chain;
    for part in parts {
        part.pack(&mut packed);
        chain = chain::after(&chain, part);
    }
    index.execute(
        "UPDATE segment SET state = 1, asks = 1, parts = ?2, bytes = ?3, end = ?4 WHERE id = ?1",
        params![segment.id, packed, bytes, last.end],
    )?;
    index.execute(
        "UPDATE stream SET stored = stored + ?2 WHERE number = ?1",
        params![segment.stream, bytes],
    )?;
    // What was recorded after it goes on from there, and the stream from that.
    index.execute(
        "UPDATE stream SET chain = ?2 WHERE number = ?1 AND NOT EXISTS \
         (SELECT 1 FROM segment WHERE segment.stream = ?1 AND id > ?3)",
        params![segment.stream, chain, segment.id],
    )?;
    Ok(())
}

/// Files of the newest days whose numbers are newer than all that the index knows.
fn unknown(
    root: &Path,
    index: &Connection,
    newest: u64,
) -> Result<Vec<(ChannelKey, PathBuf, u64)>, ArchiveError> {
    let mut found = Vec::new();
    for key in streams_on_disk(root)? {
        let last: Option<i64> = match rows::known(index, &key)? {
            Some(number) => index.query_row(
                "SELECT max(start) FROM segment WHERE stream = ?1",
                [number],
                |row| row.get(0),
            )?,
            None => None,
        };
        let from = last.map(layout::day).unwrap_or_default();
        let folder = root.join(layout::stream(&key));
        for day in names(&folder)? {
            if day < from {
                continue;
            }
            for name in names(&folder.join(&day))? {
                if let Some(id) = layout::id(&name).filter(|id| *id > newest) {
                    found.push((key.clone(), folder.join(&day).join(&name), id));
                }
            }
        }
    }
    // In the order in which they were begun, for the chain.
    found.sort_by_key(|(_, _, id)| *id);
    Ok(found)
}

/// The streams that have a folder.
pub(crate) fn streams_on_disk(root: &Path) -> Result<Vec<ChannelKey>, ArchiveError> {
    let mut found = Vec::new();
    for commune in names(root)? {
        for camera in names(&root.join(&commune))? {
            for profile in names(&root.join(&commune).join(&camera))? {
                found.extend(rows::key(&commune, &camera, &profile));
            }
        }
    }
    Ok(found)
}

/// The names in a folder, in order; none if it is no folder.
pub(crate) fn names(folder: &Path) -> Result<Vec<String>, ArchiveError> {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), NotADirectory | NotFound) => return Ok(Vec::new()),
        Err(error) => return Err(ArchiveError::disk("listing", folder)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(ArchiveError::disk("listing", folder))?;
        names.extend(entry.file_name().into_string().ok());
    }
    names.sort_unstable();
    Ok(names)
}

/// Takes a file up that the index does not know. Says whether it is one.
fn take_up(
    root: &Path,
    index: &Connection,
    key: &ChannelKey,
    path: &Path,
    id: u64,
    found: &mut Found,
) -> Result<bool, ArchiveError> {
    let Some(beginning) = scan::beginning(path)? else {
        if scan::is_blank(path)? {
            // Its name got to the disk, and nothing else did.
            remove_file(path)?;
            return Ok(false);
        }
        tracing::warn!(path = %path.display(), "a file that is no recording; left alone");
        return Ok(false);
    };
    let scanned = scan::parts(path, &beginning, beginning.length, true)?;
    let Some(first) = scanned.parts.first() else {
        // Begun, and nothing was written: nobody misses it.
        remove_file(path)?;
        return Ok(false);
    };
    if root.join(layout::segment(key, first.start, id)) != path {
        tracing::warn!(path = %path.display(), "a recording that is not where it belongs; left alone");
        return Ok(false);
    }
    insert(index, key, path, id, &beginning, scanned, found)?;
    Ok(true)
}

/// Writes a file's segment to the index; what is behind its last whole part is cut off.
pub(crate) fn insert(
    index: &Connection,
    key: &ChannelKey,
    path: &Path,
    id: u64,
    beginning: &Beginning,
    scanned: Scanned,
    found: &mut Found,
) -> Result<(), ArchiveError> {
    let Some(first) = scanned.parts.first() else {
        return Ok(());
    };
    let segment = Unfinished {
        id,
        stream: rows::stream(index, key)?.0,
        key: key.clone(),
        start: first.start,
        end: first.end,
        chain: beginning.chain,
    };
    cut(path, &scanned, found)?;
    let format = rows::format(index, &beginning.init)?;
    index.execute(
        "INSERT INTO segment \
         (id, stream, format, start, end, bytes, state, key, watched, mode, asks, until, worth, chain) \
         VALUES (?1, ?2, ?3, ?4, ?4, 0, 0, ?5, 0, 1, 0, 0, 0, ?6)",
        params![
            id,
            segment.stream,
            format,
            segment.start,
            first.video.samples.first().is_some_and(|s| s.sync),
            beginning.chain
        ],
    )?;
    found.parts += scanned.parts.len() as u64;
    finish(index, &segment, &scanned.parts, scanned.end)
}
