//! `taimat plugin …`: what authors of plugins, and communes that sign them, work with.
//!
//! Owner: the command line of `taimat`. Cost: a C++ encoder, for scenes that are drawn; a router that
//! only serves is built without this room (`--no-default-features`).
//! Not here: how plugins are run. A trial is the real sandbox with one instance.

mod alerter_trial;
mod build;
mod commune_file;
mod conversation;
mod day;
mod files;
mod golden;
mod inspect;
mod message_words;
mod month;
mod new;
mod policy_trial;
pub mod recording;
mod report;
mod ruling_words;
mod signing;
mod storage_trial;
mod tasks;
pub mod trial;
mod virtual_archive;
mod virtual_router;

use std::path::PathBuf;

use taimat_contract::package::PublicKey;

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make a folder with a plugin that works, to begin with
    New(new::NewArgs),
    /// Try a plugin on a clip, a drawn scene, a written day, month or tasks, in the real sandbox
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
        } => build::pack(component, manifest, output),
        Command::Build {
            folder,
            output,
            profile,
        } => build::build(folder, output.as_deref(), profile),
        Command::Inspect { file } => inspect::inspect(file),
        Command::Keygen { file } => signing::keygen(file),
        Command::Sign { file, key } => signing::sign(file, key),
        Command::Verify { file, key } => signing::verify(file, key),
    }
}
