//! The tables, and opening the file that they are in.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode};
use taimat_base::{clock, files};

use crate::error::StoreError;

/// Which tables these are. A file of a later router is not touched.
const VERSION: i32 = 3;

const TABLES: &str = "
    CREATE TABLE event (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        commune TEXT NOT NULL,
        camera TEXT,
        kind TEXT NOT NULL,
        plugin TEXT NOT NULL,
        severity INTEGER NOT NULL,
        phase INTEGER NOT NULL,
        revision INTEGER NOT NULL,
        began INTEGER NOT NULL,
        last INTEGER NOT NULL,
        ended INTEGER,
        best TEXT NOT NULL,
        detections INTEGER NOT NULL,
        picture INTEGER NOT NULL DEFAULT 0,
        answered_by TEXT,
        answered_at INTEGER,
        false_alarm INTEGER NOT NULL DEFAULT 0,
        assigned TEXT,
        silenced INTEGER NOT NULL DEFAULT 0,
        extra TEXT NOT NULL DEFAULT '[]'
    );
    CREATE INDEX event_of_commune ON event (commune, id);
    CREATE INDEX event_of_camera ON event (commune, camera, id);
    CREATE INDEX event_open ON event (commune) WHERE ended IS NULL;
    CREATE INDEX event_ended ON event (ended) WHERE ended IS NOT NULL;
    CREATE TABLE log (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        event INTEGER NOT NULL REFERENCES event ON DELETE CASCADE,
        revision INTEGER NOT NULL,
        at INTEGER NOT NULL,
        what TEXT NOT NULL
    );
    CREATE INDEX log_of_event ON log (event);
    CREATE TABLE picture (
        event INTEGER NOT NULL REFERENCES event ON DELETE CASCADE,
        marked INTEGER NOT NULL,
        jpeg BLOB NOT NULL,
        PRIMARY KEY (event, marked)
    );
    CREATE TABLE silence (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        commune TEXT NOT NULL,
        camera TEXT,
        kind TEXT,
        until INTEGER NOT NULL,
        who TEXT NOT NULL,
        why TEXT NOT NULL,
        made INTEGER NOT NULL
    );
    CREATE VIRTUAL TABLE event_text USING fts5(
        text, content='', contentless_delete=1, tokenize='unicode61 remove_diacritics 2'
    );
";

/// What rulings and the outbox need; since version 2.
const TELLING: &str = "
    ALTER TABLE event ADD COLUMN asked INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE event ADD COLUMN memo TEXT NOT NULL DEFAULT '';
    CREATE TABLE question (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        event INTEGER NOT NULL REFERENCES event ON DELETE CASCADE,
        why INTEGER NOT NULL,
        due INTEGER NOT NULL,
        UNIQUE (event, why)
    );
    CREATE INDEX question_due ON question (due);
    CREATE TABLE delivery (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT NOT NULL UNIQUE,
        commune TEXT NOT NULL,
        target TEXT NOT NULL,
        together TEXT NOT NULL,
        state INTEGER NOT NULL,
        not_before INTEGER NOT NULL,
        due INTEGER NOT NULL,
        aside INTEGER NOT NULL DEFAULT 0,
        made INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        plan TEXT,
        receipt TEXT,
        error TEXT,
        ended INTEGER
    );
    CREATE INDEX delivery_waiting ON delivery (commune, target, number) WHERE state = 0;
    CREATE INDEX delivery_of_target ON delivery (commune, target, number);
    CREATE TABLE delivery_item (
        delivery INTEGER NOT NULL REFERENCES delivery ON DELETE CASCADE,
        event INTEGER NOT NULL REFERENCES event ON DELETE CASCADE,
        revision INTEGER NOT NULL,
        PRIMARY KEY (delivery, event)
    ) WITHOUT ROWID;
    CREATE INDEX delivery_of_event ON delivery_item (event);
    CREATE TABLE told (
        event INTEGER NOT NULL REFERENCES event ON DELETE CASCADE,
        target TEXT NOT NULL,
        at INTEGER NOT NULL,
        follow INTEGER NOT NULL,
        PRIMARY KEY (event, target)
    ) WITHOUT ROWID;
    CREATE TABLE target (
        commune TEXT NOT NULL,
        target TEXT NOT NULL,
        delivered INTEGER,
        failed INTEGER,
        error TEXT,
        gone TEXT,
        PRIMARY KEY (commune, target)
    ) WITHOUT ROWID;
    CREATE TABLE stands (
        commune TEXT NOT NULL,
        target TEXT NOT NULL,
        channel TEXT NOT NULL,
        topic TEXT NOT NULL,
        PRIMARY KEY (commune, target, channel, topic)
    ) WITHOUT ROWID;
";

/// Browsers that asked for notifications; since version 3.
const BROWSERS: &str = "
    CREATE TABLE browser (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        commune TEXT NOT NULL,
        endpoint TEXT NOT NULL,
        p256dh TEXT NOT NULL,
        auth TEXT NOT NULL,
        who TEXT NOT NULL,
        wants TEXT NOT NULL,
        made INTEGER NOT NULL,
        renewed INTEGER NOT NULL,
        UNIQUE (commune, endpoint)
    );
";

/// A commit is on the disk when it returns: whoever is told of an event can rely on it.
const SETTINGS: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = ON;
    PRAGMA busy_timeout = 2000;
    PRAGMA wal_autocheckpoint = 500;
    PRAGMA journal_size_limit = 8388608;
";

/// Opens the file for writing, and makes the tables if there are none. What can not be read as a
/// database is put aside, and its new name is returned too.
pub(super) fn open(file: &Path) -> Result<(Connection, Option<PathBuf>), StoreError> {
    let opened = || {
        let connection = Connection::open(file).and_then(prepared)?;
        whole(&connection)?;
        Ok(connection)
    };
    match opened() {
        Ok(connection) => Ok((checked(connection)?, None)),
        Err(error) if is_damaged(&error) => {
            let aside = files::set_aside(file, clock::wall()).map_err(StoreError::Aside)?;
            Ok((checked(opened()?)?, Some(aside)))
        }
        Err(error) => Err(error.into()),
    }
}

/// Opens the file for reading.
pub(super) fn open_to_read(file: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(file)?;
    connection.execute_batch("PRAGMA busy_timeout = 2000; PRAGMA query_only = ON;")?;
    Ok(connection)
}

/// Tables without which nobody is told: all but pictures and the index of words, which are nearly all of the
/// file and cost nobody else anything if they are damaged.
const LOOKED_AT: [&str; 9] = [
    "event",
    "log",
    "silence",
    "question",
    "delivery",
    "delivery_item",
    "told",
    "target",
    "stands",
];

/// Damage that is met later would have every write fail, until somebody looks.
fn whole(connection: &Connection) -> rusqlite::Result<()> {
    for table in LOOKED_AT {
        let check = format!("PRAGMA quick_check('{table}')");
        let said: String = connection.query_row(&check, [], |row| row.get(0))?;
        if said != "ok" {
            let damaged = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
            return Err(rusqlite::Error::SqliteFailure(damaged, Some(said)));
        }
    }
    Ok(())
}

fn prepared(mut connection: Connection) -> rusqlite::Result<Connection> {
    connection.execute_batch(SETTINGS)?;
    let all = connection.transaction()?;
    let version: i32 = all.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    for (earlier, tables) in [(0, TABLES), (1, TELLING), (2, BROWSERS)] {
        if (0..=earlier).contains(&version) {
            all.execute_batch(tables)?;
        }
    }
    if (0..VERSION).contains(&version) {
        all.pragma_update(None, "user_version", VERSION)?;
    }
    all.commit()?;
    Ok(connection)
}

/// Makes a file as an earlier version had it.
#[cfg(test)]
pub(super) fn open_earlier(file: &Path, version: usize) -> rusqlite::Result<()> {
    let connection = Connection::open(file)?;
    for tables in [TABLES, TELLING].into_iter().take(version) {
        connection.execute_batch(tables)?;
    }
    connection.pragma_update(None, "user_version", version)
}

fn checked(connection: Connection) -> Result<Connection, StoreError> {
    let version: i32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version == VERSION {
        Ok(connection)
    } else {
        Err(StoreError::Newer(version))
    }
}

/// Whether the file is no database any more.
pub(super) fn is_damaged(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}
