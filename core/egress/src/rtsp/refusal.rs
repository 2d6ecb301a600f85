//! What a client is told for which there is no place.
//!
//! Owner: the server's accepting task. Clients hold an answer against the number of their request, so the
//! request is waited for, by a few at a time and not for long.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use taimat_base::tasks::Tasks;
use taimat_rtsp::{Item, Limits, Reader, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Clients that are told at a time; further ones are told without being heard.
const TOLD_AT_ONCE: usize = 32;
/// So long a refused client holds its descriptor.
const DEADLINE: Duration = Duration::from_secs(2);
/// When it is worth trying again, in seconds.
const AGAIN: &str = "10";

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
    pub(super) fn refuse(&self, stream: TcpStream, tasks: &Tasks) {
        let Ok(place) = Arc::clone(&self.0).try_acquire_owned() else {
            // What does not fit now is not said.
            let _said = stream.try_write(&answer(None));
            return;
        };
        tasks.spawn("rtsp-refusal", tracing::Span::none(), |stop| async move {
            let _place = place;
            tokio::select! {
                told = timeout(DEADLINE, tell(stream)) => if let Ok(Err(error)) = told {
                    tracing::debug!(%error, "refusing an RTSP client");
                },
                () = stop.cancelled() => {}
            }
        });
    }
}

fn answer(cseq: Option<&str>) -> Vec<u8> {
    let response = Response::new(503)
        .with("Server", "Taimat")
        .with("Retry-After", AGAIN)
        .with("Connection", "close");
    let response = match cseq {
        Some(cseq) => response.with("CSeq", cseq),
        None => response,
    };
    let mut bytes = Vec::new();
    response.write(&mut bytes);
    bytes
}

async fn tell(mut stream: TcpStream) -> io::Result<()> {
    let mut reader = Reader::new(Limits::server());
    let asked = timeout(DEADLINE / 2, first_cseq(&mut stream, &mut reader)).await;
    let cseq = asked.unwrap_or(Ok(None))?;
    stream.write_all(&answer(cseq.as_deref())).await?;
    stream.shutdown().await?;
    // What is not read costs the client the answer: the kernel resets the connection.
    let mut rest = [0; 512];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

/// The number of the first request, if there is one.
async fn first_cseq(stream: &mut TcpStream, reader: &mut Reader) -> io::Result<Option<String>> {
    loop {
        match reader.next() {
            Ok(Some(Item::Request(request))) => {
                return Ok(request.headers.get("CSeq").map(str::to_owned));
            }
            Ok(None) => {}
            Ok(Some(_)) | Err(_) => return Ok(None),
        }
        if stream.read_buf(reader.buffer()).await? == 0 {
            return Ok(None);
        }
    }
}
