//! The index, opened; or made anew from the files, if it is not there or can not be read.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode};

use crate::error::ArchiveError;
use crate::holds;
use crate::index::{rows, schema};
use crate::layout;
use crate::reason::GapReason;
use crate::recover::{self, Found, names};
use crate::timeline::JITTER;

/// Opens the index; makes it anew if there is none and there are files, or if it is damaged. One that is
/// damaged is put aside. Says what was found, if it was made.
pub(crate) fn open(root: &Path, file: &Path) -> Result<(Connection, Option<Found>), ArchiveError> {
    let is_there = file.exists();
    match schema::open(file).and_then(sound) {
        Ok(connection) if is_there => Ok((connection, None)),
        Ok(mut connection) => {
            let found = from_files(root, &mut connection)?;
            Ok((connection, (found != Found::default()).then_some(found)))
        }
        Err(error) if is_damage(&error) => {
            let aside = put_aside(file)?;
            tracing::error!(%error, aside = %aside.display(), "the index is damaged");
            let mut connection = schema::open(file)?;
            let found = from_files(root, &mut connection)?;
            Ok((connection, Some(found)))
        }
        Err(error) => Err(error),
    }
}

/// Whether it can be read at all: what is damaged further in is found when it is read.
fn sound(connection: Connection) -> Result<Connection, ArchiveError> {
    connection.query_row("SELECT count(*) FROM stream", [], |row| {
        row.get::<_, i64>(0)
    })?;
    connection.query_row("SELECT coalesce(max(id), 0) FROM segment", [], |row| {
        row.get::<_, i64>(0)
    })?;
    Ok(connection)
}

fn is_damage(error: &ArchiveError) -> bool {
    match error {
        ArchiveError::Index(rusqlite::Error::SqliteFailure(error, _)) => {
            matches!(
                error.code,
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase
            ) || error.extended_code == rusqlite::ffi::SQLITE_ERROR
        }
        _ => false,
    }
}

/// Puts the index's files aside, and returns where the first of them is.
pub(crate) fn put_aside(file: &Path) -> Result<PathBuf, ArchiveError> {
    let at = crate::moment::now().0 / 1_000_000;
    let with = |file: &Path, more: &str| -> PathBuf {
        let mut name = file.as_os_str().to_owned();
        name.push(more);
        name.into()
    };
    for more in ["-wal", "-shm", ""] {
        let from = with(file, more);
        if from.exists() {
            let to = with(file, &format!(".damaged-{at}{more}"));
            std::fs::rename(&from, &to).map_err(ArchiveError::disk("putting aside", &from))?;
        }
    }
    Ok(with(file, &format!(".damaged-{at}")))
}

/// Makes the index from the files. Reads all of them, for their hashes.
pub(crate) fn from_files(root: &Path, index: &mut Connection) -> Result<Found, ArchiveError> {
    let mut found = Found::default();
    let all = index.transaction()?;
    let mut files = Vec::new();
    for key in recover::streams_on_disk(root)? {
        let folder = root.join(layout::stream(&key));
        for day in names(&folder)? {
            for name in names(&folder.join(&day))? {
                if let Some(id) = layout::id(&name) {
                    files.push((id, key.clone(), folder.join(&day).join(&name)));
                }
            }
        }
    }
    files.sort_by_key(|(id, _, _)| *id);
    for (id, key, path) in files {
        let known: bool = all.query_row(
            "SELECT EXISTS (SELECT 1 FROM segment WHERE id = ?1)",
            [id],
            |row| row.get(0),
        )?;
        if known {
            tracing::warn!(path = %path.display(), "two files have one number; this one is left alone");
            continue;
        }
        match recover::take_up(root, &all, &key, &path, id, &mut found) {
            Ok(true) => found.unknown += 1,
            Ok(false) => {}
            // One damaged file costs itself.
            Err(error) => tracing::error!(%error, "a recording can not be read"),
        }
    }
    note_gaps(&all)?;
    // What people hold stays held.
    let log = root.join(holds::FOLDER);
    if log.is_dir()
        && let Err(error) = holds::replay(&all, &log)
    {
        tracing::error!(%error, "what people hold is not known wholly");
    }
    all.commit()?;
    Ok(found)
}

/// Why nothing is there the files do not say.
fn note_gaps(index: &Connection) -> Result<(), ArchiveError> {
    let mut ends: HashMap<i64, i64> = HashMap::new();
    let mut gaps = Vec::new();
    let mut all = index.prepare("SELECT stream, start, end FROM segment ORDER BY stream, start")?;
    let all = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    for one in all {
        let (stream, start, end): (i64, i64, i64) = one?;
        let before = ends.entry(stream).or_insert(start);
        if start - *before > JITTER {
            gaps.push((stream, *before, start));
        }
        *before = end.max(*before);
    }
    for (stream, start, end) in gaps {
        rows::gap(index, stream, (start, end), GapReason::Unknown.as_str())?;
    }
    Ok(())
}
