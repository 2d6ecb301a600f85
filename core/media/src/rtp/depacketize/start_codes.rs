//! Start codes (ITU-T H.264 annex B) where RTP has none: some senders cut a byte stream into packets
//! without looking at it.

use memchr::memmem::Finder;

use super::codec::{Codec, Role};

/// So many slices without one, and the sender is not one of those: slices are most of the bytes, and
/// looking through them costs as much as everything else that is done to them.
const ENOUGH: u32 = 500;

/// Finds them in one pass over the bytes, at the speed of memory.
#[derive(Debug)]
pub(super) struct StartCodes {
    finder: Finder<'static>,
    /// Slices since the beginning, as long as none had one.
    clean: u32,
    found: bool,
}

impl Default for StartCodes {
    fn default() -> Self {
        Self {
            finder: Finder::new(b"\0\0\x01"),
            clean: 0,
            found: false,
        }
    }
}

impl StartCodes {
    /// A slice is over.
    pub(super) fn slice(&mut self) {
        self.clean = self.clean.saturating_add(1);
    }

    /// There was one.
    pub(super) fn found(&mut self) {
        self.found = true;
    }

    /// Whether it is worth while to look: always in units that are no slices, for those are short and
    /// it is they that have others behind them.
    pub(super) fn are_looked_for(&self, in_slice: bool) -> bool {
        self.found || !in_slice || self.clean < ENOUGH
    }

    /// Where the next start code in `bytes` begins and ends, if what follows it could be a unit.
    /// `written` is what the unit at hand already has: the code's zeros may be there.
    pub(super) fn find<C: Codec>(&self, written: &[u8], bytes: &[u8]) -> Option<(usize, usize)> {
        let ends = written.iter().rev().take(2);
        let zeros = ends.take_while(|byte| **byte == 0).count();
        let across = match bytes {
            [1, ..] if zeros >= 2 => Some((0, 1)),
            [0, 1, ..] if zeros >= 1 => Some((0, 2)),
            _ => None,
        };
        let mut next = across.or_else(|| self.within(bytes, 0));
        while let Some((before, after)) = next {
            let follows = &bytes[after..];
            if follows.len() < C::HEADER_BYTES || separates::<C>(written, &bytes[..before], follows)
            {
                return next;
            }
            next = self.within(bytes, after);
        }
        None
    }

    fn within(&self, bytes: &[u8], from: usize) -> Option<(usize, usize)> {
        let at = from + self.finder.find(bytes.get(from..)?)?;
        Some((at, at + 3))
    }
}

/// Slices and sets never have a start code inside. Messages and units of vendors are not always
/// written by the rules: inside those, only what has a place in a picture counts.
fn separates<C: Codec>(written: &[u8], before: &[u8], follows: &[u8]) -> bool {
    let own = if written.len() >= C::HEADER_BYTES {
        C::role(written)
    } else if written.is_empty() && before.iter().any(|byte| *byte != 0) {
        C::role(before)
    } else {
        return true;
    };
    matches!(own, Ok(Role::Slice | Role::Set(_)))
        || matches!(
            C::role(follows),
            Ok(Role::Slice | Role::Set(_) | Role::Info | Role::Delimiter)
        )
}
