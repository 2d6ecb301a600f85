//! Errors as problem+json (RFC 9457).

use std::any::Any;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use taimat_egress::webrtc::Refusal;
use utoipa::ToSchema;

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

    /// Nothing is at that address.
    pub fn not_found(what: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "Not found",
            format!("there is no {what}"),
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

impl From<Refusal> for ProblemJson {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            Refusal::Offer(_) => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "bad-offer",
                "Offer not usable",
                detail,
            ),
            Refusal::Mismatch(_) => Self::new(
                StatusCode::NOT_ACCEPTABLE,
                "codec",
                "Codec not playable by this viewer",
                detail,
            ),
            Refusal::UnknownCamera(_) => {
                Self::new(StatusCode::NOT_FOUND, "no-camera", "No such camera", detail)
            }
            // The draft asks for 409 with Retry-After when nothing is live at the endpoint.
            Refusal::NotLive(status) => Self {
                cause: Some(status.cause.map_or("starting", |c| c.as_str()).to_owned()),
                retry_after_seconds: Some(3),
                ..Self::new(StatusCode::CONFLICT, "not-live", "Camera not live", detail)
            },
            Refusal::Full(_) => Self {
                retry_after_seconds: Some(10),
                ..Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "full",
                    "Too many viewers",
                    detail,
                )
            },
            Refusal::Overloaded => Self {
                retry_after_seconds: Some(1),
                ..Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "overloaded",
                    "Too much to do",
                    detail,
                )
            },
            Refusal::UnknownSession => Self::new(
                StatusCode::NOT_FOUND,
                "no-session",
                "No such session",
                detail,
            ),
            Refusal::Stale => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "stale",
                "ICE session changed",
                detail,
            ),
            Refusal::Fragment(_) => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "bad-fragment",
                "Fragment not usable",
                detail,
            ),
            _ => {
                tracing::error!(%detail, "a viewer could not be served");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal",
                    "Internal error",
                    "the router could not serve this; its log says why",
                )
            }
        }
    }
}

/// A handler panicked: that is our fault, and costs only this request.
pub(crate) fn after_panic(panic: Box<dyn Any + Send + 'static>) -> Response {
    let said = panic.downcast_ref::<String>().map(String::as_str);
    let said = said
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("?");
    tracing::error!(panic = said, "a request handler panicked");
    let detail = "the router failed on this request; its log says why";
    ProblemJson::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "Internal error",
        detail,
    )
    .into_response()
}
