//! Running other programs, with their failure as an error that names them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

/// The workspace's root.
pub(crate) fn root() -> anyhow::Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.ancestors().nth(2).context("xtask has moved")?;
    Ok(root.to_owned())
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> anyhow::Result<PathBuf> {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root().map(|r| r.join("target")), |t| Ok(t.into()))
}

/// A heading on standard error.
pub(crate) fn say(text: &str) {
    let _written = writeln!(std::io::stderr(), "\n== {text}");
}

/// A command in the workspace's root.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    if let Ok(root) = root() {
        command.current_dir(root);
    }
    command
}

/// Runs to the end.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let shown = format!("{command:?}");
    let status = command
        .status()
        .with_context(|| format!("starting {shown}"))?;
    anyhow::ensure!(status.success(), "{shown} failed: {status}");
    Ok(())
}

/// Runs cargo.
pub(crate) fn cargo(args: &[&str]) -> anyhow::Result<()> {
    run(command("cargo").args(args))
}

/// Whether a program is in PATH.
pub(crate) fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
