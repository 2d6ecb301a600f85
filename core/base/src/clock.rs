//! The only place that asks what time it is.
//!
//! Logic takes `now` as an argument; the tasks and threads at the edge call [`now`] once per
//! wake-up. Both functions follow tokio's paused clock in tests, so that a test moves time instead
//! of waiting for it.

use std::time::{Duration, Instant, SystemTime};

/// From the epoch of NTP, 1900, to that of Unix.
const NTP_TO_UNIX_SECONDS: u64 = 2_208_988_800;

/// Monotonic time, for deadlines and ages.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the edge that the lint points to"
)]
pub fn now() -> Instant {
    if tokio::runtime::Handle::try_current().is_ok() {
        tokio::time::Instant::now().into_std()
    } else {
        Instant::now()
    }
}

/// Monotonic time on a thread of our own, where no simulated clock can be in force: saves the
/// look-up that [`now`] does.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the edge that the lint points to"
)]
pub fn thread_now() -> Instant {
    Instant::now()
}

/// Wall-clock time, for what people and other machines read.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the edge that the lint points to"
)]
pub fn wall() -> SystemTime {
    SystemTime::now()
}

/// Seconds since 1970 as a float, the shape Prometheus timestamps have. Times before 1970 are 0.
pub fn unix_seconds(at: SystemTime) -> f64 {
    at.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0.0, |d| d.as_secs_f64())
}

/// A 64-bit NTP timestamp (RFC 3550 section 4): seconds since 1900 in 32.32 fixed point.
pub fn ntp(at: SystemTime) -> u64 {
    let since = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    let seconds = since.as_secs().wrapping_add(NTP_TO_UNIX_SECONDS);
    let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
    (seconds << 32) | fraction
}

/// What a 64-bit NTP timestamp says as wall-clock time. `None` for 0, by which RFC 3550 section 6.4.1
/// means "no clock", and for times before 1970, which no camera of ours has seen. A number whose
/// highest bit is not set is of the era that begins in 2036 (RFC 4330 section 3).
pub fn from_ntp(ntp: u64) -> Option<SystemTime> {
    const ERA_SECONDS: u64 = 1 << 32;
    if ntp == 0 {
        return None;
    }
    let (seconds, fraction) = (ntp >> 32, ntp & 0xFFFF_FFFF);
    let seconds = match seconds >> 31 {
        0 => seconds + ERA_SECONDS,
        _ => seconds,
    };
    let since = Duration::from_secs(seconds.checked_sub(NTP_TO_UNIX_SECONDS)?);
    let nanos = Duration::from_nanos((fraction * 1_000_000_000) >> 32);
    SystemTime::UNIX_EPOCH.checked_add(since + nanos)
}

/// Sleeps until `deadline`. For tasks at the edge only.
pub async fn sleep_until(deadline: Instant) {
    tokio::time::sleep_until(deadline.into()).await;
}

/// Sleeps until then, or for ever if there is nothing to wait for. For arms of `select!`.
pub async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ntp_of_the_unix_epoch() {
        assert_eq!(ntp(SystemTime::UNIX_EPOCH), 2_208_988_800 << 32);
        let half = SystemTime::UNIX_EPOCH + Duration::from_millis(500);
        assert_eq!(ntp(half) & 0xFFFF_FFFF, 1 << 31);
    }

    #[test]
    fn ntp_there_and_back() {
        // 2027, and 2040, which is of the next era.
        for millis in [0, 1_800_000_000_250, 2_209_000_000_999] {
            let at = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
            let back = from_ntp(ntp(at)).unwrap();
            let apart = back.duration_since(at).unwrap_or_else(|e| e.duration());
            assert!(apart < Duration::from_micros(1), "{millis} ms");
        }
        assert_eq!(from_ntp(0), None);
        assert_eq!(from_ntp((NTP_TO_UNIX_SECONDS - 1) << 32), None);
        assert!(from_ntp(u64::MAX).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn follows_the_paused_clock() {
        let before = now();
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(now() - before, Duration::from_secs(60));
    }
}
