//! WHEP (draft-ietf-wish-whep-04; the mechanics are those of RFC 9725).

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use taimat_base::{CameraKey, Profile};
use taimat_egress::webrtc::{Fragment, Refusal};

use crate::problem::ProblemJson;
use crate::state::ApiState;

const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

#[derive(Debug, Deserialize)]
pub(crate) struct Wish {
    profile: Option<Profile>,
}

/// `POST /{commune}/{camera}/whep`
pub(crate) async fn offer(
    State(state): State<ApiState>,
    Path((commune, camera)): Path<(String, String)>,
    Query(wish): Query<Wish>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ProblemJson> {
    require(&headers, SDP)?;
    let key = key(&commune, &camera)?;
    let answer = state.whep.offer(&key, wish.profile, &body).await?;
    let mut headers = HeaderMap::new();
    set(&mut headers, header::CONTENT_TYPE, SDP);
    set(
        &mut headers,
        header::LOCATION,
        &format!("/{commune}/{camera}/whep/{}", answer.token),
    );
    set(&mut headers, header::ETAG, &format!("\"{}\"", answer.etag));
    set(&mut headers, ACCEPT_PATCH, FRAGMENT);
    set(
        &mut headers,
        HeaderName::from_static("taimat-profile"),
        answer.profile.as_str(),
    );
    set(
        &mut headers,
        HeaderName::from_static("taimat-session"),
        &answer.id.0.to_string(),
    );
    for server in &state.access.ice_servers {
        if let Ok(value) = HeaderValue::from_str(&format!("<{server}>; rel=\"ice-server\"")) {
            headers.append(header::LINK, value);
        }
    }
    Ok((StatusCode::CREATED, headers, answer.sdp).into_response())
}

/// `PATCH /{commune}/{camera}/whep/{token}`: candidates, or an ICE restart with `If-Match: *`.
pub(crate) async fn fragment(
    State(state): State<ApiState>,
    Path((commune, camera, token)): Path<(String, String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ProblemJson> {
    owned(&state, &commune, &camera, &token)?;
    require(&headers, FRAGMENT)?;
    let Some(tag) = headers.get(header::IF_MATCH).and_then(|v| v.to_str().ok()) else {
        return Err(ProblemJson::new(
            StatusCode::PRECONDITION_REQUIRED,
            "precondition",
            "If-Match required",
            "If-Match has to name the ICE session (its ETag), or * for an ICE restart",
        ));
    };
    let text = std::str::from_utf8(&body)
        .map_err(|_utf8| ProblemJson::from(Refusal::Fragment("it is not UTF-8 text")))?;
    let tag = (tag.trim() != "*").then(|| tag.trim().trim_matches('"'));
    match state.whep.fragment(&token, tag, text).await? {
        Fragment::Trickled => Ok(StatusCode::NO_CONTENT.into_response()),
        Fragment::Restarted { sdp, etag } => {
            let mut headers = HeaderMap::new();
            set(&mut headers, header::CONTENT_TYPE, FRAGMENT);
            set(&mut headers, header::ETAG, &format!("\"{etag}\""));
            Ok((StatusCode::OK, headers, sdp).into_response())
        }
    }
}

/// `DELETE /{commune}/{camera}/whep/{token}`
pub(crate) async fn delete(
    State(state): State<ApiState>,
    Path((commune, camera, token)): Path<(String, String, String)>,
) -> Result<Response, ProblemJson> {
    owned(&state, &commune, &camera, &token)?;
    if state.whep.delete(&token) {
        Ok(StatusCode::OK.into_response())
    } else {
        Err(Refusal::UnknownSession.into())
    }
}

/// `OPTIONS` on the endpoint.
pub(crate) async fn options() -> Response {
    (
        StatusCode::NO_CONTENT,
        [(ACCEPT_POST, SDP), (header::ALLOW, "POST, OPTIONS")],
    )
        .into_response()
}

/// `OPTIONS` on a session.
pub(crate) async fn options_session() -> Response {
    let headers = [
        (ACCEPT_PATCH, FRAGMENT),
        (header::ALLOW, "PATCH, DELETE, OPTIONS"),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

pub(crate) async fn method_not_allowed() -> Response {
    let detail = "WHEP uses POST at the endpoint, PATCH and DELETE at a session";
    ProblemJson::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method",
        "Method not allowed",
        detail,
    )
    .into_response()
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn require(headers: &HeaderMap, content_type: &str) -> Result<(), ProblemJson> {
    let given = headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .unwrap_or("");
    let bare = given.split(';').next().unwrap_or("").trim();
    if bare.eq_ignore_ascii_case(content_type) {
        return Ok(());
    }
    let detail = format!("the body has to be {content_type}");
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    Err(ProblemJson::new(
        status,
        "content-type",
        "Content type not accepted",
        detail,
    ))
}

pub(crate) fn key(commune: &str, camera: &str) -> Result<CameraKey, ProblemJson> {
    let parsed = commune.parse().ok().zip(camera.parse().ok());
    let (commune, camera) =
        parsed.ok_or_else(|| ProblemJson::from(Refusal::UnknownCamera(Profile::Main)))?;
    Ok(CameraKey::new(commune, camera))
}

/// A session is addressed under its camera only.
fn owned(state: &ApiState, commune: &str, camera: &str, token: &str) -> Result<(), ProblemJson> {
    let key = key(commune, camera)?;
    match state.whep.session_of(token) {
        Some(channel) if channel.camera == key => Ok(()),
        _ => Err(Refusal::UnknownSession.into()),
    }
}
