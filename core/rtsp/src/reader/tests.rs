use proptest::prelude::*;

use super::*;
use crate::message::Method;

/// Everything that is read from bytes that come in pieces.
#[derive(Debug, Default, PartialEq)]
struct Heard {
    items: Vec<Item>,
    skipped: u64,
    quirks: Quirks,
    error: Option<ReadError>,
}

fn hear<'a>(reader: &mut Reader, pieces: impl IntoIterator<Item = &'a [u8]>) -> Heard {
    let mut heard = Heard::default();
    let limits = reader.limits;
    let most = 2 * (limits.body_bytes.max(65_540) + limits.read_bytes * 2);
    'pieces: for piece in pieces {
        for piece in piece.chunks(limits.read_bytes / 4) {
            reader.buffer().extend_from_slice(piece);
            assert!(
                reader.buffer.capacity() <= most,
                "{}",
                reader.buffer.capacity()
            );
            loop {
                match reader.next() {
                    Ok(Some(item)) => heard.items.push(item),
                    Ok(None) => break,
                    Err(error) => {
                        assert_eq!(reader.next(), Err(error), "an error is the end");
                        heard.error = Some(error);
                        break 'pieces;
                    }
                }
            }
        }
    }
    heard.skipped = reader.skipped();
    heard.quirks = reader.quirks();
    heard
}

fn client(bytes: &[u8]) -> Heard {
    hear(&mut Reader::new(Limits::client()), [bytes])
}

/// In a session that agreed on channels 0 and 1.
fn playing(bytes: &[u8]) -> Heard {
    let mut reader = Reader::new(Limits::client());
    reader.expect_channels([0, 1]);
    hear(&mut reader, [bytes])
}

fn response(status: u16) -> Response {
    Response::new(status)
}

fn frame(channel: u8, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [&[b'$', channel][..], &len, payload].concat()
}

fn packet(fill: u8) -> Vec<u8> {
    let mut packet = vec![fill; 40];
    packet[0] = 0x80;
    packet
}

fn data(channel: u8, payload: Vec<u8>) -> Item {
    let payload = payload.into();
    Item::Data { channel, payload }
}

#[test]
fn reads_messages_and_frames_beside_each_other() {
    let text = b"\r\n\nRTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 4\r\n\r\nv=0\n\
        $\x00\x00\x02ab$\x01\x00\x00OPTIONS * RTSP/1.0\r\nCSeq: 9\r\n\r\n";
    let heard = playing(text);
    let mut described = response(200).with("CSeq", "1").with("Content-Length", "4");
    described.body = "v=0\n".into();
    let asked = Request::new(Method::Options, "*").with("CSeq", "9");
    let right = [
        Item::Response(described),
        data(0, b"ab".to_vec()),
        data(1, Vec::new()),
        Item::Request(asked),
    ];
    assert_eq!(heard.items, right);
    assert_eq!(heard.quirks, Quirks::default());
    assert_eq!((heard.skipped, heard.error), (0, None));
}

#[test]
fn odd_lines_are_read_and_counted() {
    let heard = client(
        b"rtsp/1.0 200\ncseq : 1\nwhat is this\nPublic: OPTIONS,\n PLAY\nServer:x\r\r\n \r\n\
          RTSP/1.0 404 Not here\r\nCSeq: 2\r\nRTSP/1.0 200 OK\r\nCSeq: 3\r\n\r\n",
    );
    let mut first = response(200);
    first.reason.clear();
    let first = first
        .with("cseq", "1")
        .with("Public", "OPTIONS, PLAY")
        .with("Server", "x");
    let mut second = response(404).with("CSeq", "2");
    "Not here".clone_into(&mut second.reason);
    let third = response(200).with("CSeq", "3");
    assert_eq!(heard.items, [first, second, third].map(Item::Response));
    // LF, space before a colon, no colon, fold, no end of the second head.
    assert_eq!(heard.quirks.count(Quirk::OddHeaders), 5);
}

#[test]
fn a_body_that_is_longer_than_announced_leaves_stray_bytes() {
    let heard = client(
        b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 3\r\n\r\nv=0\r\na=control:PLAY it\r\n\
          s=$\0\0\0RTSP/1.0 200 OK\r\nCSeq: 2\r\n\r\n",
    );
    assert_eq!(heard.items.len(), 2, "{heard:?}");
    assert!(matches!(&heard.items[1], Item::Response(r) if r.headers.get("cseq") == Some("2")));
    assert_eq!(heard.quirks.count(Quirk::WrongLength), 1);
    assert_eq!(heard.quirks.count(Quirk::StrayBytes), 0);
    assert!(heard.skipped > 0);
}

#[test]
fn a_body_that_is_shorter_than_announced_ends_at_the_next_answer() {
    let text = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 300\r\n\r\nv=0\r\n\
                 RTSP/1.0 200 OK\r\nCSeq: 2\r\n\r\n";
    let heard = client(text);
    assert_eq!(heard.items.len(), 2, "{heard:?}");
    assert!(matches!(&heard.items[0], Item::Response(r) if r.body == "v=0\r\n"));
    assert_eq!(heard.quirks.count(Quirk::WrongLength), 1);

    let mut reader = Reader::new(Limits::client());
    let begin = b"RTSP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nv=0\r\n";
    assert!(hear(&mut reader, [&begin[..]]).items.is_empty());
    assert!(reader.is_inside());
    let item = reader.give_up_body();
    assert!(matches!(item, Some(Item::Response(r)) if r.body == "v=0\r\n"));
    assert_eq!(reader.give_up_body(), None);
    assert!(!reader.is_inside());
}

#[test]
fn stray_bytes_between_frames_cost_no_frame() {
    let stray: [&[u8]; 6] = [
        b"\0\x01\x02",
        b"$",
        b"\0$\0\0\x20 not a packet but long enough to be one",
        b"\0$\x07\0\x0c\x80\0\0\0",
        b"PLAY \0",
        b"RTSP/1.0 what\r\n",
    ];
    for stray in stray {
        let bytes = [
            &frame(0, &packet(1)),
            stray,
            &frame(0, &packet(2)),
            &frame(1, &packet(3)),
            stray,
            b"RTSP/1.0 200 OK\r\nCSeq: 4\r\n\r\n",
        ]
        .concat();
        let heard = playing(&bytes);
        let right = [
            data(0, packet(1)),
            data(0, packet(2)),
            data(1, packet(3)),
            Item::Response(response(200).with("CSeq", "4")),
        ];
        assert_eq!(heard.items, right, "after {stray:?}");
        assert_eq!(heard.quirks.count(Quirk::StrayBytes), 2);
        assert_eq!(heard.skipped, 2 * stray.len() as u64);
    }
}

#[test]
fn frames_of_another_channel_pass_if_they_look_like_packets() {
    let bytes = [
        frame(10, &packet(1)),
        frame(10, b"none"),
        frame(0, &packet(2)),
    ]
    .concat();
    let heard = playing(&[bytes, frame(0, &packet(3))].concat());
    let right = [data(10, packet(1)), data(0, packet(2)), data(0, packet(3))];
    assert_eq!(heard.items, right);
    assert_eq!(heard.quirks.count(Quirk::StrayBytes), 1);
}

#[test]
fn a_web_server_is_told_from_a_camera() {
    let heard = client(b"HTTP/1.1 404 Not Found\r\nServer: x\r\n\r\n");
    assert_eq!(heard.error, Some(ReadError::Http { status: 404 }));
    let mut server = Reader::new(Limits::server());
    let heard = hear(&mut server, [&b"GET / HTTP/1.1\r\n\r\n"[..]]);
    assert_eq!(heard.error, Some(ReadError::HttpRequest));

    let mut tunnel = Reader::new(Limits::client());
    tunnel.expect_tunnel();
    let text = b"HTTP/1.0 200 OK\r\nContent-Length: 32767\r\n\r\nRTSP/1.0 200 OK\r\n\r\n";
    let heard = hear(&mut tunnel, [&text[..]]);
    assert_eq!(heard.items.len(), 2, "{heard:?}");
    let heard = hear(&mut tunnel, [&text[..]]);
    assert_eq!(heard.error, Some(ReadError::Http { status: 200 }));
}

#[test]
fn nothing_is_endless() {
    let head = b"RTSP/1.0 200 OK\r\n";
    let limits = Limits::client();
    let endless = |line: &[u8]| {
        let mut bytes = head.to_vec();
        while bytes.len() < limits.head_bytes * 3 {
            bytes.extend_from_slice(line);
        }
        client(&bytes).error
    };
    assert_eq!(
        endless(b"x"),
        Some(ReadError::LineTooLong(limits.line_bytes))
    );
    assert_eq!(endless(b"a:b\n"), Some(ReadError::TooManyHeaders(100)));
    assert_eq!(endless(b"no colon\n"), Some(ReadError::TooManyHeaders(100)));
    let long = [&b"a: "[..], &[b'b'; 8000], b"\n"].concat();
    assert_eq!(
        endless(&long),
        Some(ReadError::HeadTooLong(limits.head_bytes))
    );
    let heard = client(&[head, &b"Content-Length: 4000000000\r\n\r\n"[..]].concat());
    assert_eq!(heard.error, Some(ReadError::BodyTooLong(limits.body_bytes)));
    assert_eq!(
        client(&b"OPTIONS ".repeat(2000)).error,
        Some(ReadError::LineTooLong(limits.line_bytes))
    );
}

#[test]
fn noise_ends() {
    // No channel is agreed upon, and even what looks like frames has been asked for by nobody.
    for part in [
        &b"\0\x01\x02"[..],
        b"PLAY it\n",
        b"$\x09\x01\x02",
        &frame(0, &packet(0)),
    ] {
        let heard = client(&part.repeat((5 << 20) / part.len()));
        assert_eq!(heard.error, Some(ReadError::Nonsense), "{part:?}");
    }
    let mut seed = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 56) as u8
    })
    .take(16 << 20)
    .collect();
    assert_eq!(client(&noise).error, Some(ReadError::Nonsense));
    assert_eq!(playing(&noise).error, Some(ReadError::Nonsense));
}

#[test]
fn a_server_takes_no_nonsense() {
    let hear = |bytes: &[u8]| hear(&mut Reader::new(Limits::server()), [bytes]);
    assert_eq!(hear(b"hello\r\n").error, Some(ReadError::Nonsense));
    assert_eq!(hear(b"OPTIONS\r\n").error, Some(ReadError::Nonsense));
    assert_eq!(hear(b"OPTIONS * \r\n").error, Some(ReadError::Nonsense));
    let heard = hear(b"\r\n\r\nFROB rtsp://h/x RTSP/1.0\r\nCSeq: 1\r\n\r\n");
    let method = Method::Other("FROB".to_owned());
    let right = Request::new(method, "rtsp://h/x").with("CSeq", "1");
    assert_eq!(heard.items, [Item::Request(right)]);
}

#[test]
fn payloads_are_slices_of_the_buffer_and_a_long_body_does_not_stay() {
    let mut reader = Reader::new(Limits::client());
    reader.expect_channels([0]);
    let bytes = frame(0, &packet(1));
    reader.buffer().extend_from_slice(&bytes);
    let at = reader.buffer.as_ptr() as usize;
    let Ok(Some(Item::Data { payload, .. })) = reader.next() else {
        panic!()
    };
    assert_eq!(payload.as_ptr() as usize, at + 4);

    let body = vec![b'x'; 256 << 10];
    let head = format!("RTSP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    let heard = hear(&mut reader, [head.as_bytes(), &body]);
    assert_eq!(heard.items.len(), 1);
    drop(heard);
    let capacity = reader.buffer().capacity();
    assert!(capacity <= 128 << 10, "{capacity}");
}

/// What a camera, a faulty camera or a stranger may send.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let text = |text: &'static str| Just(text.as_bytes().to_vec());
    prop_oneof![
        (0..3_u8, any::<u8>()).prop_map(|(channel, fill)| frame(channel, &packet(fill))),
        text("RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 9\r\n\r\nv=0\r\na=b\n"),
        text("RTSP/1.0 200 OK\nCSeq: 2\nContent-Length: 40\n\nv=0\r\n"),
        text("RTSP/1.0 401 No\r\nWWW-Authenticate: Digest realm=\"a\",\r\n nonce=\"b\"\r\n\r\n"),
        text("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n"),
        text("SET_PARAMETER rtsp://h/ RTSP/1.0\r\nContent-Length: 3\r\n\r\nabc"),
        text("PLAY PLAY $\0"),
        text("\r\n"),
        text("HTTP/1.0 "),
        prop::collection::vec(any::<u8>(), 0..12),
        prop::collection::vec(prop::sample::select(&b"$\0RTSP/1.0 2\r\n:"[..]), 0..12),
    ]
}

proptest! {
    #[test]
    fn cuts_change_nothing(
        pieces in prop::collection::vec(piece(), 0..12),
        cuts in prop::collection::vec(1_usize..40, 1..20),
        agreed in any::<bool>(),
    ) {
        let bytes = pieces.concat();
        let reader = || {
            let mut reader = Reader::new(Limits::client());
            if agreed {
                reader.expect_channels([0, 1]);
            }
            reader
        };
        let whole = hear(&mut reader(), [&bytes[..]]);
        let single = hear(&mut reader(), bytes.chunks(1));
        let mut rest = &bytes[..];
        let mut parts = Vec::new();
        for cut in cuts.iter().cycle() {
            let (part, others) = rest.split_at((*cut).min(rest.len()));
            parts.push(part);
            rest = others;
            if rest.is_empty() {
                break;
            }
        }
        let cut = hear(&mut reader(), parts);
        prop_assert_eq!(&whole, &single);
        prop_assert_eq!(&whole, &cut);
    }

    #[test]
    fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..2000), begin in piece()) {
        for limits in [Limits::client(), Limits::server()] {
            let mut reader = Reader::new(limits);
            hear(&mut reader, [&begin[..], &bytes]);
            reader.give_up_body();
        }
    }
}
