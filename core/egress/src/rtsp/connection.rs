//! One client's connection: bytes in, answers and packets out, and when it is over.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use socket2::{SockRef, TcpKeepalive};
use taimat_base::budget::{Cut, Place};
use taimat_base::clock;
use taimat_hub::Read;
use taimat_rtsp::{Item, Limits, Reader, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::mounts::RtspShared;
use super::requests::RtspClient;
use crate::packets::PacketBatch;

/// A client that gives no sign of life gets this long. Who plays says something once a minute, or takes
/// what is sent in the connection; who does neither while a camera is silent may be gone for good.
const IDLE: Duration = Duration::from_secs(75);
/// A client that takes no bytes for this long is gone.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);
/// So long a request may take from its first byte to its last, and the first one from the beginning of the
/// connection. Whoever drips bytes would hold a place as long as somebody who watches.
const REQUEST_DEADLINE: Duration = Duration::from_secs(10);
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// Numbers connections for log lines.
pub(super) fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A client whose machine or network is gone says nothing more, and nothing that is sent to it fails
/// before the kernel has given up: by itself after a quarter of an hour, and without media never.
fn notice_vanished(stream: &TcpStream) -> io::Result<()> {
    /// Silence after which the kernel asks whether the other side is there, and how often it asks.
    const ASK: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));
    /// What is not acknowledged for so long, asked or sent, ends the connection.
    const UNANSWERED: Duration = Duration::from_secs(20);
    /// What the kernel keeps for a client that takes nothing: a second of most streams. Without a bound it
    /// keeps megabytes, and it takes a minute of a thin stream until a write has to wait.
    const SEND_BYTES: usize = 256 << 10;
    let socket = SockRef::from(stream);
    let ask = TcpKeepalive::new().with_time(ASK.0).with_interval(ASK.1);
    socket.set_tcp_keepalive(&ask)?;
    socket.set_tcp_user_timeout(Some(UNANSWERED))?;
    socket.set_send_buffer_size(SEND_BYTES)
}

struct RtspConnection<'a> {
    stream: TcpStream,
    reader: Reader,
    client: RtspClient,
    /// Held for good by a client that has set up a session; others may have to give it to somebody else.
    place: &'a Place,
    /// When it gave the last sign of life: a whole message or packet came (bytes alone are none), or it
    /// took media.
    alive: Instant,
    /// Since when something is awaited that has begun and not ended: at first, the first request.
    awaited: Option<Instant>,
    /// It has said something whole.
    heard: bool,
    reported: Instant,
}

/// What woke the connection.
enum RtspWake {
    Bytes(usize),
    Media(Read<PacketBatch>),
    Tick,
    Kicked,
}

/// Serves a connection to its end.
pub(super) async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    shared: Arc<RtspShared>,
    place: &Place,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    notice_vanished(&stream)?;
    let local = stream.local_addr()?;
    let mut kick = shared.kick.clone();
    kick.mark_unchanged();
    let now = clock::now();
    let mut connection = RtspConnection {
        stream,
        reader: Reader::new(Limits::server()),
        client: RtspClient::new(shared, peer.ip(), local.ip()),
        place,
        alive: now,
        awaited: Some(now),
        heard: false,
        reported: now,
    };
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    loop {
        let wake = tokio::select! {
            read = connection.stream.read_buf(connection.reader.buffer()) => RtspWake::Bytes(read?),
            read = connection.client.media() => RtspWake::Media(read),
            _ = tick.tick() => RtspWake::Tick,
            Ok(()) = kick.changed() => RtspWake::Kicked,
        };
        match wake {
            RtspWake::Bytes(0) => return Ok(()),
            RtspWake::Bytes(_) => connection.requests().await?,
            RtspWake::Media(Read::Item(seq, batch)) => connection.media(seq, &batch).await?,
            RtspWake::Media(Read::Lost(units)) => {
                tracing::debug!(units, "client is slow; goes on at the next key frame");
            }
            RtspWake::Media(Read::Closed) => return Ok(()),
            RtspWake::Tick => connection.tick(clock::now())?,
            RtspWake::Kicked => {
                let path = kick.borrow_and_update().1.clone();
                if connection.client.is_at(&path) {
                    return Ok(());
                }
            }
        }
    }
}

impl RtspConnection<'_> {
    /// Answers what has come whole.
    async fn requests(&mut self) -> io::Result<()> {
        let mut came_whole = false;
        loop {
            match self.reader.next() {
                Ok(None) => {
                    self.awaits(came_whole, clock::now());
                    return Ok(());
                }
                Ok(Some(Item::Request(request))) => {
                    came_whole = true;
                    self.alive = clock::now();
                    let response = self.client.answer(&request).await;
                    if self.client.is_set_up() {
                        self.place.settle();
                    } else {
                        self.place.unsettle();
                    }
                    let channels: Vec<u8> = self.client.channels().collect();
                    if !channels.is_empty() {
                        self.reader.expect_channels(channels);
                    }
                    self.write(&response).await?;
                }
                // Receiver reports, mostly. They say that a client is there which has set something up;
                // from others they are nothing.
                Ok(Some(Item::Data { .. } | Item::Response(_))) => {
                    if self.client.is_set_up() {
                        came_whole = true;
                        self.alive = clock::now();
                    }
                }
                Err(error) => {
                    self.write(&Response::new(400)).await?;
                    return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                }
            }
        }
    }

    /// Everything that was there is read. With whatever came whole, the time for what has begun counts anew.
    fn awaits(&mut self, came_whole: bool, now: Instant) {
        self.heard |= came_whole;
        let within = self.reader.is_within();
        self.awaited = match self.awaited {
            // Empty lines are no request.
            Some(since) if !came_whole && (within || !self.heard) => Some(since),
            _ => within.then_some(now),
        };
    }

    /// Sends an access unit, and now and then what time it is.
    async fn media(&mut self, seq: u64, batch: &Arc<PacketBatch>) -> io::Result<()> {
        let (payloads, now) = (&batch.payloads, clock::now());
        let mut tcp = Vec::with_capacity(payloads.bytes() + payloads.len() * 16 + 64);
        self.client.send(seq, batch, now, &mut tcp);
        if now.saturating_duration_since(self.reported) >= REPORT_INTERVAL {
            self.reported = now;
            self.client.report(&mut tcp);
        }
        if tcp.is_empty() {
            return Ok(());
        }
        self.write_bytes(&tcp).await?;
        self.alive = clock::now();
        Ok(())
    }

    fn tick(&mut self, now: Instant) -> io::Result<()> {
        if self.client.sent_packets() {
            self.alive = now;
        }
        let awaited = self.awaited.unwrap_or(now);
        if now.saturating_duration_since(awaited) > REQUEST_DEADLINE {
            self.place.cut(Cut::SlowRequest);
            let slow = "the client's request does not come to an end";
            return Err(io::Error::new(io::ErrorKind::TimedOut, slow));
        }
        if now.saturating_duration_since(self.alive) > IDLE {
            self.place.cut(Cut::Idle);
            let silent = "the client gives no sign of life";
            return Err(io::Error::new(io::ErrorKind::TimedOut, silent));
        }
        Ok(())
    }

    async fn write(&mut self, response: &Response) -> io::Result<()> {
        let mut bytes = Vec::new();
        response.write(&mut bytes);
        self.write_bytes(&bytes).await
    }

    async fn write_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        match timeout(WRITE_DEADLINE, self.stream.write_all(bytes)).await {
            Ok(written) => written,
            Err(_elapsed) => {
                self.place.cut(Cut::SlowAnswer);
                Err(io::ErrorKind::TimedOut.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{a_place, one_camera};
    use super::*;
    use crate::testing::key_frame;
    use taimat_rtsp::{Method, Request};
    use tokio::net::TcpListener;

    /// What a client is answered that writes these pieces and then no more, and how it ended.
    async fn talk<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (String, io::Result<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (shared, _channel, _kick) = one_camera();
        let server = async {
            let (stream, peer) = listener.accept().await.unwrap();
            serve(stream, peer, Arc::new(shared), &a_place()).await
        };
        let client = async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            for piece in pieces {
                // The server may have had enough.
                drop(stream.write_all(piece).await);
                tokio::task::yield_now().await;
            }
            drop(stream.shutdown().await);
            let mut answer = Vec::new();
            drop(stream.read_to_end(&mut answer).await);
            String::from_utf8_lossy(&answer).into_owned()
        };
        let (ended, answer) = tokio::join!(server, client);
        (answer, ended)
    }

    #[tokio::test]
    async fn requests_are_answered_however_they_are_cut() {
        let text = b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n\r\n\
            SETUP rtsp://127.0.0.1/thu/cho/trackID=0 RTSP/1.0\r\nCSeq: 2\r\n\
            Transport: RTP/AVP/TCP;interleaved=2-3\r\n\r\n\
            $\x03\0\x02ab$\x03\0\0\
            TEARDOWN rtsp://127.0.0.1/thu/cho RTSP/1.0\r\nCSeq: 3\r\nContent-Length: 2\r\n\r\nxy\
            DESCRIBE rtsp://127.0.0.1/thu/nobody RTSP/1.0\r\nCSeq: 4\r\n\r\n";
        for size in [text.len(), 7, 1] {
            let (answer, ended) = talk(text.chunks(size)).await;
            assert!(ended.is_ok(), "{ended:?}");
            let lines = |begin: &str| -> Vec<String> {
                let lines = answer.lines().filter(|line| line.starts_with(begin));
                lines.map(str::to_owned).collect()
            };
            assert_eq!(
                lines("RTSP/1.0"),
                [
                    "RTSP/1.0 200 OK",
                    "RTSP/1.0 200 OK",
                    "RTSP/1.0 200 OK",
                    "RTSP/1.0 404 Not Found"
                ]
            );
            assert_eq!(lines("CSeq"), ["CSeq: 1", "CSeq: 2", "CSeq: 3", "CSeq: 4"]);
        }
    }

    #[tokio::test]
    async fn what_is_no_request_is_refused_once_and_ends_the_connection() {
        let long = [b"OPTIONS * RTSP/1.0\r\nX: ".to_vec(), vec![b'x'; 8 << 10]].concat();
        let endless = b"a: b\r\n".repeat(100);
        let endless = [b"OPTIONS * RTSP/1.0\r\n", &endless[..]].concat();
        for bytes in [
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            &b"\x16\x03\x01 hello"[..],
            b"OPTIONS\r\n\r\n",
            b"SETUP * RTSP/1.0\r\nContent-Length: 4000000000\r\n\r\n",
            &long,
            &endless,
        ] {
            let (answer, ended) = talk([bytes]).await;
            assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::InvalidData);
            // What was not read any more may cost the client the answer.
            let refused = "RTSP/1.0 400 Bad Request\r\n\r\n";
            assert!(answer.is_empty() || answer == refused, "{answer}");
        }
    }

    #[tokio::test]
    async fn a_client_that_says_nothing_is_alive_by_what_it_takes_and_not_by_playing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await;
        let (stream, peer) = listener.accept().await.unwrap();
        let (shared, channel, _kick) = one_camera();
        let (now, place) = (clock::now(), a_place());
        let mut connection = RtspConnection {
            client: RtspClient::new(Arc::new(shared), peer.ip(), peer.ip()),
            stream,
            reader: Reader::new(Limits::server()),
            place: &place,
            alive: now,
            awaited: None,
            heard: true,
            reported: now,
        };
        let camera = "rtsp://127.0.0.1/thu/cho";
        let set_up = Request::new(Method::Setup, camera).with("Transport", "RTP/AVP/TCP");
        for request in [set_up, Request::new(Method::Play, camera)] {
            assert_eq!(connection.client.answer(&request).await.status, 200);
        }
        let late =
            |connection: &RtspConnection<'_>| connection.alive + IDLE + Duration::from_secs(1);
        connection.alive = now - Duration::from_secs(1);
        let silent = late(&connection);
        assert!(connection.tick(silent).is_err());
        channel.publish(key_frame());
        let Read::Item(seq, batch) = connection.client.media().await else {
            panic!("nothing came");
        };
        connection.media(seq, &batch).await.unwrap();
        assert!(connection.tick(silent).is_ok());
        let silent = late(&connection);
        assert!(connection.tick(silent).is_err());
    }
    /// A connection to a camera's server, the client's end, and when it began.
    async fn opened(place: &Place) -> (RtspConnection<'_>, TcpStream, Instant) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await;
        let (stream, peer) = listener.accept().await.unwrap();
        let (shared, now) = (Arc::new(one_camera().0), clock::now());
        let connection = RtspConnection {
            client: RtspClient::new(shared, peer.ip(), peer.ip()),
            stream,
            reader: Reader::new(Limits::server()),
            place,
            alive: now,
            awaited: Some(now),
            heard: false,
            reported: now,
        };
        (connection, client.unwrap(), now)
    }

    #[tokio::test]
    async fn bytes_that_complete_nothing_are_no_sign_of_life() {
        let place = a_place();
        let (mut connection, _client, begin) = opened(&place).await;
        let after = |seconds| begin + Duration::from_secs(seconds);
        // A byte now and then, and empty lines.
        for (second, bytes) in [(0, &b"\r\n"[..]), (4, b"OPTI"), (9, b"O")] {
            connection.reader.buffer().extend_from_slice(bytes);
            assert!(connection.reader.next().unwrap().is_none());
            connection.awaits(false, after(second));
        }
        assert!(connection.tick(after(10)).is_ok());
        assert!(connection.tick(after(11)).is_err());
    }

    #[tokio::test]
    async fn each_request_has_its_own_time_and_pauses_between_them_are_free() {
        let place = a_place();
        let (mut connection, _client, _) = opened(&place).await;
        let request = b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n";
        connection.reader.buffer().extend_from_slice(request);
        connection.requests().await.unwrap();
        assert_eq!(connection.awaited, None);
        let now = connection.alive;
        let after = |seconds| now + Duration::from_secs(seconds);
        assert!(connection.tick(after(60)).is_ok());
        connection.reader.buffer().extend_from_slice(b"OPT");
        assert!(connection.reader.next().unwrap().is_none());
        connection.awaits(false, after(60));
        assert!(connection.tick(after(69)).is_ok());
        assert!(connection.tick(after(71)).is_err());
    }

    #[tokio::test]
    async fn packets_of_a_client_that_has_set_nothing_up_are_no_sign_of_life() {
        let place = a_place();
        let (mut connection, _client, begin) = opened(&place).await;
        connection.alive = begin - Duration::from_secs(1);
        let alive = connection.alive;
        let packet = b"$\x01\0\x02ab";
        connection.reader.buffer().extend_from_slice(packet);
        connection.requests().await.unwrap();
        assert_eq!((connection.alive, connection.awaited), (alive, Some(begin)));
    }
}
