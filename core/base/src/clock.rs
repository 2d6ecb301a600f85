//! The only place that asks what time it is.
//!
//! Logic takes `now` as an argument; the tasks and threads at the edge call [`now`] once per
//! wake-up. Both functions follow tokio's paused clock in tests, so that a test moves time instead
//! of waiting for it.

use std::time::{Duration, Instant, SystemTime};

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
    const NTP_TO_UNIX_SECONDS: u64 = 2_208_988_800;
    let since = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    let seconds = since.as_secs().wrapping_add(NTP_TO_UNIX_SECONDS);
    let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
    (seconds << 32) | fraction
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

    #[tokio::test(start_paused = true)]
    async fn follows_the_paused_clock() {
        let before = now();
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(now() - before, Duration::from_secs(60));
    }
}
