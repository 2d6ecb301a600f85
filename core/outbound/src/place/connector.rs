//! What S3's client sends by: our own connections, which go where the guard lets them, with bounds on what
//! comes back. The client makes and signs requests; where it is to be locked, a request is signed anew with
//! what says so.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::{HeaderMap, Response};
use object_store::ClientOptions;
use object_store::aws::{AwsAuthorizer, AwsCredential};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
    HttpResponse, HttpResponseBody, HttpService,
};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use taimat_base::clock;
use url::Url;

use super::patience::Patience;
use super::spec::ObjectLock;
use crate::exchange::{Call, Driven, Reach, USER_AGENT, ask};
use crate::failure::{Failure, Outcome};

/// What is read of an answer that is no object: a list of a thousand has less than a megabyte.
const MAX_ANSWER: usize = 8 << 20;
/// What is read of a refusal.
const MAX_REFUSAL: usize = 64 << 10;

/// How a request failed, in our words; found again in what the client makes of it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", .0.text)]
pub(super) struct Told(pub(super) Failure);

impl From<Told> for HttpError {
    fn from(told: Told) -> Self {
        let kind = match told.0.outcome {
            Outcome::Unreachable => HttpErrorKind::Connect,
            Outcome::Late => HttpErrorKind::Timeout,
            _ => HttpErrorKind::Unknown,
        };
        Self::new(kind, told)
    }
}

/// Makes what the client sends by.
#[derive(Debug, Clone)]
pub(super) struct GuardedConnector(pub(super) Arc<GuardedService>);

impl HttpConnector for GuardedConnector {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Shared(Arc::clone(&self.0))))
    }
}

/// All that is sent to one bucket goes through here.
pub(super) struct GuardedService {
    pub(super) reach: Reach,
    pub(super) tls: Arc<rustls::ClientConfig>,
    /// The host of the endpoint. The bucket may stand before it.
    pub(super) host: String,
    pub(super) lock: Option<Locking>,
}

/// How what is put is locked.
pub(super) struct Locking {
    pub(super) lock: ObjectLock,
    pub(super) credential: AwsCredential,
    pub(super) region: String,
}

impl std::fmt::Debug for GuardedService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GuardedService")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Shared(Arc<GuardedService>);

#[async_trait]
impl HttpService for Shared {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        Ok(Box::pin(self.0.send(request)).await?)
    }
}

/// Whether a request makes an object: a whole one, or one of parts.
fn makes(request: &HttpRequest) -> bool {
    let query = request.uri().query().unwrap_or("");
    let keys: Vec<&str> = query
        .split('&')
        .map(|p| p.split('=').next().unwrap_or(""))
        .collect();
    match request.method().as_str() {
        "PUT" => !keys.contains(&"uploadId"),
        "POST" => keys.contains(&"uploads"),
        _ => false,
    }
}

impl Locking {
    /// Says until when, and signs anew.
    fn sign(&self, request: &mut HttpRequest) -> Result<(), Failure> {
        let unfit = |what: String| Failure::new(Outcome::Unfit, what);
        let until = clock::wall() + self.lock.keep;
        let until = jiff::Timestamp::try_from(until).map_err(|e| unfit(e.to_string()))?;
        let until = until.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let headers = request.headers_mut();
        headers.remove("authorization");
        for (name, value) in [
            ("x-amz-object-lock-mode", self.lock.mode.as_str()),
            ("x-amz-object-lock-retain-until-date", &until),
            // Without this word for the checksum that is there, what is locked is not taken.
            ("x-amz-sdk-checksum-algorithm", "SHA256"),
        ] {
            let value = value.parse().map_err(|_no| unfit(name.into()))?;
            headers.insert(name, value);
        }
        let signed = headers.get("x-amz-content-sha256");
        let digest = signed.and_then(|value| hex(value.as_bytes()));
        let authorizer = AwsAuthorizer::new(&self.credential, "s3", &self.region);
        let signed = authorizer.try_authorize(request, digest.as_ref().map(|d| &d[..]));
        signed.map_err(|error| unfit(error.to_string()))
    }
}

/// 32 bytes of 64 digits.
fn hex(text: &[u8]) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let digits = std::str::from_utf8(digits).ok()?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(bytes)
}

impl GuardedService {
    /// Whether an address is the endpoint's, or the bucket's before it.
    fn is_ours(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or("");
        let before = host.strip_suffix(&self.host);
        before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
    }

    async fn send(&self, mut request: HttpRequest) -> Result<HttpResponse, Told> {
        let told = |outcome, text: &str| Told(Failure::new(outcome, text));
        if let Some(locking) = &self.lock
            && makes(&request)
        {
            locking.sign(&mut request).map_err(Told)?;
        }
        let (head, body) = request.into_parts();
        let url = Url::parse(&head.uri.to_string());
        let url = url.map_err(|_no| told(Outcome::Unfit, "an address that is none"))?;
        if !self.is_ours(&url) {
            return Err(told(
                Outcome::Guarded,
                "an address that is not the endpoint's",
            ));
        }
        let is_list = url
            .query()
            .is_some_and(|query| query.contains("list-type="));
        let is_object = head.method == hyper::Method::GET && !is_list;
        let patience = Patience::of(body.content_length() as u64);
        let call = Call {
            method: head.method.as_str(),
            url: &url,
            headers: headers(&head.headers),
            body: Sized::new(body, patience.clone()).boxed_unsync(),
        };
        let (response, driven) = tokio::select! {
            answered = ask(&self.reach, &self.tls, call) => answered.map_err(Told)?,
            () = patience.over() => return Err(told(Outcome::Late, "it takes too long")),
        };
        match response.status().as_u16() {
            200 | 206 if is_object => Ok(response.map(|body| held(body, driven))),
            // Nothing is followed.
            300..=303
            | 305..=399
            | 400
            | 402
            | 405..=407
            | 410
            | 411
            | 413..=415
            | 417..=424
            | 426..=428
            | 430..=499 => Err(Told(refusal(response).await)),
            // What the client itself knows.
            _ => read(response, driven).await,
        }
    }
}

/// What the client says, without what is the connection's.
fn headers(all: &HeaderMap) -> Vec<(String, String)> {
    let ours = ["host", "content-length", "user-agent", "connection"];
    let said = all
        .iter()
        .filter(|(name, _)| !ours.contains(&name.as_str()));
    let said = said.map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), value)
    });
    let own = ("user-agent".to_owned(), USER_AGENT.to_owned());
    said.chain([own]).collect()
}

async fn collect(body: &mut Incoming, most: usize) -> Result<Vec<u8>, Failure> {
    let patience = Patience::of(most as u64);
    let mut bytes = Vec::new();
    loop {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            () = patience.over() => {
                return Err(Failure::new(Outcome::Late, "the answer comes too slowly"));
            }
        };
        match frame {
            None => return Ok(bytes),
            Some(Err(_)) => {
                return Err(Failure::new(Outcome::Unreachable, "the answer breaks off"));
            }
            Some(Ok(frame)) => {
                patience.moved();
                bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |part| part));
                if bytes.len() > most {
                    return Err(Failure::new(Outcome::Garbage, "the answer has no end"));
                }
            }
        }
    }
}

async fn read(response: Response<Incoming>, _driven: Driven) -> Result<HttpResponse, Told> {
    let (head, mut body) = response.into_parts();
    let bytes = collect(&mut body, MAX_ANSWER).await.map_err(Told)?;
    let body = http_body_util::Full::new(Bytes::from(bytes));
    let body = HttpResponseBody::new(body.map_err(|never| match never {}));
    Ok(HttpResponse::from_parts(head, body))
}

/// Why a request was not taken: S3's word for it, if there is one.
async fn refusal(response: Response<Incoming>) -> Failure {
    let status = response.status().as_u16();
    let mut body = response.into_body();
    let bytes = collect(&mut body, MAX_REFUSAL).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let code = text
        .split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"));
    let word = |code: &&str| code.len() <= 64 && code.bytes().all(|b| b.is_ascii_alphanumeric());
    let code = code.map(|(code, _)| code).filter(word).unwrap_or("");
    let text = format!("the server answers {status} {code}");
    match code {
        // What came there is not what was sent.
        "BadDigest"
        | "XAmzContentSHA256Mismatch"
        | "XAmzContentChecksumMismatch"
        | "IncompleteBody"
        | "InvalidDigest" => Failure::new(Outcome::Garbage, text),
        _ => Failure::new(Outcome::Refused, text.trim_end()),
    }
}

/// What is sent, with its length.
struct Sized {
    body: HttpRequestBody,
    left: u64,
    patience: Patience,
}

impl Sized {
    fn new(body: HttpRequestBody, patience: Patience) -> Self {
        Self {
            left: body.content_length() as u64,
            body,
            patience,
        }
    }
}

impl Body for Sized {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            self.left = self.left.saturating_sub(bytes as u64);
            self.patience.moved();
        }
        frame.map(|frame| frame.map(|frame| frame.map_err(io::Error::other)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// What comes, with its connection.
struct Held {
    body: Incoming,
    _driven: Driven,
}

fn held(body: Incoming, driven: Driven) -> HttpResponseBody {
    HttpResponseBody::new(Held {
        body,
        _driven: driven,
    })
}

impl Body for Held {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        frame.map(|frame| {
            frame.map(|frame| frame.map_err(|e| HttpError::new(HttpErrorKind::Interrupted, e)))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, uri: &str) -> HttpRequest {
        let request = hyper::Request::builder().method(method).uri(uri);
        request.body(HttpRequestBody::empty()).unwrap()
    }

    #[test]
    fn what_makes_an_object_is_locked_and_what_does_not_is_not() {
        let at = "http://s3.example/bucket/key";
        assert!(makes(&request("PUT", at)));
        assert!(makes(&request("POST", &format!("{at}?uploads="))));
        assert!(!makes(&request(
            "PUT",
            &format!("{at}?partNumber=1&uploadId=x")
        )));
        assert!(!makes(&request("POST", &format!("{at}?uploadId=x"))));
        assert!(!makes(&request("GET", at)));
        assert!(!makes(&request("DELETE", at)));
    }

    #[test]
    fn a_digest_is_read_or_is_none() {
        assert_eq!(hex(&[b'0'; 64]), Some([0; 32]));
        assert_eq!(hex(b"UNSIGNED-PAYLOAD"), None);
        assert_eq!(hex(&[b'x'; 64]), None);
    }
}
