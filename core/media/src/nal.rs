//! NAL units in the form in which access units carry them: each after its length in four bytes.

use bytes::{BufMut, Bytes, BytesMut};

/// The NAL units of an access unit's data, without copying. Stops at the first length that does not
/// fit: the depacketizers never make one.
pub fn units(data: &Bytes) -> impl Iterator<Item = Bytes> + '_ {
    let mut at = 0_usize;
    std::iter::from_fn(move || {
        let header = data.get(at..at + 4)?;
        let len = u32::from_be_bytes(header.try_into().ok()?) as usize;
        let start = at + 4;
        let end = start.checked_add(len).filter(|end| *end <= data.len())?;
        at = end;
        Some(data.slice(start..end))
    })
}

/// Appends one NAL unit with its length.
pub fn push(data: &mut BytesMut, unit: &[u8]) {
    data.reserve(unit.len() + 4);
    data.put_u32(u32::try_from(unit.len()).unwrap_or(u32::MAX));
    data.put_slice(unit);
}

/// Splits a byte stream with start codes (ISO 14496-10 Annex B) into NAL units.
pub fn split_annex_b(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = find_start(stream).map(|(_, after)| &stream[after..]);
    std::iter::from_fn(move || {
        let current = rest.take()?;
        let unit = match find_start(current) {
            Some((before, after)) => {
                rest = Some(&current[after..]);
                &current[..before]
            }
            None => current,
        };
        Some(unit)
    })
    .map(trim_zeros)
    .filter(|unit| !unit.is_empty())
}

/// Where the next start code begins, and where the bytes after it begin.
fn find_start(bytes: &[u8]) -> Option<(usize, usize)> {
    let at = memchr::memmem::find(bytes, b"\0\0\x01")?;
    Some((at, at + 3))
}

/// Zeros before a start code belong to it.
fn trim_zeros(unit: &[u8]) -> &[u8] {
    let end = unit
        .iter()
        .rposition(|b| *b != 0)
        .map_or(0, |last| last + 1);
    &unit[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn splits_three_and_four_byte_start_codes() {
        let stream = [
            0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x68, 3, 0, 0, 0, 1, 0x65, 0, 0, 3, 9,
        ];
        let units: Vec<_> = split_annex_b(&stream).collect();
        assert_eq!(units, [&[0x67, 1, 2][..], &[0x68, 3], &[0x65, 0, 0, 3, 9]]);
        assert_eq!(split_annex_b(&[1, 2, 3]).count(), 0);
    }

    proptest! {
        #[test]
        fn reads_what_was_pushed(list in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..8)) {
            let mut data = BytesMut::new();
            for unit in &list {
                push(&mut data, unit);
            }
            let read: Vec<Vec<u8>> = units(&data.freeze()).map(|u| u.to_vec()).collect();
            prop_assert_eq!(read, list);
        }

        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            units(&Bytes::from(bytes.clone())).count();
            split_annex_b(&bytes).count();
        }
    }
}
