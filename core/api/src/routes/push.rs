//! `/api/v1/communes/{commune}/push`: browsers that are told also when no page of ours is open (Web Push).
//!
//! Where a browser is told goes in here and never out again.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use taimat_base::{Secret, clock};
use taimat_contract::{PushEndpoint, UnixMicros};
use taimat_events::{NewSubscription, StoreError, Subscription, Wants};
use utoipa::{OpenApi, ToSchema};

use super::plugins::commune;
use crate::problem::ProblemJson;
use crate::state::ApiState;

/// What a browser has to know to ask for notifications.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PushView {
    /// The target that stands for the browsers; none where the commune's file has none with the alerter
    /// `push`.
    target: Option<String>,
    /// The router's public key, as `applicationServerKey` wants it; none where there is no target.
    public_key: Option<String>,
    /// The plugin that rules who is told of what; none where the rules of the file do.
    policy: Option<String>,
}

/// A browser that asked.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BrowserView {
    /// What it is called in stories and messages.
    name: String,
    #[serde(flatten)]
    subscription: Subscription,
}

impl BrowserView {
    pub(super) fn new(target: &str, subscription: Subscription) -> Self {
        Self {
            name: subscription.name_under(target),
            subscription,
        }
    }
}

/// A browser's `PushSubscription`, and what its user wants.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PushBody {
    /// Where it is told: an address with `https`.
    #[schema(value_type = String)]
    endpoint: Secret,
    /// Its keys.
    keys: PushKeys,
    /// The name of the person, until accounts exist.
    who: String,
    /// Of what it is told.
    wants: Wants,
}

/// A browser's keys, in Base64 for addresses.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PushKeys {
    /// A point of the curve P-256.
    #[schema(value_type = String)]
    p256dh: Secret,
    /// 16 bytes.
    #[schema(value_type = String)]
    auth: Secret,
}

/// Which browser wants to be told no more.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EndpointBody {
    /// Where it was told.
    #[schema(value_type = String)]
    endpoint: Secret,
}

/// What is described here.
#[derive(OpenApi)]
#[openapi(paths(key, subscribe, unsubscribe, remove))]
pub(crate) struct Description;

pub(crate) fn routes() -> Router<ApiState> {
    Router::new()
        .route(
            "/api/v1/communes/{commune}/push",
            get(key).post(subscribe).delete(unsubscribe),
        )
        .route("/api/v1/communes/{commune}/push/{number}", delete(remove))
}

fn now() -> UnixMicros {
    UnixMicros::from(clock::wall())
}

/// What a browser has to know to ask for notifications
#[utoipa::path(
    get,
    path = "/api/v1/communes/{commune}/push",
    operation_id = "push_key",
    responses(
        (status = 200, body = PushView),
        (status = 404, body = ProblemJson),
        (status = 503, body = ProblemJson)
    )
)]
async fn key(
    State(state): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<PushView>, ProblemJson> {
    let alerts = state.events.alerts(&commune(&state, &id)?);
    let target = alerts.push_target().map(|(name, _)| name.to_owned());
    let public_key = match &target {
        None => None,
        Some(_) => {
            let outbound = Arc::clone(&state.outbound);
            let key = tokio::task::spawn_blocking(move || outbound.push_key()).await;
            let key = key.map_err(|panic| ProblemJson::panicked(&panic))?;
            Some(key.map_err(unready)?)
        }
    };
    Ok(Json(PushView {
        target,
        public_key,
        policy: alerts.policy.as_ref().map(ToString::to_string),
    }))
}

fn unready(why: String) -> ProblemJson {
    tracing::error!(%why, "no browser can be told");
    ProblemJson::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "push-unready",
        "No browser can be told now",
        why,
    )
}

/// Have a browser told; one that asks again says anew what it wants
#[utoipa::path(
    post,
    path = "/api/v1/communes/{commune}/push",
    operation_id = "push_subscribe",
    request_body = PushBody,
    responses(
        (status = 200, body = BrowserView),
        (status = 404, body = ProblemJson),
        (status = 422, body = ProblemJson)
    )
)]
async fn subscribe(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    Json(body): Json<PushBody>,
) -> Result<Json<BrowserView>, ProblemJson> {
    let commune = commune(&state, &id)?;
    let alerts = state.events.alerts(&commune);
    let Some((target, _)) = alerts.push_target() else {
        return Err(ProblemJson::not_found(
            "target for browsers in this commune: `target.browsers = { alerter = \"push\" }` makes one",
        ));
    };
    let (key, auth) = (body.keys.p256dh.reveal(), body.keys.auth.reveal());
    let endpoint = PushEndpoint::new(body.endpoint.reveal(), key, auth)
        .map_err(|error| StoreError::Refused(error.to_string()))?;
    let new = NewSubscription {
        commune,
        endpoint,
        who: body.who,
        wants: body.wants,
    };
    let subscription = state.events.store().subscribe(new, now()).await?;
    Ok(Json(BrowserView::new(target, subscription)))
}

/// Have a browser told no more: by itself
#[utoipa::path(
    delete,
    path = "/api/v1/communes/{commune}/push",
    operation_id = "push_unsubscribe",
    request_body = EndpointBody,
    responses((status = 204), (status = 404, body = ProblemJson))
)]
async fn unsubscribe(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    Json(body): Json<EndpointBody>,
) -> Result<StatusCode, ProblemJson> {
    let commune = commune(&state, &id)?;
    let store = state.events.store();
    gone(store.unsubscribe(&commune, body.endpoint, now()).await?)
}

/// Have a browser told no more: by somebody else, as after a phone was lost
#[utoipa::path(
    delete,
    path = "/api/v1/communes/{commune}/push/{number}",
    operation_id = "push_remove",
    responses((status = 204), (status = 404, body = ProblemJson))
)]
async fn remove(
    State(state): State<ApiState>,
    Path((id, number)): Path<(String, u64)>,
) -> Result<StatusCode, ProblemJson> {
    let commune = commune(&state, &id)?;
    let store = state.events.store();
    gone(store.remove_browser(&commune, number, now()).await?)
}

fn gone(was_there: bool) -> Result<StatusCode, ProblemJson> {
    match was_there {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ProblemJson::not_found("such browser")),
    }
}
