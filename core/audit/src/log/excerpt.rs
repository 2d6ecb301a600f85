//! A part of the log that joins one entry to the head: the entry in its words, what came after it by
//! its SHA-256 only, since what others did is not the reader's business.

use std::io::{self, BufRead, Read as _, Write};
use std::path::Path;

use crate::digest::Digest;

use super::deed::Entry;
use super::error::AuditError;
use super::line::{self, BadLine, MAX_LINE_BYTES, take_digest};
use super::verify::walk;

/// What an excerpt shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The entries that are in it in words.
    pub entries: Vec<(Entry, Digest)>,
    /// The hash before its first line.
    pub before: Digest,
    /// The hash of its last line.
    pub head: Digest,
    /// How many lines it has.
    pub lines: u64,
}

/// Why an excerpt is none.
#[derive(Debug, thiserror::Error)]
pub enum ExcerptError {
    /// A line is not as it was written.
    #[error("line {line}: {why}")]
    Broken {
        /// Which line, from 1.
        line: u64,
        /// What is wrong.
        why: BadLine,
    },
    /// There is nothing in it.
    #[error("the excerpt is empty")]
    Empty,
    /// It has more lines than can be wanted.
    #[error("the excerpt has more than {0} lines")]
    TooLong(u64),
    /// It could not be read.
    #[error(transparent)]
    Read(#[from] io::Error),
}

/// More than a century of deeds; what is longer was not written by us.
const MOST_LINES: u64 = 1_000_000;
const MOST_WORDS: usize = 1_000;

/// Writes the lines from the entry `first` to the head; those named in `shown` with their words. Returns
/// whether all that are to be shown were found. The whole log is read and found good on the way.
pub fn write_excerpt(folder: &Path, shown: &[u64], to: &mut dyn Write) -> Result<bool, AuditError> {
    let Some(first) = shown.iter().min().copied() else {
        return Ok(false);
    };
    let mut found = 0;
    walk(folder, |line| {
        if line.entry.n < first {
            return Ok(());
        }
        let (before, hash) = (&line.before, &line.hash);
        let text = if shown.contains(&line.entry.n) {
            found += 1;
            line::write(line.text, before).0
        } else {
            let entry = Digest::of(&[line.text.as_bytes()]);
            format!("{{\"digest\":\"{entry}\",\"before\":\"{before}\",\"hash\":\"{hash}\"}}")
        };
        writeln!(to, "{text}").map_err(AuditError::at(folder))
    })?;
    Ok(found == shown.len())
}

/// Reads an excerpt and finds that each line follows the one before it.
pub fn read_excerpt(from: &mut dyn BufRead) -> Result<Excerpt, ExcerptError> {
    let mut excerpt: Option<Excerpt> = None;
    let mut bytes = Vec::new();
    for number in 1.. {
        let broken = |why| ExcerptError::Broken { line: number, why };
        bytes.clear();
        let most = MAX_LINE_BYTES as u64;
        if from.take(most).read_until(b'\n', &mut bytes)? == 0 {
            break;
        }
        if number > MOST_LINES {
            return Err(ExcerptError::TooLong(MOST_LINES));
        }
        let text = bytes.strip_suffix(b"\n").ok_or(broken(BadLine::Torn))?;
        let (entry, before, hash) = match read_dark(text) {
            Some(dark) => {
                let (digest, before, hash) = dark;
                if line::hash(&before, &digest) != hash {
                    return Err(broken(BadLine::Changed));
                }
                (None, before, hash)
            }
            None => {
                let line = line::read(text).map_err(broken)?;
                (Some(line.entry), line.before, line.hash)
            }
        };
        let so_far = excerpt.get_or_insert_with(|| Excerpt {
            entries: Vec::new(),
            before,
            head: before,
            lines: 0,
        });
        if so_far.head != before {
            return Err(broken(BadLine::Apart));
        }
        (so_far.head, so_far.lines) = (hash, number);
        if let Some(entry) = entry {
            if so_far.entries.len() == MOST_WORDS {
                return Err(ExcerptError::TooLong(MOST_WORDS as u64));
            }
            so_far.entries.push((entry, hash));
        }
    }
    excerpt.ok_or(ExcerptError::Empty)
}

/// A line without its words.
fn read_dark(line: &[u8]) -> Option<(Digest, Digest, Digest)> {
    let text = std::str::from_utf8(line).ok()?;
    let (digest, text) = take_digest(text, "{\"digest\":")?;
    let (before, text) = take_digest(text, ",\"before\":")?;
    let (hash, text) = take_digest(text, ",\"hash\":")?;
    (text == "}").then_some((digest, before, hash))
}
