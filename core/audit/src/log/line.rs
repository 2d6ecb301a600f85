//! One line: written in one way, so that every byte of it counts.

use crate::digest::Digest;

use super::deed::Entry;

/// The longest line, with its end: what a person writes as a reason is bounded where it is asked for.
pub const MAX_LINE_BYTES: usize = 16 * 1024;

/// A digest in quotes.
const QUOTED: usize = 66;
const OPEN: &str = "{\"entry\":";
const BEFORE: &str = ",\"before\":";
const HASH: &str = ",\"hash\":";
const CLOSE: &str = "}";
const TAIL: usize = BEFORE.len() + QUOTED + HASH.len() + QUOTED + CLOSE.len();

/// Why a line is not one of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadLine {
    /// It does not look like a line of the log.
    #[error("it is not written as a line of the log is")]
    Form,
    /// Its hash is not the one of its entry and of the line before.
    #[error("its hash is not that of its content: it was changed")]
    Changed,
    /// It does not go on from the line before it.
    #[error("it does not follow the line before: lines were taken out, put in or moved")]
    Apart,
    /// Its number is not the next.
    #[error("its number is not the next one")]
    Number,
    /// It has no end.
    #[error("it has no end")]
    Torn,
}

/// The hash of a line.
pub(super) fn hash(before: &Digest, entry: &Digest) -> Digest {
    Digest::of(&[&before.0, &entry.0])
}

/// A line as it is written, without its end, and its hash.
pub(super) fn write(entry: &str, before: &Digest) -> (String, Digest) {
    let hash = hash(before, &Digest::of(&[entry.as_bytes()]));
    let line = format!("{OPEN}{entry}{BEFORE}\"{before}\"{HASH}\"{hash}\"{CLOSE}");
    (line, hash)
}

/// A line that was read.
#[derive(Debug)]
pub(super) struct Line<'a> {
    /// The entry's text.
    pub(super) text: &'a str,
    pub(super) entry: Entry,
    pub(super) before: Digest,
    pub(super) hash: Digest,
}

/// Takes `"<64 digits>"` behind a word from the front.
pub(super) fn take_digest<'a>(text: &'a str, word: &str) -> Option<(Digest, &'a str)> {
    let rest = text.strip_prefix(word)?.strip_prefix('"')?;
    let (digits, rest) = rest.split_at_checked(64)?;
    Some((digits.parse().ok()?, rest.strip_prefix('"')?))
}

/// Reads a line without its end. Its place among others is not looked at.
pub(super) fn read(line: &[u8]) -> Result<Line<'_>, BadLine> {
    let line = std::str::from_utf8(line).map_err(|_why| BadLine::Form)?;
    let inner = line.strip_prefix(OPEN).ok_or(BadLine::Form)?;
    let at = inner.len().checked_sub(TAIL).ok_or(BadLine::Form)?;
    let (text, tail) = inner.split_at_checked(at).ok_or(BadLine::Form)?;
    let (before, tail) = take_digest(tail, BEFORE).ok_or(BadLine::Form)?;
    let (hash, tail) = take_digest(tail, HASH).ok_or(BadLine::Form)?;
    if tail != CLOSE {
        return Err(BadLine::Form);
    }
    if self::hash(&before, &Digest::of(&[text.as_bytes()])) != hash {
        return Err(BadLine::Changed);
    }
    let entry = serde_json::from_str(text).map_err(|_why| BadLine::Form)?;
    Ok(Line {
        text,
        entry,
        before,
        hash,
    })
}
