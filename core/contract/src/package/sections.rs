//! The sections of a component (WebAssembly component model, binary format).

use super::error::PackageError;

/// Magic, format version 0x0d, layer 1.
const COMPONENT: [u8; 8] = *b"\0asm\x0d\0\x01\0";
const CORE_MODULE: [u8; 8] = *b"\0asm\x01\0\0\0";
const CUSTOM: u8 = 0;

/// One section.
#[derive(Debug, Clone, Copy)]
pub(super) struct Section<'a> {
    /// Where it begins in the file.
    pub(super) start: usize,
    /// Where the next one begins.
    pub(super) end: usize,
    /// Name and data of a custom section.
    pub(super) custom: Option<(&'a str, &'a [u8])>,
}

/// The sections in order, after the header has been checked.
pub(super) fn walk(
    bytes: &[u8],
) -> Result<impl Iterator<Item = Result<Section<'_>, PackageError>>, PackageError> {
    let Some(header) = bytes.first_chunk::<8>().filter(|h| h.starts_with(b"\0asm")) else {
        return Err(PackageError::NotWasm(
            bytes.iter().take(4).copied().collect(),
        ));
    };
    match *header {
        COMPONENT => {}
        CORE_MODULE => return Err(PackageError::CoreModule),
        [_, _, _, _, a, b, c, d] => return Err(PackageError::UnknownFormat([a, b, c, d])),
    }
    let mut at = header.len();
    Ok(std::iter::from_fn(move || {
        if at >= bytes.len() {
            return None;
        }
        let section = next(bytes, at);
        // After an error there is nothing that could be trusted.
        at = section.as_ref().map_or(bytes.len(), |s| s.end);
        Some(section)
    }))
}

fn next(bytes: &[u8], start: usize) -> Result<Section<'_>, PackageError> {
    let truncated = PackageError::Truncated { at: start };
    let parse = || {
        let (id, rest) = bytes.get(start..)?.split_first()?;
        let (length, body) = leb128(rest)?;
        let body = body.get(..length)?;
        let end = start + 1 + (rest.len() - leb128(rest)?.1.len()) + length;
        let custom = if *id == CUSTOM {
            let (length, named) = leb128(body)?;
            let (name, data) = named.split_at_checked(length)?;
            Some((std::str::from_utf8(name).ok()?, data))
        } else {
            None
        };
        Some(Section { start, end, custom })
    };
    parse().ok_or(truncated)
}

/// An unsigned LEB128 number of at most 32 bits, and what follows.
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().enumerate().take(5) {
        value |= u64::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            let value = u32::try_from(value).ok()?;
            return Some((usize::try_from(value).ok()?, bytes.get(index + 1..)?));
        }
    }
    None
}

/// The file without these custom sections.
pub(super) fn without(bytes: &[u8], names: &[&str]) -> Result<Vec<u8>, PackageError> {
    let mut kept = COMPONENT.to_vec();
    for section in walk(bytes)? {
        let section = section?;
        if !section
            .custom
            .is_some_and(|(name, _)| names.contains(&name))
        {
            kept.extend_from_slice(bytes.get(section.start..section.end).unwrap_or(&[]));
        }
    }
    Ok(kept)
}

/// Appends a custom section.
pub(super) fn append(bytes: &mut Vec<u8>, name: &str, data: &[u8]) {
    let mut body = Vec::with_capacity(name.len() + data.len() + 5);
    push_leb128(&mut body, name.len());
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(data);
    bytes.push(CUSTOM);
    push_leb128(bytes, body.len());
    bytes.extend_from_slice(&body);
}

fn push_leb128(bytes: &mut Vec<u8>, mut value: usize) {
    loop {
        let low = u8::try_from(value & 0x7F).unwrap_or(0x7F);
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}
