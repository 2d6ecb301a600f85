//! `taimat check`: what a commune's file says against what its plugins say of themselves.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use taimat_base::{CameraId, CommuneId, Place, Problem};
use taimat_contract::SettingsSchema;
use taimat_sandbox::{PluginSpec, settings_schema};

use crate::config::{self, Commune};

/// What is wrong with the communes' plugins, beyond what their files alone can say: a component that is
/// not there or would be refused, and settings that do not fit. Compiles what is switched on.
pub async fn plugins(folders: &[PathBuf], communes: &[Commune]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for commune in communes {
        let Some(folder) = folders.iter().find(|folder| is_of(folder, &commune.id)) else {
            continue;
        };
        let file = folder.join(config::FILE);
        // Where a mistake stands is all that it is read for again.
        let text = config::written(folder).map_or(String::new(), |written| written.text);
        for spec in commune.plugins.iter().filter(|spec| spec.enabled) {
            problems.extend(plugin(&file, &text, spec).await);
        }
    }
    problems.sort();
    problems
}

fn is_of(folder: &Path, commune: &CommuneId) -> bool {
    let folder = folder.canonicalize().ok();
    let name = folder.as_deref().and_then(Path::file_name);
    name.is_some_and(|name| name.to_str() == Some(commune.as_str()))
}

async fn plugin(file: &Path, text: &str, spec: &PluginSpec) -> Vec<Problem> {
    let own = || config::place_of_component(file, text, &spec.name);
    let name = &spec.name;
    let schema = match std::fs::read(&spec.component) {
        Ok(bytes) => settings_schema(&bytes, &spec.trusted_keys)
            .await
            .map_err(|error| error.to_string()),
        Err(error) => {
            let message = format!("the component of [plugin.{name}] can not be read: {error}");
            let hint = format!("put it at {}", spec.component.display());
            return vec![Problem::new(own(), message).hint(hint)];
        }
    };
    match schema {
        Ok(Some(schema)) => settings(file, text, spec, &schema),
        Ok(None) => Vec::new(),
        Err(error) => {
            let message = format!("the component of [plugin.{name}] would be refused: {error}");
            vec![Problem::new(own(), message)]
        }
    }
}

/// Each mistake once, where it was written.
fn settings(file: &Path, text: &str, spec: &PluginSpec, schema: &SettingsSchema) -> Vec<Problem> {
    let cameras = spec.camera_settings.iter();
    let at_cameras = cameras.map(|(camera, settings)| (Some(camera), settings.as_str()));
    let everywhere = [(None::<&CameraId>, spec.settings.as_str())];
    // Where every camera has its own, nothing runs with the plugin's alone.
    let used = spec.cameras.is_empty() || spec.camera_settings.len() < spec.cameras.len();
    let all = everywhere.into_iter().filter(|_| used).chain(at_cameras);
    let mut problems: BTreeSet<Problem> = BTreeSet::new();
    for (camera, settings) in all {
        let Ok(settings) = serde_json::from_str(settings) else {
            continue;
        };
        for wrong in schema.check(&settings) {
            let place: Place =
                config::place_of_setting(file, text, &spec.name, camera, &wrong.path);
            let message = match wrong.setting() {
                none if none.is_empty() => {
                    format!("`settings` of [plugin.{}] {}", spec.name, wrong.message)
                }
                setting => format!("`{setting}` of [plugin.{}] {}", spec.name, wrong.message),
            };
            let problem = Problem::new(place, message);
            problems.insert(match wrong.hint.as_str() {
                "" => problem,
                hint => problem.hint(hint),
            });
        }
    }
    problems.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[commune]
name = \"x\"
[camera.a]
main = \"rtsp://192.0.2.1/a\"
[camera.b]
main = \"rtsp://192.0.2.1/b\"
[plugin.motion]
component = \"m.wasm\"
settings = { sensitivity = 7, zones = [] }
[plugin.motion.camera.b]
settings = { zones = 3 }
";
    const SCHEMA: &str = r#"{ "properties": {
        "sensitivity": { "maximum": 1 }, "zones": { "type": "array" } } }"#;

    #[test]
    fn a_mistake_is_told_once_and_where_it_was_written() {
        let file = Path::new("thu/commune.toml");
        let commune = config::parse("thu".parse().unwrap(), file, TEXT).unwrap();
        let schema = SettingsSchema::read(SCHEMA).unwrap();
        let problems = settings(file, TEXT, &commune.plugins[0], &schema);
        let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let expected = [
            "thu/commune.toml:9:28: `sensitivity` of [plugin.motion] has to be at most 1, found 7",
            "thu/commune.toml:11:22: `zones` of [plugin.motion] has to be a list, found a number",
        ];
        assert_eq!(shown, expected);
    }

    #[tokio::test]
    async fn a_component_that_is_not_there_is_said() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("thu");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join(config::FILE), TEXT).unwrap();
        let folders = [folder.clone()];
        let communes = config::load(&folders).unwrap();
        let shown = plugins(&folders, &communes).await[0].to_string();
        assert!(shown.contains("commune.toml:8:13"), "{shown}");
        assert!(
            shown.contains("can not be read") && shown.contains("m.wasm"),
            "{shown}"
        );
        std::fs::write(folder.join("m.wasm"), b"no").unwrap();
        let shown = plugins(&folders, &communes).await[0].to_string();
        assert!(
            shown.contains("would be refused: this is no WebAssembly"),
            "{shown}"
        );
    }
}
