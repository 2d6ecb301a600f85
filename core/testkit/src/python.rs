//! Servers in Python that tests speak with: in an environment of their own below `target`, made when a
//! test first asks for it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

const REQUIREMENTS: &str = include_str!("../python/requirements.txt");

/// The folder with the programs of that environment: `python`, `wsgidav`, `moto_server`.
pub fn programs() -> anyhow::Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.ancestors().nth(2).context("testkit has moved")?;
    let folder = root.join("target/python");
    std::fs::create_dir_all(&folder)?;
    // Tests run beside each other, and so do test programs.
    let lock = File::create(folder.join("taimat.lock"))?;
    lock.lock()?;
    let done = folder.join("taimat-requirements.txt");
    if std::fs::read_to_string(&done).is_ok_and(|there| there == REQUIREMENTS) {
        return Ok(folder.join("bin"));
    }
    let run = |command: &mut Command| {
        let output = command.output();
        let output =
            output.with_context(|| format!("{command:?} (Debian package python3-venv)"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "{command:?}: {said}");
        anyhow::Ok(())
    };
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    let wanted = folder.join("wanted.txt");
    std::fs::write(&wanted, REQUIREMENTS)?;
    run(Command::new(folder.join("bin/pip"))
        .args(["install", "--quiet", "--disable-pip-version-check", "-r"])
        .arg(&wanted))?;
    std::fs::rename(wanted, done)?;
    Ok(folder.join("bin"))
}
