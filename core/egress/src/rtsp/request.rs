//! What a client sends: requests, and interleaved RTCP in between.

use rtsp_types::{Message, ParseError, Request};

/// Longest message that is taken in.
pub const MAX_MESSAGE_BYTES: usize = 32 << 10;

/// Why bytes are not RTSP.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// More than [`MAX_MESSAGE_BYTES`] without an end.
    #[error("a message is longer than {MAX_MESSAGE_BYTES} bytes")]
    TooLong,
    /// Not RTSP.
    #[error("the bytes are not RTSP")]
    Syntax,
}

/// What the beginning of a buffer holds.
#[derive(Debug)]
pub enum Parsed {
    /// A request, and how many bytes it took.
    Request(Box<Request<Vec<u8>>>, usize),
    /// Interleaved data on a channel (RTCP), or a response; nothing to answer.
    Other(usize),
    /// More bytes are needed.
    Incomplete,
}

/// Reads the first message of a buffer.
pub fn parse(buffer: &[u8]) -> Result<Parsed, RequestError> {
    // Some clients send line ends between messages.
    let blank = buffer
        .iter()
        .take_while(|b| matches!(b, b'\r' | b'\n'))
        .count();
    if blank > 0 {
        return Ok(Parsed::Other(blank));
    }
    if buffer.is_empty() {
        return Ok(Parsed::Incomplete);
    }
    match Message::<Vec<u8>>::parse(buffer) {
        Ok((Message::Request(request), consumed)) => {
            Ok(Parsed::Request(Box::new(request), consumed))
        }
        Ok((_, consumed)) => Ok(Parsed::Other(consumed.max(1))),
        Err(ParseError::Incomplete(_)) if buffer.len() < MAX_MESSAGE_BYTES => {
            Ok(Parsed::Incomplete)
        }
        Err(ParseError::Incomplete(_)) => Err(RequestError::TooLong),
        Err(ParseError::Error) => Err(RequestError::Syntax),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_requests_and_interleaved_data() {
        let text = b"OPTIONS rtsp://h/a RTSP/1.0\r\nCSeq: 1\r\n\r\n$\x01\x00\x02ab";
        let Ok(Parsed::Request(request, used)) = parse(text) else {
            panic!()
        };
        assert_eq!(request.request_uri().unwrap().path(), "/a");
        assert!(matches!(parse(&text[used..]), Ok(Parsed::Other(6))));
        assert!(matches!(parse(&text[..9]), Ok(Parsed::Incomplete)));
        assert_eq!(
            parse(b"GET / HTTP/1.1\r\n\r\n").unwrap_err(),
            RequestError::Syntax
        );
        let endless = [
            b"OPTIONS * RTSP/1.0\r\nX: ".to_vec(),
            vec![b'x'; MAX_MESSAGE_BYTES],
        ];
        assert_eq!(parse(&endless.concat()).unwrap_err(), RequestError::TooLong);
    }

    #[test]
    fn half_a_request_waits_for_the_other_half() {
        let requests = [
            "PAUSE rtsp://127.0.0.1:8554/thu/c/ RTSP/1.0\r\nCSeq: 6\r\nSession: 0123456789abcdef\r\n\
             User-Agent: GStreamer/1.22.0\r\nDate: Wed, 25 Nov 2026 13:20:22 GMT\r\n\r\n",
            "SETUP rtsp://[::1]/thu/c/trackID=0?profile=sub RTSP/1.0\r\nCSeq: 3\r\n\
             Transport: RTP/AVP;unicast;client_port=1-2,RTP/AVP/TCP;unicast\r\nX:\r\n\r\n",
            "SET_PARAMETER * RTSP/1.0\r\nCSeq: 7\r\nContent-Length: 4\r\n\r\nabcd",
        ];
        for text in requests {
            for cut in 1..text.len() {
                let parsed = parse(&text.as_bytes()[..cut]);
                assert!(
                    matches!(parsed, Ok(Parsed::Incomplete)),
                    "{cut}: {parsed:?} of {text}"
                );
            }
            assert!(matches!(parse(text.as_bytes()), Ok(Parsed::Request(..))));
        }
        let data = [b"$\x01\x00\x40".to_vec(), vec![7; 64]].concat();
        for cut in 1..data.len() {
            let parsed = parse(&data[..cut]);
            assert!(
                matches!(parsed, Ok(Parsed::Incomplete)),
                "{cut}: {parsed:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0_usize..60) {
            drop(parse(&bytes));
            let mut text = b"SETUP rtsp://h/a RTSP/1.0\r\nCSeq: 1\r\nTransport: ".to_vec();
            text.truncate(cut);
            text.extend(&bytes);
            text.extend(b"\r\n\r\n");
            drop(parse(&text));
        }
    }
}
