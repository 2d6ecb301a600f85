//! What a client is told for which there is no place.
//!
//! Clients do not expect an answer before they have asked, so the request's head is waited for, by a few at
//! a time and not for long.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use taimat_api::ProblemJson;
use taimat_base::budget::Refused;
use taimat_base::tasks::Tasks;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::Span;

/// Clients that are told at a time; further ones are told without being heard, and may lose the answer.
const TOLD_AT_ONCE: usize = 32;
/// So long a refused client holds its descriptor.
const DEADLINE: Duration = Duration::from_secs(2);

/// Tells clients that there is no place for them.
#[derive(Debug)]
pub(super) struct Refusals(Arc<Semaphore>);

impl Default for Refusals {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(TOLD_AT_ONCE)))
    }
}

impl Refusals {
    /// Refuses a client and lets go of it.
    pub(super) fn refuse(&self, stream: TcpStream, why: Refused, tasks: &Tasks) {
        let answer = answer(&ProblemJson::crowded(why));
        let Ok(place) = Arc::clone(&self.0).try_acquire_owned() else {
            // What does not fit now is not said.
            let _said = stream.try_write(answer.as_bytes());
            return;
        };
        tasks.spawn("http-refusal", Span::none(), |stop| async move {
            let _place = place;
            tokio::select! {
                told = timeout(DEADLINE, tell(stream, answer)) => if let Ok(Err(error)) = told {
                    tracing::debug!(%error, "refusing an HTTP client");
                },
                () = stop.cancelled() => {}
            }
        });
    }
}

fn answer(problem: &ProblemJson) -> String {
    let body = serde_json::to_string(problem).unwrap_or_default();
    let again = problem.retry_after_seconds().unwrap_or_default();
    format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n\
         Content-Length: {}\r\nRetry-After: {again}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

async fn tell(mut stream: TcpStream, answer: String) -> io::Result<()> {
    let _heard = timeout(DEADLINE / 2, hear(&mut stream)).await;
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    // What is not read costs the client the answer: the kernel resets the connection.
    let mut rest = [0; 4096];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

/// Reads until a head ends, or would be too long.
async fn hear(stream: &mut TcpStream) -> io::Result<()> {
    const END: &[u8] = b"\r\n\r\n";
    let (mut head, mut looked) = ([0; 8 << 10], 0);
    while let Some(room) = head.get_mut(looked..).filter(|room| !room.is_empty()) {
        let read = stream.read(room).await?;
        looked += read;
        let said = head.get(..looked).unwrap_or_default();
        if read == 0 || said.windows(END.len()).any(|end| end == END) {
            break;
        }
    }
    Ok(())
}
