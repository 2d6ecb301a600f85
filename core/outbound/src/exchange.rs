//! One request and its answer by HTTP, over a connection of its own: to where the guard says, without
//! redirects, proxies or cookies, and never more of an answer than is asked for.
//!
//! Owner: who sends. Cost: a connection a request; what is told is told seldom enough for that.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use taimat_base::CommuneId;
use taimat_base::tasks::Tasks;
use tokio::task::JoinHandle;
use url::Url;

use crate::failure::{Failure, Outcome};
use crate::guard::Guard;
use crate::tls::Connection;

/// What the router calls itself.
pub(crate) const USER_AGENT: &str = concat!("taimat/", env!("CARGO_PKG_VERSION"));
/// The whole exchange.
pub(crate) const WHOLE: Duration = Duration::from_secs(15);
/// What is kept of a body.
pub(crate) const MAX_BODY: usize = 64 << 10;
/// What is kept of the headers.
const MAX_HEADERS: usize = 64;
/// More headers than this are no answer.
const MOST_HEADERS: usize = 256;
/// Read beyond what is kept, so that a secret at its end is seen whole and taken out.
pub(crate) const BEYOND: usize = 4 << 10;
/// A header is cut there.
const MAX_VALUE: usize = 4 << 10;

/// What a request needs of the room.
#[derive(Debug, Clone)]
pub(crate) struct Reach {
    pub(crate) guard: std::sync::Arc<Guard>,
    pub(crate) tasks: Tasks,
    pub(crate) commune: CommuneId,
}

/// What a request carries.
pub(crate) type SentBody = UnsyncBoxBody<Bytes, std::io::Error>;

/// Bytes that are there, as a body.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> SentBody {
    let body = Full::new(bytes.into());
    body.map_err(|never| match never {}).boxed_unsync()
}

/// A request.
pub(crate) struct Call<'a> {
    pub(crate) method: &'a str,
    /// With its secrets.
    pub(crate) url: &'a Url,
    /// In lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: SentBody,
}

/// An answer as it came: what is secret in it is still there.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    /// Up to [`MAX_BODY`] and [`BEYOND`].
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut named = self.headers.iter().filter(|(key, _)| key == name);
        named.next().map(|(_, value)| value.as_str())
    }
}

/// Ends a connection with who uses it.
#[derive(Debug)]
pub(crate) struct Driven(JoinHandle<()>);

impl Drop for Driven {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs what HTTP/2 needs beside.
#[derive(Clone)]
struct Beside(Tasks);

impl<F> hyper::rt::Executor<F> for Beside
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        let ends = |stop: taimat_base::tasks::Stop| async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = future => {}
            }
        };
        drop(self.0.spawn("outbound-http2", tracing::Span::none(), ends));
    }
}

/// Asks, and waits for the answer until `deadline`. A body that is not over by then is what has come of
/// it: that the server took the message is known by its status.
pub(crate) async fn exchange(
    reach: &Reach,
    tls: &std::sync::Arc<rustls::ClientConfig>,
    call: Call<'_>,
    deadline: Instant,
) -> Result<Answer, Failure> {
    let late = |_| Failure::new(Outcome::Late, "no answer in time; it may have arrived");
    let asking = ask(reach, tls, call);
    let (response, _driven) = tokio::time::timeout_at(deadline.into(), asking)
        .await
        .map_err(late)??;
    let (head, mut body) = response.into_parts();
    let mut bytes = Vec::new();
    let reading = async {
        while bytes.len() < MAX_BODY + BEYOND {
            match body.frame().await {
                Some(Ok(frame)) => {
                    let part = frame.data_ref().map_or(&[][..], |part| part);
                    let room = (MAX_BODY + BEYOND).saturating_sub(bytes.len());
                    bytes.extend(part.iter().take(room));
                }
                // The status has come, and with it whether the message was taken.
                Some(Err(_)) | None => break,
            }
        }
    };
    let _whole_or_not = tokio::time::timeout_at(deadline.into(), reading).await;
    let status = head.status.as_u16();
    if !(100..=599).contains(&status) {
        return Err(garbage());
    }
    Ok(Answer {
        status,
        headers: kept(&head.headers),
        body: bytes,
    })
}

/// As much of an answer's headers as is kept.
pub(crate) fn kept(headers: &hyper::HeaderMap) -> Vec<(String, String)> {
    let headers = headers.iter().take(MAX_HEADERS).map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        (
            name.as_str().to_owned(),
            value.chars().take(MAX_VALUE).collect(),
        )
    });
    headers.collect()
}

/// Connects and asks. The body of the answer comes as long as the second of the two is there.
pub(crate) async fn ask(
    reach: &Reach,
    tls: &std::sync::Arc<rustls::ClientConfig>,
    call: Call<'_>,
) -> Result<(Response<Incoming>, Driven), Failure> {
    let unfit = |what: &str| Failure::new(Outcome::Unfit, what.to_owned());
    let url = call.url;
    let host = url.host_str().unwrap_or("").trim_matches(['[', ']']);
    let port = url.port_or_known_default().unwrap_or(0);
    let stream = reach.guard.connect(&reach.commune, host, port).await?;
    let connection = match url.scheme() {
        "https" => Connection::secured(stream, host, std::sync::Arc::clone(tls)).await?,
        _ => Connection::plain(stream)?,
    };
    let is_http2 = connection.is_http2;
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let authority = match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (host, _) => host.unwrap_or("").to_owned(),
    };
    let builder = Request::builder().method(call.method);
    let mut builder = if is_http2 {
        builder.uri(format!("{}://{authority}{path}", url.scheme()))
    } else {
        builder.uri(path).header("host", authority)
    };
    for (name, value) in &call.headers {
        let value = hyper::header::HeaderValue::from_bytes(value.as_bytes());
        let mut value = value.map_err(|_no| unfit("a header can not be sent"))?;
        // Not remembered by HTTP/2's compression, and not shown.
        value.set_sensitive(true);
        builder = builder.header(name, value);
    }
    let request = builder.body(call.body);
    let request = request.map_err(|_no| unfit("the request can not be sent"))?;
    let tasks = &reach.tasks;
    let io = TokioIo::new(connection);
    let lost = |error: hyper::Error| explain(&error);
    if is_http2 {
        let mut builder = http2::Builder::new(Beside(tasks.clone()));
        builder.max_header_list_size(256 << 10);
        let (mut sender, connection) = builder.handshake(io).await.map_err(lost)?;
        let driven = drive(tasks, connection);
        let response = sender.send_request(request).await.map_err(lost)?;
        Ok((response, driven))
    } else {
        let mut builder = http1::Builder::new();
        builder.max_headers(MOST_HEADERS).max_buf_size(256 << 10);
        let (mut sender, connection) = builder.handshake(io).await.map_err(lost)?;
        let driven = drive(tasks, connection);
        let response = sender.send_request(request).await.map_err(lost)?;
        Ok((response, driven))
    }
}

fn drive<F>(tasks: &Tasks, connection: F) -> Driven
where
    F: Future<Output = Result<(), hyper::Error>> + Send + 'static,
{
    let run = |stop: taimat_base::tasks::Stop| async move {
        tokio::select! {
            () = stop.cancelled() => {}
            // Who sent hears of it.
            _ended = connection => {}
        }
    };
    Driven(tasks.spawn("outbound-http", tracing::Span::current(), run))
}

fn garbage() -> Failure {
    Failure::new(
        Outcome::Garbage,
        "what came back is no answer by HTTP; it may have arrived",
    )
}

fn explain(error: &hyper::Error) -> Failure {
    if error.is_parse() || error.is_parse_status() {
        return garbage();
    }
    if let Some(ours) = std::error::Error::source(error)
        && error.is_user()
    {
        return Failure::new(Outcome::Unfit, format!("what is sent: {ours}"));
    }
    let text = "the connection ended before an answer; it may have arrived";
    Failure::new(Outcome::Unreachable, text)
}
