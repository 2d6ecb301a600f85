//! The picture that is being put together, and which slices are its own.

use super::codec::Slice;
use super::starts::Signs;
use crate::h264::PictureId;

/// Where a slice belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In the picture at hand.
    Same,
    /// In another one.
    Next,
}

/// What the slices of a picture have in common.
#[derive(Debug, Clone, Copy)]
struct Known {
    id: Option<PictureId>,
    position: u32,
    /// The second field of a frame is here already.
    both_fields: bool,
}

impl Known {
    /// Whether `slice` goes on where the last one ended. `None`: it does not say.
    fn continues(&self, slice: &Slice) -> Option<bool> {
        let (Some(mine), Some(its)) = (self.id, slice.id) else {
            return (slice.first).then_some(false);
        };
        if slice.first {
            return Some(!self.both_fields && mine.pairs_with(&its));
        }
        Some(mine == its && slice.position > self.position)
    }
}

/// A picture that is being put together.
#[derive(Debug)]
pub(super) struct Picture {
    /// Of its first slice.
    pub(super) timestamp: u32,
    known: Known,
    /// Slices that are here as a whole.
    pub(super) slices: u32,
    pub(super) signs: Signs,
    /// Some of it is missing.
    pub(super) damaged: bool,
    /// The marker came behind its last slice.
    pub(super) marked: bool,
    pub(super) lost: u32,
    /// Its parameter sets are known.
    pub(super) decodable: bool,
    pub(super) new_params: bool,
}

impl Picture {
    pub(super) fn new(
        slice: Slice,
        timestamp: u32,
        damaged: bool,
        recovery: Option<u32>,
        lost: u32,
        decodable: bool,
        new_params: bool,
    ) -> Self {
        Self {
            timestamp,
            known: Known {
                id: slice.id,
                position: slice.position,
                both_fields: false,
            },
            slices: 0,
            signs: Signs {
                by_type: slice.start,
                recovery,
                intra: slice.intra,
                single_reference: slice.single_reference,
            },
            damaged,
            marked: false,
            lost,
            decodable,
            new_params,
        }
    }

    /// Where the next slice belongs. `gap`: packets were lost before it; `quiet`: no parameter sets
    /// came before it.
    pub(super) fn place(&self, slice: &Slice, timestamp: u32, gap: bool, quiet: bool) -> Place {
        let same_time = timestamp == self.timestamp;
        let same = match self.known.continues(slice) {
            Some(true) if slice.first => same_time && quiet,
            Some(true) => same_time || !gap,
            Some(false) => false,
            None => same_time || !gap,
        };
        if same { Place::Same } else { Place::Next }
    }

    /// Another of its slices comes.
    pub(super) fn add(&mut self, slice: &Slice) {
        self.known.both_fields |= slice.first;
        self.known.id = slice.id.or(self.known.id);
        self.known.position = slice.position;
        self.signs.intra &= slice.intra;
    }

    /// What is remembered of it when it leaves.
    pub(super) fn left(&self, by_marker: bool) -> Left {
        Left {
            timestamp: self.timestamp,
            by_marker,
            known: self.known,
        }
    }
}

/// The picture that left last.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) timestamp: u32,
    /// It left because its marker said so.
    pub(super) by_marker: bool,
    known: Known,
}

impl Left {
    /// Whether a slice that comes afterwards is one of its own: then it left too early.
    pub(super) fn place(&self, slice: &Slice, timestamp: u32, gap: bool) -> Place {
        let same_time = timestamp == self.timestamp;
        let same = match self.known.continues(slice) {
            Some(true) => same_time || !slice.first,
            Some(false) => false,
            None => same_time,
        };
        if same && !gap {
            Place::Same
        } else {
            Place::Next
        }
    }
}
