//! A body that is written by what waits for the disk, as fast as whoever asked reads it.

use std::io::{self, Write};
use std::time::Duration;

use axum::body::{Body, Bytes};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Bytes that are sent at once.
const CHUNK: usize = 256 << 10;
/// Of these, how many may wait: so much is in memory, and no more is read until some are gone.
const WAITING: usize = 4;
/// Who reads nothing for so long has gone.
const STALLED: Duration = Duration::from_secs(60);

type Sent = io::Result<Bytes>;

/// What `write` writes, which has to be so many bytes: if it ends before, or fails, sending is broken off, and
/// whoever asked sees that it is not the whole.
pub(crate) fn body(
    bytes: u64,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
) -> Body {
    let (to, from) = channel(WAITING);
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        let mut writer = Writer {
            chunk: Vec::with_capacity(CHUNK),
            to,
            runtime,
        };
        let written = write(&mut writer).and_then(|()| writer.flush());
        if let Err(error) = written {
            tracing::warn!(%error, "sending is broken off");
            let _gone = writer.send(Err(error));
        }
    });
    Body::from_stream(stream(from, bytes))
}

fn stream(mut from: Receiver<Sent>, bytes: u64) -> impl futures_core::Stream<Item = Sent> + Send {
    async_stream::try_stream! {
        let mut left = bytes;
        while let Some(chunk) = from.recv().await {
            let chunk = chunk?;
            let length = chunk.len() as u64;
            left = left.checked_sub(length).ok_or_else(|| wrong("more"))?;
            yield chunk;
        }
        if left > 0 {
            Err(wrong("less"))?;
        }
    }
}

fn wrong(how: &str) -> io::Error {
    tracing::error!("{how} is sent than was said");
    io::Error::other(format!("{how} than was said"))
}

struct Writer {
    chunk: Vec<u8>,
    to: Sender<Sent>,
    runtime: Handle,
}

impl Writer {
    fn send(&self, sent: Sent) -> io::Result<()> {
        let sending = self.to.send_timeout(sent, STALLED);
        let sent = self.runtime.block_on(sending);
        sent.map_err(|_gone| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = CHUNK.saturating_sub(self.chunk.len());
        let (now, _later) = bytes.split_at(bytes.len().min(room));
        self.chunk.extend_from_slice(now);
        if self.chunk.len() >= CHUNK {
            self.flush()?;
        }
        Ok(now.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let full = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK));
        self.send(Ok(full.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sent(
        bytes: u64,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
    ) -> Option<Vec<u8>> {
        let all = axum::body::to_bytes(body(bytes, write), usize::MAX).await;
        all.ok().map(Vec::from)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_written_is_sent_and_what_is_not_whole_fails() {
        let all: Vec<u8> = (0..=255).cycle().take(3 * CHUNK + 77).collect();
        let bytes = all.len() as u64;
        let good = all.clone();
        let whole = sent(bytes, move |to| to.write_all(&good)).await;
        assert!(whole.is_some_and(|sent| sent == all));
        for said in [bytes - 1, bytes + 1] {
            let good = all.clone();
            let other = sent(said, move |to| to.write_all(&good)).await;
            assert!(other.is_none(), "{said}");
        }
        let broken = sent(bytes, move |to| {
            to.write_all(&all)?;
            Err(io::Error::other("rotten"))
        });
        assert!(broken.await.is_none());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn whoever_goes_away_ends_it() {
        let (told, ended) = tokio::sync::oneshot::channel();
        let body = body(u64::MAX, move |to| {
            let failed = loop {
                if let Err(error) = to.write_all(&[0; CHUNK]) {
                    break error;
                }
            };
            let _told = told.send(failed.kind());
            Err(failed)
        });
        drop(body);
        assert_eq!(ended.await.unwrap(), io::ErrorKind::BrokenPipe);
    }
}
