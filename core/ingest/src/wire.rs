//! The connection to a camera: TCP, TLS, or either tunnelled through HTTP.
//!
//! RTSP over HTTP as cameras have it: a GET whose answer never ends carries what the camera says,
//! a POST whose body never ends carries what we say, in base64; a cookie ties the two together.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use taimat_hub::FaultCause;
use taimat_rtsp::address::Address;
use taimat_rtsp::auth::Authenticator;
use taimat_rtsp::{Item, Limits, Method, Reader, Response};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::fault::Fault;
use crate::source::Trust;
use crate::tls;

/// A connection, in clear or not.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// What a camera says and what it is told.
#[derive(Debug)]
pub(crate) struct Wire {
    down: Stream,
    /// The other half of a tunnel.
    up: Option<Stream>,
}

impl Wire {
    /// Connects. `auth` signs in where the tunnel asks for it; `reader` has what came behind the
    /// tunnel's answer.
    pub(crate) async fn connect(
        trust: &Trust,
        address: &Address,
        auth: &mut Authenticator,
        reader: &mut Reader,
    ) -> Result<Self, Fault> {
        if !address.carrier().is_tunnel() {
            return Ok(Self {
                down: open(address, trust).await?,
                up: None,
            });
        }
        let cookie = format!("{:016x}", rand::random::<u64>());
        loop {
            *reader = Reader::new(Limits::client());
            reader.expect_tunnel();
            let mut down = open(address, trust).await?;
            let head = tunnel_head(address, &cookie, &Method::Other("GET".into()), auth);
            down.write_all(head.as_bytes()).await.map_err(broke)?;
            let answer = tunnel_answer(&mut down, reader).await?;
            match answer.status {
                200 => {
                    auth.accepted();
                    let mut up = open(address, trust).await?;
                    let head = tunnel_head(address, &cookie, &Method::Other("POST".into()), auth);
                    up.write_all(head.as_bytes()).await.map_err(broke)?;
                    return Ok(Self { down, up: Some(up) });
                }
                // Asks at most as often as a request is answered.
                401 => auth.challenged(&answer).map_err(Fault::from_auth)?,
                404 => {
                    let detail = "the web server at this port knows no RTSP at this path";
                    return Err(Fault::new(FaultCause::NotFound, detail));
                }
                status => {
                    let detail = format!("the web server answers {status}; it has no RTSP tunnel");
                    return Err(Fault::new(FaultCause::Protocol, detail));
                }
            }
        }
    }

    /// The camera's address, and ours.
    pub(crate) fn addresses(&self) -> io::Result<(std::net::IpAddr, std::net::IpAddr)> {
        let stream = match &self.down {
            Stream::Plain(stream) => stream,
            Stream::Tls(stream) => stream.get_ref().0,
        };
        Ok((stream.peer_addr()?.ip(), stream.local_addr()?.ip()))
    }

    /// Waits for bytes and appends them; 0 is the end. Dropping the future loses nothing.
    pub(crate) async fn read(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        self.down.read_buf(buffer).await
    }

    /// Writes all of it.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.up {
            Some(up) => {
                up.write_all(STANDARD.encode(bytes).as_bytes()).await?;
                up.flush().await
            }
            None => {
                self.down.write_all(bytes).await?;
                self.down.flush().await
            }
        }
    }
}

async fn open(address: &Address, trust: &Trust) -> Result<Stream, Fault> {
    let (host, port) = (address.host(), address.port());
    let stream = TcpStream::connect((host.as_str(), port))
        .await
        .map_err(|error| match error.kind() {
            io::ErrorKind::ConnectionRefused => {
                let detail = format!("nothing listens at port {port}");
                Fault::new(FaultCause::Refused, detail)
            }
            _ => Fault::new(FaultCause::Unreachable, format!("connecting: {error}")),
        })?;
    // Requests are small and wait for their answers.
    stream.set_nodelay(true).map_err(broke)?;
    if address.carrier().is_encrypted() {
        let stream = tls::connect(stream, &host, trust).await?;
        Ok(Stream::Tls(Box::new(stream)))
    } else {
        Ok(Stream::Plain(stream))
    }
}

pub(crate) fn broke(error: io::Error) -> Fault {
    Fault::new(
        FaultCause::Ended,
        format!("the connection broke: {}", error.kind()),
    )
}

fn tunnel_head(
    address: &Address,
    cookie: &str,
    method: &Method,
    auth: &mut Authenticator,
) -> String {
    let path = match address.path_and_query() {
        "" => "/",
        path => path,
    };
    let authority = address.authority();
    let mut head = format!(
        "{method} {path} HTTP/1.0\r\nHost: {authority}\r\nx-sessioncookie: {cookie}\r\n\
         Pragma: no-cache\r\nCache-Control: no-cache\r\n"
    );
    if method.as_str() == "GET" {
        head.push_str("Accept: application/x-rtsp-tunnelled\r\n");
    } else {
        // The length is a formality of the tunnel: it never ends.
        head.push_str("Content-Type: application/x-rtsp-tunnelled\r\nContent-Length: 32767\r\n");
    }
    if let Some(value) = auth.authorize(method, path) {
        head.push_str(&format!("Authorization: {value}\r\n"));
    }
    head.push_str("\r\n");
    head
}

/// The answer to the GET of a tunnel.
async fn tunnel_answer(stream: &mut Stream, reader: &mut Reader) -> Result<Response, Fault> {
    loop {
        if let Some(item) = reader.next().map_err(|e| Fault::from_reader(&e))? {
            return match item {
                Item::Response(response) => Ok(response),
                Item::Request(_) | Item::Data { .. } => {
                    let detail = "no web server at this port; write rtsp:// instead";
                    Err(Fault::new(FaultCause::Protocol, detail))
                }
            };
        }
        if stream.read_buf(reader.buffer()).await.map_err(broke)? == 0 {
            let detail = "the camera closed the connection";
            return Err(Fault::new(FaultCause::Ended, detail));
        }
    }
}
