//! Capability `state`: granted by `grant = { state = "1MiB" }`; without it every call answers that it is
//! not. One SQLite file for all plugins;
//! a plugin sees its own keys at its own camera.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use taimat_base::{PluginId, clock, files};
use taimat_contract::PluginError;

use crate::place::Place;

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    PRAGMA busy_timeout = 50;
    CREATE TABLE IF NOT EXISTS state (
        owner TEXT NOT NULL,
        key TEXT NOT NULL,
        value BLOB NOT NULL,
        PRIMARY KEY (owner, key)
    ) WITHOUT ROWID;
";
/// Bytes of a key.
const MAX_KEY_BYTES: usize = 128;
/// What a pair takes besides its key and its value: its owner's name and its place in the table. Counted
/// with it, so that many small ones take no more of the disk than was granted.
const PAIR_BYTES: u64 = 64;
/// Keys listed at once.
const MAX_LISTED: u32 = 1000;

/// Where all plugins' state is kept.
#[derive(Debug)]
pub struct StateStore(Mutex<Connection>);

impl StateStore {
    /// Opens or makes the file. One that can not be read as a database is set aside, and said.
    pub fn open(file: &Path) -> rusqlite::Result<Self> {
        let open = || Self::with(Connection::open(file)?);
        match open() {
            Err(error) if is_damaged(&error) => {
                let Ok(aside) = files::set_aside(file, clock::wall()) else {
                    return Err(error);
                };
                tracing::error!(
                    %error,
                    aside = %aside.display(),
                    "the plugins' state was damaged; it was put aside, and a new one was begun"
                );
                open()
            }
            opened => opened,
        }
    }

    /// Keeps nothing beyond this process.
    pub fn in_memory() -> rusqlite::Result<Self> {
        Self::with(Connection::open_in_memory()?)
    }

    fn with(connection: Connection) -> rusqlite::Result<Self> {
        connection.execute_batch(SCHEMA)?;
        Ok(Self(Mutex::new(connection)))
    }

    /// Bytes that an owner uses, keys and values together, and what pairs take besides.
    fn used(connection: &Connection, owner: &str, but: &str) -> rusqlite::Result<u64> {
        let sum = "SELECT coalesce(sum(length(CAST(key AS BLOB)) + length(value)), 0), count(*) \
                   FROM state WHERE owner = ?1 AND key <> ?2";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let (bytes, pairs): (i64, i64) = connection
            .prepare_cached(sum)?
            .query_row(params![owner, but], read)?;
        let [bytes, pairs] = [bytes, pairs].map(|n| u64::try_from(n).unwrap_or(0));
        Ok(bytes + pairs * PAIR_BYTES)
    }
}

fn is_damaged(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(
        code,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

/// Whose state it is.
#[derive(Debug, Clone)]
pub(crate) struct Owner(String);

impl Owner {
    pub(crate) fn new(place: &Place, plugin: &PluginId) -> Self {
        Self(format!("{}/{plugin}/{}", place.commune(), place.label()))
    }
}

/// An instance's part.
#[derive(Debug)]
pub(crate) struct StateCapability {
    store: Arc<StateStore>,
    owner: Owner,
    quota: u64,
    /// What was written and is not true yet, for who holds it back: a value, or none for what was
    /// deleted.
    held: Option<BTreeMap<String, Option<Vec<u8>>>>,
}

/// What a pair takes of the quota.
fn pair_bytes(key: &str, value: &[u8]) -> u64 {
    (key.len() + value.len()) as u64 + PAIR_BYTES
}

fn later(error: &rusqlite::Error) -> PluginError {
    tracing::warn!(%error, "the plugins' state can not be reached");
    PluginError::Retry("the state can not be reached".into())
}

impl StateCapability {
    pub(super) fn new(store: Arc<StateStore>, owner: Owner, quota: u64) -> Self {
        Self {
            store,
            owner,
            quota,
            held: None,
        }
    }

    /// From now on what is written waits for [`commit`](Self::commit).
    pub(crate) fn hold(&mut self) {
        self.held = Some(BTreeMap::new());
    }

    /// What was written becomes true, all of it or nothing.
    pub(crate) fn commit(&mut self) -> Result<(), PluginError> {
        let Some(held) = self.held.as_mut().map(std::mem::take) else {
            return Ok(());
        };
        if held.is_empty() {
            return Ok(());
        }
        let mut connection = self.connection();
        let mut run = || {
            let changes = connection.transaction()?;
            for (key, value) in &held {
                match value {
                    Some(value) => changes
                        .prepare_cached("INSERT OR REPLACE INTO state VALUES (?1, ?2, ?3)")?
                        .execute(params![self.owner.0, key, value])?,
                    None => changes
                        .prepare_cached("DELETE FROM state WHERE owner = ?1 AND key = ?2")?
                        .execute(params![self.owner.0, key])?,
                };
            }
            changes.commit()
        };
        run().map_err(|e| later(&e))
    }

    /// What was written since the last commit was never written.
    pub(crate) fn forget(&mut self) {
        if let Some(held) = &mut self.held {
            held.clear();
        }
    }

    /// What is held back of a key.
    fn waiting(&self, key: &str) -> Option<&Option<Vec<u8>>> {
        self.held.as_ref()?.get(key)
    }

    /// Bytes that are used, with what is held back and without a key.
    fn used(&self, but: &str) -> Result<u64, PluginError> {
        let connection = self.connection();
        let Some(held) = self.held.as_ref().filter(|held| !held.is_empty()) else {
            return StateStore::used(&connection, &self.owner.0, but).map_err(|e| later(&e));
        };
        let run = || {
            let lengths = "SELECT key, length(CAST(key AS BLOB)) + length(value) FROM state \
                           WHERE owner = ?1";
            let mut select = connection.prepare_cached(lengths)?;
            let rows = select.query_map(params![self.owner.0], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        let kept = run().map_err(|e| later(&e))?;
        let kept = kept
            .into_iter()
            .filter(|(key, _)| key != but && !held.contains_key(key));
        let kept: u64 = kept
            .map(|(_, bytes)| u64::try_from(bytes).unwrap_or(0) + PAIR_BYTES)
            .sum();
        let waiting = held.iter().filter(|(key, _)| key.as_str() != but);
        let waiting = waiting.filter_map(|(key, value)| Some(pair_bytes(key, value.as_ref()?)));
        Ok(kept + waiting.sum::<u64>())
    }

    fn connection(&self) -> std::sync::MutexGuard<'_, Connection> {
        self.store.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub(crate) fn get(&self, key: &str) -> Result<Option<Vec<u8>>, PluginError> {
        match self.waiting(key) {
            Some(waiting) => Ok(waiting.clone()),
            None => self.stored(key),
        }
    }

    fn stored(&self, key: &str) -> Result<Option<Vec<u8>>, PluginError> {
        let run = || {
            self.connection()
                .prepare_cached("SELECT value FROM state WHERE owner = ?1 AND key = ?2")?
                .query_row(params![self.owner.0, key], |row| row.get(0))
                .optional()
        };
        run().map_err(|e| later(&e))
    }

    pub(crate) fn set(&mut self, key: &str, value: &[u8]) -> Result<(), PluginError> {
        if key.is_empty() || key.len() > MAX_KEY_BYTES {
            let why = format!(
                "a key has 1 to {MAX_KEY_BYTES} bytes, this one {}",
                key.len()
            );
            return Err(PluginError::Settings(why));
        }
        let wanted = self.used(key)? + pair_bytes(key, value);
        if wanted > self.quota {
            let quota = self.quota;
            let why = format!(
                "the state would have {wanted} bytes, with {PAIR_BYTES} for each pair, {quota} are \
                 granted"
            );
            return Err(PluginError::Settings(why));
        }
        if let Some(held) = &mut self.held {
            held.insert(key.to_owned(), Some(value.to_vec()));
            return Ok(());
        }
        let run = || {
            self.connection()
                .prepare_cached("INSERT OR REPLACE INTO state VALUES (?1, ?2, ?3)")?
                .execute(params![self.owner.0, key, value])
        };
        run().map(|_rows| ()).map_err(|e| later(&e))
    }

    pub(crate) fn delete(&mut self, key: &str) -> Result<(), PluginError> {
        if self.held.is_some() {
            // What is not there need not be remembered: these names would not be counted anywhere.
            let stored = self.stored(key)?.is_some();
            if let Some(held) = &mut self.held {
                held.remove(key);
                if stored {
                    held.insert(key.to_owned(), None);
                }
            }
            return Ok(());
        }
        let run = || {
            self.connection()
                .prepare_cached("DELETE FROM state WHERE owner = ?1 AND key = ?2")?
                .execute(params![self.owner.0, key])
        };
        run().map(|_rows| ()).map_err(|e| later(&e))
    }

    pub(crate) fn list(&self, prefix: &str, limit: u32) -> Result<Vec<String>, PluginError> {
        let (limit, held) = (limit.min(MAX_LISTED), self.held.as_ref());
        let run = || {
            let connection = self.connection();
            let mut select = connection.prepare_cached(
                "SELECT key FROM state WHERE owner = ?1 AND substr(key, 1, length(?2)) = ?2 \
                 ORDER BY key LIMIT ?3",
            )?;
            // What is deleted and not committed yet may stand among the first.
            let most = u32::try_from(held.map_or(0, BTreeMap::len)).unwrap_or(u32::MAX);
            let most = limit.saturating_add(most);
            let rows = select.query_map(params![self.owner.0, prefix, most], |row| row.get(0))?;
            rows.collect::<rusqlite::Result<BTreeSet<String>>>()
        };
        let mut keys = run().map_err(|e| later(&e))?;
        for (key, value) in held.into_iter().flatten() {
            match value {
                Some(_) if key.starts_with(prefix) => drop(keys.insert(key.clone())),
                Some(_) => {}
                None => drop(keys.remove(key)),
            }
        }
        Ok(keys.into_iter().take(limit as usize).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taimat_base::CameraKey;

    fn state(store: &Arc<StateStore>, camera: &str) -> StateCapability {
        let camera = CameraKey::new("c".parse().unwrap(), camera.parse().unwrap());
        StateCapability::new(
            Arc::clone(store),
            Owner::new(&Place::Camera(camera), &"p".parse().unwrap()),
            QUOTA,
        )
    }

    /// Two pairs with a hundred bytes of keys and values.
    const QUOTA: u64 = 100 + 2 * PAIR_BYTES;

    #[test]
    fn keeps_to_itself_and_to_its_quota() {
        let store = Arc::new(StateStore::in_memory().unwrap());
        let (mut a, b) = (state(&store, "a"), state(&store, "b"));
        a.set("k", b"1").unwrap();
        assert_eq!(
            (a.get("k"), b.get("k")),
            (Ok(Some(b"1".to_vec())), Ok(None))
        );
        a.set("big", &[0; 90]).unwrap();
        let refused = a.set("more", &[0; 10]).unwrap_err();
        let text = format!("{QUOTA} are granted");
        assert!(refused.to_string().contains(&text), "{refused}");
        // Replacing counts once.
        a.set("big", &[1; 95]).unwrap();
        assert_eq!(a.list("", 10).unwrap(), ["big", "k"]);
        assert_eq!(a.list("b", 10).unwrap(), ["big"]);
        assert_eq!(a.list("%", 10).unwrap(), [""; 0]);
        a.delete("big").unwrap();
        a.delete("big").unwrap();
        assert_eq!(a.get("big"), Ok(None));
    }

    #[test]
    fn what_is_held_back_is_seen_by_its_writer_and_becomes_true_all_at_once() {
        let store = Arc::new(StateStore::in_memory().unwrap());
        let (mut writer, reader) = (state(&store, "a"), state(&store, "a"));
        writer.set("old", b"1").unwrap();
        writer.hold();
        writer.set("new", b"2").unwrap();
        writer.delete("old").unwrap();
        assert_eq!(writer.list("", 10).unwrap(), ["new"]);
        assert_eq!(writer.get("old"), Ok(None));
        assert_eq!(reader.list("", 10).unwrap(), ["old"]);
        assert!(
            writer.set("big", &[0; 99]).is_err(),
            "what waits counts too"
        );
        writer.forget();
        assert_eq!(writer.list("", 10).unwrap(), ["old"]);
        writer.set("new", b"2").unwrap();
        writer.delete("old").unwrap();
        writer.commit().unwrap();
        assert_eq!(reader.list("", 10).unwrap(), ["new"]);
        writer.set("more", b"3").unwrap();
        assert_eq!(reader.get("more"), Ok(None), "held back again");
    }

    #[test]
    fn many_small_pairs_do_not_pass_the_quota() {
        let store = Arc::new(StateStore::in_memory().unwrap());
        let most = usize::try_from(QUOTA / PAIR_BYTES).unwrap();
        let (mut at_once, mut held) = (state(&store, "a"), state(&store, "b"));
        held.hold();
        for state in [&mut at_once, &mut held] {
            let kept = (0..1000).filter(|n| state.set(&format!("{n}"), b"").is_ok());
            assert!(kept.count() <= most);
        }
        // What is deleted makes room, and what was never there takes none.
        for n in 0..1000 {
            held.delete(&format!("{n}")).unwrap();
        }
        assert_eq!(held.held.as_ref().map(BTreeMap::len), Some(0));
        held.set("n", b"1").unwrap();
        held.commit().unwrap();
        held.delete("n").unwrap();
        assert_eq!(held.held.as_ref().map(BTreeMap::len), Some(1));
        held.commit().unwrap();
        assert_eq!(held.list("", 10).unwrap(), [""; 0]);
    }

    #[test]
    fn outlives_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.db");
        state(&Arc::new(StateStore::open(&file).unwrap()), "a")
            .set("k", b"1")
            .unwrap();
        let again = Arc::new(StateStore::open(&file).unwrap());
        assert_eq!(state(&again, "a").get("k"), Ok(Some(b"1".to_vec())));
    }
}
