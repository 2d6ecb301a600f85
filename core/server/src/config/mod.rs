//! What operators write: commune folders.

mod alerts;
mod archive;
pub(crate) mod camera;
mod channel;
pub mod commune;
mod events;
mod folder;
mod lost;
mod named;
mod plugin;
mod reader;
mod secrets;
mod store;
mod zones;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use taimat_base::{Place, Problem};

pub(crate) use commune::Named;
pub use commune::{Commune, parse, place_of_component, place_of_setting};
pub use events::EventSettings;
pub use folder::FILE;
pub(crate) use folder::{
    FolderRead, MAX_FILE_BYTES, Written, id_of, name_of, read, understand, written,
};
pub(crate) use lost::lost;
pub(crate) use named::logins;
pub(crate) use reader::Origin;
pub use secrets::SecretPlaces;

/// Reads the communes in `folders`, all or none: all problems in all files are returned together. Secrets that the
/// operator keeps elsewhere are looked for where systemd puts them.
pub fn load(folders: &[PathBuf]) -> Result<Vec<Commune>, Vec<Problem>> {
    load_with(folders, &SecretPlaces::new(None))
}

/// As [`load`], with secrets that the operator keeps in these places.
pub fn load_with(
    folders: &[PathBuf],
    secrets: &SecretPlaces,
) -> Result<Vec<Commune>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut communes: BTreeMap<String, Commune> = BTreeMap::new();
    for folder in folders {
        let loaded = folder::id_of(folder)
            .map_err(|problem| vec![problem])
            .and_then(|id| read(&id, folder, secrets).commune);
        match loaded {
            Ok(commune) => {
                let id = commune.id.to_string();
                if communes.insert(id.clone(), commune).is_some() {
                    problems.push(second(folder, &id));
                }
            }
            Err(more) => problems.extend(more),
        }
    }
    if problems.is_empty() {
        Ok(communes.into_values().collect())
    } else {
        Err(problems)
    }
}

/// Two folders can not be one commune.
pub(crate) fn second(folder: &Path, id: &str) -> Problem {
    let message = format!("a second folder is named {id:?}");
    let hint = "folders' names are the communes' names; rename one";
    Problem::new(Place::file(folder), message).hint(hint)
}
