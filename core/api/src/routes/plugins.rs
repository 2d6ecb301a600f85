//! `/api/v1/communes/{commune}/plugins` and `…/detections`.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, Path, Query, Request, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::{get, post, put};
use axum::{Extension, Json, Router};
use serde::{Deserialize, Serialize};
use taimat_base::{CommuneId, PluginId};
use taimat_contract::package::MAX_BYTES;
use taimat_sandbox::{Line, LoadError, PluginStatus, Review};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Semaphore, SemaphorePermit};
use tower_http::limit::RequestBodyLimitLayer;
use utoipa::{OpenApi, ToSchema};

use crate::admin::AdminError;
use crate::client::Client;
use crate::detections::Seen;
use crate::problem::ProblemJson;
use crate::state::ApiState;

/// A plugin.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PluginView {
    #[serde(flatten)]
    status: PluginStatus,
    /// What its settings may be, as JSON Schema; null while nothing of it runs that says so.
    settings_schema: Option<serde_json::Value>,
    /// The newest lines of its log, the oldest first.
    log: Vec<Line>,
}

/// What can be changed about a plugin.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PluginChange {
    /// Whether it is to run; written to `commune.toml`.
    enabled: bool,
}

/// A component that was taken over.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Uploaded {
    /// The component's own name.
    name: String,
    /// Its version.
    version: String,
    /// SHA-256 of the file.
    digest: String,
    /// Who signed it.
    signer: Option<String>,
}

/// Components that are uploaded at once; each may have 32 MiB.
const MAX_UPLOADS: usize = 2;

#[derive(Debug, Deserialize)]
pub(crate) struct Chosen {
    camera: Option<String>,
}

#[derive(OpenApi)]
#[openapi(paths(list, one, upload, review, change, detections))]
pub(crate) struct Description;

pub(crate) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/api/v1/communes/{commune}/plugins", get(list))
        .route(
            "/api/v1/communes/{commune}/plugins/{plugin}",
            get(one).patch(change),
        )
        .route("/api/v1/communes/{commune}/detections", get(detections))
}

/// Routes whose bodies are larger than others may be.
pub(crate) fn uploads() -> Router<ApiState> {
    Router::new()
        .route("/api/v1/communes/{commune}/plugins/{plugin}", put(upload))
        .route(
            "/api/v1/communes/{commune}/plugins/{plugin}/review",
            post(review),
        )
        .layer(axum::extract::DefaultBodyLimit::disable())
        .layer(RequestBodyLimitLayer::new(MAX_BYTES))
        .layer(Extension(Arc::new(Semaphore::new(MAX_UPLOADS))))
}

/// The plugin that a path names; one with other letters does not exist.
fn plugin_id(id: &str) -> Result<PluginId, ProblemJson> {
    id.parse()
        .map_err(|_bad_letters| ProblemJson::not_found("such plugin"))
}

/// The commune of that name.
pub(super) fn commune(state: &ApiState, id: &str) -> Result<CommuneId, ProblemJson> {
    let snapshot = state.directory.snapshot();
    let found = snapshot.communes.iter().find(|c| c.id.as_str() == id);
    found
        .map(|c| c.id.clone())
        .ok_or_else(|| ProblemJson::not_found("such commune"))
}

/// A commune's plugins
#[utoipa::path(
    get,
    path = "/api/v1/communes/{commune}/plugins",
    responses((status = 200, body = [PluginStatus]), (status = 404, body = ProblemJson))
)]
async fn list(
    State(state): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<Vec<PluginStatus>>, ProblemJson> {
    Ok(Json(state.sandbox.list(&commune(&state, &id)?)))
}

/// One plugin and its log
#[utoipa::path(
    get,
    path = "/api/v1/communes/{commune}/plugins/{plugin}",
    responses((status = 200, body = PluginView), (status = 404, body = ProblemJson))
)]
async fn one(
    State(state): State<ApiState>,
    Path((id, plugin)): Path<(String, String)>,
) -> Result<Json<PluginView>, ProblemJson> {
    let (commune, plugin) = (commune(&state, &id)?, plugin_id(&plugin)?);
    let schema = state.sandbox.settings_schema(&commune, &plugin);
    let settings_schema = schema.map(|schema| schema.as_json().clone());
    let found = state.sandbox.get(&commune, &plugin);
    found
        .map(|(status, log)| {
            Json(PluginView {
                status,
                settings_schema,
                log,
            })
        })
        .ok_or_else(|| ProblemJson::not_found("such plugin"))
}

/// Replace a plugin's component
///
/// The file is put where `commune.toml` says the plugin's component is, and hot-loaded from there;
/// what becomes of it stands in the plugin's status.
#[utoipa::path(
    put,
    path = "/api/v1/communes/{commune}/plugins/{plugin}",
    request_body(content = Vec<u8>, content_type = "application/wasm"),
    responses(
        (status = 202, body = Uploaded), (status = 404, body = ProblemJson),
        (status = 422, body = ProblemJson), (status = 503, body = ProblemJson)
    )
)]
async fn upload(
    State(state): State<ApiState>,
    Extension(turns): Extension<Arc<Semaphore>>,
    Path((id, plugin)): Path<(String, String)>,
    request: Request,
) -> Result<(StatusCode, Json<Uploaded>), ProblemJson> {
    let (commune, plugin) = (commune(&state, &id)?, plugin_id(&plugin)?);
    let missing = || no_such_plugin(&commune, &plugin);
    let file = state.sandbox.file(&commune, &plugin).ok_or_else(missing)?;
    let (body, _turn) = body(&state, &turns, request).await?;
    // What is refused at sight does not take the place of what runs.
    let review = reviewed(&state, &commune, &plugin, body.clone()).await?;
    let (admin, own) = (Arc::clone(&state.admin), commune.clone());
    let put = move || admin.write_component(&own, &file, &body);
    let put = tokio::task::spawn_blocking(put).await;
    put.unwrap_or_else(|e| Err(std::io::Error::other(e)))
        .map_err(|error| {
            let detail = format!("the component's file can not be written: {error}");
            ProblemJson::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "storage",
                "Not written",
                detail,
            )
        })?;
    tracing::info!(%commune, %plugin, digest = review.digest, "component uploaded");
    state.sandbox.refresh();
    let uploaded = Uploaded {
        name: review.name,
        version: review.version,
        digest: review.digest,
        signer: review.signer,
    };
    Ok((StatusCode::ACCEPTED, Json(uploaded)))
}

/// Look at a component before it replaces a plugin's
///
/// Nothing is stored, compiled or run. What is no package, not trusted or of another kind is refused
/// with the reason; what it imports is only seen when it is loaded.
#[utoipa::path(
    post,
    path = "/api/v1/communes/{commune}/plugins/{plugin}/review",
    request_body(content = Vec<u8>, content_type = "application/wasm"),
    responses(
        (status = 200, body = Review), (status = 404, body = ProblemJson),
        (status = 422, body = ProblemJson), (status = 503, body = ProblemJson)
    )
)]
async fn review(
    State(state): State<ApiState>,
    Extension(turns): Extension<Arc<Semaphore>>,
    Path((id, plugin)): Path<(String, String)>,
    request: Request,
) -> Result<Json<Review>, ProblemJson> {
    let (commune, plugin) = (commune(&state, &id)?, plugin_id(&plugin)?);
    let missing = || no_such_plugin(&commune, &plugin);
    state.sandbox.file(&commune, &plugin).ok_or_else(missing)?;
    let (body, _turn) = body(&state, &turns, request).await?;
    reviewed(&state, &commune, &plugin, body).await.map(Json)
}

/// What a component would be as a plugin. Its digest and signature take a while: not on a thread of
/// the runtime.
async fn reviewed(
    state: &ApiState,
    commune: &CommuneId,
    plugin: &PluginId,
    body: Bytes,
) -> Result<Review, ProblemJson> {
    let sandbox = Arc::clone(&state.sandbox);
    let (id, name) = (commune.clone(), plugin.clone());
    let review = tokio::task::spawn_blocking(move || sandbox.review(&id, &name, &body)).await;
    match review {
        Ok(Some(Ok(review))) => Ok(review),
        Ok(Some(Err(error))) => {
            let (kind, title) = match error {
                LoadError::Untrusted(_) => ("untrusted-plugin", "Not trusted"),
                _ => ("not-a-plugin", "Not a plugin"),
            };
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            Err(ProblemJson::new(status, kind, title, error.to_string()))
        }
        Ok(None) => Err(no_such_plugin(commune, plugin)),
        Err(panicked) => Err(ProblemJson::panicked(&panicked)),
    }
}

/// A component that is sent, and the turn that it takes among others.
async fn body<'a>(
    state: &ApiState,
    turns: &'a Semaphore,
    request: Request,
) -> Result<(Bytes, SemaphorePermit<'a>), ProblemJson> {
    // Before the body is read: what waits takes no memory.
    let Ok(turn) = turns.try_acquire() else {
        return Err(ProblemJson::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            "Busy",
            format!("{MAX_UPLOADS} components are being uploaded; try again"),
        ));
    };
    let read = Bytes::from_request(request, state).await;
    let bytes = read.map_err(|error| {
        ProblemJson::new(
            error.status(),
            "body",
            "Body not accepted",
            error.body_text(),
        )
    })?;
    Ok((bytes, turn))
}

fn no_such_plugin(commune: &CommuneId, plugin: &PluginId) -> ProblemJson {
    let mut problem = ProblemJson::not_found("such plugin");
    problem.detail = format!(
        "commune {commune} has no plugin {plugin}; add to its commune.toml: [plugin.{plugin}] \
         component = \"plugins/{plugin}.wasm\""
    );
    problem
}

/// Switch a plugin on or off
#[utoipa::path(
    patch,
    path = "/api/v1/communes/{commune}/plugins/{plugin}",
    request_body = PluginChange,
    responses((status = 204), (status = 404, body = ProblemJson), (status = 409, body = ProblemJson))
)]
async fn change(
    State(state): State<ApiState>,
    Path((id, plugin)): Path<(String, String)>,
    Json(change): Json<PluginChange>,
) -> Result<StatusCode, ProblemJson> {
    let (commune, plugin) = (commune(&state, &id)?, plugin_id(&plugin)?);
    let admin = Arc::clone(&state.admin);
    let enable = move || admin.enable_plugin(&commune, &plugin, change.enabled);
    let done = tokio::task::spawn_blocking(enable).await;
    match done {
        Ok(Ok(())) => Ok(StatusCode::NO_CONTENT),
        Ok(Err(AdminError::Unknown)) => Err(ProblemJson::not_found("such plugin")),
        Ok(Err(AdminError::Refused(why))) => Err(ProblemJson::new(
            StatusCode::CONFLICT,
            "configuration",
            "Not changed",
            why,
        )),
        Err(panicked) => Err(ProblemJson::panicked(&panicked)),
    }
}

/// What plugins see, as it happens (server-sent events)
#[utoipa::path(
    get,
    path = "/api/v1/communes/{commune}/detections",
    params(("camera" = Option<String>, Query, description = "this camera only")),
    responses(
        (status = 200, body = Seen, content_type = "text/event-stream", description = "the data of each event"),
        (status = 404, body = ProblemJson),
        (status = 503, body = ProblemJson)
    )
)]
async fn detections(
    State(state): State<ApiState>,
    Extension(client): Extension<Client>,
    Path(id): Path<String>,
    Query(chosen): Query<Chosen>,
) -> Result<Sse<impl futures_core::Stream<Item = Result<Event, Infallible>>>, ProblemJson> {
    let commune = commune(&state, &id)?.to_string();
    let place = state.stream_place(client)?;
    let follow = state.detections.follow();
    let stream = async_stream::stream! {
        let _place = place;
        let mut follow = follow;
        loop {
            match follow.recv().await {
                Ok(seen) => {
                    let wanted = chosen.camera.as_ref().is_none_or(|c| *c == seen.camera);
                    if seen.commune == commune && wanted
                        && let Ok(event) = Event::default().json_data(&*seen)
                    {
                        yield Ok(event);
                    }
                }
                Err(RecvError::Lagged(missed)) => {
                    yield Ok(Event::default().event("missed").data(missed.to_string()));
                }
                Err(RecvError::Closed) => break,
            }
        }
    };
    Ok(Sse::new(stream).keep_alive(KeepAlive::default()))
}
