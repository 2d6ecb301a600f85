//! Bytes to a device that has no better language: one connection, what is to be sent, and what comes
//! back within a moment.

use std::time::Duration;

use taimat_base::clock;
use taimat_contract::message::{Reply, Wire};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::address::Address;
use crate::exchange::Reach;
use crate::failure::{Failure, Outcome};
use crate::hidden::Hidden;

/// A device answers sooner, or not at all.
const ANSWER: Duration = Duration::from_secs(5);

/// Sends once. What has come when the time is over is the answer too.
pub(crate) async fn send(
    address: &Address,
    reach: &Reach,
    hidden: &Hidden,
    wire: &Wire,
) -> Result<(Outcome, Reply), Failure> {
    let guard = &reach.guard;
    let mut stream = guard
        .connect(&reach.commune, address.host(), address.port())
        .await?;
    let deadline = clock::now() + ANSWER;
    let ended = |error: std::io::Error| {
        let text = format!(
            "the connection ended: {}; it may have arrived",
            error.kind()
        );
        Failure::new(Outcome::Unreachable, text)
    };
    let late = |_| {
        Failure::new(
            Outcome::Late,
            "the device does not take it; it may have arrived",
        )
    };
    let sending = tokio::time::timeout_at(deadline.into(), stream.write_all(&wire.bytes));
    sending.await.map_err(late)?.map_err(ended)?;
    let mut answer = vec![0; wire.answer_bytes.min(1500) as usize];
    let mut came = 0;
    while let Some(room) = answer.get_mut(came..).filter(|room| !room.is_empty()) {
        match tokio::time::timeout_at(deadline.into(), stream.read(room)).await {
            Ok(Ok(0)) | Err(_) => break,
            Ok(Ok(more)) => came += more,
            Ok(Err(error)) if came == 0 => return Err(ended(error)),
            Ok(Err(_)) => break,
        }
    }
    answer.truncate(came);
    if wire.answer_bytes > 0 && came == 0 {
        let text = "the device answers nothing; it may have arrived";
        return Err(Failure::new(Outcome::Late, text));
    }
    // So that what was sent is not lost with a connection that is torn down.
    let _closed = stream.shutdown().await;
    Ok((
        Outcome::Delivered,
        Reply::Bytes(hidden.redactor().bytes(&answer)),
    ))
}
