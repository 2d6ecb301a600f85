//! CBOR, as far as a manifest of ours has it, in the one shortest form: a second way to write the same
//! would be a change that nobody sees.

/// Deeper than any manifest of ours.
const MAX_DEPTH: u8 = 8;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cbor<'a> {
    /// 0 and more.
    Count(u64),
    /// -1 minus this.
    Negative(u64),
    Bytes(&'a [u8]),
    Text(&'a str),
    List(Vec<Cbor<'a>>),
    Map(Vec<(Cbor<'a>, Cbor<'a>)>),
    Tag(u64, Box<Cbor<'a>>),
    Null,
}

/// What is not CBOR of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadCbor;

impl<'a> Cbor<'a> {
    /// Reads one value that takes all of the bytes.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, BadCbor> {
        let mut left = bytes;
        let value = value(&mut left, MAX_DEPTH)?;
        if left.is_empty() {
            Ok(value)
        } else {
            Err(BadCbor)
        }
    }

    /// What a map has under a name.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        self.find(&Cbor::Text(name))
    }

    /// What a map has under a key.
    pub(super) fn find(&self, key: &Cbor<'_>) -> Option<&Self> {
        let Self::Map(entries) = self else {
            return None;
        };
        entries.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    pub(super) fn count(&self) -> Option<u64> {
        match self {
            Self::Count(count) => Some(*count),
            _ => None,
        }
    }

    pub(super) fn bytes(&self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn list(&self) -> Option<&[Self]> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }
}

fn take<'a>(left: &mut &'a [u8], count: u64) -> Result<&'a [u8], BadCbor> {
    let count = usize::try_from(count).map_err(|_why| BadCbor)?;
    let (taken, rest) = left.split_at_checked(count).ok_or(BadCbor)?;
    *left = rest;
    Ok(taken)
}

/// The kind of what follows, and its number.
fn head(left: &mut &[u8]) -> Result<(u8, u64), BadCbor> {
    let first = *take(left, 1)?.first().ok_or(BadCbor)?;
    let (kind, short) = (first >> 5, first & 0x1f);
    let (bytes, least): (u64, u64) = match short {
        0..24 => return Ok((kind, u64::from(short))),
        24 => (1, 24),
        25 => (2, 1 << 8),
        26 => (4, 1 << 16),
        27 => (8, 1 << 32),
        _ => return Err(BadCbor),
    };
    let digits = take(left, bytes)?.iter();
    let number = digits.fold(0u64, |so_far, byte| so_far << 8 | u64::from(*byte));
    if number < least {
        return Err(BadCbor);
    }
    Ok((kind, number))
}

fn value<'a>(left: &mut &'a [u8], depth: u8) -> Result<Cbor<'a>, BadCbor> {
    let deeper = depth.checked_sub(1).ok_or(BadCbor)?;
    let (kind, number) = head(left)?;
    Ok(match kind {
        0 => Cbor::Count(number),
        1 => Cbor::Negative(number),
        2 => Cbor::Bytes(take(left, number)?),
        3 => Cbor::Text(std::str::from_utf8(take(left, number)?).map_err(|_why| BadCbor)?),
        // What is said to be there is made room for as it comes: a number costs nothing.
        4 => {
            let items = (0..number).map(|_| value(left, deeper));
            Cbor::List(items.collect::<Result<_, _>>()?)
        }
        5 => {
            let mut entries: Vec<(Cbor<'a>, Cbor<'a>)> = Vec::new();
            for _ in 0..number {
                let key = value(left, deeper)?;
                // A key twice would be read in two ways. No map of ours has many.
                if entries.len() > 64 || entries.iter().any(|(k, _)| *k == key) {
                    return Err(BadCbor);
                }
                entries.push((key, value(left, deeper)?));
            }
            Cbor::Map(entries)
        }
        6 => Cbor::Tag(number, Box::new(value(left, deeper)?)),
        7 if number == 22 => Cbor::Null,
        _ => return Err(BadCbor),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn there_is_one_way_to_write_a_value() {
        assert_eq!(Cbor::read(&[0x17]), Ok(Cbor::Count(23)));
        assert_eq!(Cbor::read(&[0x18, 0x18]), Ok(Cbor::Count(24)));
        for longer in [
            &[0x18, 0x17][..],
            &[0x19, 0, 0xff],
            &[0x1b, 0, 0, 0, 0, 0, 0, 0, 1],
        ] {
            assert_eq!(Cbor::read(longer), Err(BadCbor));
        }
        // Something behind, a length without an end, a key twice, a number with no items.
        for bad in [
            &[0x17, 0][..],
            &[0x5f, 0xff],
            &[0xa2, 0x61, b'a', 1, 0x61, b'a', 2],
            &[0x9b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert_eq!(Cbor::read(bad), Err(BadCbor));
        }
        let map = Cbor::read(&[0xa1, 0x61, b'a', 0x81, 0xf6]).unwrap();
        assert_eq!(map.get("a").unwrap().list(), Some(&[Cbor::Null][..]));
        assert_eq!(Cbor::read(&[0x81; 40]), Err(BadCbor));
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _read = Cbor::read(&bytes);
        }
    }
}
