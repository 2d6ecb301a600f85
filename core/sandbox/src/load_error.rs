//! Why a file does not become a plugin.

use taimat_contract::Kind;
use taimat_contract::package::{MAX_BYTES, PackageError, PublicKey};

use crate::compile::CompileError;
use crate::version::ContractVersion;

/// Why a file does not become a plugin. Each says what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// It can not be read.
    #[error("{path}: {why}")]
    Read {
        /// The file.
        path: String,
        /// What the system says.
        why: String,
    },
    /// It is a link.
    #[error("{0} is a symbolic link or not a plain file; put the file itself there")]
    NotAFile(String),
    /// It is too large.
    #[error("the file has {found} bytes, at most {MAX_BYTES} are loaded")]
    TooLarge {
        /// What it has.
        found: u64,
    },
    /// It changed while it was read.
    #[error("the file is still being written")]
    BeingWritten,
    /// It is no package.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// It is signed by nobody whom the commune trusts.
    #[error("{}", untrusted(.0.as_ref()))]
    Untrusted(Option<PublicKey>),
    /// It is of a kind that is not run yet.
    #[error("it is a plugin of kind {0}; this router runs none of that kind")]
    Kind(Kind),
    /// It does not say what it is for.
    #[error(
        "it exports no taimat:plugin/{export}; a plugin of kind {kind} targets the world \
         taimat:plugin/{world}@{newest}", newest = ContractVersion::NEWEST
    )]
    World {
        /// What its manifest says that it is.
        kind: Kind,
        /// What it would export.
        export: &'static str,
        /// What it would be built for.
        world: &'static str,
    },
    /// It is for another version.
    #[error(
        "it is written for taimat:plugin@{wanted}; this router serves {range}. Build it against \
         {newest}, or run a router that serves {wanted}", range = ContractVersion::RANGE, newest = ContractVersion::NEWEST
    )]
    Version {
        /// The version.
        wanted: String,
    },
    /// It imports what it may not have.
    #[error("{}", .0.join("; "))]
    Imports(Vec<String>),
    /// It can not be compiled.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// It can not be linked.
    #[error("it does not fit the contract: {0}")]
    Link(String),
}

fn untrusted(signer: Option<&PublicKey>) -> String {
    let hint = "list the signer's key in [commune] trusted-keys, or sign it with \
                `taimat plugin sign`";
    match signer {
        Some(key) => format!("it is signed by {key}, whom this commune does not trust; {hint}"),
        None => format!("it is not signed, and this commune takes signed plugins only; {hint}"),
    }
}
