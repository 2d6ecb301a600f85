//! Hashing the media again while an export is sent: a disk that rots must not hand out a file that
//! fails in court.

use sha2::{Digest as _, Sha256};

use crate::assertion::Part;

/// A part that is not what was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("part {part}, at {start_utc_ms} ms since 1970, is not what was recorded")]
pub struct Rotten {
    /// Which, from 0.
    pub part: usize,
    /// When it begins.
    pub start_utc_ms: i64,
}

/// Compares the media of an export with the hashes from the index, as they go by. Whoever reads a part
/// whole, gives it here and sends it then, sends nothing that is rotten.
#[derive(Debug)]
pub struct PartCheck<'a> {
    parts: &'a [Part],
    /// Which is going by, and how much of it has not come yet.
    part: usize,
    left: u64,
    hasher: Sha256,
}

impl<'a> PartCheck<'a> {
    /// From the first byte of the first part on.
    #[must_use]
    pub fn new(parts: &'a [Part]) -> Self {
        Self {
            parts,
            part: 0,
            left: parts.first().map_or(0, |part| part.bytes),
            hasher: Sha256::new(),
        }
    }

    /// Takes the next bytes of media. Fails with the first part that ends here and differs, or with
    /// the number behind the last if there is more than the parts.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<(), Rotten> {
        while !bytes.is_empty() {
            let Some(part) = self.parts.get(self.part) else {
                return Err(self.rotten(self.part));
            };
            let now = bytes
                .len()
                .min(usize::try_from(self.left).unwrap_or(usize::MAX));
            let (these, rest) = bytes.split_at(now);
            self.hasher.update(these);
            self.left -= now as u64;
            bytes = rest;
            if self.left == 0 {
                let hash: [u8; 32] = self.hasher.finalize_reset().into();
                if hash != part.leaf.0 {
                    return Err(self.rotten(self.part));
                }
                self.part += 1;
                self.left = self.parts.get(self.part).map_or(0, |next| next.bytes);
            }
        }
        Ok(())
    }

    /// Whether all parts went by.
    pub fn end(&self) -> Result<(), Rotten> {
        if self.part == self.parts.len() {
            Ok(())
        } else {
            Err(self.rotten(self.part))
        }
    }

    fn rotten(&self, part: usize) -> Rotten {
        let start_utc_ms = self.parts.get(part).map_or(0, |part| part.start_utc_ms);
        Rotten { part, start_utc_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{NOW, parts, payloads};

    #[test]
    fn names_the_first_part_that_differs_however_it_comes() {
        let payloads = payloads();
        let parts = parts(&payloads);
        let good = payloads.concat();
        for size in [1, 7, 200, 1_000] {
            let mut check = PartCheck::new(&parts);
            good.chunks(size).try_for_each(|c| check.feed(c)).unwrap();
            check.end().unwrap();
            assert_eq!(check.feed(b"more").unwrap_err().part, 4);
            let mut bad = good.clone();
            bad[201 + 5] ^= 1;
            let mut check = PartCheck::new(&parts);
            let rotten = bad
                .chunks(size)
                .try_for_each(|c| check.feed(c))
                .unwrap_err();
            assert_eq!((rotten.part, rotten.start_utc_ms), (1, NOW + 1_000));
        }
        let mut check = PartCheck::new(&parts);
        check.feed(&good[..500]).unwrap();
        assert_eq!(check.end().unwrap_err().part, 2);
    }
}
