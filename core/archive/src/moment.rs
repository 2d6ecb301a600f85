//! The time, for what is written down.

use jiff::Timestamp;
use taimat_base::clock;
use taimat_contract::UnixMicros;

/// What time it is, by the clock on the wall.
pub(crate) fn now() -> UnixMicros {
    UnixMicros::from(clock::wall())
}

/// Microseconds since 1970 as people read them, in UTC.
pub(crate) fn text(micros: i64) -> String {
    match Timestamp::from_microsecond(micros) {
        Ok(at) => format!("{at:.3}"),
        Err(_) => format!("{micros} µs since 1970"),
    }
}
