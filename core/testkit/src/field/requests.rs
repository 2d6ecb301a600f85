//! What the client says: requests, answers to the camera's own, and packets, which are passed over.

use std::io;

use tokio::io::AsyncReadExt;

use super::wire::Incoming;

/// Longer heads are not written by any client of ours.
const MAX_HEAD: usize = 64 << 10;

/// A message of the client.
#[derive(Debug)]
pub(super) struct Request {
    /// `RTSP/1.0` for an answer.
    pub(super) method: String,
    pub(super) url: String,
    headers: Vec<(String, String)>,
}

impl Request {
    /// A header's value, or nothing.
    pub(super) fn header(&self, name: &str) -> &str {
        let found = self
            .headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    fn parse(head: &str) -> Self {
        let mut lines = head.lines();
        // Addresses may have spaces in them, however wrong that is.
        let line = lines.next().unwrap_or("");
        let (method, rest) = line.split_once(' ').unwrap_or((line, ""));
        let url = rest.rsplit_once(' ').map_or(rest, |(url, _version)| url);
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
            .collect();
        Self {
            method: method.to_owned(),
            url: url.to_owned(),
            headers,
        }
    }

    pub(super) fn is_answer(&self) -> bool {
        self.method.starts_with("RTSP/")
    }
}

/// Reads messages.
pub(super) struct Requests {
    incoming: Incoming,
    buffer: Vec<u8>,
}

impl Requests {
    pub(super) fn new(incoming: Incoming) -> Self {
        Self {
            incoming,
            buffer: Vec::new(),
        }
    }

    /// What was read already, and the rest: for who goes on in another way.
    pub(super) fn into_parts(self) -> (Vec<u8>, Incoming) {
        (self.buffer, self.incoming)
    }

    /// The next message; `None` at the end.
    pub(super) async fn next(&mut self) -> io::Result<Option<Request>> {
        loop {
            match self.buffer.as_slice() {
                [b'$', _, high, low, rest @ ..] => {
                    let length = usize::from(u16::from_be_bytes([*high, *low]));
                    if rest.len() >= length {
                        self.buffer.drain(..length + 4);
                        continue;
                    }
                }
                [b'$', ..] => {}
                bytes => {
                    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n");
                    if let Some(end) = end {
                        let request = Request::parse(&String::from_utf8_lossy(&bytes[..end]));
                        // The body of a POST is a tunnel, and never ends.
                        let length = match request.method.as_str() {
                            "POST" => 0,
                            _ => request.header("content-length").parse().unwrap_or(0_usize),
                        };
                        let all = end + 4 + length.min(MAX_HEAD);
                        if bytes.len() >= all {
                            self.buffer.drain(..all);
                            return Ok(Some(request));
                        }
                    }
                    if bytes.len() > 2 * MAX_HEAD {
                        return Err(io::Error::other("an endless request"));
                    }
                }
            }
            if self.incoming.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}
