//! The time, for what is written down.

use taimat_base::clock;
use taimat_contract::UnixMicros;

/// What time it is, by the clock on the wall.
pub(crate) fn now() -> UnixMicros {
    UnixMicros::from(clock::wall())
}
