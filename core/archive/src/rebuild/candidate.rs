//! A file that may be a segment: what it says of itself, held against what was known of it.

use std::path::{Path, PathBuf};

use taimat_hub::ChannelKey;

use super::apart::Unfit;
use super::former::FormerSegment;
use crate::chain;
use crate::error::ArchiveError;
use crate::layout;
use crate::packed::PartRow;
use crate::scan::{self, Beginning, Scanned};
use crate::timeline::JITTER;

/// A file that is whole by itself.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) id: u64,
    /// Within the archive's folder.
    pub(super) path: PathBuf,
    pub(super) beginning: Beginning,
    pub(super) scanned: Scanned,
    pub(super) start: i64,
    pub(super) end: i64,
    /// The chain after its last part.
    chain: [u8; 32],
    /// The former index knew each of its parts.
    pub(super) known: bool,
}

/// How two files that follow each other fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Joint {
    /// The one leads to the other.
    Fits,
    /// It does not, though nothing was between them.
    Breaks,
    /// Something may have been between them.
    Open,
}

/// What a file is.
#[derive(Debug)]
pub(super) enum Read {
    /// It may be a segment.
    Candidate(Box<Candidate>),
    /// It was begun, and nothing was written.
    Empty,
    /// It is none.
    Unfit(Unfit),
}

/// Reads a file of a stream. `newest` is whether it is the stream's newest: a crash may have torn its end.
pub(super) fn read(
    root: &Path,
    key: &ChannelKey,
    path: &Path,
    id: u64,
    former: Option<&FormerSegment>,
    newest: bool,
) -> Result<Read, ArchiveError> {
    let file = root.join(path);
    // What a link points to is not ours, and may be changed by others.
    let plain = file.symlink_metadata().is_ok_and(|found| found.is_file());
    let beginning = if plain { scan::beginning(&file)? } else { None };
    let Some(beginning) = beginning else {
        return Ok(Read::Unfit(Unfit::NoRecording));
    };
    let scanned = scan::parts(&file, &beginning, beginning.length, true)?;
    let (Some(first), Some(last)) = (scanned.parts.first(), scanned.parts.last()) else {
        return Ok(if scanned.torn {
            Read::Unfit(Unfit::NoRecording)
        } else {
            Read::Empty
        });
    };
    let (start, end) = (first.start, last.end);
    if layout::segment(key, start, id) != path {
        return Ok(Read::Unfit(Unfit::Misplaced));
    }
    let may_be_torn = newest && former.is_none_or(|former| former.open);
    if scanned.torn && !may_be_torn {
        let parts = scanned.parts.len();
        return Ok(Read::Unfit(
            match former.and_then(|f| differs(f, &beginning, &scanned)) {
                Some(unfit) => unfit,
                None => Unfit::Torn { parts, at: end },
            },
        ));
    }
    if let Some(unfit) = former.and_then(|f| differs(f, &beginning, &scanned)) {
        return Ok(Read::Unfit(unfit));
    }
    let parts = scanned.parts.iter();
    let chain = parts.fold(beginning.chain, |so_far, part| chain::after(&so_far, part));
    Ok(Read::Candidate(Box::new(Candidate {
        id,
        path: path.to_owned(),
        beginning,
        start,
        end,
        chain,
        // What came after the last row the former index could not know.
        known: former.is_some_and(|f| f.parts.len() == scanned.parts.len()),
        scanned,
    })))
}

/// What of a file is not what the former index knew.
fn differs(former: &FormerSegment, beginning: &Beginning, scanned: &Scanned) -> Option<Unfit> {
    if former.chain != beginning.chain {
        return Some(Unfit::Beginning);
    }
    let same = |(was, is): (&PartRow, &PartRow)| {
        was.payload() == is.payload() && chain::link(was) == chain::link(is)
    };
    let pairs = former.parts.iter().zip(&scanned.parts);
    if let Some(part) = pairs.clone().position(|pair| !same(pair)) {
        let at = former.parts.get(part).map_or(0, |row| row.start);
        return Some(Unfit::Part { part, at });
    }
    let (were, are) = (former.parts.len(), scanned.parts.len());
    let fewer = are < were || (are > were && !former.open);
    fewer.then_some(Unfit::Parts { were, are })
}

impl Candidate {
    /// How the file behind it fits.
    pub(super) fn joint(&self, behind: &Self) -> Joint {
        if (behind.start - self.end).abs() > JITTER {
            Joint::Open
        } else if behind.beginning.chain == self.chain {
            Joint::Fits
        } else {
            Joint::Breaks
        }
    }

    /// Why it is not taken for what was recorded, given how it fits the file before it and the one behind it. A
    /// change of a part breaks the joint behind; that of the beginning, or another's file, both.
    pub(super) fn unfit(&self, before: Joint, behind: Joint) -> Option<Unfit> {
        let breaks = match (before, behind) {
            (_, Joint::Breaks) | (Joint::Breaks, Joint::Open) => true,
            (_, Joint::Fits | Joint::Open) => false,
        };
        breaks.then_some(Unfit::Chain {
            from: self.start,
            to: self.end,
        })
    }

    /// Whether anything but itself vouches for it.
    pub(super) fn is_proven(&self, behind: Joint) -> bool {
        self.known || behind == Joint::Fits
    }
}
