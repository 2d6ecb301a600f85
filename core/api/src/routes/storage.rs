//! `/api/v1/communes/{commune}/storage` and `…/holds`: what is kept where, how long it lasts, and what people
//! hold.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use taimat_archive::{Hold, NewHold, StorageStanding};
use taimat_base::CameraKey;
use taimat_contract::UnixMicros;
use utoipa::{OpenApi, ToSchema};

use super::plugins::commune;
use super::recordings::read;
use crate::exports::Signing;
use crate::problem::ProblemJson;
use crate::state::ApiState;

/// What somebody wants to hold.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HoldBody {
    /// The camera.
    camera: String,
    /// From when on, in microseconds since 1970.
    start: i64,
    /// Until when; a year later at most.
    end: i64,
    /// It ends by itself then; `null` is until somebody releases it.
    until: Option<i64>,
    /// The name of the person, until accounts exist.
    who: String,
    /// Why.
    why: String,
    /// The number of the case; may be missing.
    #[serde(default)]
    case_number: String,
}

/// Why somebody releases a hold.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReleaseBody {
    /// The name of the person, until accounts exist.
    who: String,
    /// Why.
    why: String,
}

/// How it stands with a commune's recordings, and with what is taken out of them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StorageView {
    #[serde(flatten)]
    standing: StorageStanding,
    /// Whether exports are signed, and if not, why.
    signing: Signing,
}

/// What is described here.
#[derive(OpenApi)]
#[openapi(paths(standing, holds, hold, release))]
pub(crate) struct Description;

pub(crate) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/api/v1/communes/{commune}/storage", get(standing))
        .route("/api/v1/communes/{commune}/holds", get(holds).post(hold))
        .route(
            "/api/v1/communes/{commune}/holds/{number}/release",
            post(release),
        )
}

/// What is kept where, and how long it lasts
#[utoipa::path(
    get,
    path = "/api/v1/communes/{commune}/storage",
    operation_id = "storage",
    responses((status = 200, body = StorageView), (status = 404, body = ProblemJson))
)]
async fn standing(
    State(state): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<StorageView>, ProblemJson> {
    let commune = commune(&state, &id)?;
    let exports = Arc::clone(&state.exports);
    let view = read(&state, move |archive| {
        Ok(StorageView {
            standing: archive.standing(&commune)?,
            signing: exports.signing(),
        })
    });
    Ok(Json(view.await?))
}

/// What people hold, the newest first
#[utoipa::path(
    get,
    path = "/api/v1/communes/{commune}/holds",
    responses((status = 200, body = Vec<Hold>), (status = 404, body = ProblemJson))
)]
async fn holds(
    State(state): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<Vec<Hold>>, ProblemJson> {
    let commune = commune(&state, &id)?;
    let holds = read(&state, move |archive| archive.holds(&commune)).await?;
    Ok(Json(holds))
}

/// Has something be kept, whatever else is said
#[utoipa::path(
    post,
    path = "/api/v1/communes/{commune}/holds",
    request_body = HoldBody,
    responses(
        (status = 201, body = Hold),
        (status = 404, body = ProblemJson),
        (status = 422, body = ProblemJson)
    )
)]
async fn hold(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    Json(body): Json<HoldBody>,
) -> Result<(StatusCode, Json<Hold>), ProblemJson> {
    let commune = commune(&state, &id)?;
    let camera = body.camera.parse();
    let camera = camera.map_err(|_odd| ProblemJson::not_found("such camera"))?;
    let new = NewHold {
        camera: CameraKey::new(commune, camera),
        start: UnixMicros(body.start),
        end: UnixMicros(body.end),
        until: body.until.map(UnixMicros),
        who: body.who,
        why: body.why,
        case_number: body.case_number,
    };
    let hold = state.archive.hold(new).await?;
    Ok((StatusCode::CREATED, Json(hold)))
}

/// Ends a hold
#[utoipa::path(
    post,
    path = "/api/v1/communes/{commune}/holds/{number}/release",
    request_body = ReleaseBody,
    responses(
        (status = 204),
        (status = 404, body = ProblemJson),
        (status = 422, body = ProblemJson)
    )
)]
async fn release(
    State(state): State<ApiState>,
    Path((id, number)): Path<(String, u64)>,
    Json(body): Json<ReleaseBody>,
) -> Result<StatusCode, ProblemJson> {
    let commune = commune(&state, &id)?;
    let released = state
        .archive
        .release(&commune, number, &body.who, &body.why);
    released.await?;
    Ok(StatusCode::NO_CONTENT)
}
