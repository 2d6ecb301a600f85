//! `/api/v1/communes/{commune}/recordings` and `…/cameras/{camera}/recordings/…`: what there is of a camera,
//! and its pictures, as a playlist, as one file, or as they lie on the disk.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use taimat_archive::{Archive, ArchiveError, Gap, MovieFile, Recorded};
use taimat_base::{CameraId, CameraKey, CommuneId, Profile, clock};
use taimat_contract::UnixMicros;
use taimat_hub::ChannelKey;
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::plugins::commune;
use crate::bytes::{self, Piece};
use crate::problem::ProblemJson;
use crate::state::ApiState;

/// Pictures are not wider than this.
const MAX_WIDTH: u32 = 3840;
/// What is being fetched may be asked for again after so many seconds.
const FETCHING_SECONDS: u32 = 2;
/// Cameras of one answer at most.
const MAX_CAMERAS: usize = 64;

/// Which interval of which cameras.
#[derive(Debug, Deserialize, IntoParams)]
pub(crate) struct TimelinesQuery {
    /// From when on, in microseconds since 1970.
    from: i64,
    /// Until when; at most a month later.
    to: i64,
    /// Cameras, with commas between them; all that are recorded if it is missing.
    cameras: Option<String>,
    /// `main` or `sub`; `main` if it is missing.
    profile: Option<String>,
}

/// Which interval.
#[derive(Debug, Deserialize, IntoParams)]
pub(crate) struct ClipQuery {
    /// From when on, in microseconds since 1970.
    from: i64,
    /// Until when; at most six hours later.
    to: i64,
    /// `main` or `sub`; `main` if it is missing.
    profile: Option<String>,
}

#[derive(Debug, Deserialize)]
struct SegmentQuery {
    profile: Option<String>,
}

/// Which picture.
#[derive(Debug, Deserialize, IntoParams)]
pub(crate) struct PictureQuery {
    /// When it was shown, in microseconds since 1970.
    at: i64,
    /// Pixels that it is wide at most; 640 if it is missing.
    width: Option<u32>,
    /// `main` or `sub`; `main` if it is missing.
    profile: Option<String>,
    /// `false` takes the key frame before it, which costs less.
    exact: Option<bool>,
}

/// What there is of a camera in an interval: what was recorded and what is missing are together all of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CameraTimeline {
    /// The camera.
    #[schema(value_type = String)]
    camera: CameraId,
    /// What was recorded, in order.
    recorded: Vec<Recorded>,
    /// What is missing, and why, in order.
    gaps: Vec<Gap>,
}

/// What there is of several cameras.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Timelines {
    /// The router's clock, in microseconds since 1970.
    now: UnixMicros,
    /// One for each camera.
    cameras: Vec<CameraTimeline>,
}

/// What is described here.
#[derive(OpenApi)]
#[openapi(paths(timelines, playlist, movie, segment, picture))]
pub(crate) struct Description;

pub(crate) fn routes() -> Router<ApiState> {
    let of =
        |what: &str| format!("/api/v1/communes/{{commune}}/cameras/{{camera}}/recordings/{what}");
    Router::new()
        .route("/api/v1/communes/{commune}/recordings", get(timelines))
        .route(&of("playlist.m3u8"), get(playlist))
        .route(&of("movie.mp4"), get(movie))
        .route(&of("segments/{file}"), get(segment))
        .route(&of("picture.jpg"), get(picture))
}

impl From<ArchiveError> for ProblemJson {
    fn from(error: ArchiveError) -> Self {
        let detail = error.to_string();
        match error {
            ArchiveError::Unknown => Self::not_found("such recording"),
            ArchiveError::Refused(why) => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "not-accepted",
                "Not accepted",
                why,
            ),
            // Players try again by themselves.
            ArchiveError::Fetching { .. } => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "fetching",
                "Being fetched",
                detail,
            )
            .again_after(FETCHING_SECONDS),
            ArchiveError::Stopped => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "archive-busy",
                "Recordings are not to be had now",
                detail,
            ),
            _ => {
                tracing::error!(error = %detail, "recordings can not be read or written");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "archive",
                    "Recordings can not be read or written",
                    "the router could not read or write recordings; its log says why",
                )
            }
        }
    }
}

/// Reads beside the tasks that must not wait.
pub(super) async fn read<T: Send + 'static>(
    state: &ApiState,
    read: impl FnOnce(&Archive) -> Result<T, ArchiveError> + Send + 'static,
) -> Result<T, ProblemJson> {
    let archive = Arc::clone(&state.archive);
    match tokio::task::spawn_blocking(move || read(&archive)).await {
        Ok(read) => Ok(read?),
        Err(panic) => Err(ProblemJson::panicked(&panic)),
    }
}

/// The profile of that name.
pub(super) fn profile(word: Option<&str>) -> Result<Profile, ProblemJson> {
    let Some(word) = word else {
        return Ok(Profile::Main);
    };
    let found = Profile::ALL.into_iter().find(|p| p.as_str() == word);
    found.ok_or_else(|| ProblemJson::not_found("such profile"))
}

/// The stream of that name; the camera may be one that is not in the file any more.
pub(super) fn stream(
    state: &ApiState,
    commune_id: &str,
    camera: &str,
    profile_word: Option<&str>,
) -> Result<ChannelKey, ProblemJson> {
    let commune = commune(state, commune_id)?;
    let camera = camera
        .parse()
        .map_err(|_odd| ProblemJson::not_found("such camera"))?;
    let camera = CameraKey::new(commune, camera);
    Ok(ChannelKey::new(camera, profile(profile_word)?))
}

/// What there is of a commune's cameras
#[utoipa::path(
    get,
    path = "/api/v1/communes/{commune}/recordings",
    operation_id = "recordings",
    params(TimelinesQuery),
    responses((status = 200, body = Timelines), (status = 404, body = ProblemJson))
)]
async fn timelines(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    Query(query): Query<TimelinesQuery>,
) -> Result<Json<Timelines>, ProblemJson> {
    let commune = commune(&state, &id)?;
    let profile = profile(query.profile.as_deref())?;
    let cameras = match &query.cameras {
        None => all_cameras(&state, &commune),
        Some(names) => named(names)?,
    };
    let (from, to) = (UnixMicros(query.from), UnixMicros(query.to));
    let found = read(&state, move |archive| {
        let of = |camera: CameraId| {
            let key = ChannelKey::new(CameraKey::new(commune.clone(), camera.clone()), profile);
            let timeline = archive.timeline(&key, from, to)?;
            Ok(CameraTimeline {
                camera,
                recorded: timeline.recorded,
                gaps: timeline.gaps,
            })
        };
        cameras.into_iter().map(of).collect::<Result<_, _>>()
    });
    Ok(Json(Timelines {
        now: UnixMicros::from(clock::wall()),
        cameras: found.await?,
    }))
}

fn all_cameras(state: &ApiState, commune: &CommuneId) -> Vec<CameraId> {
    let snapshot = state.directory.snapshot();
    let found = snapshot.communes.iter().find(|own| own.id == *commune);
    let cameras = found.into_iter().flat_map(|own| &own.cameras);
    cameras.map(|c| c.id.clone()).take(MAX_CAMERAS).collect()
}

fn named(names: &str) -> Result<Vec<CameraId>, ProblemJson> {
    let names: Vec<&str> = names.split(',').filter(|name| !name.is_empty()).collect();
    if names.len() > MAX_CAMERAS {
        let many = format!("at most {MAX_CAMERAS} cameras are answered at once");
        return Err(ArchiveError::Refused(many).into());
    }
    let parse = |name: &&str| {
        let camera = name.parse();
        camera.map_err(|_odd| ProblemJson::not_found("such camera"))
    };
    names.iter().map(parse).collect()
}

/// What there is of a camera between two moments, for players of HLS
#[utoipa::path(
    get,
    path = "/api/v1/communes/{commune}/cameras/{camera}/recordings/playlist.m3u8",
    operation_id = "playlist",
    params(ClipQuery),
    responses(
        (status = 200, body = String, content_type = "application/vnd.apple.mpegurl"),
        (status = 404, body = ProblemJson)
    )
)]
async fn playlist(
    State(state): State<ApiState>,
    Path((commune, camera)): Path<(String, String)>,
    Query(query): Query<ClipQuery>,
) -> Result<Response, ProblemJson> {
    let key = stream(&state, &commune, &camera, query.profile.as_deref())?;
    let (from, to) = (UnixMicros(query.from), UnixMicros(query.to));
    let profile = key.profile;
    let name = move |id| format!("segments/{id}.mp4?profile={profile}");
    let text = read(&state, move |archive| {
        archive.playlist(&key, from, to, name)
    })
    .await?;
    let headers = [
        (header::CONTENT_TYPE, "application/vnd.apple.mpegurl"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    Ok((headers, text).into_response())
}

/// What there is of a camera between two moments, as one MP4 file; ranges of it can be asked for
#[utoipa::path(
    get,
    path = "/api/v1/communes/{commune}/cameras/{camera}/recordings/movie.mp4",
    operation_id = "movie",
    params(ClipQuery),
    responses(
        (status = 200, body = Vec<u8>, content_type = "video/mp4"),
        (status = 206, body = Vec<u8>, content_type = "video/mp4"),
        (status = 404, body = ProblemJson),
        (status = 503, body = ProblemJson, description = "It is kept elsewhere and is being fetched: ask again")
    )
)]
async fn movie(
    State(state): State<ApiState>,
    Path((commune, camera)): Path<(String, String)>,
    Query(query): Query<ClipQuery>,
    headers: HeaderMap,
) -> Result<Response, ProblemJson> {
    let key = stream(&state, &commune, &camera, query.profile.as_deref())?;
    let (from, to) = (UnixMicros(query.from), UnixMicros(query.to));
    let movie = read(&state, move |archive| archive.movie(&key, from, to)).await?;
    let gaps = movie.gaps.len();
    let mut response = bytes::ranged(&headers, "video/mp4", pieces(&movie))?;
    let name = HeaderName::from_static("taimat-gaps");
    response.headers_mut().insert(name, HeaderValue::from(gaps));
    Ok(response)
}

/// A movie's bytes, in order.
pub(super) fn pieces(movie: &MovieFile) -> Vec<Piece> {
    let header = movie.movie.header(&[], &[]);
    let media = movie.pieces.iter().map(|piece| Piece::File {
        path: piece.path.clone(),
        offset: piece.offset,
        bytes: piece.bytes,
    });
    std::iter::once(Piece::Memory(header.into()))
        .chain(media)
        .collect()
}

/// A segment as it lies on the disk; ranges of it can be asked for
#[utoipa::path(
    get,
    path = "/api/v1/communes/{commune}/cameras/{camera}/recordings/segments/{file}",
    operation_id = "segment",
    params(("profile" = Option<String>, Query, description = "`main` or `sub`")),
    responses(
        (status = 200, body = Vec<u8>, content_type = "video/mp4"),
        (status = 206, body = Vec<u8>, content_type = "video/mp4"),
        (status = 404, body = ProblemJson),
        (status = 503, body = ProblemJson, description = "It is kept elsewhere and is being fetched: ask again")
    )
)]
async fn segment(
    State(state): State<ApiState>,
    Path((commune, camera, file)): Path<(String, String, String)>,
    Query(query): Query<SegmentQuery>,
    headers: HeaderMap,
) -> Result<Response, ProblemJson> {
    let key = stream(&state, &commune, &camera, query.profile.as_deref())?;
    let unknown = || ProblemJson::not_found("such recording");
    let id = file.strip_suffix(".mp4").and_then(|id| id.parse().ok());
    let id = id.ok_or_else(unknown)?;
    let file = read(&state, move |archive| archive.segment(&key, id)).await?;
    let whole = Piece::File {
        path: file.path,
        offset: 0,
        bytes: file.bytes,
    };
    bytes::ranged(&headers, "video/mp4", vec![whole])
}

/// What a camera showed at a moment, a JPEG
#[utoipa::path(
    get,
    path = "/api/v1/communes/{commune}/cameras/{camera}/recordings/picture.jpg",
    operation_id = "recorded_picture",
    params(PictureQuery),
    responses(
        (status = 200, body = Vec<u8>, content_type = "image/jpeg"),
        (status = 404, body = ProblemJson),
        (status = 503, body = ProblemJson, description = "It is kept elsewhere and is being fetched: ask again")
    )
)]
async fn picture(
    State(state): State<ApiState>,
    Path((commune, camera)): Path<(String, String)>,
    Query(query): Query<PictureQuery>,
) -> Result<Response, ProblemJson> {
    let key = stream(&state, &commune, &camera, query.profile.as_deref())?;
    let at = UnixMicros(query.at);
    let width = query.width.unwrap_or(640).min(MAX_WIDTH);
    let exact = query.exact.unwrap_or(true);
    let still = state.still;
    // It ends with the router only.
    let _turn = state.stills.acquire().await.ok();
    let made = read(&state, move |archive| {
        let units = archive.still(&key, at, exact)?;
        still(&units, width).ok_or(ArchiveError::Unknown)
    });
    let headers = [
        (header::CONTENT_TYPE, "image/jpeg"),
        // What was recorded does not change.
        (header::CACHE_CONTROL, "private, max-age=86400"),
    ];
    Ok((headers, made.await?).into_response())
}
