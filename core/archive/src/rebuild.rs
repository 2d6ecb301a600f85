//! The index, opened; or made anew from the files, if it is not there or can not be read.
//!
//! Files say by themselves what they are, and whoever changes one can make it say anything. So each is held
//! against what the former index knew of it, if that can be read, and against its neighbours: a part binds all
//! before it, and each file begins with what the one before it ended with. What does not fit is named and put
//! aside, and is in no index from then on: no export shows it as what was recorded.

mod apart;
mod candidate;
mod former;
mod rebuilt;
mod streams;

use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode};

use crate::error::ArchiveError;
use crate::holds;
use crate::index::schema;

pub use apart::{Apart, Unfit};
use former::Former;
pub use rebuilt::Rebuilt;

/// Opens the index; makes it anew if there is none and there are files, or if it is damaged. One that is
/// damaged is put aside. Says what was found, if it was made.
pub(crate) fn open(
    root: &Path,
    file: &Path,
) -> Result<(Connection, Option<Rebuilt>), ArchiveError> {
    let is_there = file.exists();
    match schema::open(file).and_then(sound) {
        Ok(connection) if is_there => Ok((connection, None)),
        Ok(mut connection) => {
            let made = from_files(root, &mut connection, &Former::none())?;
            Ok((connection, (made != Rebuilt::default()).then_some(made)))
        }
        Err(error) if is_damage(&error) => {
            let aside = put_aside(file)?;
            tracing::error!(%error, aside = %aside.display(), "the index is damaged");
            let mut connection = schema::open(file)?;
            let made = from_files(root, &mut connection, &Former::none())?;
            Ok((connection, Some(made)))
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

/// Makes the index anew; the former one is put aside, and what it knew is held against the files.
pub(crate) fn anew(root: &Path, file: &Path) -> Result<Rebuilt, ArchiveError> {
    let former = if file.exists() {
        Former::open(&put_aside(file)?)
    } else {
        Former::none()
    };
    let mut connection = schema::open(file)?;
    from_files(root, &mut connection, &former)
}

/// Makes the index from the files. Reads all of them, for their hashes.
fn from_files(
    root: &Path,
    index: &mut Connection,
    former: &Former,
) -> Result<Rebuilt, ArchiveError> {
    let mut made = Rebuilt::default();
    let all = index.transaction()?;
    streams::read(root, &all, former, &mut made)?;
    // What people hold stays held.
    let log = root.join(holds::FOLDER);
    if log.is_dir()
        && let Err(error) = holds::replay(&all, &log)
    {
        tracing::error!(%error, "what people hold is not known wholly");
    }
    all.commit()?;
    Ok(made)
}
