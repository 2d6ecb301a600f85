//! What comes: a part of an object, of exactly the length that was asked for. A server that does not know
//! parts sends all of it; what goes before is passed over then.

use std::io;

use bytes::Bytes;
use futures::stream;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use taimat_contract::backend::Span;
use taimat_contract::message::HttpResponse;
use taimat_contract::place::{ByteStream, PlaceError};

use super::patience::Patience;
use crate::exchange::Driven;

/// What is passed over at most, of an answer that is not the part that was asked for.
const PASSED_OVER: u64 = 64 << 20;

/// Where the bytes of an answer come from.
pub(super) struct Coming<B> {
    body: B,
    /// The connection, as long as it is there.
    _driven: Option<Driven>,
    skip: u64,
    left: u64,
    patience: Patience,
}

/// Bytes before the part that was asked for, by what the answer says; or why it is none.
pub(super) fn before(response: &HttpResponse, span: Span) -> Result<u64, PlaceError> {
    let header = |name: &str| {
        let found = response.headers.iter().find(|header| header.key == name);
        found.map(|header| header.value.trim())
    };
    let packed = header("content-encoding").filter(|e| !e.eq_ignore_ascii_case("identity"));
    if packed.is_some_and(|encoding| !encoding.is_empty()) {
        return Err(PlaceError::Differs("it comes packed".into()));
    }
    if response.status != 206 {
        return match span.offset <= PASSED_OVER {
            true => Ok(span.offset),
            false => Err(PlaceError::Refused("the server does not give parts".into())),
        };
    }
    let range = header("content-range").and_then(|range| range.strip_prefix("bytes "));
    let first = range.and_then(|range| range.split_once('-'));
    let first = first.and_then(|(first, _)| first.trim().parse::<u64>().ok());
    match first {
        Some(first) if first == span.offset => Ok(0),
        _ => Err(PlaceError::Differs("it is another part of it".into())),
    }
}

impl Coming<Incoming> {
    /// So many bytes of an answer, after those that are passed over.
    pub(super) fn new(body: Incoming, driven: Driven, skip: u64, length: u64) -> Self {
        Self {
            _driven: Some(driven),
            ..Self::of(body, skip, length)
        }
    }
}

impl<B> Coming<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: std::fmt::Display,
{
    /// The same of what holds its connection itself.
    pub(super) fn of(body: B, skip: u64, length: u64) -> Self {
        Self {
            body,
            _driven: None,
            skip,
            left: length,
            patience: Patience::of(skip.saturating_add(length)),
        }
    }

    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            if self.left == 0 {
                return None;
            }
            // Whoever reads may have rested: that is not the other side's fault.
            self.patience.moved();
            let frame = tokio::select! {
                frame = self.body.frame() => frame,
                () = self.patience.over() => {
                    return Some(Err(io::Error::new(io::ErrorKind::TimedOut, "it comes too slowly")));
                }
            };
            let mut part = match frame {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(part) => part,
                    Err(_trailers) => continue,
                },
                Some(Err(error)) => return Some(Err(io::Error::other(error.to_string()))),
                None => {
                    let why = format!("it ends {} bytes too soon", self.left);
                    return Some(Err(io::Error::new(io::ErrorKind::UnexpectedEof, why)));
                }
            };
            let pass = usize::try_from(self.skip)
                .unwrap_or(usize::MAX)
                .min(part.len());
            self.skip -= pass as u64;
            let mut part = part.split_off(pass);
            part.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
            if part.is_empty() {
                continue;
            }
            self.left = self.left.saturating_sub(part.len() as u64);
            return Some(Ok(part));
        }
    }

    /// As a stream, which ends after the first error.
    pub(super) fn stream(self) -> ByteStream {
        Box::pin(stream::unfold(Some(self), |coming| async move {
            let mut coming = coming?;
            let part = coming.next().await?;
            let rest = part.is_ok().then_some(coming);
            Some((part, rest))
        }))
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use http_body_util::Full;
    use taimat_contract::detection::Attribute;

    use super::*;

    fn coming(bytes: &'static [u8], skip: u64, left: u64) -> Coming<Full<Bytes>> {
        Coming::of(Full::new(Bytes::from_static(bytes)), skip, left)
    }

    async fn all(coming: Coming<Full<Bytes>>) -> Result<Vec<u8>, String> {
        let mut stream = coming.stream();
        let mut bytes = Vec::new();
        while let Some(part) = stream.next().await {
            bytes.extend(part.map_err(|e| e.to_string())?);
        }
        Ok(bytes)
    }

    #[tokio::test]
    async fn is_exactly_as_long_as_was_asked_for_or_says_so() {
        assert_eq!(all(coming(b"abcdef", 0, 6)).await.unwrap(), b"abcdef");
        assert_eq!(all(coming(b"abcdef", 2, 3)).await.unwrap(), b"cde");
        let short = all(coming(b"abcdef", 4, 3)).await.unwrap_err();
        assert_eq!(short, "it ends 1 bytes too soon");
    }

    #[test]
    fn a_part_is_the_one_that_was_asked_for() {
        let answer = |status, headers: &[(&str, &str)]| HttpResponse {
            status,
            headers: headers
                .iter()
                .map(|(key, value)| Attribute {
                    key: (*key).into(),
                    value: (*value).into(),
                })
                .collect(),
            body: Vec::new(),
        };
        let span = Span {
            offset: 5,
            length: 2,
        };
        let range = |range| before(&answer(206, &[("content-range", range)]), span);
        assert_eq!(range("bytes 5-6/10"), Ok(0));
        assert!(range("bytes 0-9/10").is_err());
        assert!(range("items 5-6/10").is_err());
        assert!(before(&answer(206, &[]), span).is_err());
        assert_eq!(before(&answer(200, &[]), span), Ok(5));
        let packed = answer(200, &[("content-encoding", "gzip")]);
        assert!(before(&packed, span).is_err());
    }
}
