//! The repository's plugins, built from source when a test first asks for one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::Context;
use taimat_contract::Package;

/// Folders with plugins: name of the package and where its manifest is.
const SOURCES: [(&str, &str); 25] = [
    ("alert-mail", "plugins/alert-mail"),
    ("alert-mqtt", "plugins/alert-mqtt"),
    ("alert-sms", "plugins/alert-sms"),
    ("alert-telegram", "plugins/alert-telegram"),
    ("alert-webhook", "plugins/alert-webhook"),
    ("alert-zalo", "plugins/alert-zalo"),
    ("backend-webdav", "plugins/backend-webdav"),
    ("detect-line", "plugins/detect-line"),
    ("detect-litter", "plugins/detect-litter"),
    ("detect-motion", "plugins/detect-motion"),
    ("detect-tamper", "plugins/detect-tamper"),
    ("example-grid", "examples/plugins/grid"),
    ("example-hostile", "examples/plugins/hostile"),
    ("example-keeper", "examples/plugins/keeper"),
    ("example-mover", "examples/plugins/mover"),
    ("example-ruler", "examples/plugins/ruler"),
    ("example-smallest", "examples/plugins/smallest"),
    ("policy-cluster", "plugins/policy-cluster"),
    ("policy-crossroads", "plugins/policy-crossroads"),
    ("policy-dumping", "plugins/policy-dumping"),
    ("policy-escalation", "plugins/policy-escalation"),
    ("policy-quiet-hours", "plugins/policy-quiet-hours"),
    ("policy-rules", "plugins/policy-rules"),
    ("store-ring", "plugins/store-ring"),
    ("store-tiered", "plugins/store-tiered"),
];

fn root() -> anyhow::Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(here
        .ancestors()
        .nth(2)
        .context("testkit has moved")?
        .to_owned())
}

/// Builds all of them, once per process; what is built already costs cargo a moment.
fn build() -> Result<(), String> {
    let run = || -> anyhow::Result<()> {
        let root = root()?;
        let run = |command: &mut Command| {
            let output = command.current_dir(&root).output()?;
            let said = String::from_utf8_lossy(&output.stderr);
            anyhow::ensure!(output.status.success(), "{command:?}: {said}");
            anyhow::Ok(())
        };
        // rust-toolchain.toml names the target; a toolchain that is there already is not completed.
        run(Command::new("rustup").args(["target", "add", "wasm32-wasip2"]))?;
        let mut cargo = Command::new("cargo");
        cargo
            .args(["build", "--profile", "plugin", "--target", "wasm32-wasip2"])
            .args(["--target-dir", "target/plugins"])
            .env("RUSTFLAGS", "-C target-feature=+simd128")
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        SOURCES.iter().for_each(|(package, _)| {
            cargo.args(["-p", package]);
        });
        run(&mut cargo)
    };
    run().map_err(|e| format!("{e:#}"))
}

/// A plugin's component as the compiler made it, without manifest.
pub fn component(package: &str) -> anyhow::Result<Vec<u8>> {
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    if let Err(why) = BUILT.get_or_init(build) {
        anyhow::bail!("building the plugins: {why}");
    }
    let file = format!("{}.wasm", package.replace('-', "_"));
    let file = root()?
        .join("target/plugins/wasm32-wasip2/plugin")
        .join(file);
    std::fs::read(&file).with_context(|| file.display().to_string())
}

/// A plugin's manifest.
pub fn manifest(package: &str) -> anyhow::Result<String> {
    let source = SOURCES.iter().find(|(name, _)| *name == package);
    let (_, folder) = source.with_context(|| format!("no plugin {package}"))?;
    let file = root()?.join(folder).join("plugin.toml");
    std::fs::read_to_string(&file).with_context(|| file.display().to_string())
}

/// A plugin ready to be loaded.
pub fn package(package: &str) -> anyhow::Result<Vec<u8>> {
    packed(package, |manifest| manifest)
}

/// A plugin with another manifest.
pub fn packed(package: &str, change: impl FnOnce(String) -> String) -> anyhow::Result<Vec<u8>> {
    let manifest = change(manifest(package)?);
    Ok(Package::pack(&component(package)?, &manifest)?)
}
