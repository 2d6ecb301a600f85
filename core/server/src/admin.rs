//! Changes communes' files on behalf of the console, and leaves what people wrote in them as it is.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;

use taimat_api::{Admin, AdminError};
use taimat_base::{CommuneId, PluginId};
use toml_edit::{DocumentMut, value};

use crate::config;

/// The communes' folders.
#[derive(Debug)]
pub(crate) struct Files {
    folders: BTreeMap<String, PathBuf>,
    /// One change at a time.
    writing: Mutex<()>,
}

impl Files {
    pub(crate) fn new(folders: &[PathBuf]) -> Self {
        let named = |folder: &PathBuf| {
            // The folder itself, wherever the router is started from.
            Some((config::name_of(folder)?, folder.canonicalize().ok()?))
        };
        Self {
            folders: folders.iter().filter_map(named).collect(),
            writing: Mutex::default(),
        }
    }
}

impl Admin for Files {
    fn enable_plugin(
        &self,
        commune: &CommuneId,
        plugin: &PluginId,
        enabled: bool,
    ) -> Result<(), AdminError> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(|e| e.into_inner());
        let folder = self
            .folders
            .get(commune.as_str())
            .ok_or(AdminError::Unknown)?;
        let file = folder.join(config::FILE);
        let refused = |why: String| AdminError::Refused(format!("{}: {why}", config::FILE));
        let text = std::fs::read_to_string(&file).map_err(|e| refused(e.to_string()))?;
        let changed = set_enabled(&text, plugin.as_str(), enabled)?;
        // What it would become has to be right, or what runs would not be what is written.
        if let Err(problems) = config::parse(commune.clone(), &file, &changed) {
            let first = problems
                .first()
                .map(ToString::to_string)
                .unwrap_or_default();
            return Err(refused(first));
        }
        taimat_base::files::replace(&file, changed.as_bytes()).map_err(|e| refused(e.to_string()))
    }
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
    use super::*;

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
