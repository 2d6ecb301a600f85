//! What a guest writes to its standard error: panics and exceptions of all languages end up there. The
//! end of it is kept, for the text of the failure that follows.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use bytes::Bytes;
use taimat_base::text;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// Bytes that are kept: the last of a traceback says most.
const KEPT: usize = 600;
/// Bytes taken at once.
const AT_ONCE: usize = 64 << 10;

/// The end of what was written during the present call.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stderr(Arc<Mutex<VecDeque<u8>>>);

impl Stderr {
    fn kept(&self) -> MutexGuard<'_, VecDeque<u8>> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Another call begins.
    pub(crate) fn clear(&self) {
        self.kept().clear();
    }

    /// What was written since, in one line; nothing if it was nothing.
    pub(crate) fn said(&self) -> Option<String> {
        let bytes: Vec<u8> = self.kept().iter().copied().collect();
        let said = String::from_utf8_lossy(&bytes);
        // The first character may have lost its beginning.
        let said = said.trim_start_matches(char::REPLACEMENT_CHARACTER).trim();
        (!said.is_empty()).then(|| text::line(said, KEPT))
    }

    fn take(&self, bytes: &[u8]) {
        let mut kept = self.kept();
        let last = bytes
            .get(bytes.len().saturating_sub(KEPT)..)
            .unwrap_or(bytes);
        let over = (kept.len() + last.len()).saturating_sub(KEPT);
        kept.drain(..over);
        kept.extend(last);
    }
}

impl IsTerminal for Stderr {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stderr {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Stderr {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(AT_ONCE)
    }
}

#[async_trait::async_trait]
impl Pollable for Stderr {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Stderr {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.take(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept_in_one_line() {
        let stderr = Stderr::default();
        assert_eq!(stderr.said(), None);
        stderr.take(b"\npanicked at src/lib.rs:7:1:\n  on purpose\n");
        let said = stderr.said().unwrap();
        assert_eq!(said, "panicked at src/lib.rs:7:1:   on purpose");
        stderr.take("ờ".repeat(10_000).as_bytes());
        stderr.take(b"x");
        let said = stderr.said().unwrap();
        assert!(said.len() <= KEPT && said.ends_with("ờx"), "{said}");
        assert!(!said.contains(char::REPLACEMENT_CHARACTER), "{said}");
        stderr.clear();
        assert_eq!(stderr.said(), None);
    }
}
