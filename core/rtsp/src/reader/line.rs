//! What single lines mean.

use std::borrow::Cow;

use crate::message::{Headers, Method};

/// Longest word that is taken for a method nobody knows.
const METHOD_BYTES: usize = 32;
/// Words that begin a request also where nothing is certain.
const KNOWN: [&str; 11] = [
    "OPTIONS",
    "DESCRIBE",
    "SETUP",
    "PLAY",
    "PAUSE",
    "GET_PARAMETER",
    "SET_PARAMETER",
    "TEARDOWN",
    "ANNOUNCE",
    "RECORD",
    "REDIRECT",
];

/// What a first line says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum First {
    /// RTSP.
    Message(Start),
    /// A web server's status and words.
    HttpAnswer(u16, String),
    /// A request to a web server.
    HttpRequest,
}

/// The kind of a message, and what its first line says about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Start {
    Request {
        method: Method,
        uri: String,
        major_version: u8,
    },
    Response {
        status: u16,
        reason: String,
    },
    /// A web server's, to the request that opens a tunnel.
    Tunnel {
        status: u16,
        reason: String,
    },
}

/// Whether a first line begins here.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Begins {
    Yes,
    Maybe,
    No,
}

/// Whether something may begin with this byte, where nothing is certain.
pub(super) fn may_begin(byte: u8) -> bool {
    matches!(
        byte,
        b'$' | b'R' | b'r' | b'O' | b'D' | b'S' | b'P' | b'G' | b'T' | b'A'
    )
}

/// `in_step`: the last message or frame ended right before.
pub(super) fn begins(bytes: &[u8], in_step: bool) -> Begins {
    let protocol = |word: &[u8]| {
        let have = bytes.len().min(word.len());
        match bytes[..have].eq_ignore_ascii_case(&word[..have]) {
            false => Begins::No,
            true if have < word.len() => Begins::Maybe,
            true => Begins::Yes,
        }
    };
    let mut answer = protocol(b"RTSP/");
    if in_step && answer == Begins::No {
        answer = protocol(b"HTTP/");
    }
    if answer != Begins::No {
        return answer;
    }
    let word = |b: &&u8| b.is_ascii_uppercase() || **b == b'_';
    let len = bytes.iter().take(METHOD_BYTES + 1).take_while(word).count();
    let is_known = |whole: bool| {
        KNOWN.iter().any(|known| match whole {
            true => known.as_bytes() == &bytes[..len],
            false => known.as_bytes().starts_with(&bytes[..len]),
        })
    };
    match bytes.get(len) {
        _ if len == 0 || len > METHOD_BYTES => Begins::No,
        None if in_step || is_known(false) => Begins::Maybe,
        Some(b' ' | b'\t') if in_step || is_known(true) => Begins::Yes,
        _ => Begins::No,
    }
}

/// Whether a first line is that of an answer.
pub(super) fn is_answer(line: &[u8]) -> bool {
    line.get(..5)
        .is_some_and(|word| word.eq_ignore_ascii_case(b"RTSP/"))
}

/// A request's first line has no control characters: what has is no text.
pub(super) fn ends_first_line(byte: u8) -> bool {
    byte.is_ascii_control() && !matches!(byte, b'\t' | b'\r')
}

/// A line as text, without its end. What is no UTF-8 is replaced.
pub(super) fn text(line: &[u8]) -> Cow<'_, str> {
    let mut line = line;
    while let [rest @ .., b'\r'] = line {
        line = rest;
    }
    String::from_utf8_lossy(line)
}

/// Reads a first line.
pub(super) fn first(line: &str) -> Option<First> {
    let (word, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let rest = rest.trim();
    let http = is_protocol(word, "HTTP/");
    if http || is_protocol(word, "RTSP/") {
        let (status, reason) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
        let status = status.parse().ok().filter(|s| (100..1000).contains(s))?;
        let reason = reason.trim().to_owned();
        return Some(match http {
            true => First::HttpAnswer(status, reason),
            false => First::Message(Start::Response { status, reason }),
        });
    }
    // The address may have spaces in it that should have been encoded.
    let (uri, version) = rest.rsplit_once([' ', '\t'])?;
    let uri = uri.trim();
    if uri.is_empty() || word.is_empty() {
        None
    } else if is_protocol(version, "RTSP/") {
        // What is no number is taken for a misspelt 1.
        let number = version.get(5..).and_then(|v| v.split('.').next());
        Some(First::Message(Start::Request {
            method: Method::from(word),
            uri: uri.to_owned(),
            major_version: number.and_then(|n| n.parse().ok()).unwrap_or(1),
        }))
    } else if is_protocol(version, "HTTP/") {
        Some(First::HttpRequest)
    } else {
        None
    }
}

/// Whether a line that stands where a header is expected is the first of the next answer.
pub(super) fn is_status(line: &str) -> bool {
    matches!(first(line), Some(First::Message(Start::Response { .. })))
}

fn is_protocol(word: &str, name: &str) -> bool {
    word.get(..name.len())
        .is_some_and(|begin| begin.eq_ignore_ascii_case(name))
}

/// Adds a header line to the others. False if it is not as it should be: it is folded into the one
/// before, or skipped, or only written oddly.
pub(super) fn header(line: &str, headers: &mut Headers) -> bool {
    if line.starts_with([' ', '\t']) && headers.fold(line.trim()) {
        return false;
    }
    match line.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => {
            headers.push(name.trim(), value.trim());
            name.trim().len() == name.len()
        }
        _ => false,
    }
}

/// How much content follows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Length {
    pub(super) bytes: usize,
    /// It was said in a way that leaves doubts.
    pub(super) odd: bool,
}

/// Of several lengths the largest counts: what is too long is noticed at the next answer, what is
/// too short is lost.
pub(super) fn content_length(headers: &Headers) -> Length {
    let mut length: Option<usize> = None;
    let mut odd = false;
    for value in headers.all("Content-Length") {
        let digits = value.bytes().take_while(u8::is_ascii_digit);
        odd |= value.is_empty() || digits.clone().count() != value.len();
        let number = digits.fold(0_usize, |number, digit| {
            number
                .saturating_mul(10)
                .saturating_add(usize::from(digit - b'0'))
        });
        odd |= length.is_some_and(|other| other != number);
        length = Some(length.unwrap_or(0).max(number));
    }
    let bytes = length.unwrap_or(0);
    Length { bytes, odd }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lines_as_the_field_writes_them() {
        let response = |status, reason: &str| {
            let reason = reason.to_owned();
            Some(First::Message(Start::Response { status, reason }))
        };
        assert_eq!(first("RTSP/1.0 200 OK"), response(200, "OK"));
        assert_eq!(first("RTSP/1.0 200"), response(200, ""));
        assert_eq!(
            first("rtsp/1.0  401   Not  you "),
            response(401, "Not  you")
        );
        let web = Some(First::HttpAnswer(404, "Nope".to_owned()));
        assert_eq!(first("HTTP/1.1 404 Nope"), web);
        assert_eq!(first("RTSP/1.0 OK"), None);
        assert_eq!(first("RTSP/1.0 70000 x"), None);
        let expected = |line: &str, uri: &str, major_version| {
            let (method, uri) = (Method::Describe, uri.to_owned());
            let start = Start::Request {
                method,
                uri,
                major_version,
            };
            assert_eq!(first(line), Some(First::Message(start)), "{line}");
        };
        expected(
            "DESCRIBE rtsp://h/live stream?a=b RTSP/1.0",
            "rtsp://h/live stream?a=b",
            1,
        );
        expected("DESCRIBE * RTSP/2.0", "*", 2);
        expected("DESCRIBE * rtsp/x", "*", 1);
        assert_eq!(first("GET / HTTP/1.1"), Some(First::HttpRequest));
        assert_eq!(first("PLAY back"), None);
        assert_eq!(first("PLAY"), None);
    }

    #[test]
    fn a_first_line_is_known_by_its_first_word() {
        assert_eq!(begins(b"RTS", false), Begins::Maybe);
        assert_eq!(begins(b"rtsp/1", false), Begins::Yes);
        assert_eq!(begins(b"HTTP/1.1", true), Begins::Yes);
        assert_eq!(begins(b"HTTP/1.1", false), Begins::No);
        assert_eq!(begins(b"PL", false), Begins::Maybe);
        assert_eq!(begins(b"PLAY x", false), Begins::Yes);
        assert_eq!(begins(b"PLAYBACK x", false), Begins::No);
        assert_eq!(begins(b"PLAYBACK x", true), Begins::Yes);
        assert_eq!(begins(b"a=b", true), Begins::No);
        assert_eq!(begins(&[b'A'; 33], true), Begins::No);
    }

    #[test]
    fn lengths_that_make_no_sense_do_not_stop_it() {
        let length = |values: &[&str]| {
            let mut headers = Headers::default();
            for value in values {
                headers.push("content-length", *value);
            }
            let Length { bytes, odd } = content_length(&headers);
            (bytes, odd)
        };
        assert_eq!(length(&[]), (0, false));
        assert_eq!(length(&["12"]), (12, false));
        assert_eq!(length(&["12", "12"]), (12, false));
        assert_eq!(length(&["0", "12"]), (12, true));
        assert_eq!(length(&["-5"]), (0, true));
        assert_eq!(length(&["12 bytes"]), (12, true));
        assert_eq!(length(&["many"]), (0, true));
        assert_eq!(length(&["99999999999999999999999999"]), (usize::MAX, false));
    }

    #[test]
    fn headers_are_folded_trimmed_or_skipped() {
        let mut headers = Headers::default();
        assert!(header("CSeq: 1", &mut headers));
        assert!(header("Public:OPTIONS,", &mut headers));
        assert!(!header("\tDESCRIBE", &mut headers));
        assert!(!header("Session : 5 ", &mut headers));
        assert!(!header("no colon", &mut headers));
        assert!(!header(": nameless", &mut headers));
        let all: Vec<_> = headers.iter().collect();
        let right = [
            ("CSeq", "1"),
            ("Public", "OPTIONS, DESCRIBE"),
            ("Session", "5"),
        ];
        assert_eq!(all, right);
    }
}
