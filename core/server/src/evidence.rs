//! `taimat evidence`: the keys that sign exports, taking recordings out signed, and checking what was signed.
//! Checking needs neither the router nor a network.

mod export;
mod noted;
mod place;

use std::fs::File;
use std::io::{BufRead as _, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use taimat_base::files::read_at_most;
use taimat_evidence::{Because, NewRoot, Trust, init, retire, verify_file, verify_folder};

pub use export::ExportArgs;

use self::noted::Noted;
use self::place::DataArgs;

/// What `verify` ends with if it could not look: none of the outcomes that it has for a file.
pub const NOT_CHECKED: u8 = 10;
/// A root, a list and a passphrase have less.
const MOST_BYTES: u64 = 256 * 1024;
/// What can be said on the command line.
#[derive(Debug, Subcommand)]
pub enum EvidenceCommand {
    /// Make the root of all signatures, once, and the first key that signs exports
    Init(InitArgs),
    /// Write what there is of some cameras between two moments into a folder, signed, with a record to print.
    /// It is written down who does. No router may run: it gives out the same by its page
    Export(Box<ExportArgs>),
    /// Check an exported clip, or a folder of clips. Ends with 0: genuine; 1: changed; 2: unsigned;
    /// 3: not signed by this root; 4: certificate not valid at that date; 10: could not be checked
    Verify(VerifyArgs),
    /// Make the next key by the root's key, once a year, and delete the former
    Retire(RetireArgs),
}

/// Where the root's key is, and what opens it.
#[derive(Debug, Args)]
pub struct RootArgs {
    /// File of the root's key, on a stick that is kept in a safe
    #[arg(long, value_name = "FILE")]
    root_key: PathBuf,
    /// File whose first line is the passphrase of the root's key [default: it is asked for]
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Who does it, as it is written down in the log of what people did [default: the user's name]
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    #[command(flatten)]
    place: DataArgs,
}

/// For the first keys.
#[derive(Debug, Args)]
pub struct InitArgs {
    #[command(flatten)]
    root: RootArgs,
    /// Whose root it is, as it will stand in certificates: "UBND phường Hòa Lạc"
    #[arg(long, value_name = "NAME")]
    organization: String,
}

/// For the next key.
#[derive(Debug, Args)]
pub struct RetireArgs {
    #[command(flatten)]
    root: RootArgs,
    /// Somebody else may have had the key: nothing that it signed is taken for genuine any more
    #[arg(long)]
    compromised: bool,
}

/// For checking.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Clip, or folder of clips
    path: PathBuf,
    /// The commune's root, from another place than the clip; compare its fingerprint with the paper
    #[arg(long, value_name = "FILE")]
    root: PathBuf,
    /// The commune's list of keys that are not in use any more (retired.crl)
    #[arg(long, value_name = "FILE")]
    retired: Option<PathBuf>,
    /// Write the report as JSON
    #[arg(long)]
    json: bool,
}

/// Does what is said; what the process ends with.
pub fn run(command: &EvidenceCommand, now_ms: i64, out: &mut dyn Write) -> anyhow::Result<u8> {
    match command {
        EvidenceCommand::Init(args) => make_root(args, now_ms, out).map(|()| 0),
        EvidenceCommand::Export(args) => export::run(args, out).map(|()| 0),
        EvidenceCommand::Verify(args) => verify(args, now_ms, out),
        EvidenceCommand::Retire(args) => next_key(args, now_ms, out).map(|()| 0),
    }
}

fn make_root(args: &InitArgs, now_ms: i64, out: &mut dyn Write) -> anyhow::Result<()> {
    let root = &args.root;
    // First of all: what can not be written down is not done.
    let mut noted = Noted::open(&root.place.archive(), root.who.as_deref(), now_ms)?;
    let passphrase = passphrase(root, true)?;
    let new = NewRoot {
        organization: &args.organization,
        key_file: &root.root_key,
        passphrase: &passphrase,
    };
    let folder = root.place.keys();
    let made = init(&folder, &root.place.data, &new, now_ms)?;
    let what = [
        ("key", "made"),
        ("root-fingerprint", made.fingerprint.as_str()),
        ("serial", made.serial.as_str()),
        ("organization", args.organization.as_str()),
    ];
    let entry = noted.write(&what, "the root of all signatures was made", now_ms)?;
    writeln!(
        out,
        "fingerprint of the root, SHA-256, for the paper minutes:\n  {}\n\
         root: {}, good until {}\n\
         root's key: {}; keep it in a safe, and its passphrase elsewhere\n\
         the first key signs until {}: `taimat evidence retire` before\n\
         written down as entry {entry} in {}",
        made.fingerprint,
        folder.join("root.pem").display(),
        made.root_until,
        root.root_key.display(),
        made.signs_until,
        noted.folder().display(),
    )?;
    Ok(())
}

fn next_key(args: &RetireArgs, now_ms: i64, out: &mut dyn Write) -> anyhow::Result<()> {
    let root = &args.root;
    let mut noted = Noted::open(&root.place.archive(), root.who.as_deref(), now_ms)?;
    let passphrase = passphrase(root, false)?;
    let because = if args.compromised {
        Because::Compromised
    } else {
        Because::Over
    };
    let folder = root.place.keys();
    let done = retire(&folder, &root.root_key, &passphrase, because, now_ms)?;
    let (how, why) = match because {
        Because::Compromised => ("compromised", "somebody else may have had the key"),
        Because::Over => ("retired", "its time is over, or it is changed before"),
    };
    let what = [
        ("key", how),
        ("serial", done.former.as_str()),
        ("next-serial", done.next.as_str()),
    ];
    let entry = noted.write(&what, why, now_ms)?;
    writeln!(
        out,
        "the key {} is gone; the next one signs until {}\n\
         hand out {} to those who check exports\n\
         written down as entry {entry} in {}",
        done.former,
        done.signs_until,
        folder.join("retired.crl").display(),
        noted.folder().display(),
    )?;
    Ok(())
}

fn verify(args: &VerifyArgs, now_ms: i64, out: &mut dyn Write) -> anyhow::Result<u8> {
    let root = text(&args.root)?;
    let list = args.retired.as_deref().map(text).transpose()?;
    let trust = Trust::read(&root, list.as_deref())
        .with_context(|| format!("reading {}", args.root.display()))?;
    let reading = || format!("reading {}", args.path.display());
    let (verdict, words, json) = if args.path.is_dir() {
        let report = verify_folder(&args.path, &trust, now_ms).with_context(reading)?;
        (
            report.verdict,
            report.to_string(),
            serde_json::to_string_pretty(&report)?,
        )
    } else {
        let mut file = File::open(&args.path).with_context(reading)?;
        let report = verify_file(&mut file, &trust, now_ms).with_context(reading)?;
        (
            report.verdict,
            report.to_string(),
            serde_json::to_string_pretty(&report)?,
        )
    };
    if args.json {
        writeln!(out, "{json}")?;
    } else {
        let (path, root) = (args.path.display(), &trust.fingerprint);
        writeln!(out, "{path}: {words}\nroot: {root}")?;
    }
    Ok(verdict.code())
}

fn text(file: &Path) -> anyhow::Result<String> {
    let reading = || format!("reading {}", file.display());
    let bytes = read_at_most(file, MOST_BYTES).with_context(reading)?;
    String::from_utf8(bytes).with_context(reading)
}

/// From its file, or asked for; twice if it is a new one.
fn passphrase(root: &RootArgs, new: bool) -> anyhow::Result<String> {
    if let Some(file) = &root.passphrase_file {
        let text = text(file)?;
        return Ok(text.lines().next().unwrap_or_default().to_owned());
    }
    if !std::io::stdin().is_terminal() {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line)?;
        return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
    }
    let first = rpassword::prompt_password("passphrase of the root's key: ")?;
    if new {
        let again = rpassword::prompt_password("again: ")?;
        anyhow::ensure!(first == again, "these are two passphrases");
    }
    Ok(first)
}
