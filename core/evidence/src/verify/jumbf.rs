//! JUMBF's boxes, as our manifests have them: each with a description, of a known form.

/// What all types of boxes end with.
const TYPE_TAIL: [u8; 12] = [0, 0x11, 0, 0x10, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];
/// It has a label, and may be asked for by it.
const LABELLED: u8 = 0x03;
/// And it is salted.
const SALTED: u8 = 0x13;
const SALT_BYTES: usize = 16;

/// A box with a description.
#[derive(Debug, Clone, Copy)]
pub(super) struct Superbox<'a> {
    pub(super) label: &'a str,
    /// All behind its length and kind: what hashes are made of.
    pub(super) hashed: &'a [u8],
    /// What is behind the description.
    pub(super) content: &'a [u8],
}

/// Takes a box of this kind from the front: its body.
pub(super) fn take<'a>(left: &mut &'a [u8], kind: [u8; 4]) -> Option<&'a [u8]> {
    let (length, rest) = left.split_first_chunk::<4>()?;
    let rest = rest.strip_prefix(&kind)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (body, rest) = rest.split_at_checked(length.checked_sub(8)?)?;
    *left = rest;
    Some(body)
}

/// Takes a box with a description of this type from the front.
pub(super) fn take_super<'a>(
    left: &mut &'a [u8],
    kind: [u8; 4],
    salted: bool,
) -> Option<Superbox<'a>> {
    let hashed = take(left, *b"jumb")?;
    let mut content = hashed;
    let description = take(&mut content, *b"jumd")?;
    let rest = description.strip_prefix(&kind)?.strip_prefix(&TYPE_TAIL)?;
    let rest = rest.strip_prefix(&[if salted { SALTED } else { LABELLED }])?;
    let end = rest.iter().position(|b| *b == 0)?;
    let (label, rest) = rest.split_at_checked(end)?;
    let mut rest = rest.get(1..)?;
    if salted {
        let salt = take(&mut rest, *b"c2sh")?;
        if salt.len() != SALT_BYTES {
            return None;
        }
    }
    let label = std::str::from_utf8(label).ok()?;
    rest.is_empty().then_some(Superbox {
        label,
        hashed,
        content,
    })
}

/// The one box of this kind that is in some bytes.
pub(super) fn only(mut bytes: &[u8], kind: [u8; 4]) -> Option<&[u8]> {
    let body = take(&mut bytes, kind)?;
    bytes.is_empty().then_some(body)
}
