//! WHEP (draft-ietf-wish-whep-04; the mechanics are those of RFC 9725).

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use taimat_base::{CameraKey, Profile};
use taimat_egress::webrtc::{EntityTags, Fragment, Refusal};

use crate::client::Client;
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
    Extension(client): Extension<Client>,
    Path((commune, camera)): Path<(String, String)>,
    Query(wish): Query<Wish>,
    asked: HeaderMap,
    body: Bytes,
) -> Result<Response, ProblemJson> {
    require(&asked, SDP)?;
    let key = key(&commune, &camera)?;
    let offered = state.whep.offer(client.network, &key, wish.profile, &body);
    let answer = offered.await?;
    let mut headers = ice_servers(&state.access.ice_servers);
    set(&mut headers, header::CONTENT_TYPE, SDP);
    let prefix = prefix(&asked);
    let location = format!("{prefix}/{commune}/{camera}/whep/{}", answer.token);
    set(&mut headers, header::LOCATION, &location);
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
    match state
        .whep
        .fragment(&token, &EntityTags::parse(tag), text)
        .await?
    {
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

/// `OPTIONS` on the endpoint: a viewer may need the ICE servers before it can make an offer.
pub(crate) async fn options(State(state): State<ApiState>) -> Response {
    let mut headers = ice_servers(&state.access.ice_servers);
    set(&mut headers, ACCEPT_POST, SDP);
    set(&mut headers, header::ALLOW, "POST, OPTIONS");
    (StatusCode::NO_CONTENT, headers).into_response()
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

/// STUN and TURN servers as `Link` headers (RFC 9725 section 4.6). What is configured as
/// `turn:user:password@host:port` is told with its credentials apart, as browsers want them.
fn ice_servers(configured: &[String]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for server in configured {
        if let Ok(value) = HeaderValue::from_str(&IceServer::parse(server).link()) {
            headers.append(header::LINK, value);
        }
    }
    headers
}

/// A server that helps viewers to a way to the router.
#[derive(Debug, PartialEq, Eq)]
struct IceServer<'a> {
    scheme: &'a str,
    /// Host, port, parameters.
    place: &'a str,
    credentials: Option<(&'a str, &'a str)>,
}

impl<'a> IceServer<'a> {
    fn parse(configured: &'a str) -> Self {
        let (scheme, rest) = configured.split_once(':').unwrap_or(("stun", configured));
        // The password may have an @ in it, a host may not.
        let (credentials, place) = match rest.rsplit_once('@') {
            Some((credentials, place)) => (credentials.split_once(':'), place),
            None => (None, rest),
        };
        Self {
            scheme,
            place,
            credentials,
        }
    }

    fn link(&self) -> String {
        let Self { scheme, place, .. } = self;
        let mut link = format!("<{scheme}:{place}>; rel=\"ice-server\"");
        if let Some((user, password)) = self.credentials {
            // A quoted string (RFC 9110 section 5.6.4).
            let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
            let (user, password) = (quoted(user), quoted(password));
            link.push_str(&format!(
                "; username=\"{user}\"; credential=\"{password}\"; credential-type=\"password\""
            ));
        }
        link
    }
}

/// The path below which a proxy serves us, as it says itself (`X-Forwarded-Prefix`); nothing if it says
/// none, or what is no path. The way to the session is told as a path from the root and not as one from
/// the endpoint: players join that with the origin alone.
fn prefix(headers: &HeaderMap) -> &str {
    const MAX_PREFIX_BYTES: usize = 256;
    let told = headers
        .get("x-forwarded-prefix")
        .and_then(|v| v.to_str().ok())
        .unwrap_or("")
        .trim()
        .trim_end_matches('/');
    let good = |c: char| c.is_ascii_alphanumeric() || "/-._~%".contains(c);
    // Two slashes would make a host of what follows.
    let path = told.starts_with('/') && !told.contains("//") && told.chars().all(good);
    if path && told.len() <= MAX_PREFIX_BYTES {
        told
    } else {
        ""
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn links(configured: &[&str]) -> Vec<String> {
        let configured: Vec<String> = configured.iter().map(|s| (*s).to_owned()).collect();
        let headers = ice_servers(&configured);
        let values = headers.get_all(header::LINK).iter();
        values.map(|v| v.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn servers_are_told_with_their_credentials_apart() {
        assert_eq!(
            links(&[
                "stun:stun.example.org:3478",
                "turn:thu:secret@turn.example.org:3478?transport=udp",
                "turns:thu:a\"@:b@[2001:db8::1]:5349",
            ]),
            [
                "<stun:stun.example.org:3478>; rel=\"ice-server\"",
                "<turn:turn.example.org:3478?transport=udp>; rel=\"ice-server\"; username=\"thu\"; \
                 credential=\"secret\"; credential-type=\"password\"",
                "<turns:[2001:db8::1]:5349>; rel=\"ice-server\"; username=\"thu\"; \
                 credential=\"a\\\"@:b\"; credential-type=\"password\"",
            ]
        );
        assert_eq!(links(&["stun:a\r\nb"]), [""; 0]);
    }

    #[test]
    fn a_proxy_may_say_where_it_serves_us() {
        let told = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-prefix", HeaderValue::from_str(value).unwrap());
            prefix(&headers).to_owned()
        };
        assert_eq!(told("/cameras"), "/cameras");
        assert_eq!(told(" /xa/hoa-lac/ "), "/xa/hoa-lac");
        for none in [
            "",
            "/",
            "cameras",
            "//evil.example",
            "/a//b",
            "/a?b",
            "/a b",
            "/a, /b",
        ] {
            assert_eq!(told(none), "", "{none}");
        }
        assert_eq!(told(&format!("/{}", "a".repeat(256))), "");
        assert_eq!(prefix(&HeaderMap::new()), "");
    }
}
