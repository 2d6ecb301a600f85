//! The tables, and opening the file that they are in.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::error::ArchiveError;

/// Which tables these are. A file of a later router is not touched.
const VERSION: i32 = 2;
/// What a file of the first version lacks.
const SECOND: &str = "
    ALTER TABLE copy ADD COLUMN hash BLOB;
    CREATE INDEX copy_checked ON copy (target, checked) WHERE state = 1;
";

const TABLES: &str = "
    CREATE TABLE stream (
        number INTEGER PRIMARY KEY,
        commune TEXT NOT NULL,
        camera TEXT NOT NULL,
        profile TEXT NOT NULL,
        -- After the newest segment that is closed.
        chain BLOB NOT NULL,
        -- Of its segments here that are closed.
        stored INTEGER NOT NULL DEFAULT 0,
        UNIQUE (commune, camera, profile)
    );
    -- What segments begin with: most of a camera's begin with the same.
    CREATE TABLE format (
        number INTEGER PRIMARY KEY,
        init BLOB NOT NULL UNIQUE
    );
    CREATE TABLE segment (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        stream INTEGER NOT NULL REFERENCES stream,
        format INTEGER NOT NULL REFERENCES format,
        -- Microseconds since 1970; the start is in the file's name.
        start INTEGER NOT NULL,
        end INTEGER NOT NULL,
        -- Of the file.
        bytes INTEGER NOT NULL,
        -- 0 is being written, 1 is there, 2 is going, 3 is elsewhere only.
        state INTEGER NOT NULL,
        -- One can begin with its first picture.
        key INTEGER NOT NULL,
        watched INTEGER NOT NULL,
        -- 1 all is kept, 2 what events are about.
        mode INTEGER NOT NULL,
        -- What storage is to be asked: 0 nothing, 1 it is fresh, 2 it changed. That settings have changed is
        -- in the table of what there is besides: all are asked about, one after the other.
        asks INTEGER NOT NULL,
        -- Of the copy here: asked again then, and which go first when room is short.
        until INTEGER NOT NULL,
        worth INTEGER NOT NULL,
        -- The copy here goes once those elsewhere are there.
        leaves INTEGER NOT NULL DEFAULT 0,
        -- The chain before its first part.
        chain BLOB NOT NULL,
        -- Its parts, one after the other; while it is being written they are in the table of parts.
        parts BLOB
    );
    CREATE INDEX segment_in_time ON segment (stream, start, end, state, bytes, key);
    CREATE INDEX segment_by_worth ON segment (worth, start) WHERE state = 1;
    CREATE INDEX segment_asks ON segment (asks, id) WHERE asks != 0 AND state IN (1, 3);
    CREATE INDEX segment_due ON segment (until) WHERE state IN (1, 3);
    CREATE INDEX segment_leaves ON segment (start) WHERE leaves = 1 AND state = 1;
    CREATE INDEX segment_unfinished ON segment (state) WHERE state IN (0, 2);
    CREATE TABLE part (
        segment INTEGER NOT NULL,
        n INTEGER NOT NULL,
        packed BLOB NOT NULL,
        PRIMARY KEY (segment, n)
    ) WITHOUT ROWID;
    -- Where nothing is, and why. One that goes on has no end.
    CREATE TABLE gap (
        stream INTEGER NOT NULL REFERENCES stream,
        start INTEGER NOT NULL,
        end INTEGER,
        reason TEXT NOT NULL,
        PRIMARY KEY (stream, start)
    ) WITHOUT ROWID;
    -- What happened at a camera, as far as it decides what is kept.
    CREATE TABLE mark (
        event TEXT NOT NULL,
        commune TEXT NOT NULL,
        camera TEXT NOT NULL,
        start INTEGER NOT NULL,
        end INTEGER,
        kind TEXT NOT NULL,
        severity INTEGER NOT NULL,
        PRIMARY KEY (event, camera)
    ) WITHOUT ROWID;
    CREATE INDEX mark_of_camera ON mark (commune, camera, start);
    -- What a policy wants to be kept.
    CREATE TABLE take (
        number INTEGER PRIMARY KEY,
        event TEXT NOT NULL,
        commune TEXT NOT NULL,
        camera TEXT NOT NULL,
        start INTEGER NOT NULL,
        end INTEGER NOT NULL,
        until INTEGER NOT NULL,
        UNIQUE (event, camera, start)
    );
    CREATE INDEX take_of_camera ON take (commune, camera, start);
    -- What people want to be kept, whatever else is said.
    CREATE TABLE hold (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        commune TEXT NOT NULL,
        camera TEXT NOT NULL,
        start INTEGER NOT NULL,
        end INTEGER NOT NULL,
        until INTEGER,
        who TEXT NOT NULL,
        why TEXT NOT NULL,
        case_number TEXT NOT NULL,
        made INTEGER NOT NULL,
        released INTEGER,
        released_by TEXT,
        released_why TEXT
    );
    CREATE INDEX hold_of_camera ON hold (commune, camera, start) WHERE released IS NULL;
    -- Copies elsewhere: 0 is wanted, 1 is there, 2 is to go.
    CREATE TABLE copy (
        segment INTEGER NOT NULL REFERENCES segment ON DELETE CASCADE,
        target TEXT NOT NULL,
        state INTEGER NOT NULL,
        until INTEGER NOT NULL,
        worth INTEGER NOT NULL,
        bytes INTEGER NOT NULL DEFAULT 0,
        -- When it was held against its hash; of one that is wanted it says that one was there, and was not
        -- what it should be.
        checked INTEGER,
        tries INTEGER NOT NULL DEFAULT 0,
        next INTEGER NOT NULL DEFAULT 0,
        error TEXT,
        -- SHA-256 of the file that was copied.
        hash BLOB,
        PRIMARY KEY (segment, target)
    ) WITHOUT ROWID;
    CREATE INDEX copy_work ON copy (target, next) WHERE state != 1;
    CREATE INDEX copy_there ON copy (target, worth, segment) WHERE state = 1;
    CREATE INDEX copy_checked ON copy (target, checked) WHERE state = 1;
    -- Bytes that came and that went by age, by days since 1970: how long the room lasts.
    CREATE TABLE flow (
        day INTEGER NOT NULL,
        commune TEXT NOT NULL,
        came INTEGER NOT NULL DEFAULT 0,
        aged INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (day, commune)
    ) WITHOUT ROWID;
    CREATE TABLE meta (
        name TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) WITHOUT ROWID;
";

/// Opens the index to write; makes it if there is none.
pub(crate) fn open(file: &Path) -> Result<Connection, ArchiveError> {
    let mut connection = Connection::open(file)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // Rows are true of what is on the disk, and come after it: they are synced with what comes next.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    let found: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match found {
        VERSION => {}
        0 => {
            let all = connection.transaction()?;
            all.execute_batch(TABLES)?;
            all.pragma_update(None, "user_version", VERSION)?;
            all.commit()?;
        }
        1 => {
            let all = connection.transaction()?;
            all.execute_batch(SECOND)?;
            all.pragma_update(None, "user_version", VERSION)?;
            all.commit()?;
        }
        found => {
            return Err(ArchiveError::Newer {
                found,
                known: VERSION,
            });
        }
    }
    Ok(connection)
}

/// Opens it to read only.
pub(crate) fn open_to_read(file: &Path) -> Result<Connection, ArchiveError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(connection)
}
