//! What operators write: commune folders.

mod alerts;
mod archive;
pub(crate) mod camera;
mod channel;
pub mod commune;
mod events;
mod plugin;
mod reader;
mod store;
mod zones;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use taimat_base::{Place, Problem};

pub use commune::{Commune, parse, place_of_component, place_of_setting};
pub use events::EventSettings;

/// The file that makes a folder a commune.
pub const FILE: &str = "commune.toml";
/// No commune's file is larger; what is has another purpose.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Reads the communes in `folders`. All problems in all files are returned together.
pub fn load(folders: &[PathBuf]) -> Result<Vec<Commune>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut communes: BTreeMap<String, Commune> = BTreeMap::new();
    for folder in folders {
        match load_one(folder) {
            Ok(commune) => {
                let id = commune.id.to_string();
                if communes.insert(id.clone(), commune).is_some() {
                    let message = format!("a second folder is named {id:?}");
                    let hint = "folders' names are the communes' names; rename one";
                    problems.push(Problem::new(Place::file(folder), message).hint(hint));
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

/// What a commune is called by its folder, wherever a link to it or `.` leads. None if there is no such
/// folder.
pub(crate) fn name_of(folder: &Path) -> Option<String> {
    let whole = folder.canonicalize().ok()?;
    Some(whole.file_name()?.to_string_lossy().into_owned())
}

fn load_one(folder: &Path) -> Result<Commune, Vec<Problem>> {
    let one = |place: Place, message: String, hint: &str| {
        Err(vec![Problem::new(place, message).hint(hint)])
    };
    let Some(name) = name_of(folder) else {
        return one(
            Place::file(folder),
            "there is no such folder".into(),
            "create it",
        );
    };
    let id = match name.parse() {
        Ok(id) => id,
        Err(error) => {
            let hint = "a commune is named by its folder, for example `hoa-lac`";
            return one(
                Place::file(folder),
                format!("folder name {name:?}: {error}"),
                hint,
            );
        }
    };
    let file = folder.join(FILE);
    if std::fs::metadata(&file).is_ok_and(|m| m.len() > MAX_FILE_BYTES) {
        return one(
            Place::file(&file),
            "the file is larger than 1 MiB".into(),
            "shorten it",
        );
    }
    match std::fs::read_to_string(&file) {
        Ok(text) => parse(id, &file, &text),
        Err(error) => {
            let hint = "a commune's folder has a file commune.toml; see examples/hoa-lac";
            one(
                Place::file(&file),
                format!("the file can not be read: {error}"),
                hint,
            )
        }
    }
}
