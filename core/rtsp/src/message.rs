//! Requests and responses (RFC 2326 sections 4 to 7).

use std::fmt;

use bytes::Bytes;
use taimat_base::Redactor;

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Method {
    /// What can you do? Also a keep-alive.
    Options,
    /// What do you have?
    Describe,
    /// How will it travel?
    Setup,
    /// Send.
    Play,
    /// Stop sending, stay.
    Pause,
    /// Mostly a keep-alive.
    GetParameter,
    /// Mostly a keep-alive.
    SetParameter,
    /// The end.
    Teardown,
    /// Anything else.
    Other(String),
}

impl Method {
    /// The word on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Options => "OPTIONS",
            Self::Describe => "DESCRIBE",
            Self::Setup => "SETUP",
            Self::Play => "PLAY",
            Self::Pause => "PAUSE",
            Self::GetParameter => "GET_PARAMETER",
            Self::SetParameter => "SET_PARAMETER",
            Self::Teardown => "TEARDOWN",
            Self::Other(word) => word,
        }
    }
}

impl From<&str> for Method {
    fn from(word: &str) -> Self {
        match word {
            "OPTIONS" => Self::Options,
            "DESCRIBE" => Self::Describe,
            "SETUP" => Self::Setup,
            "PLAY" => Self::Play,
            "PAUSE" => Self::Pause,
            "GET_PARAMETER" => Self::GetParameter,
            "SET_PARAMETER" => Self::SetParameter,
            "TEARDOWN" => Self::Teardown,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Headers in the order in which they came. Names are compared without regard to case.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl fmt::Debug for Headers {
    /// Without credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let redactor = Redactor::default();
        let lines = self.0.iter();
        let lines = lines.map(|(name, value)| redactor.text(&format!("{name}: {value}")));
        f.debug_list().entries(lines).finish()
    }
}

impl Headers {
    /// Adds one.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    /// The first value of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut all = self.0.iter();
        all.find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// All values of that name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Appends to the last value. False if there is none.
    pub(crate) fn fold(&mut self, more: &str) -> bool {
        let Some((_, value)) = self.0.last_mut() else {
            return false;
        };
        if !value.is_empty() && !more.is_empty() {
            value.push(' ');
        }
        value.push_str(more);
        true
    }

    /// All names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }
}

/// A request. Its `Debug` shows neither credentials nor content.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// What is asked for.
    pub method: Method,
    /// Of what: an address or `*`, as it is on the wire.
    pub uri: String,
    /// The first number of RTSP's version: 1, or 2 (RFC 7826), which is another protocol.
    pub major_version: u8,
    /// More about it.
    pub headers: Headers,
    /// Content.
    pub body: Bytes,
}

/// A response. Its `Debug` shows neither credentials nor content.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    /// 200 is good.
    pub status: u16,
    /// The other side's words for it. Never shown unredacted.
    pub reason: String,
    /// More about it.
    pub headers: Headers,
    /// Content.
    pub body: Bytes,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("uri", &Redactor::default().text(&self.uri))
            .field("headers", &self.headers)
            .field("body", &self.body.len())
            .finish()
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("reason", &Redactor::default().text(&self.reason))
            .field("headers", &self.headers)
            .field("body", &self.body.len())
            .finish()
    }
}

impl Request {
    /// A request without headers and content.
    pub fn new(method: Method, uri: impl Into<String>) -> Self {
        Self {
            method,
            uri: uri.into(),
            major_version: 1,
            headers: Headers::default(),
            body: Bytes::new(),
        }
    }

    /// The same with one more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push(name, value);
        self
    }

    /// Appends the bytes on the wire.
    pub fn write(&self, out: &mut Vec<u8>) {
        let first = format!("{} {} RTSP/1.0\r\n", self.method, one_line(&self.uri));
        write(&first, &self.headers, &self.body, out);
    }
}

impl Response {
    /// A response without headers and content, with the usual words for the status.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            reason: reason(status).to_owned(),
            headers: Headers::default(),
            body: Bytes::new(),
        }
    }

    /// The same with one more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push(name, value);
        self
    }

    /// Whether it says that what was asked for was done.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Appends the bytes on the wire.
    pub fn write(&self, out: &mut Vec<u8>) {
        let first = format!("RTSP/1.0 {} {}\r\n", self.status, one_line(&self.reason));
        write(&first, &self.headers, &self.body, out);
    }
}

fn write(first: &str, headers: &Headers, body: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(first.as_bytes());
    for (name, value) in headers.iter() {
        out.extend_from_slice(format!("{name}: {}\r\n", one_line(value)).as_bytes());
    }
    if !body.is_empty() {
        out.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
}

/// A value that the other side sent before must not become two lines.
fn one_line(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect()
}

/// RFC 2326 section 7.1.1, as far as we answer or meet it.
pub fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Request Entity Too Large",
        451 => "Parameter Not Understood",
        453 => "Not Enough Bandwidth",
        454 => "Session Not Found",
        455 => "Method Not Valid in This State",
        457 => "Invalid Range",
        459 => "Aggregate Operation Not Allowed",
        461 => "Unsupported Transport",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "RTSP Version Not Supported",
        551 => "Option not supported",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_other_side_said_does_not_become_another_line() {
        let mut out = Vec::new();
        let request = Request::new(Method::Play, "rtsp://h/a\r\nX: y").with("Session", "1\nZ: z");
        request.write(&mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "PLAY rtsp://h/aX: y RTSP/1.0\r\nSession: 1Z: z\r\n\r\n"
        );
    }

    #[test]
    fn headers_are_found_in_any_case() {
        let response = Response::new(200).with("cseq", "1").with("CSeq", "2");
        assert_eq!(response.headers.get("CSEQ"), Some("1"));
        assert_eq!(response.headers.all("Cseq").collect::<Vec<_>>(), ["1", "2"]);
        let mut out = Vec::new();
        let mut response = Response::new(551);
        response.body = "v=0".into();
        response.write(&mut out);
        assert_eq!(
            out,
            b"RTSP/1.0 551 Option not supported\r\nContent-Length: 3\r\n\r\nv=0"
        );
    }
}
