//! The web console: npm, Vite, and its tests in Chromium.

use std::path::Path;
use std::time::SystemTime;

use crate::run::{command, exists, root, run, say};

const FOLDER: &str = "core/console";

/// Builds the console if it is not there or older than its sources.
pub(crate) fn build(always: bool) -> anyhow::Result<()> {
    let folder = root()?.join(FOLDER);
    install(&folder)?;
    let built = modified(&folder.join("dist/index.html"));
    let sources = [
        "src",
        "public",
        "index.html",
        "package-lock.json",
        "vite.config.ts",
        "vite.worker.ts",
        "types.mjs",
        "../api/openapi.json",
    ];
    let newest = sources.iter().filter_map(|s| newest(&folder.join(s))).max();
    if !always && built.is_some() && built >= newest {
        return Ok(());
    }
    say("building the console");
    script("build")
}

fn install(folder: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(
        exists("npm"),
        "npm is not there: install Node.js 20 or later"
    );
    let lock = modified(&folder.join("package-lock.json"));
    let installed = modified(&folder.join("node_modules/.package-lock.json"));
    if installed.is_some() && installed >= lock {
        return Ok(());
    }
    say("npm ci");
    run(command("npm")
        .args(["ci", "--no-audit", "--no-fund"])
        .env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1")
        .current_dir(folder))
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).ok()?.modified().ok()
}

fn newest(path: &Path) -> Option<SystemTime> {
    let own = modified(path);
    let Ok(list) = std::fs::read_dir(path) else {
        return own;
    };
    list.filter_map(|entry| newest(&entry.ok()?.path()))
        .chain(own)
        .max()
}

/// Form and mistakes of the sources.
pub(crate) fn lint() -> anyhow::Result<()> {
    script("lint")
}

/// The tests that need no browser.
pub(crate) fn unit() -> anyhow::Result<()> {
    script("unit")
}

/// One of the scripts of `package.json`, with what it needs.
fn script(name: &str) -> anyhow::Result<()> {
    let folder = root()?.join(FOLDER);
    install(&folder)?;
    run(command("npm")
        .args(["run", "--silent", name])
        .current_dir(&folder))
}

/// The tests in Chromium, against the binary of the dev profile.
pub(crate) fn end_to_end() -> anyhow::Result<()> {
    let folder = root()?.join(FOLDER);
    run(command("npx")
        .args(["playwright", "test"])
        .current_dir(&folder))
}

/// The time from the click to the picture, against the release binary.
pub(crate) fn click_to_picture() -> anyhow::Result<()> {
    let folder = root()?.join(FOLDER);
    run(command("node")
        .arg("e2e/click-to-picture.mjs")
        .current_dir(&folder))
}
