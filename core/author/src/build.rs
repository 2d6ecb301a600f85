//! `taimat plugin pack`, `taimat plugin build`: a manifest behind a component, and how it is made.

use std::path::{Path, PathBuf};

use anyhow::Context;
use taimat_contract::{Manifest, Package};

use crate::files::{read, say, write};

pub(crate) fn pack(component: &Path, manifest: &Path, output: &Path) -> anyhow::Result<()> {
    let packed = packed(component, manifest)?;
    write(output, &packed)?;
    say(&format!("{}: {} bytes", output.display(), packed.len()))
}

fn packed(component: &Path, manifest: &Path) -> anyhow::Result<Vec<u8>> {
    let text = std::fs::read_to_string(manifest)
        .with_context(|| format!("reading {}", manifest.display()))?;
    Package::pack(&read(component)?, &text)
        .with_context(|| format!("{} with {}", component.display(), manifest.display()))
}

pub(crate) fn build(folder: &Path, output: Option<&Path>, profile: &str) -> anyhow::Result<()> {
    let (name, packed) = built(folder, profile)?;
    let beside = folder.join(format!("{name}.wasm"));
    let output = output.unwrap_or(&beside);
    write(output, &packed)?;
    say(&format!("{}: {} bytes", output.display(), packed.len()))
}

/// Builds the plugin in a folder: its name, and the packed file.
pub(crate) fn built(folder: &Path, profile: &str) -> anyhow::Result<(String, Vec<u8>)> {
    let manifest = folder.join("plugin.toml");
    let text = std::fs::read_to_string(&manifest)
        .with_context(|| format!("reading {}", manifest.display()))?;
    let about: Manifest = text
        .parse()
        .map_err(|why: String| anyhow::anyhow!("{}: {why}", manifest.display()))?;
    let built = std::process::Command::new("cargo")
        .args(["build", "--profile", profile, "--target", "wasm32-wasip2"])
        .args(["--message-format", "json-render-diagnostics"])
        .env("RUSTFLAGS", "-C target-feature=+simd128")
        .current_dir(folder)
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("starting cargo")?;
    anyhow::ensure!(
        built.status.success(),
        "cargo failed; if the target is missing: rustup target add wasm32-wasip2"
    );
    let messages = String::from_utf8_lossy(&built.stdout);
    let component = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact")
        .filter_map(|message| {
            let files = message["filenames"].as_array()?.iter();
            let mut wasm = files
                .filter_map(|f| f.as_str())
                .filter(|f| f.ends_with(".wasm"));
            wasm.next().map(PathBuf::from)
        })
        .next_back()
        .context("cargo made no .wasm; is crate-type = [\"cdylib\"] in [lib]?")?;
    Ok((about.name, packed(&component, &manifest)?))
}
