//! Holds the floor plan against `cargo metadata`: imports only go down, rooms of one floor do not
//! know each other, heavy dependencies stay behind their doors, and within a package no files know
//! each other in a circle.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

use crate::files::Files;
use crate::run::command;

/// The floors, from the ground up. Rooms of one floor never import each other.
const FLOORS: [(u32, &[&str]); 8] = [
    (0, &["taimat-base", "taimat-console"]),
    (1, &["taimat-media"]),
    (2, &["taimat-audit", "taimat-contract", "taimat-rtsp"]),
    (3, &["taimat-hub"]),
    (
        4,
        &[
            "taimat-ingest",
            "taimat-egress",
            "taimat-vision",
            "taimat-sandbox",
            "taimat-inference",
            "taimat-events",
            "taimat-outbound",
            "taimat-archive",
            "taimat-evidence",
            "taimat-access",
        ],
    ),
    (5, &["taimat-api", "taimat-federation", "taimat-simulate"]),
    (6, &["taimat-author"]),
    (7, &["taimat-server"]),
];

/// Outside the house: used by tests only, or by nobody.
const OUTSIDE: [&str; 3] = ["taimat-fuzz", "taimat-testkit", "taimat-xtask"];

/// Where plugins live: they know the SDK, and nothing of the house.
const PLUGIN_FOLDERS: [&str; 2] = ["/plugins/", "/examples/plugins/"];
const PLUGIN: &str = "plugin ";
const SDK: &str = "taimat-sdk";

/// Dependencies that only one room may know (and what stands outside the house).
const DOORS: [(&str, &[&str]); 18] = [
    ("c2pa", &["taimat-evidence"]),
    ("cms", &["taimat-evidence"]),
    ("webrtc", &["taimat-testkit"]),
    ("rtc-ice", &["taimat-egress"]),
    ("rtc-dtls", &["taimat-egress"]),
    ("rustls", &["taimat-ingest", "taimat-outbound"]),
    ("hyper", &["taimat-outbound", "taimat-server"]),
    ("lettre", &["taimat-outbound"]),
    ("reqwest", &[]),
    ("rumqttc", &["taimat-outbound"]),
    ("object_store", &["taimat-outbound"]),
    ("openh264", &["taimat-simulate", "taimat-testkit"]),
    ("axum", &["taimat-api", "taimat-server"]),
    ("wasmtime", &["taimat-sandbox"]),
    ("rusty_h264-decoder", &["taimat-vision"]),
    ("rusty_h265", &["taimat-vision"]),
    ("zune-jpeg", &["taimat-vision"]),
    ("ffmpeg-next", &["taimat-vision"]),
];

/// A package's name and the names of what it depends on, without dev-dependencies.
type Arrows = BTreeMap<String, Vec<String>>;

/// Checks the workspace at `root`; returns how many arrows were looked at.
pub(crate) fn check(root: &Path) -> anyhow::Result<usize> {
    let metadata = metadata(root)?;
    let arrows = read(&metadata)?;
    let mut wrong = judge(&arrows);
    for (name, folder) in folders(&metadata)? {
        let files = Files::read(&folder.join("src"))?;
        for circle in files.circles() {
            let arrows = files.arrows_within(&circle);
            wrong.push(format!(
                "{name}: files know each other in a circle\n{arrows}"
            ));
        }
        wrong.extend(list_is_true(&name, &folder, &files)?);
    }
    anyhow::ensure!(
        wrong.is_empty(),
        "the floor plan is broken:\n{}",
        wrong.join("\n")
    );
    Ok(arrows.values().map(Vec::len).sum())
}

fn read(metadata: &Value) -> anyhow::Result<Arrows> {
    let packages = metadata["packages"].as_array().context("no packages")?;
    let name = |v: &Value| v["name"].as_str().unwrap_or("").to_owned();
    let one = |package: &Value| {
        let own = name(package);
        let path = package["manifest_path"].as_str().unwrap_or("");
        let plugin = PLUGIN_FOLDERS.iter().any(|folder| path.contains(folder));
        let own = if plugin {
            format!("{PLUGIN}{own}")
        } else {
            own
        };
        let dependencies = package["dependencies"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        // Tests may reach for anything: they are not part of the house.
        let counted = dependencies.iter().filter(|d| d["kind"] != "dev");
        (own, counted.map(name).collect())
    };
    Ok(packages.iter().map(one).collect())
}

/// The packages of the workspace and where they are.
fn folders(metadata: &Value) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let packages = metadata["packages"].as_array().context("no packages")?;
    let one = |package: &Value| {
        let name = package["name"].as_str()?.to_owned();
        let manifest = Path::new(package["manifest_path"].as_str()?);
        Some((name, manifest.parent()?.to_owned()))
    };
    Ok(packages.iter().filter_map(one).collect())
}

/// Where a package's README lists its files.
const LIST: (&str, &str) = (
    "<!-- files: `cargo xtask layers --write` -->\n",
    "\n<!-- end of files -->",
);

/// A README's part before the list of files, the list, and the part behind it.
fn list_of(readme: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = readme.split_once(LIST.0)?;
    let (list, after) = rest.split_once(LIST.1)?;
    Some((before, list, after))
}

fn list_is_true(name: &str, folder: &Path, files: &Files) -> anyhow::Result<Option<String>> {
    let readme = folder.join("README.md");
    if !readme.exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&readme).with_context(|| readme.display().to_string())?;
    let false_list = list_of(&text).is_some_and(|(_, list, _)| list != files.list());
    Ok(false_list.then(|| {
        format!("{name}: its README lists other files than there are: cargo xtask layers --write")
    }))
}

/// Writes the lists of files anew in the READMEs that have one.
pub(crate) fn write(root: &Path) -> anyhow::Result<()> {
    for (_, folder) in folders(&metadata(root)?)? {
        let readme = folder.join("README.md");
        let Ok(text) = std::fs::read_to_string(&readme) else {
            continue;
        };
        if let Some((before, _, after)) = list_of(&text) {
            let list = Files::read(&folder.join("src"))?.list();
            let (begin, end) = LIST;
            std::fs::write(&readme, format!("{before}{begin}{list}{end}{after}"))?;
        }
    }
    Ok(())
}

fn metadata(root: &Path) -> anyhow::Result<Value> {
    let output = command("cargo")
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(root)
        .output()
        .context("cargo metadata")?;
    anyhow::ensure!(output.status.success(), "cargo metadata failed");
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn floor(package: &str) -> Option<u32> {
    FLOORS
        .iter()
        .find(|(_, rooms)| rooms.contains(&package))
        .map(|(floor, _)| *floor)
}

fn judge(arrows: &Arrows) -> Vec<String> {
    let mut wrong = Vec::new();
    for (from, dependencies) in arrows {
        if OUTSIDE.contains(&from.as_str()) {
            continue;
        }
        if from.starts_with(PLUGIN) || from == SDK {
            let house = |to: &&String| floor(to).is_some() || OUTSIDE.contains(&to.as_str());
            let known = dependencies.iter().filter(house);
            wrong.extend(known.map(|to| format!("{from} -> {to}: plugins know the SDK only")));
            continue;
        }
        let Some(own) = floor(from) else {
            wrong.push(format!(
                "{from} has no floor; give it one in core/xtask/src/layers.rs"
            ));
            continue;
        };
        for to in dependencies {
            if OUTSIDE.contains(&to.as_str()) {
                wrong.push(format!("{from} -> {to}: only tests may use {to}"));
            }
            match floor(to) {
                Some(other) if other > own => {
                    wrong.push(format!(
                        "{from} (floor {own}) -> {to} (floor {other}) goes up"
                    ));
                }
                Some(other) if other == own => {
                    wrong.push(format!("{from} -> {to} goes sideways on floor {own}"));
                }
                _ => {}
            }
            let door = DOORS.iter().find(|(heavy, _)| heavy == to);
            if let Some((_, rooms)) = door
                && !rooms.contains(&from.as_str())
            {
                wrong.push(format!("{from} -> {to}: its door is {}", rooms.join(", ")));
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrows(list: &[(&str, &[&str])]) -> Arrows {
        let owned = |l: &[&str]| l.iter().map(|s| (*s).to_owned()).collect();
        list.iter()
            .map(|(from, to)| ((*from).to_owned(), owned(to)))
            .collect()
    }

    #[test]
    fn the_house_stands() {
        assert!(check(&crate::run::root().unwrap()).unwrap() > 20);
    }

    #[test]
    fn wrong_arrows_are_found() {
        let wrong = |from: &str, to: &str| judge(&arrows(&[(from, &[to])]));
        assert!(wrong("taimat-egress", "taimat-hub").is_empty());
        assert!(wrong("taimat-hub", "taimat-egress")[0].ends_with("goes up"));
        assert!(wrong("taimat-ingest", "taimat-egress")[0].contains("sideways on floor 4"));
        assert!(wrong("taimat-hub", "rustls")[0].contains("its door is taimat-ingest"));
        assert!(wrong("taimat-api", "taimat-testkit")[0].contains("only tests"));
        assert!(wrong("taimat-new", "serde")[0].contains("has no floor"));
        assert!(wrong("taimat-server", "taimat-api").is_empty());
        assert!(wrong("plugin detect-motion", "taimat-sdk").is_empty());
        assert!(wrong("plugin detect-motion", "taimat-vision")[0].contains("the SDK only"));
    }

    #[test]
    fn dev_dependencies_do_not_count() {
        let metadata = serde_json::json!({"packages": [{
            "name": "taimat-hub",
            "dependencies": [
                {"name": "taimat-server", "kind": "dev"},
                {"name": "taimat-media", "kind": null},
            ],
        }]});
        assert_eq!(
            read(&metadata).unwrap(),
            arrows(&[("taimat-hub", &["taimat-media"])])
        );
    }
}
