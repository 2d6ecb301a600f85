//! A connection as its server and its socket know it: the place it holds, and what it did last.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use taimat_base::budget::{Cut, Place};
use taimat_base::clock;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::pulse::{Patience, Pulse};

/// What a connection holds and does.
#[derive(Debug)]
pub(super) struct Life {
    place: Place,
    pulse: Mutex<Pulse>,
}

impl Life {
    /// It begins.
    pub(super) fn new(place: Place, patience: Patience) -> Self {
        Self {
            place,
            pulse: Mutex::new(Pulse::new(patience, clock::now())),
        }
    }

    fn pulse(&self) -> MutexGuard<'_, Pulse> {
        self.pulse.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Comes when its place is somebody else's.
    pub(super) async fn displaced(&self) {
        self.place.displaced().await;
    }

    /// Whether it has to end, which is counted.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        let overdue: Option<Cut> = self.pulse().overdue(now);
        if let Some(cut) = overdue {
            self.place.cut(cut);
        }
        overdue.is_some()
    }

    /// A request came. Until it is answered the place is not taken away.
    pub(super) fn asked(self: &Arc<Self>) -> Answering {
        self.place.settle();
        self.pulse().asked();
        Answering(Arc::clone(self))
    }
}

/// As long as a request is being answered.
#[derive(Debug)]
pub(super) struct Answering(Arc<Life>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.pulse().answered(clock::now());
        self.0.place.unsettle();
    }
}

/// An answer's body: while there is more of it, the request is being answered.
#[derive(Debug)]
pub(super) struct AnswerBody {
    body: Body,
    _answering: Answering,
}

impl AnswerBody {
    /// The body of what is being answered.
    pub(super) fn new(body: Body, answering: Answering) -> Self {
        Self {
            body,
            _answering: answering,
        }
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A socket that tells what goes through it.
#[derive(Debug)]
pub(super) struct Watched {
    stream: TcpStream,
    life: Arc<Life>,
}

impl Watched {
    /// What goes through that socket is told to that connection.
    pub(super) fn new(stream: TcpStream, life: Arc<Life>) -> Self {
        Self { stream, life }
    }

    fn wrote(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Pending => self.life.pulse().waits(clock::now()),
            Poll::Ready(Ok(bytes)) => self.life.pulse().took(*bytes),
            Poll::Ready(Err(_)) => {}
        }
        written
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.life.pulse().came(clock::now());
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        // Asked only when everything is handed over.
        self.life.pulse().took_all();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
