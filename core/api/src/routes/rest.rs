//! `/api/v1`: communes, cameras with their live state, and viewer sessions.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Serialize, Serializer};
use taimat_base::{CameraKey, CommuneId, Profile, clock};
use taimat_egress::webrtc::{EndReason, SessionInfo};
use taimat_hub::{Channel, ChannelKey, SourceState};
use taimat_media::Quirks;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use utoipa::{OpenApi, ToSchema};

use super::whep::key;
use crate::directory::{Camera, Commune};
use crate::problem::ProblemJson;
use crate::state::ApiState;

/// Why a camera has no sound although it is wanted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NoSoundView {
    /// `unsupported`, `unconfigured`, `back_channel`, `refused` or `none`.
    reason: &'static str,
    /// More about it, in English.
    detail: String,
}

/// One encoding of a camera, live.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProfileView {
    /// Which one.
    #[schema(schema_with = profiles)]
    profile: &'static str,
    /// How it is doing.
    #[schema(schema_with = states)]
    state: &'static str,
    /// Since when, in seconds since 1970.
    since: f64,
    /// Why it is not live: a word from a closed set.
    cause: Option<&'static str>,
    /// More about the cause, in English.
    detail: Option<String>,
    /// When it is tried again, in seconds since 1970.
    retry_at: Option<f64>,
    /// Seconds since the last picture arrived.
    picture_age: Option<f64>,
    /// Video codec.
    codec: Option<&'static str>,
    /// Width in pixels.
    width: Option<u32>,
    /// Height in pixels.
    height: Option<u32>,
    /// Audio codec, if sound is carried.
    audio: Option<&'static str>,
    /// Media bits a second.
    bits_per_second: f64,
    /// Pictures a second.
    frames_per_second: f64,
    /// Seconds between key frames.
    keyframe_interval: Option<f64>,
    /// WebRTC viewers.
    viewers: usize,
    /// Reconnections by cause since the router started.
    reconnects: Vec<(&'static str, u64)>,
    /// The way that its media takes, or took last: `tcp`, `udp` or `multicast`.
    transport: Option<&'static str>,
    /// Why there is no sound although it is wanted.
    no_sound: Option<NoSoundView>,
    /// What the camera does that no standard says and that is put up with: a word from a closed
    /// set, and how often it was seen since the camera was configured.
    #[serde(serialize_with = "seen")]
    #[schema(value_type = BTreeMap<String, u32>)]
    quirks: Quirks,
}

/// A camera.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CameraView {
    /// Its name in URLs.
    id: String,
    /// Its name for people.
    title: String,
    /// Whether it runs only while somebody watches.
    on_demand: bool,
    /// Its encodings, main first.
    profiles: Vec<ProfileView>,
}

/// A commune.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CommuneView {
    /// Its name in URLs.
    id: String,
    /// Its name for people.
    name: String,
    /// Its time zone.
    time_zone: String,
    /// Its cameras.
    cameras: Vec<CameraView>,
}

/// Something wrong in a configuration file.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConfigProblem {
    /// File, line and column.
    place: String,
    /// What is wrong.
    message: String,
    /// What would be right.
    hint: Option<String>,
}

/// All there is, in one answer: what the console asks for every two seconds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Overview {
    /// The server's clock, in seconds since 1970.
    now: f64,
    /// Its version.
    version: &'static str,
    /// The communes.
    communes: Vec<CommuneView>,
    /// What is wrong with the configuration as it is in the files now.
    problems: Vec<ConfigProblem>,
}

pub(crate) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/api/v1/overview", get(overview))
        .route("/api/v1/communes", get(communes))
        .route("/api/v1/communes/{commune}", get(commune))
        .route("/api/v1/communes/{commune}/cameras", get(cameras))
        .route("/api/v1/communes/{commune}/cameras/{camera}", get(camera))
        .route("/api/v1/sessions", get(sessions))
        .route("/api/v1/sessions/{id}", get(session).delete(end_session))
}

/// What is described here.
#[derive(OpenApi)]
#[openapi(
    paths(
        overview,
        communes,
        commune,
        cameras,
        camera,
        sessions,
        session,
        end_session
    ),
    components(schemas(ProblemJson))
)]
pub(crate) struct Description;

fn profiles() -> Object {
    words(Profile::ALL.map(Profile::as_str))
}

fn states() -> Object {
    words(SourceState::ALL.map(SourceState::as_str))
}

/// A word from a closed set.
fn words<const N: usize>(words: [&'static str; N]) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(words))
        .build()
}

/// Everything at once
#[utoipa::path(get, path = "/api/v1/overview", responses((status = 200, body = Overview)))]
async fn overview(State(state): State<ApiState>) -> Json<Overview> {
    let snapshot = state.directory.snapshot();
    let problem = |p: &taimat_base::Problem| ConfigProblem {
        place: p.place.to_string(),
        message: p.message.clone(),
        hint: p.hint.clone(),
    };
    Json(Overview {
        now: clock::unix_seconds(clock::wall()),
        version: env!("CARGO_PKG_VERSION"),
        communes: list(&state),
        problems: snapshot.problems.iter().map(problem).collect(),
    })
}

/// All communes with their cameras
#[utoipa::path(get, path = "/api/v1/communes", responses((status = 200, body = [CommuneView])))]
async fn communes(State(state): State<ApiState>) -> Json<Vec<CommuneView>> {
    Json(list(&state))
}

/// One commune
#[utoipa::path(
    get,
    path = "/api/v1/communes/{commune}",
    responses((status = 200, body = CommuneView), (status = 404, body = ProblemJson))
)]
async fn commune(
    State(state): State<ApiState>,
    Path(commune): Path<String>,
) -> Result<Json<CommuneView>, ProblemJson> {
    let found = list(&state).into_iter().find(|c| c.id == commune);
    found
        .map(Json)
        .ok_or_else(|| ProblemJson::not_found("such commune"))
}

/// A commune's cameras
#[utoipa::path(
    get,
    path = "/api/v1/communes/{commune}/cameras",
    responses((status = 200, body = [CameraView]), (status = 404, body = ProblemJson))
)]
async fn cameras(
    state: State<ApiState>,
    commune_id: Path<String>,
) -> Result<Json<Vec<CameraView>>, ProblemJson> {
    commune(state, commune_id).await.map(|c| Json(c.0.cameras))
}

/// One camera
#[utoipa::path(
    get,
    path = "/api/v1/communes/{commune}/cameras/{camera}",
    responses((status = 200, body = CameraView), (status = 404, body = ProblemJson))
)]
async fn camera(
    State(state): State<ApiState>,
    Path((commune, camera)): Path<(String, String)>,
) -> Result<Json<CameraView>, ProblemJson> {
    let key = key(&commune, &camera)?;
    let snapshot = state.directory.snapshot();
    let configured = snapshot
        .communes
        .iter()
        .filter(|c| c.id == key.commune)
        .flat_map(|c| &c.cameras)
        .find(|c| c.id == key.camera);
    match configured {
        Some(configured) => Ok(Json(view(
            &state,
            &key.commune,
            configured,
            &state.whep.sessions(),
        ))),
        None => Err(ProblemJson::not_found("such camera")),
    }
}

/// Viewer sessions, oldest first
#[utoipa::path(get, path = "/api/v1/sessions", responses((status = 200, body = [SessionInfo])))]
async fn sessions(State(state): State<ApiState>) -> Json<Vec<SessionInfo>> {
    Json(state.whep.sessions())
}

/// One viewer session; its number is the `taimat-session` of the answer to its offer
#[utoipa::path(
    get,
    path = "/api/v1/sessions/{id}",
    responses((status = 200, body = SessionInfo), (status = 404, body = ProblemJson))
)]
async fn session(
    State(state): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<SessionInfo>, ProblemJson> {
    let id: Option<u64> = id.parse().ok();
    let mut all = state.whep.sessions().into_iter();
    all.find(|session| Some(session.id) == id)
        .map(Json)
        .ok_or_else(|| ProblemJson::not_found("such session"))
}

/// End a viewer session
#[utoipa::path(
    delete,
    path = "/api/v1/sessions/{id}",
    responses((status = 204), (status = 404, body = ProblemJson))
)]
async fn end_session(
    State(state): State<ApiState>,
    Path(id): Path<String>,
) -> Result<StatusCode, ProblemJson> {
    let ended = id
        .parse()
        .is_ok_and(|id| state.whep.end_session(id, EndReason::Revoked));
    if ended {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ProblemJson::not_found("such session"))
    }
}

fn list(state: &ApiState) -> Vec<CommuneView> {
    let snapshot = state.directory.snapshot();
    let sessions = state.whep.sessions();
    let one = |commune: &Commune| CommuneView {
        id: commune.id.to_string(),
        name: commune.name.clone(),
        time_zone: commune.time_zone.clone(),
        cameras: commune
            .cameras
            .iter()
            .map(|c| view(state, &commune.id, c, &sessions))
            .collect(),
    };
    snapshot.communes.iter().map(one).collect()
}

fn view(
    state: &ApiState,
    commune: &CommuneId,
    camera: &Camera,
    sessions: &[SessionInfo],
) -> CameraView {
    let key = CameraKey::new(commune.clone(), camera.id.clone());
    let profiles = Profile::ALL
        .into_iter()
        .filter_map(|profile| state.hub.get(&ChannelKey::new(key.clone(), profile)))
        .map(|channel| profile_view(state, &channel, sessions))
        .collect();
    CameraView {
        id: camera.id.to_string(),
        title: camera.title.clone(),
        on_demand: camera.on_demand,
        profiles,
    }
}

fn profile_view(state: &ApiState, channel: &Channel, sessions: &[SessionInfo]) -> ProfileView {
    let now = clock::now();
    let status = channel.status();
    let rates = channel.rates(now);
    let info = channel.info();
    let facts = channel.facts();
    let video = info.as_ref().and_then(|i| i.video.as_ref());
    let key = channel.key();
    let watches = |s: &&SessionInfo| {
        s.commune == key.camera.commune.as_str()
            && s.camera == key.camera.camera.as_str()
            && s.profile == key.profile.as_str()
    };
    ProfileView {
        profile: key.profile.as_str(),
        state: status.state.as_str(),
        since: clock::unix_seconds(status.since),
        cause: status.cause.map(|c| c.as_str()),
        detail: status.detail,
        retry_at: status.retry_at.map(clock::unix_seconds),
        picture_age: channel
            .last_picture()
            .map(|at| now.saturating_duration_since(at).as_secs_f64()),
        codec: video.map(|v| v.codec.name()),
        width: video.map(|v| v.params.width),
        height: video.map(|v| v.params.height),
        audio: info
            .as_ref()
            .and_then(|i| i.audio.as_ref())
            .map(|a| a.codec.name()),
        bits_per_second: rates.bits_per_second,
        frames_per_second: rates.frames_per_second,
        keyframe_interval: rates.keyframe_interval_seconds,
        viewers: sessions.iter().filter(watches).count(),
        reconnects: state
            .ingest
            .faults(key)
            .into_iter()
            .map(|(c, n)| (c.as_str(), n))
            .collect(),
        transport: facts.transport,
        no_sound: facts
            .no_sound
            .map(|(reason, detail)| NoSoundView { reason, detail }),
        quirks: facts.quirks,
    }
}

/// Only the quirks that were seen, in the order in which they are shown.
fn seen<S: Serializer>(quirks: &Quirks, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(quirks.seen().map(|(quirk, times)| (quirk.as_str(), times)))
}

#[cfg(test)]
mod tests {
    use taimat_media::Quirk;

    use super::*;

    #[derive(Serialize)]
    struct Said(#[serde(serialize_with = "seen")] Quirks);

    #[test]
    fn only_quirks_that_were_seen_are_said() {
        let mut quirks = Quirks::default();
        assert_eq!(serde_json::to_string(&Said(quirks.clone())).unwrap(), "{}");
        quirks.note(Quirk::LongGroups);
        quirks.add(Quirk::StrayBytes, 3);
        assert_eq!(
            serde_json::to_string(&Said(quirks)).unwrap(),
            r#"{"stray_bytes":3,"long_groups":1}"#
        );
    }
}
