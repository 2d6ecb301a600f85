//! The whole log read again: every line in its place, from the first year to the last.

use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::Path;

use crate::digest::Digest;

use super::deed::Entry;
use super::error::AuditError;
use super::files;
use super::line::{self, BadLine, Line, MAX_LINE_BYTES};

/// Where the log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tail {
    /// The number of its last entry; 0 if it has none.
    pub n: u64,
    /// The hash of its last line; zeros if it has none.
    pub head: Digest,
}

/// What was found good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// Where it ends.
    pub tail: Tail,
    /// How many files were read.
    pub files: usize,
}

/// Reads the whole log. A head that is known from elsewhere (an export, a printed record) has to be
/// that of a line in it: without one, nothing shows that lines at the very end are gone.
pub fn verify(folder: &Path, known: Option<&Digest>) -> Result<Verified, AuditError> {
    let mut tail = Tail::default();
    let mut seen = known.is_none_or(|known| *known == tail.head);
    let files = walk(folder, |line| {
        seen |= known == Some(&line.hash);
        tail = Tail {
            n: line.entry.n,
            head: line.hash,
        };
        Ok(())
    })?;
    match known {
        Some(known) if !seen => Err(AuditError::OtherHead {
            expected: *known,
            found: tail.head,
        }),
        _ => Ok(Verified { tail, files }),
    }
}

/// Gives each entry, in its order, after it was found to follow the one before.
pub fn replay(folder: &Path, mut each: impl FnMut(&Entry)) -> Result<(), AuditError> {
    walk(folder, |line| {
        each(&line.entry);
        Ok(())
    })?;
    Ok(())
}

/// Gives each line, in its order, after it was found to follow the one before. Returns how many files
/// there are.
pub(super) fn walk(
    folder: &Path,
    mut each: impl FnMut(&Line<'_>) -> Result<(), AuditError>,
) -> Result<usize, AuditError> {
    let mut tail = Tail::default();
    let years = files::years(folder)?;
    for year in &years {
        let path = files::of_year(folder, *year);
        let file = File::open(&path).map_err(AuditError::at(&path))?;
        let mut reader = BufReader::new(file);
        let mut bytes = Vec::new();
        for number in 1.. {
            let broken = |why| AuditError::Broken {
                file: path.clone(),
                line: number,
                why,
            };
            if !next(&mut reader, &mut bytes).map_err(AuditError::at(&path))? {
                break;
            }
            let text = bytes.strip_suffix(b"\n").ok_or_else(|| {
                let whole = bytes.len() < MAX_LINE_BYTES;
                broken(if whole { BadLine::Torn } else { BadLine::Form })
            })?;
            let line = line::read(text).map_err(broken)?;
            if line.before != tail.head {
                return Err(broken(BadLine::Apart));
            }
            if tail.n.checked_add(1) != Some(line.entry.n) {
                return Err(broken(BadLine::Number));
            }
            tail = Tail {
                n: line.entry.n,
                head: line.hash,
            };
            each(&line)?;
        }
    }
    Ok(years.len())
}

/// The next line with its end, or what there is of it. A line without an end is not read into memory
/// for ever.
fn next(reader: &mut impl BufRead, bytes: &mut Vec<u8>) -> std::io::Result<bool> {
    bytes.clear();
    let most = MAX_LINE_BYTES as u64;
    Ok(reader.by_ref().take(most).read_until(b'\n', bytes)? > 0)
}
