//! Waiting on conditions instead of sleeping.

use std::future::Future;
use std::time::Duration;

/// Asks `probe` until it gives something; panics with `what` after `limit`.
pub async fn eventually<T, F>(what: &str, limit: Duration, mut probe: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let deadline = taimat_base::clock::now() + limit;
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(
            taimat_base::clock::now() < deadline,
            "not within {limit:?}: {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
