//! Changes communes' files on behalf of the console, and leaves what people wrote in them as it is.

use std::io;
use std::path::Path;
use std::sync::Mutex;

use taimat_api::{Admin, AdminError};
use taimat_base::files::{self, PlainError};
use taimat_base::{CommuneId, PluginId};
use tokio::sync::Semaphore;
use toml_edit::{DocumentMut, value};

use crate::communes::CommunePlace;
use crate::config::{self, FILE, Written};

/// Changes of one commune that may wait for its disk at once: one that hangs holds up no other commune's, and takes no
/// more threads than these.
const MAX_WAITING: usize = 8;
const BUSY: &str = "other changes wait for the folder's disk";

/// The communes' folders.
#[derive(Debug)]
pub(crate) struct Files(Vec<Folder>);

#[derive(Debug)]
struct Folder {
    place: CommunePlace,
    waiting: Semaphore,
    /// One change at a time.
    writing: Mutex<()>,
}

impl Files {
    pub(crate) fn new(places: &[CommunePlace]) -> Self {
        let folder = |place: &CommunePlace| Folder {
            place: CommunePlace {
                // Wherever this process goes.
                folder: std::path::absolute(&place.folder).unwrap_or_else(|_| place.folder.clone()),
                ..place.clone()
            },
            waiting: Semaphore::new(MAX_WAITING),
            writing: Mutex::default(),
        };
        Self(places.iter().map(folder).collect())
    }

    fn folder(&self, commune: &CommuneId) -> Option<&Folder> {
        self.0.iter().find(|folder| folder.place.id == *commune)
    }
}

impl Admin for Files {
    fn enable_plugin(
        &self,
        commune: &CommuneId,
        plugin: &PluginId,
        enabled: bool,
    ) -> Result<(), AdminError> {
        let refused = |why: String| AdminError::Refused(format!("{FILE}: {why}"));
        let folder = self.folder(commune).ok_or(AdminError::Unknown)?;
        let turn = folder.waiting.try_acquire();
        let _turn = turn.map_err(|_all_taken| refused(BUSY.into()))?;
        let _one_at_a_time = folder.writing.lock().unwrap_or_else(|e| e.into_inner());
        let place = &folder.place;
        let written = config::written(&place.folder).map_err(|problem| refused(problem.message))?;
        let changed = set_enabled(&written.text, plugin.as_str(), enabled)?;
        let file = place.folder.join(FILE);
        // What it would become has to be right, or what runs would not be what is written.
        let becomes = Written {
            text: changed.clone(),
            stamp: None,
        };
        let read = config::understand(commune, file.clone(), becomes, &place.secrets);
        if let Err(problems) = read.commune {
            let first = problems.first().map(ToString::to_string);
            return Err(refused(first.unwrap_or_default()));
        }
        write(&place.folder, &file, changed.as_bytes()).map_err(|e| refused(e.to_string()))
    }

    fn write_component(&self, commune: &CommuneId, file: &Path, bytes: &[u8]) -> io::Result<()> {
        let folder = self.folder(commune).ok_or(io::ErrorKind::NotFound)?;
        let turn = folder.waiting.try_acquire();
        let _turn = turn.map_err(|_all_taken| io::Error::other(BUSY))?;
        write(&folder.place.folder, &std::path::absolute(file)?, bytes)
    }
}

/// Changes a file of a commune's, where its links lead, as long as that is in the commune's folder.
fn write(folder: &Path, file: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = file.strip_prefix(folder).unwrap_or(file);
    match files::path_within(folder, name) {
        Ok(real) => files::rewrite(&real, bytes),
        Err(PlainError::Missing) if !file.is_symlink() && is_below(folder, file)? => {
            files::replace(file, bytes)
        }
        Err(error) => Err(io::Error::other(error)),
    }
}

/// Whether a file that is not there yet would be in the folder, wherever the links on the way lead.
fn is_below(folder: &Path, file: &Path) -> io::Result<bool> {
    let there = file.ancestors().skip(1).find(|above| above.exists());
    let there = there.unwrap_or(folder).canonicalize()?;
    Ok(there.starts_with(folder.canonicalize()?))
}

fn set_enabled(text: &str, plugin: &str, enabled: bool) -> Result<String, AdminError> {
    let mut document: DocumentMut = text
        .parse()
        .map_err(|e: toml_edit::TomlError| AdminError::Refused(e.to_string()))?;
    let section = document
        .get_mut("plugin")
        .and_then(|p| p.get_mut(plugin))
        .and_then(|p| p.as_table_like_mut())
        .ok_or(AdminError::Unknown)?;
    section.insert("enabled", value(enabled));
    Ok(document.to_string())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;
    use crate::config::SecretPlaces;

    const FILE_TEXT: &str =
        "# ours\n[commune]\nname = \"Thu\"\n[plugin.a] # first\ncomponent = \"a.wasm\"\n";

    #[test]
    fn what_is_changed_stays_the_link_and_the_file_that_it_was() {
        let place = tempfile::tempdir().unwrap();
        let at = |path: &str| place.path().join(path);
        fs::create_dir_all(at("thu/real")).unwrap();
        fs::create_dir(at("other")).unwrap();
        fs::write(at("thu/real/file.toml"), FILE_TEXT).unwrap();
        fs::set_permissions(at("thu/real/file.toml"), fs::Permissions::from_mode(0o640)).unwrap();
        symlink("real/file.toml", at("thu/commune.toml")).unwrap();
        let id: CommuneId = "thu".parse().unwrap();
        let files = Files::new(&[CommunePlace {
            id: id.clone(),
            folder: at("thu"),
            secrets: SecretPlaces::default(),
        }]);
        files
            .enable_plugin(&id, &"a".parse().unwrap(), false)
            .unwrap();
        assert!(at("thu/commune.toml").is_symlink());
        let text = fs::read_to_string(at("thu/real/file.toml")).unwrap();
        assert_eq!(text, format!("{FILE_TEXT}enabled = false\n"));
        assert_eq!(
            fs::metadata(at("thu/real/file.toml")).unwrap().mode() & 0o777,
            0o640
        );
        // A component, new and behind a link.
        files
            .write_component(&id, &at("thu/plugins/a.wasm"), b"new")
            .unwrap();
        assert_eq!(fs::read(at("thu/plugins/a.wasm")).unwrap(), b"new");
        symlink("plugins/a.wasm", at("thu/b.wasm")).unwrap();
        files
            .write_component(&id, &at("thu/b.wasm"), b"newer")
            .unwrap();
        assert_eq!(fs::read(at("thu/plugins/a.wasm")).unwrap(), b"newer");
        // Nothing is written where a link leads out, also if nothing is there yet.
        fs::write(at("other/file"), FILE_TEXT).unwrap();
        for target in ["../other/file", "../other/none"] {
            let _none = fs::remove_file(at("thu/c.wasm"));
            symlink(target, at("thu/c.wasm")).unwrap();
            assert!(
                files
                    .write_component(&id, &at("thu/c.wasm"), b"theirs")
                    .is_err()
            );
        }
        symlink("../other", at("thu/far")).unwrap();
        assert!(
            files
                .write_component(&id, &at("thu/far/none"), b"theirs")
                .is_err()
        );
        assert!(!at("other/none").exists());
        fs::remove_file(at("thu/commune.toml")).unwrap();
        symlink("../other/file", at("thu/commune.toml")).unwrap();
        assert!(
            files
                .enable_plugin(&id, &"a".parse().unwrap(), true)
                .is_err()
        );
        assert_eq!(fs::read_to_string(at("other/file")).unwrap(), FILE_TEXT);
    }

    #[test]
    fn leaves_the_rest_as_it_is() {
        let text = "# ours\n[plugin.a]   # first\ncomponent = \"a.wasm\"\n\n[plugin.b]\n";
        let off = set_enabled(text, "a", false).unwrap();
        assert_eq!(off.replace("enabled = false\n", ""), text);
        let on = set_enabled(&off, "a", true).unwrap();
        assert_eq!(on, off.replace("false", "true"));
        assert_eq!(set_enabled(text, "c", true), Err(AdminError::Unknown));
    }
}
