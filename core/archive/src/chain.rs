//! The chain of a stream's parts, as `audit` has it.

use taimat_audit::{Digest, Link};
use taimat_hub::ChannelKey;

use crate::packed::PartRow;

/// The chain before the first part of a stream.
pub(crate) fn beginning(key: &ChannelKey) -> [u8; 32] {
    let camera = match key.profile {
        taimat_base::Profile::Main => key.camera.camera.to_string(),
        // Two streams of one camera are two chains.
        profile => format!("{}:{profile}", key.camera.camera),
    };
    taimat_audit::beginning(key.camera.commune.as_str(), &camera).0
}

/// The chain after a part.
pub(crate) fn after(before: &[u8; 32], part: &PartRow) -> [u8; 32] {
    taimat_audit::after(&Digest(*before), &link(part)).0
}

/// What a part adds to the chain.
pub(crate) fn link(part: &PartRow) -> Link {
    link_of(&part.hash, part.start, part.end)
}

/// What a part with that hash, from a time until another in microseconds since 1970, adds to the chain.
pub(crate) fn link_of(hash: &[u8; 32], start: i64, end: i64) -> Link {
    let start_utc_ms = start.div_euclid(1000);
    let duration_ms = end.div_euclid(1000) - start_utc_ms;
    Link {
        leaf: Digest(*hash),
        start_utc_ms,
        duration_ms: u64::try_from(duration_ms).unwrap_or(0),
    }
}
