//! Files in, files out, lines on the terminal.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use taimat_contract::Package;

pub(crate) fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("reading {}", file.display()))
}

pub(crate) fn package(file: &Path) -> anyhow::Result<Package> {
    Package::read(&read(file)?).with_context(|| file.display().to_string())
}

pub(crate) fn say(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

pub(crate) fn write(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    // A router may be watching the folder.
    taimat_base::files::replace(file, bytes).with_context(|| format!("writing {}", file.display()))
}
