//! What a segment's file begins with besides the init: the chain before it, in a box that players skip. With
//! it the index can be made anew from the files.

/// The type of the box (ISO 14496-12 section 8.1.2).
const TYPE: &[u8; 4] = b"free";
/// What is in it begins with this.
const MARK: &[u8; 8] = b"taimat\x001";
/// Bytes of the box.
const LENGTH: usize = 8 + MARK.len() + 32;

/// The init, and the box behind it.
pub(crate) fn write(init: &[u8], chain: &[u8; 32]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(init.len() + LENGTH);
    bytes.extend_from_slice(init);
    bytes.extend_from_slice(&(LENGTH as u32).to_be_bytes());
    bytes.extend_from_slice(TYPE);
    bytes.extend_from_slice(MARK);
    bytes.extend_from_slice(chain);
    bytes
}

/// Where the first part begins in a file.
pub(crate) fn begin(init: &[u8]) -> u64 {
    (init.len() + LENGTH) as u64
}

/// The chain that a file says, and the box's length; `rest` is what follows the init.
pub(crate) fn read(rest: &[u8]) -> Option<([u8; 32], usize)> {
    let expected = (LENGTH as u32).to_be_bytes();
    let rest = rest.strip_prefix(&expected)?.strip_prefix(TYPE)?;
    let chain = rest.strip_prefix(MARK)?.get(..32)?;
    Some((chain.try_into().ok()?, LENGTH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let chain = [9; 32];
        let file = write(b"init", &chain);
        assert_eq!(read(&file[4..]), Some((chain, LENGTH)));
        assert_eq!(file.len(), 4 + LENGTH);
        assert_eq!(read(&file[4..file.len() - 1]), None);
        assert_eq!(read(&file), None);
        assert_eq!(read(b""), None);
    }
}
