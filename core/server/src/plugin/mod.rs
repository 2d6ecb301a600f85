//! `taimat plugin …`: what authors of plugins, and communes that sign them, work with.

mod new;
pub mod trial;

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use taimat_contract::package::{PublicKey, SigningKey};
use taimat_contract::{Manifest, Package};

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make a folder with a detector that works, to begin with
    New(new::NewArgs),
    /// Try a plugin on a clip or a drawn scene, in the real sandbox
    Test(trial::TestArgs),
    /// Put a manifest behind a component
    Pack {
        /// The component, as a compiler made it
        component: PathBuf,
        /// Its plugin.toml
        manifest: PathBuf,
        /// Where to write
        #[arg(short, long)]
        output: PathBuf,
    },
    /// Build the Rust plugin in a folder, and pack it
    Build {
        /// Folder with Cargo.toml and plugin.toml
        #[arg(default_value = ".")]
        folder: PathBuf,
        /// Where to write [default: NAME.wasm in the folder]
        #[arg(short, long)]
        output: Option<PathBuf>,
        /// Cargo's profile
        #[arg(long, default_value = "release")]
        profile: String,
    },
    /// Say what a plugin is, and what a commune would have to grant
    Inspect {
        /// The plugin
        file: PathBuf,
    },
    /// Make a key for signing plugins
    Keygen {
        /// Where to write the private key; the public one is shown
        file: PathBuf,
    },
    /// Sign a plugin
    Sign {
        /// The plugin; it is replaced by the signed one
        file: PathBuf,
        /// The private key, as `keygen` wrote it
        #[arg(long)]
        key: PathBuf,
    },
    /// Say who signed a plugin; fails if it was altered, or not signed by one of these keys
    Verify {
        /// The plugin
        file: PathBuf,
        /// Public keys that are trusted, as `keygen` shows them
        #[arg(long)]
        key: Vec<PublicKey>,
    },
}

/// Does it.
pub fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::New(args) => new::command(args),
        Command::Test(args) => trial::command(args),
        Command::Pack {
            component,
            manifest,
            output,
        } => pack(component, manifest, output),
        Command::Build {
            folder,
            output,
            profile,
        } => build(folder, output.as_deref(), profile),
        Command::Inspect { file } => inspect(file),
        Command::Keygen { file } => keygen(file),
        Command::Sign { file, key } => sign(file, key),
        Command::Verify { file, key } => verify(file, key),
    }
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("reading {}", file.display()))
}

fn package(file: &Path) -> anyhow::Result<Package> {
    Package::read(&read(file)?).with_context(|| file.display().to_string())
}

fn say(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

fn write(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    // A router may be watching the folder.
    taimat_base::files::replace(file, bytes).with_context(|| format!("writing {}", file.display()))
}

fn pack(component: &Path, manifest: &Path, output: &Path) -> anyhow::Result<()> {
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

fn build(folder: &Path, output: Option<&Path>, profile: &str) -> anyhow::Result<()> {
    let (name, packed) = built(folder, profile)?;
    let beside = folder.join(format!("{name}.wasm"));
    let output = output.unwrap_or(&beside);
    write(output, &packed)?;
    say(&format!("{}: {} bytes", output.display(), packed.len()))
}

/// Builds the plugin in a folder: its name, and the packed file.
fn built(folder: &Path, profile: &str) -> anyhow::Result<(String, Vec<u8>)> {
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

fn inspect(file: &Path) -> anyhow::Result<()> {
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
    let world = surface.world();
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

fn keygen(file: &Path) -> anyhow::Result<()> {
    let key = SigningKey::generate()?;
    let mut new = std::fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .with_context(|| format!("writing {}", file.display()))?;
    new.write_all(key.to_pem().as_bytes())?;
    say(&key.public().to_string())
}

fn sign(file: &Path, key: &Path) -> anyhow::Result<()> {
    let pem = std::fs::read_to_string(key).with_context(|| format!("reading {}", key.display()))?;
    let key = SigningKey::from_pem(&pem).with_context(|| key.display().to_string())?;
    let signed = Package::sign(&read(file)?, &key).with_context(|| file.display().to_string())?;
    write(file, &signed)?;
    say(&format!("signed by {}", key.public()))
}

fn verify(file: &Path, trusted: &[PublicKey]) -> anyhow::Result<()> {
    let package = package(file)?;
    let Some(signer) = package.signer else {
        anyhow::bail!("{} is not signed", file.display());
    };
    anyhow::ensure!(
        trusted.is_empty() || trusted.contains(&signer),
        "{} is signed by {signer}, which is none of the given keys",
        file.display()
    );
    say(&format!("signed by {signer}"))
}
