//! A long past for benchmarks, made of one segment: the rows that a router would have written in a month, and
//! those of the files that are going to be read.

use std::path::Path;

use rusqlite::{Connection, params};
use taimat_hub::ChannelKey;

use crate::chain;
use crate::error::ArchiveError;
use crate::index::{rows, schema};
use crate::layout;
use crate::packed::PartRow;

/// The segment that is repeated.
struct Template {
    id: u64,
    format: i64,
    start: i64,
    end: i64,
    bytes: i64,
    watched: i64,
    mode: i64,
    until: i64,
    worth: i64,
    parts: Vec<PartRow>,
}

/// Repeats the newest complete segment of `of`, back in time, so many times for each of these streams, the
/// oldest first as they would have been written. No router may have the archive open. `with_file` says of the
/// place of a stream, and of how many segments before the newest one, whether the file is made too. Answers
/// how long one segment is, in microseconds.
///
/// # Errors
/// If there is no complete segment without sound, or the disk says no.
pub fn backdate(
    folder: &Path,
    of: &ChannelKey,
    streams: &[ChannelKey],
    times: u32,
    with_file: &dyn Fn(usize, u32) -> bool,
) -> Result<i64, ArchiveError> {
    let mut index = schema::open(&folder.join(layout::INDEX))?;
    let template = template(&index, of)?;
    let sound = template.parts.iter().any(|p| !p.audio.samples.is_empty());
    if sound {
        return Err(ArchiveError::Refused("a segment with sound".into()));
    }
    // Whole milliseconds are whole ticks.
    let length = (template.end - template.start + 999) / 1000 * 1000;
    let within = layout::segment(of, template.start, template.id);
    let file = folder.join(within);
    let read = ArchiveError::disk("reading", &file);
    let content = std::fs::read(&file).map_err(read)?;
    let all = index.transaction()?;
    let mut chains = Vec::with_capacity(streams.len());
    for key in streams {
        chains.push((rows::stream(&all, key)?.0, chain::beginning(key)));
    }
    let mut packed = Vec::new();
    for back in (1..=times).rev() {
        let by = i64::from(back) * length;
        for (place, key) in streams.iter().enumerate() {
            let Some((stream, chain)) = chains.get_mut(place) else {
                continue;
            };
            let before = *chain;
            packed.clear();
            for part in &template.parts {
                let mut part = part.clone();
                part.start -= by;
                part.end -= by;
                part.camera = part.camera.map(|at| at - by);
                part.video.time -= by.unsigned_abs() / 1000 * 90;
                *chain = chain::after(chain, &part);
                part.pack(&mut packed);
            }
            let id = insert(&all, *stream, &template, by, &before, &packed)?;
            if with_file(place, back) {
                write(folder, key, template.start - by, id, &content)?;
            }
        }
    }
    for (stream, _) in &chains {
        all.execute(
            "UPDATE stream SET stored = stored + ?2 WHERE number = ?1",
            params![stream, template.bytes * i64::from(times)],
        )?;
    }
    all.commit()?;
    Ok(length)
}

fn template(index: &Connection, key: &ChannelKey) -> Result<Template, ArchiveError> {
    let Some(stream) = rows::known(index, key)? else {
        return Err(ArchiveError::Unknown);
    };
    let mut newest = index.prepare(
        "SELECT id, format, start, end, bytes, watched, mode, until, worth, parts FROM segment \
         WHERE stream = ?1 AND state = 1 AND key = 1 AND parts IS NOT NULL \
         ORDER BY end - start > 50000000 DESC, start DESC LIMIT 1",
    )?;
    let (template, packed) = newest.query_row([stream], |row| {
        let template = Template {
            id: row.get(0)?,
            format: row.get(1)?,
            start: row.get(2)?,
            end: row.get(3)?,
            bytes: row.get(4)?,
            watched: row.get(5)?,
            mode: row.get(6)?,
            until: row.get(7)?,
            worth: row.get(8)?,
            parts: Vec::new(),
        };
        Ok((template, row.get::<_, Vec<u8>>(9)?))
    })?;
    let parts = PartRow::unpack_all(&packed)?;
    Ok(Template { parts, ..template })
}

fn insert(
    to: &Connection,
    stream: i64,
    template: &Template,
    by: i64,
    chain: &[u8; 32],
    packed: &[u8],
) -> Result<u64, ArchiveError> {
    to.prepare_cached(
        "INSERT INTO segment (stream, format, start, end, bytes, state, key, watched, mode, asks, until, \
         worth, chain, parts) VALUES (?1, ?2, ?3, ?4, ?5, 1, 1, ?6, ?7, 0, ?8, ?9, ?10, ?11)",
    )?
    .execute(params![
        stream,
        template.format,
        template.start - by,
        template.end - by,
        template.bytes,
        template.watched,
        template.mode,
        template.until - by,
        template.worth,
        chain,
        packed
    ])?;
    Ok(to.last_insert_rowid().unsigned_abs())
}

fn write(
    folder: &Path,
    key: &ChannelKey,
    start: i64,
    id: u64,
    content: &[u8],
) -> Result<(), ArchiveError> {
    let path = folder.join(layout::segment(key, start, id));
    if let Some(day) = path.parent() {
        std::fs::create_dir_all(day).map_err(ArchiveError::disk("making", day))?;
    }
    std::fs::write(&path, content).map_err(ArchiveError::disk("writing", &path))
}
