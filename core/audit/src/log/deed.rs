//! What is written down: who did what, to what, when and why.

use serde::{Deserialize, Serialize};

/// What somebody did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Done {
    /// Recordings were handed out, signed or not.
    Export,
    /// Recordings were protected from removal.
    Hold,
    /// That protection ended.
    Release,
    /// Recordings were removed by a person, not by age.
    Delete,
    /// A key for signing was made, retired or called compromised.
    Key,
}

/// A deed, before it has its place in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deed {
    /// What was done.
    pub done: Done,
    /// Who did it.
    pub by: String,
    /// As what: the role, or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub role: String,
    /// To what: commune, cameras, interval, export, whatever names it.
    pub what: serde_json::Map<String, serde_json::Value>,
    /// Why, in that person's words.
    pub why: String,
    /// The case it was done for, or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub case: String,
}

/// A deed in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number, from 1, over all years.
    pub n: u64,
    /// When, in milliseconds since 1970, UTC.
    pub at_ms: i64,
    /// What was done.
    #[serde(flatten)]
    pub deed: Deed,
}
