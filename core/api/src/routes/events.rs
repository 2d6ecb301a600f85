//! `/api/v1/communes/{commune}/events` and `…/silences`: what was seen, who dealt with it, live.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Extension, Json, Router};
use serde::{Deserialize, Serialize};
use taimat_base::{CameraId, CommuneId, clock};
use taimat_contract::UnixMicros;
use taimat_events::{
    Answer, EventId, EventPage, EventQuery, EventState, EventStore, NewSilence, Silence, Standing,
    StoreError, Story, Told,
};
use tokio::sync::broadcast::error::RecvError;
use utoipa::{OpenApi, ToSchema};

use super::plugins::commune;
use crate::client::Client;
use crate::problem::ProblemJson;
use crate::state::ApiState;

/// Events that are answered at once at most.
const MAX_AT_ONCE: usize = 500;

/// Who says that an event is dealt with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AnswerBody {
    /// The name of the person, until accounts exist.
    who: String,
    /// What is said.
    answer: AnswerWord,
}

/// What a person says of an event.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AnswerWord {
    /// It is dealt with.
    Seen,
    /// Nothing was there.
    FalseAlarm,
    /// Neither, after all.
    TakenBack,
}

/// As [`AnswerBody`], for several events.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AnswersBody {
    /// The name of the person, until accounts exist.
    who: String,
    /// What is said.
    answer: AnswerWord,
    /// Of which events; 500 at most.
    #[schema(value_type = Vec<String>)]
    events: Vec<EventId>,
}

/// What became of several answers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AnswersView {
    /// Events that bear the answer now.
    #[schema(value_type = Vec<String>)]
    answered: Vec<EventId>,
    /// Events that are not there.
    #[schema(value_type = Vec<String>)]
    unknown: Vec<EventId>,
}

/// What somebody writes about an event.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommentBody {
    /// The name of the person, until accounts exist.
    who: String,
    /// What is written; 2,000 characters at most.
    text: String,
}

/// Who is to deal with an event.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AssignBody {
    /// The name of the person who says so, until accounts exist.
    who: String,
    /// Who is to deal with it; `null` is nobody any more.
    to: Option<String>,
}

/// What nobody wants to be told of.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SilenceBody {
    /// At this camera; none is all.
    camera: Option<String>,
    /// Of this kind; none is all.
    kind: Option<String>,
    /// When it ends, in microseconds since 1970; within thirty days.
    until: i64,
    /// The name of the person, until accounts exist.
    who: String,
    /// Why; may be missing.
    #[serde(default)]
    why: String,
}

#[derive(Debug, Deserialize)]
struct PictureQuery {
    #[serde(default)]
    marked: bool,
}

#[derive(Debug, Deserialize)]
struct LiveQuery {
    after: Option<u64>,
}

/// What is described here.
#[derive(OpenApi)]
#[openapi(
    paths(
        list,
        standing,
        one,
        picture,
        answer,
        answers,
        comment,
        assign,
        live,
        silences,
        silence,
        end_silence
    ),
    // A parameter's schema is not found by itself.
    components(schemas(EventState))
)]
pub(crate) struct Description;

pub(crate) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/api/v1/communes/{commune}/events", get(list))
        .route("/api/v1/communes/{commune}/events/standing", get(standing))
        .route("/api/v1/communes/{commune}/events/live", get(live))
        .route("/api/v1/communes/{commune}/events/answers", post(answers))
        .route("/api/v1/communes/{commune}/events/{event}", get(one))
        .route(
            "/api/v1/communes/{commune}/events/{event}/picture",
            get(picture),
        )
        .route(
            "/api/v1/communes/{commune}/events/{event}/answer",
            post(answer),
        )
        .route(
            "/api/v1/communes/{commune}/events/{event}/comments",
            post(comment),
        )
        .route(
            "/api/v1/communes/{commune}/events/{event}/assignment",
            post(assign),
        )
        .route(
            "/api/v1/communes/{commune}/silences",
            get(silences).post(silence),
        )
        .route(
            "/api/v1/communes/{commune}/silences/{number}",
            delete(end_silence),
        )
}

fn now() -> UnixMicros {
    UnixMicros::from(clock::wall())
}

impl From<StoreError> for ProblemJson {
    fn from(error: StoreError) -> Self {
        let detail = error.to_string();
        match error {
            StoreError::Unknown => Self::not_found("such event"),
            StoreError::Refused(why) => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "not-accepted",
                "Not accepted",
                why,
            ),
            StoreError::Stopped => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "events-busy",
                "Events are not to be had now",
                detail,
            ),
            _ => {
                tracing::error!(error = %detail, "events can not be read or written");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "events",
                    "Events can not be read or written",
                    detail,
                )
            }
        }
    }
}

fn named(event: &str) -> Result<EventId, ProblemJson> {
    event
        .parse()
        .map_err(|_odd| ProblemJson::not_found("such event"))
}

/// Reads beside the tasks that must not wait.
pub(super) async fn read<T: Send + 'static>(
    state: &ApiState,
    read: impl FnOnce(&EventStore) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, ProblemJson> {
    let store = Arc::clone(state.events.store());
    match tokio::task::spawn_blocking(move || read(&store)).await {
        Ok(read) => Ok(read?),
        Err(_panicked) => Err(StoreError::Stopped.into()),
    }
}

/// The event's name, if it is of that commune.
async fn of(state: &ApiState, commune_id: &str, event: &str) -> Result<EventId, ProblemJson> {
    let commune = commune(state, commune_id)?;
    let id = named(event)?;
    let event = read(state, move |store| store.event(id)).await?;
    if event.commune == commune {
        Ok(id)
    } else {
        Err(ProblemJson::not_found("such event"))
    }
}

/// A commune's events, the newest first
#[utoipa::path(
    get,
    path = "/api/v1/communes/{commune}/events",
    operation_id = "events",
    params(EventQuery),
    responses((status = 200, body = EventPage), (status = 404, body = ProblemJson))
)]
async fn list(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    Query(query): Query<EventQuery>,
) -> Result<Json<EventPage>, ProblemJson> {
    let commune = commune(&state, &id)?;
    let page = read(&state, move |store| store.events(&commune, &query)).await?;
    Ok(Json(page))
}

/// How many events go on, and how many nobody has dealt with
#[utoipa::path(
    get,
    path = "/api/v1/communes/{commune}/events/standing",
    responses((status = 200, body = Standing), (status = 404, body = ProblemJson))
)]
async fn standing(
    State(state): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<Standing>, ProblemJson> {
    let commune = commune(&state, &id)?;
    let standing = read(&state, move |store| store.standing(&commune)).await?;
    Ok(Json(standing))
}

/// An event, and what happened to it
#[utoipa::path(
    get,
    path = "/api/v1/communes/{commune}/events/{event}",
    operation_id = "event",
    responses((status = 200, body = Story), (status = 404, body = ProblemJson))
)]
async fn one(
    State(state): State<ApiState>,
    Path((commune, event)): Path<(String, String)>,
) -> Result<Json<Story>, ProblemJson> {
    let id = of(&state, &commune, &event).await?;
    let story = read(&state, move |store| store.story(id)).await?;
    Ok(Json(story))
}

/// The picture in which an event was seen best, a JPEG
#[utoipa::path(
    get,
    path = "/api/v1/communes/{commune}/events/{event}/picture",
    params(("marked" = Option<bool>, Query, description = "with what was seen drawn into it")),
    responses(
        (status = 200, body = Vec<u8>, content_type = "image/jpeg"),
        (status = 404, body = ProblemJson)
    )
)]
async fn picture(
    State(state): State<ApiState>,
    Path((commune, event)): Path<(String, String)>,
    Query(chosen): Query<PictureQuery>,
) -> Result<Response, ProblemJson> {
    let id = of(&state, &commune, &event).await?;
    let jpeg = read(&state, move |store| store.picture(id, chosen.marked)).await;
    let jpeg = jpeg.map_err(|problem| match problem.status {
        404 => ProblemJson::not_found("picture of this event"),
        _ => problem,
    })?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("image/jpeg")),
        // A better one may come while the event goes on; the page asks with the revision.
        (
            header::CACHE_CONTROL,
            HeaderValue::from_static("private, max-age=3600"),
        ),
    ];
    Ok((headers, jpeg).into_response())
}

impl From<AnswerWord> for Answer {
    fn from(word: AnswerWord) -> Self {
        match word {
            AnswerWord::Seen => Self::Seen,
            AnswerWord::FalseAlarm => Self::FalseAlarm,
            AnswerWord::TakenBack => Self::TakenBack,
        }
    }
}

/// Say that an event is dealt with, was a false alarm, or neither after all
#[utoipa::path(
    post,
    path = "/api/v1/communes/{commune}/events/{event}/answer",
    request_body = AnswerBody,
    responses(
        (status = 200, body = Told),
        (status = 404, body = ProblemJson),
        (status = 422, body = ProblemJson)
    )
)]
async fn answer(
    State(state): State<ApiState>,
    Path((commune, event)): Path<(String, String)>,
    Json(body): Json<AnswerBody>,
) -> Result<Json<Told>, ProblemJson> {
    let id = of(&state, &commune, &event).await?;
    let told = state.events.answer(id, &body.who, body.answer.into());
    Ok(Json(told.await?))
}

/// Say the same of several events
#[utoipa::path(
    post,
    path = "/api/v1/communes/{commune}/events/answers",
    request_body = AnswersBody,
    responses(
        (status = 200, body = AnswersView),
        (status = 404, body = ProblemJson),
        (status = 422, body = ProblemJson)
    )
)]
async fn answers(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    Json(body): Json<AnswersBody>,
) -> Result<Json<AnswersView>, ProblemJson> {
    commune(&state, &id)?;
    if body.events.len() > MAX_AT_ONCE {
        let many = format!("at most {MAX_AT_ONCE} events at once");
        return Err(StoreError::Refused(many).into());
    }
    let mut view = AnswersView {
        answered: Vec::new(),
        unknown: Vec::new(),
    };
    for event in body.events {
        let found = match of(&state, &id, &event.to_string()).await {
            Ok(_) => {
                let answer = body.answer.into();
                state.events.answer(event, &body.who, answer).await
            }
            Err(problem) if problem.status == 404 => Err(StoreError::Unknown),
            Err(problem) => return Err(problem),
        };
        match found {
            Ok(_) => view.answered.push(event),
            Err(StoreError::Unknown) => view.unknown.push(event),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Json(view))
}

/// Write something about an event
#[utoipa::path(
    post,
    path = "/api/v1/communes/{commune}/events/{event}/comments",
    request_body = CommentBody,
    responses(
        (status = 200, body = Told),
        (status = 404, body = ProblemJson),
        (status = 422, body = ProblemJson)
    )
)]
async fn comment(
    State(state): State<ApiState>,
    Path((commune, event)): Path<(String, String)>,
    Json(body): Json<CommentBody>,
) -> Result<Json<Told>, ProblemJson> {
    let id = of(&state, &commune, &event).await?;
    let store = state.events.store();
    let told = store.comment(id, &body.who, &body.text, now()).await?;
    Ok(Json(told))
}

/// Say who is to deal with an event
#[utoipa::path(
    post,
    path = "/api/v1/communes/{commune}/events/{event}/assignment",
    request_body = AssignBody,
    responses(
        (status = 200, body = Told),
        (status = 404, body = ProblemJson),
        (status = 422, body = ProblemJson)
    )
)]
async fn assign(
    State(state): State<ApiState>,
    Path((commune, event)): Path<(String, String)>,
    Json(body): Json<AssignBody>,
) -> Result<Json<Told>, ProblemJson> {
    let id = of(&state, &commune, &event).await?;
    let store = state.events.store();
    let told = store.assign(id, &body.who, body.to.as_deref(), now());
    Ok(Json(told.await?))
}

/// Events as they happen (server-sent events)
///
/// Each has the number of its entry as id: who comes back with `Last-Event-ID`, or asks for what came
/// `after` the `seq` of a page, misses nothing.
#[utoipa::path(
    get,
    path = "/api/v1/communes/{commune}/events/live",
    params(
        ("after" = Option<u64>, Query, description = "what came after this entry first"),
        ("last-event-id" = Option<u64>, Header, description = "the same, as browsers say it")
    ),
    responses(
        (status = 200, body = Told, content_type = "text/event-stream", description = "the data of each event"),
        (status = 404, body = ProblemJson),
        (status = 503, body = ProblemJson)
    )
)]
async fn live(
    State(state): State<ApiState>,
    Extension(client): Extension<Client>,
    Path(id): Path<String>,
    Query(query): Query<LiveQuery>,
    headers: HeaderMap,
) -> Result<Sse<impl futures_core::Stream<Item = Result<Sent, Infallible>>>, ProblemJson> {
    let commune = commune(&state, &id)?;
    let place = state.stream_place(client)?;
    let last = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok()?.trim().parse().ok());
    let after = last.or(query.after);
    // Followed before what was missed is read, so that nothing falls between.
    let follow = state.events.store().follow();
    let stream = async_stream::stream! {
        let _place = place;
        let mut follow = follow;
        let mut missed = after;
        let mut sent = after.unwrap_or(0);
        loop {
            while let Some(seq) = missed {
                let Ok(told) = read(&state, move |store| store.told_after(seq)).await else {
                    return;
                };
                missed = told.last().map(|told| told.entry.seq);
                for told in told.into_iter().filter(|told| told.event.commune == commune) {
                    sent = told.entry.seq;
                    if let Some(event) = to_send(&told) {
                        yield Ok(event);
                    }
                }
            }
            match follow.recv().await {
                Ok(told) if told.entry.seq <= sent || told.event.commune != commune => {}
                Ok(told) => {
                    sent = told.entry.seq;
                    if let Some(event) = to_send(&told) {
                        yield Ok(event);
                    }
                }
                Err(RecvError::Lagged(_)) => missed = Some(sent),
                Err(RecvError::Closed) => break,
            }
        }
    };
    Ok(Sse::new(stream).keep_alive(KeepAlive::default()))
}

fn to_send(told: &Told) -> Option<Sent> {
    let event = Sent::default().id(told.entry.seq.to_string());
    event.json_data(told).ok()
}

/// What nobody wants to be told of at present
#[utoipa::path(
    get,
    path = "/api/v1/communes/{commune}/silences",
    responses((status = 200, body = [Silence]), (status = 404, body = ProblemJson))
)]
async fn silences(
    State(state): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<Vec<Silence>>, ProblemJson> {
    let commune = commune(&state, &id)?;
    let mut silences = read(&state, |store| store.silences(now())).await?;
    silences.retain(|silence| silence.commune == commune);
    Ok(Json(silences))
}

/// Nobody is to be told of events of a camera or kind until a time
#[utoipa::path(
    post,
    path = "/api/v1/communes/{commune}/silences",
    request_body = SilenceBody,
    responses(
        (status = 201, body = Silence),
        (status = 404, body = ProblemJson),
        (status = 422, body = ProblemJson)
    )
)]
async fn silence(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    Json(body): Json<SilenceBody>,
) -> Result<(StatusCode, Json<Silence>), ProblemJson> {
    let commune = commune(&state, &id)?;
    let silence = NewSilence {
        camera: camera(&state, &commune, body.camera.as_deref())?,
        commune,
        kind: body.kind,
        until: UnixMicros(body.until),
        who: body.who,
        why: body.why,
    };
    let made = state.events.store().silence(silence, now()).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// A camera that is there.
fn camera(
    state: &ApiState,
    commune: &CommuneId,
    camera: Option<&str>,
) -> Result<Option<CameraId>, ProblemJson> {
    let Some(camera) = camera else {
        return Ok(None);
    };
    let snapshot = state.directory.snapshot();
    let mut cameras = snapshot
        .communes
        .iter()
        .filter(|c| c.id == *commune)
        .flat_map(|c| &c.cameras);
    cameras
        .find(|c| c.id.as_str() == camera)
        .map(|c| Some(c.id.clone()))
        .ok_or_else(|| ProblemJson::not_found("such camera"))
}

/// End a silence
#[utoipa::path(
    delete,
    path = "/api/v1/communes/{commune}/silences/{number}",
    responses((status = 204), (status = 404, body = ProblemJson))
)]
async fn end_silence(
    State(state): State<ApiState>,
    Path((id, number)): Path<(String, u64)>,
) -> Result<StatusCode, ProblemJson> {
    let commune = commune(&state, &id)?;
    if state.events.store().end_silence(&commune, number).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ProblemJson::not_found("such silence"))
    }
}
