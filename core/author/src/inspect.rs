//! `taimat plugin inspect`: what a plugin is, and what a commune would have to grant.

use std::path::Path;

use anyhow::Context;
use taimat_contract::Package;

use crate::files::{read, say};

pub(crate) fn inspect(file: &Path) -> anyhow::Result<()> {
    let bytes = read(file)?;
    let package = Package::read(&bytes).with_context(|| file.display().to_string())?;
    let manifest = &package.manifest;
    say(&format!(
        "{} {} ({})",
        manifest.name, manifest.version, manifest.kind
    ))?;
    if !manifest.summary.is_empty() {
        say(&format!("  {}", manifest.summary))?;
    }
    say(&format!("size       {} bytes", bytes.len()))?;
    say(&format!("sha-256    {}", package.digest))?;
    let signer = package
        .signer
        .map_or("nobody".into(), |key| key.to_string());
    say(&format!("signed by  {signer}"))?;
    let surface = taimat_sandbox::surface(&bytes).map_err(|e| anyhow::anyhow!("{e}"))?;
    let world = taimat_sandbox::world(&surface);
    say(&format!(
        "world      {}",
        world.unwrap_or_else(|refused| format!("none that is run: {refused}"))
    ))?;
    for (what, names) in [("imports", &surface.imports), ("exports", &surface.exports)] {
        names
            .iter()
            .try_for_each(|name| say(&format!("{what:10} {name}")))?;
    }
    let grants: Vec<String> = manifest
        .requests
        .grants()
        .into_iter()
        .map(|(_, line)| line)
        .collect();
    say("\nto run it, put it into the commune's folder and add to commune.toml:\n")?;
    say(&format!("[plugin.{}]", manifest.name))?;
    say(&format!("component = \"plugins/{}.wasm\"", manifest.name))?;
    if !grants.is_empty() {
        say(&format!("grant = {{ {} }}", grants.join(", ")))?;
    }
    Ok(())
}
