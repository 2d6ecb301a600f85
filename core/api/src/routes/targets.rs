//! `/api/v1/communes/{commune}/targets` and `…/deliveries`: who can be told, what came of it, and trying it.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use taimat_base::CommuneId;
use taimat_contract::UnixMicros;
use taimat_events::{
    Delivery, DeliveryStatus, StoreError, Subscription, Target, TargetState, Told,
};
use taimat_outbound::ChannelStatus;
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::events::read;
use super::plugins::commune;
use super::push::BrowserView;
use crate::problem::ProblemJson;
use crate::state::ApiState;

/// Somebody or something that can be told.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TargetView {
    /// Its name.
    name: String,
    /// Its name for people.
    title: String,
    /// The plugin that words its messages; `log` and `push` are built in.
    alerter: String,
    /// People's words for it.
    tags: Vec<String>,
    /// Seconds after which a message is given up.
    deadline_seconds: u64,
    /// When it was told something last.
    delivered: Option<UnixMicros>,
    /// When something was given up last.
    failed: Option<UnixMicros>,
    /// Why that was.
    error: Option<String>,
    /// It is no more, as its alerter says.
    gone: bool,
    /// Deliveries that wait.
    waiting: u64,
    /// When the oldest of them was ruled.
    oldest: Option<UnixMicros>,
    /// The browsers that it stands for, where its alerter is `push`.
    browsers: Vec<BrowserView>,
}

/// Who can be told, and by whose word.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TargetsView {
    /// The plugin that rules; none where the rules of the file do.
    policy: Option<String>,
    /// Rules in the file.
    rules: usize,
    /// The targets, by name.
    targets: Vec<TargetView>,
    /// The channels, by name.
    channels: Vec<ChannelStatus>,
}

/// Who does it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhoBody {
    /// The name of the person, until accounts exist.
    who: String,
}

/// Which deliveries are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeliveryQuery {
    /// Those that stand so.
    state: Option<DeliveryStatus>,
    /// Those to this target.
    target: Option<String>,
    /// Those of a number less than this: the last of the page before.
    before: Option<u64>,
}

/// What is described here.
#[derive(OpenApi)]
#[openapi(
    paths(targets, test, deliveries, retry),
    components(schemas(DeliveryStatus))
)]
pub(crate) struct Description;

pub(crate) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/api/v1/communes/{commune}/targets", get(targets))
        .route(
            "/api/v1/communes/{commune}/targets/{target}/test",
            post(test),
        )
        .route("/api/v1/communes/{commune}/deliveries", get(deliveries))
        .route(
            "/api/v1/communes/{commune}/deliveries/{number}/retry",
            post(retry),
        )
}

fn view(
    name: &str,
    target: &Target,
    states: &[TargetState],
    browsers: &[Subscription],
) -> TargetView {
    let state = states.iter().find(|state| state.name == name);
    let state = state.cloned().unwrap_or_default();
    TargetView {
        name: name.to_owned(),
        title: target.title.clone(),
        alerter: target.alerter.to_string(),
        tags: target.tags.clone(),
        deadline_seconds: target.deadline.as_secs(),
        delivered: state.delivered,
        failed: state.failed,
        error: state.error,
        gone: state.gone,
        waiting: state.waiting,
        oldest: state.oldest,
        browsers: match target.is_push() {
            true => browsers
                .iter()
                .map(|browser| BrowserView::new(name, browser.clone()))
                .collect(),
            false => Vec::new(),
        },
    }
}

/// Who can be told, and how it stands with each
#[utoipa::path(
    get,
    path = "/api/v1/communes/{commune}/targets",
    responses((status = 200, body = TargetsView), (status = 404, body = ProblemJson))
)]
async fn targets(
    State(state): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<TargetsView>, ProblemJson> {
    let commune: CommuneId = commune(&state, &id)?;
    let alerts = state.events.alerts(&commune);
    let channels = state.outbound.statuses(&commune);
    let read = read(&state, move |store| {
        Ok((store.target_states(&commune)?, store.browsers(&commune)?))
    });
    let (states, browsers) = read.await?;
    let targets = alerts.targets.iter();
    Ok(Json(TargetsView {
        policy: alerts.policy.as_ref().map(ToString::to_string),
        rules: alerts.rules.len(),
        targets: targets
            .map(|(name, target)| view(name, target, &states, &browsers))
            .collect(),
        channels,
    }))
}

/// Try whether a target can be reached: it is told of an event that is made for that
#[utoipa::path(
    post,
    path = "/api/v1/communes/{commune}/targets/{target}/test",
    operation_id = "test_target",
    request_body = WhoBody,
    responses(
        (status = 202, body = Told),
        (status = 404, body = ProblemJson),
        (status = 422, body = ProblemJson)
    )
)]
async fn test(
    State(state): State<ApiState>,
    Path((id, target)): Path<(String, String)>,
    Json(body): Json<WhoBody>,
) -> Result<(StatusCode, Json<Told>), ProblemJson> {
    let commune = commune(&state, &id)?;
    let told = state.events.test(&commune, &target, &body.who).await;
    let told = told.map_err(|error| match error {
        StoreError::Unknown => ProblemJson::not_found("such target"),
        other => other.into(),
    })?;
    Ok((StatusCode::ACCEPTED, Json(told)))
}

/// Messages to a commune's targets, the newest first, a hundred at once
#[utoipa::path(
    get,
    path = "/api/v1/communes/{commune}/deliveries",
    params(DeliveryQuery),
    responses((status = 200, body = [Delivery]), (status = 404, body = ProblemJson))
)]
async fn deliveries(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    Query(query): Query<DeliveryQuery>,
) -> Result<Json<Vec<Delivery>>, ProblemJson> {
    let commune = commune(&state, &id)?;
    let read = read(&state, move |store| {
        store.deliveries(&commune, query.state, query.target.as_deref(), query.before)
    });
    Ok(Json(read.await?))
}

/// Have a message that was given up tried once more
#[utoipa::path(
    post,
    path = "/api/v1/communes/{commune}/deliveries/{number}/retry",
    operation_id = "retry_delivery",
    request_body = WhoBody,
    responses(
        (status = 202),
        (status = 404, body = ProblemJson),
        (status = 422, body = ProblemJson)
    )
)]
async fn retry(
    State(state): State<ApiState>,
    Path((id, number)): Path<(String, u64)>,
    Json(body): Json<WhoBody>,
) -> Result<StatusCode, ProblemJson> {
    let commune = commune(&state, &id)?;
    let retried = state.events.retry(&commune, number, &body.who).await;
    retried.map_err(|error| match error {
        StoreError::Unknown => ProblemJson::not_found("message that was given up"),
        other => other.into(),
    })?;
    Ok(StatusCode::ACCEPTED)
}
