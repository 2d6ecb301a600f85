//! Waiting for a camera to be live before a viewer is answered.

use std::sync::Arc;
use std::time::Duration;

use taimat_hub::{Channel, SourceState, Status};
use taimat_media::StreamInfo;

/// How long a camera that has to be started gets until it is live.
const START_DEADLINE: Duration = Duration::from_secs(10);
/// How long to wait for a camera that is being connected again anyway.
const RETRY_DEADLINE: Duration = Duration::from_millis(1500);

/// What the channel's stream consists of, once its pictures come; a camera that runs on demand is
/// started. Otherwise how it is doing instead.
pub(crate) async fn live(channel: &Channel) -> Result<Arc<StreamInfo>, Box<Status>> {
    // Counts as a reader meanwhile.
    let _reader = channel.join();
    let mut status = channel.watch_status();
    let wait = match status.borrow().state {
        SourceState::Live => Duration::ZERO,
        SourceState::Idle | SourceState::Connecting => START_DEADLINE,
        SourceState::Stalled | SourceState::Offline => RETRY_DEADLINE,
    };
    let settled = status.wait_for(|s| s.state == SourceState::Live);
    let live = wait.is_zero()
        || tokio::time::timeout(wait, settled)
            .await
            .is_ok_and(|s| s.is_ok());
    match channel.info().filter(|info| live && info.video.is_some()) {
        Some(info) => Ok(info),
        None => Err(Box::new(channel.status())),
    }
}
