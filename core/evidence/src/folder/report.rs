//! What is found about a folder.

use std::fmt;

use serde::Serialize;

use crate::verify::{FileReport, SignedBy, Verdict};

/// One thing that is not as it was signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum FolderFinding {
    /// A file whose SHA-256 is another.
    Differs {
        /// Which.
        path: String,
    },
    /// A file that is listed and not there.
    Missing {
        /// Which.
        path: String,
    },
    /// A file that is there and not listed.
    Extra {
        /// Which.
        path: String,
    },
    /// A list that is none, or lists something outside the folder.
    BadList {
        /// Which.
        path: String,
    },
    /// The signature is not that of the list of lists.
    Signature,
    /// The lines of the log do not follow each other.
    Audit {
        /// What is wrong.
        why: String,
    },
}

/// All that is found about a folder.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FolderReport {
    /// The outcome of all together.
    pub verdict: Verdict,
    /// Everything about the folder's files that is not as it was signed.
    pub findings: Vec<FolderFinding>,
    /// Why the signer or the date is not right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objection: Option<String>,
    /// The commune's signer, if it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<SignedBy>,
    /// Others who signed beside. `openssl cms` checks them against their own roots.
    pub signed_beside: Vec<String>,
    /// Each clip by itself.
    pub clips: Vec<ClipReport>,
}

/// A clip in the folder.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClipReport {
    /// Where it is.
    pub path: String,
    /// What is found about it.
    #[serde(flatten)]
    pub report: FileReport,
}

impl fmt::Display for FolderFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Differs { path } => write!(f, "{path}: differs"),
            Self::Missing { path } => write!(f, "{path}: is missing"),
            Self::Extra { path } => write!(f, "{path}: is not of the folder"),
            Self::BadList { path } => write!(f, "{path}: is no list of files of this folder"),
            Self::Signature => f.write_str("the signature is not that of the list of files"),
            Self::Audit { why } => write!(f, "data/audit.jsonl: {why}"),
        }
    }
}

impl fmt::Display for FolderReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.verdict)?;
        for finding in &self.findings {
            write!(f, "\n  {finding}")?;
        }
        if let Some(objection) = &self.objection {
            write!(f, "\n  {objection}")?;
        }
        if let Some(signed) = &self.signed_by {
            let (name, serial, at) = (&signed.name, &signed.serial, signed.at);
            write!(f, "\n  signed by {name} (serial {serial}) at {at}")?;
        }
        for name in &self.signed_beside {
            write!(f, "\n  signed by {name} too, which is not checked here")?;
        }
        for clip in &self.clips {
            write!(f, "\n{}: {}", clip.path, clip.report)?;
        }
        Ok(())
    }
}
