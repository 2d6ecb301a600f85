//! What ops look at.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus::{Encoder, TextEncoder};
use taimat_base::clock;

use crate::problem::ProblemJson;
use crate::state::ApiState;

/// Prometheus' text format.
pub(crate) async fn metrics(State(state): State<ApiState>) -> Response {
    state.ingest.scrape(clock::now());
    let encoder = TextEncoder::new();
    let mut text = Vec::new();
    match encoder.encode(&state.registry.gather(), &mut text) {
        Ok(()) => (
            [(header::CONTENT_TYPE, encoder.format_type().to_owned())],
            text,
        )
            .into_response(),
        Err(error) => ProblemJson::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Internal error",
            error.to_string(),
        )
        .into_response(),
    }
}

/// The process runs and answers.
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// The configuration was read and viewers can be served.
pub(crate) async fn readyz(State(state): State<ApiState>) -> Response {
    let snapshot = state.directory.snapshot();
    if snapshot.communes.is_empty() {
        let detail = "no commune is configured";
        return ProblemJson::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "not-ready",
            "Not ready",
            detail,
        )
        .into_response();
    }
    "ready\n".into_response()
}
