//! A camera's chain: each recorded part binds all parts before it, so that none can be taken out,
//! put in or moved without every later link being another.
//!
//! A clip carries the link before its first part and the one after its last; whoever has the clip
//! computes the one from the other. Two clips of neighbouring intervals fit together if the end of the
//! one is the beginning of the other.

use crate::digest::Digest;

/// What one recorded part adds to the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// SHA-256 of the part's media bytes, as they lie in the file.
    pub leaf: Digest,
    /// When it begins, in milliseconds since 1970, UTC.
    pub start_utc_ms: i64,
    /// How long it lasts, in milliseconds. How many bytes it has is in the leaf already.
    pub duration_ms: u64,
}

/// The link before a camera's first part. Each camera has its own, so that no part of another fits.
#[must_use]
pub fn beginning(commune: &str, camera: &str) -> Digest {
    Digest::of(&[
        b"taimat chain 1\n",
        commune.as_bytes(),
        b"/",
        camera.as_bytes(),
    ])
}

/// The link after a part.
#[must_use]
pub fn after(before: &Digest, link: &Link) -> Digest {
    Digest::of(&[
        &before.0,
        &link.leaf.0,
        &link.start_utc_ms.to_be_bytes(),
        &link.duration_ms.to_be_bytes(),
    ])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn links(count: u8) -> Vec<Link> {
        let one = |i: u8| Link {
            leaf: Digest::of(&[&[i]]),
            start_utc_ms: 1_000 * i64::from(i),
            duration_ms: 1_000,
        };
        (0..count).map(one).collect()
    }

    fn end(links: &[Link]) -> Digest {
        links
            .iter()
            .fold(beginning("hoa-lac", "nguyen-du-1"), |c, l| after(&c, l))
    }

    #[test]
    fn cameras_begin_differently() {
        assert_ne!(beginning("a", "b"), beginning("a", "c"));
        assert_ne!(beginning("a", "b"), beginning("c", "b"));
    }

    proptest! {
        #[test]
        fn nothing_is_taken_out_moved_or_changed(at in 0usize..20, to in 0usize..20, shift in 1i64..9) {
            let good = links(20);
            let mut fewer = good.clone();
            fewer.remove(at);
            prop_assert_ne!(end(&fewer), end(&good));
            let mut moved = good.clone();
            moved.swap(at, to);
            prop_assert_eq!(end(&moved) == end(&good), at == to);
            let mut later = good.clone();
            later[at].start_utc_ms += shift;
            prop_assert_ne!(end(&later), end(&good));
            let mut longer = good.clone();
            longer[at].duration_ms += 1;
            prop_assert_ne!(end(&longer), end(&good));
        }
    }
}
