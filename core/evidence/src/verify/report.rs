//! What is found, for people and for programs.

use serde::Serialize;

use crate::assertion::Assertion;
use crate::moment::Moment;

/// The outcome, as the exit code says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As it was recorded, and signed by the commune.
    Genuine,
    /// Changed since it was signed.
    Changed,
    /// There is no manifest: it is no export, or a program took it out.
    Unsigned,
    /// Signed, and not by the commune.
    NotTrusted,
    /// Signed by the commune, with a key that was not valid on the date that the file claims.
    NotValidThen,
}

impl Verdict {
    /// The exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Genuine => 0,
            Self::Changed => 1,
            Self::Unsigned => 2,
            Self::NotTrusted => 3,
            Self::NotValidThen => 4,
        }
    }
}

/// One thing that is not as it was signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Finding {
    /// A part of the recording.
    Part {
        /// Which, from 0: what other tools call chunk or leaf.
        part: usize,
        /// Its first byte in the file.
        from_byte: u64,
        /// The byte behind its last.
        to_byte: u64,
        /// When it begins.
        from: Moment,
        /// When it ends.
        to: Moment,
        /// Whether it is there at all.
        missing: bool,
    },
    /// The header: `ftyp`, `moov`, `meta`, and the beginning of `mdat`.
    Header {
        /// What of it.
        why: String,
    },
    /// The manifest. What it says of parts is not known then.
    Manifest {
        /// What of it.
        why: String,
    },
    /// What the manifest says contradicts itself: its signer was given what was not true.
    Contradiction {
        /// What.
        why: String,
    },
    /// There are bytes that are not the export's.
    Extra {
        /// Where they begin.
        from_byte: u64,
        /// How many.
        bytes: u64,
    },
}

/// Who signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SignedBy {
    /// The name in the certificate.
    pub name: String,
    /// The certificate's serial.
    pub serial: String,
    /// When, as the file says.
    pub at: Moment,
}

/// All that is found about a file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FileReport {
    /// The outcome.
    pub verdict: Verdict,
    /// Everything that is not as it was signed.
    pub findings: Vec<Finding>,
    /// Why the signer or the date is not right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objection: Option<String>,
    /// Who signed; not known if the manifest can not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<SignedBy>,
    /// How many parts there are.
    pub parts: usize,
    /// What the export says of itself; true only if the file is genuine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assertion: Option<Assertion>,
}

impl FileReport {
    /// A file without a manifest.
    #[must_use]
    pub(crate) fn unsigned() -> Self {
        Self {
            verdict: Verdict::Unsigned,
            findings: Vec::new(),
            objection: None,
            signed_by: None,
            parts: 0,
            assertion: None,
        }
    }
}
