//! Microseconds and ticks of a track's clock, since 1970: a file's own times say when it was recorded.

use taimat_media::codec::VIDEO_CLOCK;

/// Ticks of a clock with `rate` ticks a second that have passed since 1970. Before that it is 0.
pub(crate) fn from_micros(micros: i64, rate: u32) -> u64 {
    let ticks = u128::try_from(micros).unwrap_or(0) * u128::from(rate) / 1_000_000;
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

/// Microseconds since 1970, rounded so that [`from_micros`] gives the same ticks back.
pub(crate) fn to_micros(ticks: u64, rate: u32) -> i64 {
    let micros = (u128::from(ticks) * 1_000_000).div_ceil(u128::from(rate.max(1)));
    i64::try_from(micros).unwrap_or(i64::MAX)
}

/// Of video.
pub(crate) fn video(micros: i64) -> u64 {
    from_micros(micros, VIDEO_CLOCK)
}

/// Microseconds of video's ticks.
pub(crate) fn video_micros(ticks: u64) -> i64 {
    to_micros(ticks, VIDEO_CLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn there_and_back(ticks in 0..(1_u64 << 52), rate in prop::sample::select(vec![8000_u32, 44_100, 48_000, 90_000])) {
            prop_assert_eq!(from_micros(to_micros(ticks, rate), rate), ticks);
        }

        #[test]
        fn never_panics(micros in any::<i64>(), ticks in any::<u64>(), rate in any::<u32>()) {
            from_micros(micros, rate);
            to_micros(ticks, rate);
        }
    }
}
