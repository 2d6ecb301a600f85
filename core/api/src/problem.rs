//! Errors as problem+json (RFC 9457).

use std::any::Any;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use taimat_base::Redactor;
use taimat_base::budget::Refused;
use taimat_egress::webrtc::Refusal;
use utoipa::ToSchema;

/// When it is worth trying again where others hold all places: they come and go.
const AGAIN_SECONDS: u32 = 10;

/// An error as clients see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProblemJson {
    /// What kind of error it is, relative to this server.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time.
    pub detail: String,
    /// A word for programs: for a camera that is not live, its cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    #[serde(skip)]
    retry_after_seconds: Option<u32>,
}

impl ProblemJson {
    /// An error of a kind.
    pub fn new(status: StatusCode, kind: &str, title: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("/problems/{kind}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            cause: None,
            retry_after_seconds: None,
        }
    }

    /// It is worth trying again after so many seconds.
    #[must_use]
    pub(crate) fn again_after(self, seconds: u32) -> Self {
        Self {
            retry_after_seconds: Some(seconds),
            ..self
        }
    }

    /// Nothing is at that address.
    pub fn not_found(what: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "Not found",
            format!("there is no {what}"),
        )
    }

    /// There is no place for the client: its address has its share, or all are held.
    pub fn crowded(why: Refused) -> Self {
        let (kind, title) = match why {
            Refused::Share => ("share", "Too many from this address"),
            Refused::Full => ("full", "Too many at once"),
        };
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            kind,
            title,
            why.to_string(),
        )
        .again_after(AGAIN_SECONDS)
    }

    /// After how many seconds it is worth trying again, if it is.
    pub fn retry_after_seconds(&self) -> Option<u32> {
        self.retry_after_seconds
    }

    /// What was done for the request on another thread panicked: that is our fault.
    pub(crate) fn panicked(panic: &tokio::task::JoinError) -> Self {
        tracing::error!(%panic, "work for a request panicked");
        Self::ours()
    }

    fn ours() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Internal error",
            "the router failed on this request; its log says why",
        )
    }
}

impl IntoResponse for ProblemJson {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut headers = HeaderMap::new();
        let json = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, json);
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        let body = serde_json::to_vec(&self).unwrap_or_default();
        (status, headers, body).into_response()
    }
}

/// The status, kind and title of a refusal, and after how many seconds it may be tried again.
fn told(refusal: &Refusal) -> (StatusCode, &'static str, &'static str, Option<u32>) {
    use StatusCode as S;
    match refusal {
        Refusal::Offer(_) => (
            S::UNPROCESSABLE_ENTITY,
            "bad-offer",
            "Offer not usable",
            None,
        ),
        Refusal::Mismatch(_) => (
            S::NOT_ACCEPTABLE,
            "codec",
            "Codec not playable by this viewer",
            None,
        ),
        Refusal::UnknownCamera(_) => (S::NOT_FOUND, "no-camera", "No such camera", None),
        // The draft asks for 409 with Retry-After when nothing is live at the endpoint.
        Refusal::NotLive(_) => (S::CONFLICT, "not-live", "Camera not live", Some(3)),
        Refusal::Full(_) | Refusal::CommuneFull => (
            S::SERVICE_UNAVAILABLE,
            "full",
            "Too many viewers",
            Some(AGAIN_SECONDS),
        ),
        Refusal::Share => (
            S::SERVICE_UNAVAILABLE,
            "share",
            "Too many from this address",
            Some(AGAIN_SECONDS),
        ),
        Refusal::Overloaded => (
            S::SERVICE_UNAVAILABLE,
            "overloaded",
            "Too much to do",
            Some(1),
        ),
        Refusal::UnknownSession => (S::NOT_FOUND, "no-session", "No such session", None),
        Refusal::Stale => (S::PRECONDITION_FAILED, "stale", "ICE session changed", None),
        Refusal::Fragment(_) => (
            S::UNPROCESSABLE_ENTITY,
            "bad-fragment",
            "Fragment not usable",
            None,
        ),
        _ => (S::INTERNAL_SERVER_ERROR, "internal", "Internal error", None),
    }
}

impl From<Refusal> for ProblemJson {
    fn from(refusal: Refusal) -> Self {
        let (status, kind, title, retry_after_seconds) = told(&refusal);
        let cause = match &refusal {
            Refusal::NotLive(status) => {
                Some(status.cause.map_or("starting", |c| c.as_str()).to_owned())
            }
            _ => None,
        };
        let mut detail = refusal.to_string();
        if status.is_server_error() && retry_after_seconds.is_none() {
            tracing::error!(%detail, "a viewer could not be served");
            detail = "the router could not serve this; its log says why".into();
        }
        Self {
            cause,
            retry_after_seconds,
            ..Self::new(status, kind, title, detail)
        }
    }
}

/// Longest text of somebody else's refusal that is read.
const MAX_REFUSAL_BYTES: usize = 4 << 10;

/// What is refused before our handlers see it, by axum or a layer, is said in plain words or none:
/// says it as a problem. Status and headers stay, but for those of the body.
pub(crate) async fn in_one_form(response: Response) -> Response {
    let status = response.status();
    let content_type = response.headers().get(header::CONTENT_TYPE);
    let plain = content_type.is_none_or(|t| t.as_bytes().starts_with(b"text/plain"));
    if !(status.is_client_error() || status.is_server_error()) || !plain {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let said = axum::body::to_bytes(body, MAX_REFUSAL_BYTES).await;
    let said = said.unwrap_or_default();
    let problem = refused_by_others(status, &String::from_utf8_lossy(&said)).into_response();
    let (own, body) = problem.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.extend(own.headers);
    Response::from_parts(parts, body)
}

fn refused_by_others(status: StatusCode, said: &str) -> ProblemJson {
    let (kind, detail) = match status {
        StatusCode::METHOD_NOT_ALLOWED => (
            "method",
            "what is at this address does not know that method; Allow says which it knows",
        ),
        StatusCode::PAYLOAD_TOO_LARGE => ("body", "the body is larger than it may be here"),
        StatusCode::GATEWAY_TIMEOUT => ("timeout", "the request took too long"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ("content-type", ""),
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => ("request", ""),
        status if status.is_client_error() => ("refused", ""),
        _ => (
            "internal",
            "the router failed on this request; its log says why",
        ),
    };
    let title = status.canonical_reason().unwrap_or("Refused");
    let detail = match detail {
        // It may repeat what was sent.
        "" => Redactor::default().text(said),
        detail => detail.to_owned(),
    };
    ProblemJson::new(status, kind, title, detail)
}

/// A handler panicked: that is our fault, and costs only this request.
pub(crate) fn after_panic(panic: Box<dyn Any + Send + 'static>) -> Response {
    let said = panic.downcast_ref::<String>().map(String::as_str);
    let said = said
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("?");
    tracing::error!(panic = said, "a request handler panicked");
    ProblemJson::ours().into_response()
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::extract::{Path, Query};
    use axum::http::Request;
    use axum::routing::{get, post};
    use http_body_util::BodyExt;
    use tower::ServiceExt;
    use tower_http::limit::RequestBodyLimitLayer;
    use tower_http::timeout::TimeoutLayer;

    use super::*;

    #[derive(serde::Deserialize)]
    struct Wish {
        #[expect(dead_code, reason = "only read from requests")]
        number: u32,
    }

    /// Handlers as ours are, behind the same layers.
    fn app() -> Router {
        let json = |axum::Json(_): axum::Json<Wish>| async {};
        Router::new()
            .route("/query", get(|_: Query<Wish>| async {}))
            .route("/json", post(json))
            .route("/path/{name}", get(|_: Path<String>| async {}))
            .route("/slow", get(std::future::pending::<()>))
            .route(
                "/own",
                get(|| async { ProblemJson::not_found("such camera") }),
            )
            .route(
                "/page",
                get(|| async {
                    let html = [(header::CONTENT_TYPE, "text/html")];
                    (StatusCode::NOT_FOUND, html, "<p>")
                }),
            )
            .layer(RequestBodyLimitLayer::new(64))
            .layer(TimeoutLayer::with_status_code(
                StatusCode::GATEWAY_TIMEOUT,
                std::time::Duration::from_secs(30),
            ))
            .layer(axum::middleware::map_response(in_one_form))
    }

    async fn ask(request: Request<Body>) -> (StatusCode, HeaderMap, String) {
        let (parts, body) = app().oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&body).into_owned();
        (parts.status, parts.headers, text)
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_refuses_says_it_as_a_problem() {
        let json = Some("application/json");
        let long = "x".repeat(100);
        for (method, path, content_type, body, status, kind) in [
            ("GET", "/query?number=x", None, "", 400, "request"),
            ("GET", "/query", None, "", 400, "request"),
            ("GET", "/path/%ff", None, "", 400, "request"),
            ("POST", "/json", json, "{", 400, "request"),
            ("POST", "/json", json, "{}", 422, "request"),
            ("POST", "/json", None, "{}", 415, "content-type"),
            ("POST", "/json", json, &long, 413, "body"),
            ("DELETE", "/query", None, "", 405, "method"),
            ("GET", "/nowhere", None, "", 404, "refused"),
            ("GET", "/slow", None, "", 504, "timeout"),
            ("GET", "/own", None, "", 404, "not-found"),
        ] {
            let request = Request::builder().method(method).uri(path);
            let request = match content_type {
                Some(value) => request.header(header::CONTENT_TYPE, value),
                None => request,
            };
            let request = request.body(Body::from(body.to_owned())).unwrap();
            let (got, headers, text) = ask(request).await;
            let case = format!("{method} {path}: {got} {headers:?} {text}");
            assert_eq!(got.as_u16(), status, "{case}");
            let content_type = &headers[header::CONTENT_TYPE];
            assert_eq!(content_type, "application/problem+json", "{case}");
            let problem: serde_json::Value = serde_json::from_str(&text).expect(&case);
            assert_eq!(problem["type"], format!("/problems/{kind}"), "{case}");
            assert_eq!(problem["status"], status, "{case}");
            let length = headers.get(header::CONTENT_LENGTH);
            let length = length.map(|l| l.to_str().unwrap().to_owned());
            assert!(length.is_none_or(|l| l == text.len().to_string()), "{case}");
        }
    }

    #[tokio::test]
    async fn what_others_say_besides_stays() {
        let request = Request::delete("/query").body(Body::empty()).unwrap();
        let (_, headers, _) = ask(request).await;
        assert_eq!(headers[header::ALLOW], "GET,HEAD");
        let request = Request::get("/page").body(Body::empty()).unwrap();
        let (_, headers, text) = ask(request).await;
        assert_eq!(
            (&headers[header::CONTENT_TYPE], text.as_str()),
            (&HeaderValue::from_static("text/html"), "<p>")
        );
    }
}
