//! Programs in Python that tests speak with or hold ours against, pinned by their hashes. `cargo xtask python`
//! installs them below `target`, and `cargo xtask test` does so by itself.

use std::path::{Path, PathBuf};

use anyhow::Context;

/// All that is installed: what comes built, and what comes as sources.
const WANTED: &str = concat!(
    include_str!("../python/requirements.txt"),
    include_str!("../python/requirements-sources.txt")
);

/// The folder with the programs: `python`, `wsgidav`, `moto_server`.
///
/// # Errors
/// If they are not installed, or others are. It says how to get them.
pub fn programs() -> anyhow::Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.ancestors().nth(2).context("testkit has moved")?;
    let target = option_env!("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    let folder = target.join("python");
    let installed = std::fs::read_to_string(folder.join("installed.txt"));
    anyhow::ensure!(
        installed.is_ok_and(|installed| installed == WANTED),
        "{} has not what core/testkit/python/requirements.txt wants: `cargo xtask python` installs it",
        folder.display()
    );
    Ok(folder.join("bin"))
}
