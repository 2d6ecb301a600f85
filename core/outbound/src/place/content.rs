//! What is sent: a part of what is to be put, read as it goes out, of exactly the length that was said.
//! The last of a whole object is held back until its digest is the one that was said: a server that has not
//! got all of a request keeps nothing of it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use sha2::{Digest, Sha256};
use taimat_contract::backend::Span;
use taimat_contract::place::{ByteStream, PutContent};

use super::patience::Patience;

/// A part of what is to be put.
pub(super) struct ContentBody {
    bytes: ByteStream,
    left: u64,
    /// Of the whole, if it is the whole.
    check: Option<(Sha256, [u8; 32])>,
    patience: Patience,
}

impl ContentBody {
    /// Opens that part.
    pub(super) async fn open(
        content: &PutContent,
        span: Span,
        patience: Patience,
    ) -> io::Result<Self> {
        let whole = span.offset == 0 && span.length == content.size;
        Ok(Self {
            bytes: content.source.open(span.offset).await?,
            left: span.length,
            check: whole.then(|| (Sha256::new(), content.sha256)),
            patience,
        })
    }

    /// What goes out of what was read.
    fn take(&mut self, mut part: Bytes) -> io::Result<Bytes> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        part.truncate(most);
        self.left = self.left.saturating_sub(part.len() as u64);
        self.patience.moved();
        if let Some((digest, said)) = &mut self.check {
            digest.update(&part);
            let other = self.left == 0 && digest.clone().finalize().as_slice() != said;
            if other {
                return Err(io::Error::other(
                    "it is not what it was: its digest differs",
                ));
            }
        }
        Ok(part)
    }
}

impl Body for ContentBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        match self.bytes.as_mut().poll_next(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(part))) => {
                let part = self.take(part);
                Poll::Ready(Some(part.map(Frame::data)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error))),
            Poll::Ready(None) => {
                let why = "it is shorter than it was";
                Poll::Ready(Some(Err(io::Error::other(why))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http_body_util::BodyExt;

    use super::*;

    async fn sent(bytes: &'static [u8], size: u64, digest: &[u8], span: Span) -> io::Result<Bytes> {
        let content = PutContent {
            size,
            sha256: Sha256::digest(digest).into(),
            content_type: "video/mp4".into(),
            source: Arc::new(Bytes::from_static(bytes)),
        };
        let body = ContentBody::open(&content, span, Patience::of(0)).await?;
        assert_eq!(body.size_hint().exact(), Some(span.length));
        Ok(body.collect().await?.to_bytes())
    }

    #[tokio::test]
    async fn is_exactly_what_was_said_or_not_whole() {
        let span = |offset, length| Span { offset, length };
        assert_eq!(sent(b"abcd", 4, b"abcd", span(0, 4)).await.unwrap(), "abcd");
        assert_eq!(sent(b"abcd", 4, b"abcd", span(1, 2)).await.unwrap(), "bc");
        // What has grown since is what it was.
        assert_eq!(
            sent(b"abcdef", 4, b"abcd", span(0, 4)).await.unwrap(),
            "abcd"
        );
        let changed = sent(b"abcx", 4, b"abcd", span(0, 4)).await.unwrap_err();
        assert!(changed.to_string().contains("digest"));
        let shorter = sent(b"ab", 4, b"abcd", span(0, 4)).await.unwrap_err();
        assert!(shorter.to_string().contains("shorter"));
    }
}
