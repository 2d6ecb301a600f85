//! HTTP and nothing but HTTP: WHEP, the REST API, metrics, the console's files.
//!
//! Owner: `server` makes the [`ApiState`] and serves [`router`]. Cost: nothing here is on the packet
//! path. Requests have bounded bodies and a time limit; errors are problem+json (RFC 9457), whoever says them.
//! Not here: what a request means. That is asked of `egress`, `hub` and the [`Directory`].

mod admin;
mod bytes;
mod client;
mod description;
mod detections;
mod directory;
mod exports;
mod guard;
mod origin;
mod problem;
mod routes;
mod sending;
mod state;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;

pub use admin::{Admin, AdminError};
pub use client::PeerAddress;
pub use description::description;
pub use detections::{Detections, Seen};
pub use directory::{Camera, Commune, Directory, Snapshot};
pub use exports::{
    ExportError, ExportOrder, Exported, ExportedFile, ExportedFolder, Exports, Signing,
};
pub use origin::{AllowedOrigins, HostNames, NotAName, NotAnOrigin, Origin};
pub use problem::ProblemJson;
pub use state::{Access, ApiState, Still};

/// Longest body that is read: a WHEP offer's limit.
const MAX_BODY_BYTES: usize = 64 << 10;
/// Longest time a request may take: waiting for a camera to start is in it.
const REQUEST_DEADLINE: Duration = Duration::from_secs(30);

/// Pages elsewhere can not put an answer into themselves, unless they are allowed to use it.
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// Nor get hold of a window of the console.
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// The routes. Requests have a [`PeerAddress`] among their extensions.
pub fn router(state: ApiState) -> Router {
    let header = |name: HeaderName, value: &'static str| {
        SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
    };
    let whep = post(routes::whep::offer)
        .options(routes::whep::options)
        .fallback(routes::whep::method_not_allowed);
    let session = axum::routing::patch(routes::whep::fragment)
        .delete(routes::whep::delete)
        .options(routes::whep::options_session)
        .fallback(routes::whep::method_not_allowed);
    Router::new()
        .route("/{commune}/{camera}/whep", whep)
        .route("/{commune}/{camera}/whep/{token}", session)
        .merge(routes::rest::routes())
        .merge(routes::plugins::routes())
        .merge(routes::events::routes())
        .merge(routes::targets::routes())
        .merge(routes::push::routes())
        .merge(routes::recordings::routes())
        .merge(routes::storage::routes())
        .merge(routes::exports::routes())
        .merge(description::routes())
        .route("/metrics", get(routes::ops::metrics))
        .route("/healthz", get(routes::ops::healthz))
        .route("/readyz", get(routes::ops::readyz))
        .route("/", get(routes::console::index))
        .fallback(routes::console::fallback)
        .layer(RequestBodyLimitLayer::new(MAX_BODY_BYTES))
        .merge(routes::plugins::uploads())
        .layer(axum::middleware::from_fn_with_state(
            Arc::clone(&state.access),
            guard::check,
        ))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::GATEWAY_TIMEOUT,
            REQUEST_DEADLINE,
        ))
        // Outside of everything that may refuse, so that no refusal has another form.
        .layer(axum::middleware::map_response(problem::in_one_form))
        .layer(CatchPanicLayer::custom(problem::after_panic))
        .layer(header(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(header(header::REFERRER_POLICY, "no-referrer"))
        .layer(header(RESOURCE_POLICY, "same-origin"))
        .layer(header(OPENER_POLICY, "same-origin"))
        .layer(header(
            header::CONTENT_SECURITY_POLICY,
            routes::console::CONTENT_SECURITY_POLICY,
        ))
        .with_state(state)
}
