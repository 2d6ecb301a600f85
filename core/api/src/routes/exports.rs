//! `/api/v1/communes/{commune}/exports`: recordings that somebody takes out, for a reason.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use taimat_archive::{ArchiveError, Gap};
use taimat_base::CameraId;
use taimat_contract::UnixMicros;
use utoipa::{OpenApi, ToSchema};

use super::plugins::commune;
use super::recordings::profile;
use crate::bytes::{self, Piece};
use crate::exports::{ExportError, ExportOrder, Exported};
use crate::problem::ProblemJson;
use crate::sending;
use crate::state::ApiState;

/// Cameras of one export at most.
const MAX_CAMERAS: usize = 32;
/// When it is worth asking again.
const RETRY_SECONDS: u32 = 5;

/// What somebody wants to take out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportBody {
    /// Which cameras, at most 32.
    cameras: Vec<String>,
    /// From when on, in microseconds since 1970.
    from: i64,
    /// Until when; at most six hours later.
    to: i64,
    /// `main` or `sub`; `main` if it is missing.
    #[serde(default)]
    profile: Option<String>,
    /// The name of the person, until accounts exist.
    who: String,
    /// Why.
    why: String,
    /// The number of the case.
    case_number: String,
}

/// A file that can be fetched.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExportFileView {
    /// Its name.
    name: String,
    /// Whose it is.
    #[schema(value_type = String)]
    camera: CameraId,
    /// Bytes.
    bytes: u64,
    /// Where it is fetched.
    url: String,
    /// What is missing of what was asked for.
    gaps: Vec<Gap>,
}

/// All files of an export in one.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExportFolderView {
    /// Its name.
    name: String,
    /// Where it is fetched.
    url: String,
}

/// An export that can be fetched.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExportView {
    /// Its name.
    id: String,
    /// Its files are signed.
    signed: bool,
    /// Why they are not.
    unsigned_because: Option<String>,
    /// One for each camera that something is there of.
    files: Vec<ExportFileView>,
    /// All of them in one file, with what proves them together; none if they are not signed.
    folder: Option<ExportFolderView>,
    /// They can be fetched until then, in microseconds since 1970.
    until: UnixMicros,
}

/// What is described here.
#[derive(OpenApi)]
#[openapi(paths(export, file, folder))]
pub(crate) struct Description;

pub(crate) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/api/v1/communes/{commune}/exports", post(export))
        .route(
            "/api/v1/communes/{commune}/exports/{export}/folder.zip",
            get(folder),
        )
        .route(
            "/api/v1/communes/{commune}/exports/{export}/{file}",
            get(file),
        )
}

impl From<ExportError> for ProblemJson {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Archive(error) => error.into(),
            ExportError::Sign(why) => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "not-signed",
                "Not signed",
                why,
            ),
            ExportError::Busy => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "busy",
                "Too much to do",
                error.to_string(),
            )
            .again_after(RETRY_SECONDS),
        }
    }
}

fn view(exported: &Exported) -> ExportView {
    let file = |file: &crate::exports::ExportedFile| ExportFileView {
        name: file.name.clone(),
        camera: file.camera.clone(),
        bytes: file.bytes(),
        url: format!(
            "/api/v1/communes/{}/exports/{}/{}",
            exported.commune, exported.id, file.name
        ),
        gaps: file.gaps.clone(),
    };
    ExportView {
        id: exported.id.clone(),
        signed: exported.unsigned.is_none(),
        unsigned_because: exported.unsigned.clone(),
        files: exported.files.iter().map(file).collect(),
        folder: exported.folder.as_ref().map(|folder| ExportFolderView {
            name: folder.name(),
            url: format!(
                "/api/v1/communes/{}/exports/{}/folder.zip",
                exported.commune, exported.id
            ),
        }),
        until: exported.until,
    }
}

/// Takes recordings out: who, why and for which case is written down
#[utoipa::path(
    post,
    path = "/api/v1/communes/{commune}/exports",
    request_body = ExportBody,
    responses(
        (status = 201, body = ExportView),
        (status = 404, body = ProblemJson),
        (status = 422, body = ProblemJson),
        (status = 503, body = ProblemJson)
    )
)]
async fn export(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    Json(body): Json<ExportBody>,
) -> Result<(StatusCode, Json<ExportView>), ProblemJson> {
    let commune = commune(&state, &id)?;
    if body.cameras.is_empty() || body.cameras.len() > MAX_CAMERAS {
        let why = format!("an export is of 1 to {MAX_CAMERAS} cameras");
        return Err(ArchiveError::Refused(why).into());
    }
    let mut cameras = Vec::new();
    for name in &body.cameras {
        let camera: CameraId = name
            .parse()
            .map_err(|_odd| ProblemJson::not_found("such camera"))?;
        if !cameras.contains(&camera) {
            cameras.push(camera);
        }
    }
    let order = ExportOrder {
        commune,
        cameras,
        from: UnixMicros(body.from),
        to: UnixMicros(body.to),
        profile: profile(body.profile.as_deref())?,
        who: body.who,
        why: body.why,
        case_number: body.case_number,
    };
    let exported = state.exports.export(order).await?;
    Ok((StatusCode::CREATED, Json(view(&exported))))
}

/// A file of an export, an MP4; ranges of it can be asked for. Sending ends where it is not what was recorded
#[utoipa::path(
    get,
    path = "/api/v1/communes/{commune}/exports/{export}/{file}",
    operation_id = "exported_file",
    responses(
        (status = 200, body = Vec<u8>, content_type = "video/mp4"),
        (status = 206, body = Vec<u8>, content_type = "video/mp4"),
        (status = 404, body = ProblemJson)
    )
)]
async fn file(
    State(state): State<ApiState>,
    Path((id, export, name)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, ProblemJson> {
    let commune = commune(&state, &id)?;
    let unknown = || ProblemJson::not_found("such export");
    let exported = state.exports.find(&commune, &export).ok_or_else(unknown)?;
    let file = exported.files.iter().find(|file| file.name == name);
    let file = file.ok_or_else(unknown)?;
    let media = file.pieces.iter().map(|piece| Piece::Proven(piece.clone()));
    let pieces = std::iter::once(Piece::Memory(file.header.clone())).chain(media);
    let archive = Arc::clone(&state.archive);
    let rotten = move |path: &std::path::Path| archive.found_damaged(&commune, path);
    let mut response = bytes::ranged_or(&headers, "video/mp4", pieces.collect(), rotten)?;
    attach(&mut response, &name);
    Ok(response)
}

/// All files of an export in one ZIP: a folder as BagIt has it, with the signature over all of it, the record to
/// print and a guide. Sending ends where something is not what was recorded; what was cut off is no ZIP
#[utoipa::path(
    get,
    path = "/api/v1/communes/{commune}/exports/{export}/folder.zip",
    operation_id = "exported_folder",
    responses(
        (status = 200, body = Vec<u8>, content_type = "application/zip"),
        (status = 404, body = ProblemJson),
        (status = 503, body = ProblemJson)
    )
)]
async fn folder(
    State(state): State<ApiState>,
    Path((id, export)): Path<(String, String)>,
) -> Result<Response, ProblemJson> {
    let commune = commune(&state, &id)?;
    let unknown = || ProblemJson::not_found("such export");
    let exported = state.exports.find(&commune, &export).ok_or_else(unknown)?;
    let folder = exported.folder.clone().ok_or_else(unknown)?;
    let permit = Arc::clone(&state.folders).try_acquire_owned();
    let permit = permit.map_err(|_all_taken| ProblemJson::from(ExportError::Busy))?;
    let name = folder.name();
    let measured = Arc::clone(&folder);
    let bytes = tokio::task::spawn_blocking(move || measured.bytes()).await;
    let bytes = bytes.map_err(|panic| ProblemJson::panicked(&panic))?;
    let bytes = bytes.map_err(|error| {
        tracing::error!(%error, "a folder can not be put together");
        ProblemJson::from(ExportError::Sign(
            "the folder can not be put together; the router's log says why".into(),
        ))
    })?;
    let archive = Arc::clone(&state.archive);
    let body = sending::body(bytes, move |to| {
        // Held until all of it is sent, or whoever asked went away.
        let _permit = permit;
        folder.write(to, &|path| archive.found_damaged(&commune, path))
    });
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    let zip = HeaderValue::from_static("application/zip");
    headers.insert(header::CONTENT_TYPE, zip);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("none"));
    attach(&mut response, &name);
    Ok(response)
}

/// It is to be kept under this name, which is made here: it has no quotes in it.
fn attach(response: &mut Response, name: &str) {
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""));
    if let Ok(disposition) = disposition {
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
}
