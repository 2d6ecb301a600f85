//! Times as NTP writes them (RFC 5905 section 6), as boxes with the producer's time have them.

/// Seconds from 1900 to 1970.
const TO_1970: i64 = 2_208_988_800;
const MICROS: i64 = 1_000_000;
/// A time whose seconds have not this bit is of the era that begins in 2036: the convention of
/// RFC 4330 section 3. So what can be written lies between January 1968 and February 2104.
const ERA_BIT: i64 = 1 << 31;

/// A time in µs since 1970. `None`: a year that NTP can not write without doubt.
pub(super) fn from_micros(micros: i64) -> Option<u64> {
    let seconds = micros.div_euclid(MICROS) + TO_1970;
    if !(ERA_BIT..ERA_BIT + (1 << 32)).contains(&seconds) {
        return None;
    }
    // Rounded up, so that rounding down gives back the same µs.
    let fraction = ((micros.rem_euclid(MICROS) as u64) << 32).div_ceil(MICROS as u64);
    Some((seconds as u64 & 0xFFFF_FFFF) << 32 | fraction)
}

/// µs since 1970.
pub(super) fn to_micros(ntp: u64) -> i64 {
    let seconds = (ntp >> 32) as i64;
    let era = if seconds & ERA_BIT == 0 { 1 << 32 } else { 0 };
    let micros = ((ntp & 0xFFFF_FFFF) * MICROS as u64) >> 32;
    (seconds + era - TO_1970) * MICROS + micros as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn knows_its_years() {
        assert_eq!(from_micros(0), Some((TO_1970 as u64) << 32));
        assert_eq!(to_micros((TO_1970 as u64) << 32), 0);
        // Before 1968, after February 2104.
        assert_eq!(from_micros(-62_000_000 * MICROS), None);
        assert_eq!(from_micros(4_240_000_000 * MICROS), None);
        // The first second of the next era: 7 February 2036, 6:28:16.
        assert_eq!(from_micros(2_085_978_496 * MICROS), Some(0));
        assert_eq!(to_micros(0), 2_085_978_496 * MICROS);
    }

    proptest! {
        #[test]
        fn reads_what_it_wrote(micros in -61_000_000_000_000_i64..4_230_000_000_000_000) {
            prop_assert_eq!(from_micros(micros).map(to_micros), Some(micros));
        }

        #[test]
        fn never_panics(ntp: u64, micros: i64) {
            to_micros(ntp);
            from_micros(micros);
        }
    }
}
