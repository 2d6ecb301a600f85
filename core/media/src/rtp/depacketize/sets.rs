//! Parameter sets by their numbers: those in force, and those that came for the next picture.

use bytes::Bytes;

use crate::codec::VideoParams;
use crate::h264::{Pps, SpsError};
use crate::{Quirk, Quirks};

/// More sets of one kind than any camera has; a new one then takes the oldest one's place.
const MAX_SETS: usize = 16;

/// Kinds of parameter sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetKind {
    /// Video parameter set, H.265 only.
    Vps,
    /// Sequence parameter set.
    Sps,
    /// Picture parameter set.
    Pps,
}

/// What a parameter set says.
#[derive(Debug, Clone)]
pub enum SetContent<S> {
    /// A video parameter set of that number.
    Vps(u32),
    /// A sequence parameter set of that number, and its length without what is behind its end.
    Sps(u32, S, Option<usize>),
    /// A picture parameter set.
    Pps(Pps),
}

/// What has to be known of a codec to keep its sets.
pub trait SetReader {
    /// What is kept of a sequence parameter set.
    type Sps: Clone + std::fmt::Debug;

    /// Reads a parameter set.
    fn read_set(kind: SetKind, unit: &[u8]) -> Option<SetContent<Self::Sps>>;
    /// The length of a picture parameter set without what is behind its end, if that can be told.
    fn pps_length(_unit: &[u8], _sps: &[u8]) -> Option<usize> {
        None
    }
    /// What the parameter sets say.
    fn params(vps: Vec<Bytes>, sps: Vec<Bytes>, pps: Vec<Bytes>) -> Result<VideoParams, SpsError>;
}

#[derive(Debug, Clone)]
struct Entry<T> {
    id: u32,
    content: T,
    bytes: Bytes,
}

/// Sets by kind.
#[derive(Debug)]
pub struct Sets<S> {
    vps: Vec<Entry<()>>,
    sps: Vec<Entry<S>>,
    pps: Vec<Entry<u32>>,
}

impl<S> Default for Sets<S> {
    fn default() -> Self {
        Self {
            vps: Vec::new(),
            sps: Vec::new(),
            pps: Vec::new(),
        }
    }
}

fn find<T>(list: &[Entry<T>], id: u32) -> Option<&Entry<T>> {
    list.iter().find(|entry| entry.id == id)
}

/// Says whether that changes anything.
fn put<T>(list: &mut Vec<Entry<T>>, entry: Entry<T>) -> bool {
    match list.iter_mut().find(|known| known.id == entry.id) {
        Some(known) if known.bytes == entry.bytes => return false,
        Some(known) => *known = entry,
        None => {
            if list.len() >= MAX_SETS {
                list.remove(0);
            }
            list.push(entry);
        }
    }
    true
}

fn put_all<T>(list: &mut Vec<Entry<T>>, newer: &mut Vec<Entry<T>>) -> bool {
    newer
        .drain(..)
        .fold(false, |changed, entry| put(list, entry) | changed)
}

impl<S: Clone> Sets<S> {
    pub(super) fn is_empty(&self) -> bool {
        self.vps.is_empty() && self.sps.is_empty() && self.pps.is_empty()
    }

    /// Whether exactly this set is known.
    fn has(&self, kind: SetKind, unit: &[u8]) -> bool {
        match kind {
            SetKind::Vps => self.vps.iter().any(|known| known.bytes == unit),
            SetKind::Sps => self.sps.iter().any(|known| known.bytes == unit),
            SetKind::Pps => self.pps.iter().any(|known| known.bytes == unit),
        }
    }

    /// The sequence parameter set that a picture parameter set of that number belongs to.
    pub(super) fn sps_of(&self, pps: u32) -> Option<(u32, &S)> {
        let entry = find(&self.sps, find(&self.pps, pps)?.content)?;
        Some((entry.id, &entry.content))
    }

    /// Takes a set that came in the stream or with its description, to be in force from the next
    /// picture on; `in_force` are those of before. Those that can not be read are left out.
    pub(super) fn receive<C: SetReader<Sps = S>>(
        &mut self,
        kind: SetKind,
        unit: &[u8],
        in_force: &Self,
        quirks: &mut Quirks,
    ) {
        if self.is_empty() && in_force.has(kind, unit) {
            // The usual case: they come again and again.
            return;
        }
        let Some(content) = C::read_set(kind, unit) else {
            quirks.note(Quirk::UnreadableSets);
            return;
        };
        let mut keep = |length: Option<usize>| {
            let kept = length.and_then(|length| unit.get(..length)).unwrap_or(unit);
            if kept.len() < unit.len() {
                quirks.note(Quirk::TrailingBytes);
            }
            Bytes::copy_from_slice(kept)
        };
        match content {
            SetContent::Vps(id) => put(
                &mut self.vps,
                Entry {
                    id,
                    content: (),
                    bytes: keep(None),
                },
            ),
            SetContent::Sps(id, content, length) => put(
                &mut self.sps,
                Entry {
                    id,
                    content,
                    bytes: keep(length),
                },
            ),
            SetContent::Pps(Pps { id, sps }) => {
                let owner = find(&self.sps, sps).or_else(|| find(&in_force.sps, sps));
                let length = owner.and_then(|owner| C::pps_length(unit, &owner.bytes));
                put(
                    &mut self.pps,
                    Entry {
                        id,
                        content: sps,
                        bytes: keep(length),
                    },
                )
            }
        };
    }

    /// Puts newer ones in the place of those with their numbers, and beside the others. Says
    /// whether that changed anything.
    pub(super) fn apply(&mut self, newer: &mut Self) -> bool {
        put_all(&mut self.vps, &mut newer.vps)
            | put_all(&mut self.sps, &mut newer.sps)
            | put_all(&mut self.pps, &mut newer.pps)
    }

    /// Parameters of all of them, the sequence parameter set in use first.
    pub(super) fn params<C: SetReader<Sps = S>>(
        &self,
        in_use: Option<u32>,
    ) -> Result<VideoParams, SpsError> {
        let used = |entry: &&Entry<S>| Some(entry.id) == in_use;
        let first = self.sps.iter().filter(used);
        let sps = first.chain(self.sps.iter().filter(|entry| !used(entry)));
        C::params(
            self.vps.iter().map(|entry| entry.bytes.clone()).collect(),
            sps.map(|entry| entry.bytes.clone()).collect(),
            self.pps.iter().map(|entry| entry.bytes.clone()).collect(),
        )
    }
}
