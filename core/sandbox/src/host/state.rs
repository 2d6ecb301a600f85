//! Capability `state`: granted by `grant = { state = "1MiB" }`; without it every call answers that it is
//! not. One SQLite file for all plugins;
//! a plugin sees its own keys at its own camera.

use std::path::Path;
use std::sync::{Arc, Mutex};

use rusqlite::{Connection, OptionalExtension, params};
use taimat_base::PluginId;
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
/// Keys listed at once.
const MAX_LISTED: u32 = 1000;

/// Where all plugins' state is kept.
#[derive(Debug)]
pub struct StateStore(Mutex<Connection>);

impl StateStore {
    /// Opens or makes the file.
    pub fn open(file: &Path) -> rusqlite::Result<Self> {
        Self::with(Connection::open(file)?)
    }

    /// Keeps nothing beyond this process.
    pub fn in_memory() -> rusqlite::Result<Self> {
        Self::with(Connection::open_in_memory()?)
    }

    fn with(connection: Connection) -> rusqlite::Result<Self> {
        connection.execute_batch(SCHEMA)?;
        Ok(Self(Mutex::new(connection)))
    }

    /// Bytes that an owner uses, keys and values together.
    fn used(connection: &Connection, owner: &str, but: &str) -> rusqlite::Result<u64> {
        let sum = "SELECT coalesce(sum(length(CAST(key AS BLOB)) + length(value)), 0) \
                   FROM state WHERE owner = ?1 AND key <> ?2";
        let bytes: i64 = connection
            .prepare_cached(sum)?
            .query_row(params![owner, but], |row| row.get(0))?;
        Ok(u64::try_from(bytes).unwrap_or(0))
    }
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
        }
    }

    fn connection(&self) -> std::sync::MutexGuard<'_, Connection> {
        self.store.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub(crate) fn get(&self, key: &str) -> Result<Option<Vec<u8>>, PluginError> {
        let run = || {
            self.connection()
                .prepare_cached("SELECT value FROM state WHERE owner = ?1 AND key = ?2")?
                .query_row(params![self.owner.0, key], |row| row.get(0))
                .optional()
        };
        run().map_err(|e| later(&e))
    }

    pub(crate) fn set(&self, key: &str, value: &[u8]) -> Result<(), PluginError> {
        if key.is_empty() || key.len() > MAX_KEY_BYTES {
            let why = format!(
                "a key has 1 to {MAX_KEY_BYTES} bytes, this one {}",
                key.len()
            );
            return Err(PluginError::Settings(why));
        }
        let connection = self.connection();
        let used = StateStore::used(&connection, &self.owner.0, key).map_err(|e| later(&e))?;
        let wanted = used + (key.len() + value.len()) as u64;
        if wanted > self.quota {
            let quota = self.quota;
            let why = format!("the state would have {wanted} bytes, {quota} are granted");
            return Err(PluginError::Settings(why));
        }
        let run = || {
            connection
                .prepare_cached("INSERT OR REPLACE INTO state VALUES (?1, ?2, ?3)")?
                .execute(params![self.owner.0, key, value])
        };
        run().map(|_rows| ()).map_err(|e| later(&e))
    }

    pub(crate) fn delete(&self, key: &str) -> Result<(), PluginError> {
        let run = || {
            self.connection()
                .prepare_cached("DELETE FROM state WHERE owner = ?1 AND key = ?2")?
                .execute(params![self.owner.0, key])
        };
        run().map(|_rows| ()).map_err(|e| later(&e))
    }

    pub(crate) fn list(&self, prefix: &str, limit: u32) -> Result<Vec<String>, PluginError> {
        let run = || {
            let connection = self.connection();
            let mut select = connection.prepare_cached(
                "SELECT key FROM state WHERE owner = ?1 AND substr(key, 1, length(?2)) = ?2 \
                 ORDER BY key LIMIT ?3",
            )?;
            let limit = limit.min(MAX_LISTED);
            let rows = select.query_map(params![self.owner.0, prefix, limit], |row| row.get(0))?;
            rows.collect::<rusqlite::Result<Vec<String>>>()
        };
        run().map_err(|e| later(&e))
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
            100,
        )
    }

    #[test]
    fn keeps_to_itself_and_to_its_quota() {
        let store = Arc::new(StateStore::in_memory().unwrap());
        let (a, b) = (state(&store, "a"), state(&store, "b"));
        a.set("k", b"1").unwrap();
        assert_eq!(
            (a.get("k"), b.get("k")),
            (Ok(Some(b"1".to_vec())), Ok(None))
        );
        a.set("big", &[0; 90]).unwrap();
        let refused = a.set("more", &[0; 10]).unwrap_err();
        assert!(refused.to_string().contains("100 are granted"), "{refused}");
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
