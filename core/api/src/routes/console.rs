//! The console's files.

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use taimat_console::File;

use crate::problem::ProblemJson;

/// The page loads nothing from elsewhere and can not be framed.
pub(crate) const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' data: blob:; \
     media-src 'self' blob:; style-src 'self' 'unsafe-inline'; object-src 'none'; \
     base-uri 'none'; frame-ancestors 'none'; form-action 'self'";

pub(crate) async fn index(headers: HeaderMap) -> Response {
    match taimat_console::file("index.html") {
        Some(file) => serve(file, &headers),
        None => ProblemJson::not_found("console in this build").into_response(),
    }
}

/// A file of the console, or nothing.
pub(crate) async fn fallback(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return ProblemJson::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "Not found",
            "nothing is at this address",
        )
        .into_response();
    }
    match taimat_console::file(uri.path().trim_start_matches('/')) {
        Some(file) => serve(file, &headers),
        None => ProblemJson::not_found("page at this address").into_response(),
    }
}

fn serve(file: File, request: &HeaderMap) -> Response {
    let tag: String = file
        .hash
        .iter()
        .take(8)
        .map(|b| format!("{b:02x}"))
        .collect();
    let tag = format!("\"{tag}\"");
    let cache = if file.immutable {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let mut headers = HeaderMap::new();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(file.content_type),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    if let Ok(value) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, value);
    }
    let known = request
        .get(header::IF_NONE_MATCH)
        .and_then(|v| v.to_str().ok());
    if known == Some(tag.as_str()) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, file.bytes.into_owned()).into_response()
}
