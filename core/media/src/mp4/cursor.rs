//! Reading boxes that somebody may have damaged: never past the end, never more work than bytes.

use super::boxes::Kind;
use super::error::ReadError;

/// What is still to be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

const SHORT: ReadError = ReadError::Malformed("a box ends too early");

impl<'a> Cursor<'a> {
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], ReadError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ReadError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(SHORT)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, ReadError> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, ReadError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, ReadError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, ReadError> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, ReadError> {
        self.array().map(u64::from_be_bytes)
    }

    /// Version and flags of a full box.
    pub(super) fn version(&mut self) -> Result<(u8, u32), ReadError> {
        let word = self.u32()?;
        Ok(((word >> 24) as u8, word & 0x00FF_FFFF))
    }

    /// The next box and its body; `None` where there are no more bytes.
    pub(super) fn next(&mut self) -> Result<Option<(Kind, Self)>, ReadError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let length = self.u32()? as usize;
        let kind = self.array()?;
        let body = length.checked_sub(super::boxes::HEADER).ok_or(SHORT)?;
        Ok(Some((kind, Self(self.take(body)?))))
    }

    /// The body of the first box of this kind; the others are passed over.
    pub(super) fn find(mut self, kind: Kind) -> Result<Self, ReadError> {
        while let Some((found, body)) = self.next()? {
            if found == kind {
                return Ok(body);
            }
        }
        Err(ReadError::Malformed("a box is missing"))
    }
}

/// The length and the kind of the box at `at` in a file of which `bytes` are there. Larger than
/// `limit` is no box of ours, so that nobody waits for bytes that never come.
pub(super) fn outer(
    bytes: &[u8],
    at: usize,
    limit: usize,
    what: &'static str,
) -> Result<(usize, Kind), ReadError> {
    let need = at + super::boxes::HEADER;
    let header = bytes.get(at..need).ok_or(ReadError::Incomplete { need })?;
    let mut header = Cursor(header);
    let (length, kind) = (header.u32()? as usize, header.array()?);
    if kind == *b"mdat" {
        // Its body is not looked at.
        return Ok((length, kind));
    }
    if length < super::boxes::HEADER {
        return Err(ReadError::Malformed("a box without a length"));
    }
    if length > limit {
        return Err(ReadError::TooLarge(what));
    }
    Ok((length, kind))
}

/// The body of the box that [`outer`] found.
pub(super) fn body(bytes: &[u8], at: usize, length: usize) -> Result<Cursor<'_>, ReadError> {
    let need = at + length;
    let body = bytes.get(at + super::boxes::HEADER..need);
    body.map(Cursor).ok_or(ReadError::Incomplete { need })
}
