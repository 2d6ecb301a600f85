//! Chores, run as `cargo xtask …`. Each does its own set-up, so that `cargo xtask demo` and
//! `cargo xtask test` work on a fresh machine with Rust and Node.

mod console;
mod debian;
mod demo;
mod files;
mod layers;
mod python;
mod run;
mod wit;

use clap::{Parser, Subcommand};

use run::{cargo, root, say};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Taimat's chores")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Run the example commune against simulated cameras, with the console at http://127.0.0.1:8080
    Demo(demo::DemoArgs),
    /// Set everything up and run all tests
    Test {
        /// Only packages without a heavy dependency, in seconds
        #[arg(long)]
        light: bool,
    },
    /// Format, clippy with warnings as errors, the console's sources, documentation, layers, the contract
    Lint,
    /// Check licences, bans and sources of all dependencies (installs cargo-deny)
    Deny,
    /// Check that imports only go down the floor plan, and that no files know each other in a circle
    Layers {
        /// Write the lists of files in the READMEs anew
        #[arg(long)]
        write: bool,
    },
    /// Check that the contract breaks no released version without a new one
    Wit,
    /// Build the web console
    Console,
    /// Install the Python verifiers that exports are tested with
    Python,
    /// Measure
    Bench {
        /// What: archive, egress, events, ingest, neighbours, plugins, vision
        what: String,
        /// Decode by libavcodec too
        #[arg(long)]
        libavcodec: bool,
        /// Passed on to the benchmark
        #[arg(last = true)]
        rest: Vec<String>,
    },
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().chore {
        Chore::Demo(args) => demo::run(&args),
        Chore::Test { light } => test(light),
        Chore::Lint => lint(),
        Chore::Deny => deny(),
        Chore::Layers { write } => {
            if write {
                layers::write(&root()?)?;
            }
            layers::check(&root()?).map(|n| say(&format!("layers: {n} arrows, good")))
        }
        Chore::Wit => wit::check(&root()?)
            .map(|n| say(&format!("wit: compatible with {n} released versions"))),
        Chore::Console => console::build(true),
        Chore::Python => {
            debian::need(&debian::PYTHON)?;
            python::install()
        }
        Chore::Bench {
            what,
            libavcodec,
            rest,
        } => bench(&what, libavcodec, &rest),
    }
}

/// Packages whose tests need no wasm, WebRTC, encoder or browser.
const LIGHT: [&str; 7] = [
    "taimat-audit",
    "taimat-base",
    "taimat-contract",
    "taimat-media",
    "taimat-hub",
    "taimat-rtsp",
    "taimat-ingest",
];

fn test(light: bool) -> anyhow::Result<()> {
    if light {
        let mut args = vec!["test"];
        LIGHT.iter().for_each(|p| args.extend(["-p", p]));
        return cargo(&args);
    }
    debian::need(&debian::TESTS)?;
    debian::need(&debian::LIBAVCODEC)?;
    debian::need(&debian::PYTHON)?;
    python::install()?;
    console::build(false)?;
    say("cargo test");
    cargo(&["build", "--workspace"])?;
    cargo(&["test", "--workspace"])?;
    say("decoding by libavcodec");
    let own = run::target()?.join("libavcodec");
    cargo(&[
        "test",
        "-p",
        "taimat-vision",
        "--features",
        "libavcodec",
        "--lib",
        // Other features of shared packages would rebuild half of the tree.
        "--target-dir",
        &own.to_string_lossy(),
    ])?;
    say("promtool test rules");
    let ops = root()?.join("core/server/ops");
    run::run(
        run::command("promtool")
            .args(["check", "rules", "alerts.yml"])
            .current_dir(&ops),
    )?;
    run::run(
        run::command("promtool")
            .args(["test", "rules", "alerts_test.yml"])
            .current_dir(&ops),
    )?;
    say("the console without a browser");
    console::unit()?;
    say("the console in Chromium");
    console::end_to_end()
}

fn lint() -> anyhow::Result<()> {
    console::build(false)?;
    say("the console's sources");
    console::lint()?;
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        // The harnesses, which nothing else compiles.
        "--features",
        "taimat-fuzz/fuzzing",
        "--",
        "-D",
        "warnings",
    ])?;
    run::run(
        run::command("cargo")
            .args(["doc", "--workspace", "--no-deps", "--quiet"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    let arrows = layers::check(&root()?)?;
    say(&format!("layers: {arrows} arrows, good"));
    let released = wit::check(&root()?)?;
    say(&format!(
        "wit: compatible with {released} released versions"
    ));
    Ok(())
}

fn deny() -> anyhow::Result<()> {
    if !run::exists("cargo-deny") {
        cargo(&["install", "--locked", "cargo-deny"])?;
    }
    cargo(&["deny", "check", "licenses", "bans", "sources"])
}

/// What can be measured.
const BENCHES: [&str; 7] = [
    "archive",
    "egress",
    "events",
    "ingest",
    "neighbours",
    "plugins",
    "vision",
];

fn bench(what: &str, libavcodec: bool, rest: &[String]) -> anyhow::Result<()> {
    anyhow::ensure!(
        BENCHES.contains(&what),
        "benchmarks are {}",
        BENCHES.join(", ")
    );
    console::build(false)?;
    cargo(&["build", "--release", "-p", "taimat-server"])?;
    let mut args = vec!["bench", "-p", "taimat-testkit", "--bench", what];
    if ["vision", "plugins"].contains(&what) {
        debian::need(&debian::FOOTAGE)?;
    }
    if libavcodec {
        debian::need(&debian::LIBAVCODEC)?;
        args.extend([
            "-p",
            "taimat-vision",
            "--features",
            "taimat-vision/libavcodec",
        ]);
    }
    args.push("--");
    args.extend(rest.iter().map(String::as_str));
    let taimat = run::target()?.join("release/taimat");
    run::run(run::command("cargo").args(&args).env("TAIMAT", taimat))?;
    if what == "egress" {
        debian::need(&debian::BROWSER)?;
        say("click to picture in Chromium");
        console::click_to_picture()?;
    }
    Ok(())
}
