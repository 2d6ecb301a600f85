//! Bytes of known length that are put together of pieces, and ranges of them (RFC 9110 section 14).

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use taimat_archive::{MoviePiece, PieceError};

use crate::problem::ProblemJson;

/// Bytes that are read at once.
const CHUNK: u64 = 256 << 10;

/// A piece of what is sent.
#[derive(Debug, Clone)]
pub(crate) enum Piece {
    /// It is there.
    Memory(Bytes),
    /// It is in a file.
    File {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// How many bytes.
        bytes: u64,
    },
    /// It is recorded media, and is sent only if it is what was recorded: all of it is in memory at once.
    Proven(MoviePiece),
}

impl Piece {
    fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { bytes, .. } => *bytes,
            Self::Proven(piece) => piece.bytes,
        }
    }
}

/// Sends all of it, or the range that was asked for.
pub(crate) fn ranged(
    headers: &HeaderMap,
    content_type: &'static str,
    pieces: Vec<Piece>,
) -> Result<Response, ProblemJson> {
    ranged_or(headers, content_type, pieces, |_path| {})
}

/// As [`ranged`]; `rotten` is told of a file that is not what it was, at which sending ends.
pub(crate) fn ranged_or(
    headers: &HeaderMap,
    content_type: &'static str,
    pieces: Vec<Piece>,
    rotten: impl Fn(&Path) + Send + 'static,
) -> Result<Response, ProblemJson> {
    let length: u64 = pieces.iter().map(Piece::len).sum();
    let asked = headers.get(header::RANGE).and_then(|r| r.to_str().ok());
    let (status, range) = match asked.map(|text| range(text, length)) {
        // What is not understood is as if it was not said.
        None | Some(Asked::Ignored) => (StatusCode::OK, 0..length),
        Some(Asked::Range(range)) => (StatusCode::PARTIAL_CONTENT, range),
        Some(Asked::Beyond) => {
            let mut refused = ProblemJson::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                "range",
                "No such range",
                format!("there are {length} bytes"),
            )
            .into_response();
            set(
                &mut refused,
                header::CONTENT_RANGE,
                format!("bytes */{length}"),
            );
            return Ok(refused);
        }
    };
    let bytes = range.end - range.start;
    let whole = format!(
        "bytes {}-{}/{length}",
        range.start,
        range.end.saturating_sub(1)
    );
    let mut response = Response::new(Body::from_stream(stream(pieces, range, rotten)));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static(content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    set(&mut response, header::ACCEPT_RANGES, "bytes".into());
    set(&mut response, header::CONTENT_LENGTH, bytes.to_string());
    if status == StatusCode::PARTIAL_CONTENT {
        set(&mut response, header::CONTENT_RANGE, whole);
    }
    Ok(response)
}

fn set(response: &mut Response, name: header::HeaderName, value: String) {
    if let Ok(value) = HeaderValue::from_str(&value) {
        response.headers_mut().insert(name, value);
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Range(Range<u64>),
    /// Behind the end.
    Beyond,
    /// Several at once, or none that is understood.
    Ignored,
}

fn range(text: &str, length: u64) -> Asked {
    let Some((first, last)) = text
        .strip_prefix("bytes=")
        .and_then(|range| range.trim().split_once('-'))
    else {
        return Asked::Ignored;
    };
    let range = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => first..last.saturating_add(1).min(length),
        (Ok(first), Err(_)) if last.is_empty() => first..length,
        (Err(_), Ok(last)) if first.is_empty() => length.saturating_sub(last)..length,
        _ => return Asked::Ignored,
    };
    if range.start >= range.end {
        return Asked::Beyond;
    }
    Asked::Range(range)
}

/// The pieces within a range, read as they are sent.
fn stream(
    pieces: Vec<Piece>,
    range: Range<u64>,
    rotten: impl Fn(&Path) + Send + 'static,
) -> impl futures_core::Stream<Item = io::Result<Bytes>> + Send {
    async_stream::try_stream! {
        let mut at = 0;
        let mut open: Option<(PathBuf, Arc<File>)> = None;
        for piece in pieces {
            let (begin, end) = (at, at + piece.len());
            at = end;
            let own = range.start.max(begin)..range.end.min(end);
            if own.start >= own.end {
                continue;
            }
            match piece {
                Piece::Memory(bytes) => {
                    let from = usize::try_from(own.start - begin).unwrap_or(usize::MAX);
                    let to = usize::try_from(own.end - begin).unwrap_or(usize::MAX);
                    yield bytes.slice(from..to);
                }
                Piece::Proven(piece) => {
                    let read = tokio::task::spawn_blocking(move || piece.read());
                    let whole = match read.await.map_err(io::Error::other)? {
                        Ok(whole) => Bytes::from(whole),
                        Err(error) => {
                            if let PieceError::Rotten { path, .. } = &error {
                                rotten(path);
                            }
                            Err(io::Error::other(error))?;
                            return;
                        }
                    };
                    let from = usize::try_from(own.start - begin).unwrap_or(usize::MAX);
                    let to = usize::try_from(own.end - begin).unwrap_or(usize::MAX);
                    yield whole.slice(from..to);
                }
                Piece::File { path, offset, .. } => {
                    let file = match &open {
                        Some((last, file)) if *last == path => Arc::clone(file),
                        _ => {
                            let name = path.clone();
                            let opened = tokio::task::spawn_blocking(move || File::open(name));
                            let file = Arc::new(opened.await.map_err(io::Error::other)??);
                            open = Some((path, Arc::clone(&file)));
                            file
                        }
                    };
                    let mut from = own.start;
                    while from < own.end {
                        let some = CHUNK.min(own.end - from);
                        let place = offset + (from - begin);
                        let file = Arc::clone(&file);
                        let read = tokio::task::spawn_blocking(move || read(&file, place, some));
                        yield read.await.map_err(io::Error::other)??;
                        from += some;
                    }
                }
            }
        }
    }
}

fn read(file: &File, at: u64, bytes: u64) -> io::Result<Bytes> {
    let mut buffer = vec![0; usize::try_from(bytes).unwrap_or(0)];
    file.read_exact_at(&mut buffer, at)?;
    Ok(buffer.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_understood_or_left_out() {
        for (text, expected) in [
            ("bytes=0-9", Asked::Range(0..10)),
            ("bytes=10-", Asked::Range(10..100)),
            ("bytes=-10", Asked::Range(90..100)),
            ("bytes=-1000", Asked::Range(0..100)),
            ("bytes=90-1000", Asked::Range(90..100)),
            ("bytes=99-99", Asked::Range(99..100)),
            ("bytes=100-", Asked::Beyond),
            ("bytes=-0", Asked::Beyond),
            ("bytes=9-0", Asked::Ignored),
            ("bytes=0-1,4-5", Asked::Ignored),
            ("bytes=-", Asked::Ignored),
            ("lines=0-1", Asked::Ignored),
            (
                "bytes=18446744073709551615-18446744073709551615",
                Asked::Beyond,
            ),
        ] {
            assert_eq!(range(text, 100), expected, "{text}");
        }
        assert_eq!(range("bytes=0-", 0), Asked::Beyond);
    }

    #[tokio::test]
    async fn pieces_are_one_after_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let file: Vec<u8> = (0..=255).cycle().take(700_000).collect();
        std::fs::write(&path, &file).unwrap();
        let piece = |offset, bytes| Piece::File {
            path: path.clone(),
            offset,
            bytes,
        };
        let pieces = || {
            vec![
                Piece::Memory(Bytes::from_static(b"head")),
                piece(100, 600_000),
                piece(7, 3),
            ]
        };
        let mut all = b"head".to_vec();
        all.extend_from_slice(&file[100..600_100]);
        all.extend_from_slice(&file[7..10]);
        for (asked, from, to) in [
            (None, 0, all.len()),
            (Some("bytes=2-300000"), 2, 300_001),
            (Some("bytes=-2"), all.len() - 2, all.len()),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(asked) = asked {
                headers.insert(header::RANGE, HeaderValue::from_static(asked));
            }
            let response = ranged(&headers, "video/mp4", pieces()).unwrap();
            assert_eq!(
                response.headers()[header::CONTENT_LENGTH],
                (to - from).to_string()
            );
            let body = axum::body::to_bytes(response.into_body(), usize::MAX)
                .await
                .unwrap();
            assert!(body == all[from..to], "{asked:?}");
        }
    }
}
