//! Who gets in, until accounts exist: only names of this machine when the server listens on
//! loopback, and only pages of allowed origins (CORS).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::problem::ProblemJson;
use crate::state::Access;

pub(crate) async fn check(
    State(access): State<Arc<Access>>,
    request: Request,
    next: Next,
) -> Response {
    let access = &*access;
    if access.loopback_only && !names_this_machine(request.headers()) {
        let detail = "this server answers only to names of this machine (localhost, 127.0.0.1)";
        return ProblemJson::new(StatusCode::FORBIDDEN, "host", "Host not accepted", detail)
            .into_response();
    }
    let origin = allowed_origin(access, request.headers());
    let cross = request.headers().contains_key(header::ORIGIN) && !same_origin(request.headers());
    let changes = !matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    if cross && changes && origin.is_none() {
        let detail = "pages of that origin may not use this server; see --allow-origin";
        return ProblemJson::new(
            StatusCode::FORBIDDEN,
            "origin",
            "Origin not accepted",
            detail,
        )
        .into_response();
    }
    let preflight = request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = next.run(request).await;
    if let Some(origin) = origin {
        if preflight && !response.status().is_success() {
            // Only WHEP has an answer of its own. Whether the method is there says the request itself.
            response = StatusCode::NO_CONTENT.into_response();
        }
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.append(header::VARY, HeaderValue::from_static("origin"));
        let exposed = "location, etag, link, accept-patch, retry-after, taimat-profile, \
                       taimat-session";
        headers.insert(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(exposed),
        );
        if preflight {
            let methods = "GET, POST, PUT, PATCH, DELETE, OPTIONS";
            headers.insert(
                header::ACCESS_CONTROL_ALLOW_METHODS,
                HeaderValue::from_static(methods),
            );
            let asked = "content-type, if-match, authorization";
            headers.insert(
                header::ACCESS_CONTROL_ALLOW_HEADERS,
                HeaderValue::from_static(asked),
            );
        }
    }
    response
}

fn host(headers: &HeaderMap) -> &str {
    headers
        .get(header::HOST)
        .and_then(|h| h.to_str().ok())
        .unwrap_or("")
}

fn names_this_machine(headers: &HeaderMap) -> bool {
    let host = host(headers);
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let address: Option<std::net::IpAddr> = name.parse().ok();
    name.eq_ignore_ascii_case("localhost") || address.is_some_and(|a| a.is_loopback())
}

fn same_origin(headers: &HeaderMap) -> bool {
    let origin = headers
        .get(header::ORIGIN)
        .and_then(|o| o.to_str().ok())
        .unwrap_or("");
    origin
        .split_once("://")
        .is_some_and(|(_, authority)| authority == host(headers))
}

fn allowed_origin(access: &Access, headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(header::ORIGIN)?;
    let text = origin.to_str().ok()?;
    let listed = |o: &String| o == "*" || o.eq_ignore_ascii_case(text);
    access
        .allowed_origins
        .iter()
        .any(listed)
        .then(|| origin.clone())
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    fn headers(host: &'static str, origin: Option<&'static str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static(host));
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
        }
        headers
    }

    #[test]
    fn tells_this_machine_from_others() {
        for good in [
            "localhost",
            "localhost:8080",
            "127.0.0.1:8080",
            "[::1]:8080",
            "LOCALHOST",
        ] {
            assert!(names_this_machine(&headers(good, None)), "{good}");
        }
        for bad in [
            "evil.example",
            "evil.example:8080",
            "10.0.0.1",
            "",
            "localhost.evil.example",
        ] {
            assert!(!names_this_machine(&headers(bad, None)), "{bad}");
        }
    }

    #[test]
    fn pages_of_the_same_origin_need_no_permission() {
        assert!(same_origin(&headers(
            "localhost:8080",
            Some("http://localhost:8080")
        )));
        assert!(!same_origin(&headers(
            "localhost:8080",
            Some("http://evil.example")
        )));
        let access = Access {
            allowed_origins: vec!["https://a.example".into()],
            ..Access::default()
        };
        let allowed = |origin| allowed_origin(&access, &headers("h", Some(origin))).is_some();
        assert!(allowed("https://a.example") && !allowed("https://b.example"));
    }

    /// How a plugin's address answers a page of that origin.
    async fn plugin(method: Method, asked: Option<&str>, origin: &str) -> Response {
        let access = Access {
            allowed_origins: vec!["https://a.example".into()],
            ..Access::default()
        };
        let app = Router::new()
            .route(
                "/api/v1/communes/{commune}/plugins/{plugin}",
                get(|| async {}),
            )
            .layer(axum::middleware::from_fn_with_state(
                Arc::new(access),
                check,
            ));
        let request = Request::builder()
            .method(method)
            .uri("/api/v1/communes/thu/plugins/motion")
            .header(header::HOST, "router.example")
            .header(header::ORIGIN, origin);
        let request = match asked {
            Some(asked) => request.header(header::ACCESS_CONTROL_REQUEST_METHOD, asked),
            None => request,
        };
        app.oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_preflight_of_an_allowed_page_is_answered_wherever_it_asks() {
        let (ours, other) = ("https://a.example", "https://b.example");
        for asked in ["PUT", "PATCH", "DELETE"] {
            let response = plugin(Method::OPTIONS, Some(asked), ours).await;
            assert_eq!(response.status(), StatusCode::NO_CONTENT);
            let headers = response.headers();
            assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], ours);
            let methods = &headers[header::ACCESS_CONTROL_ALLOW_METHODS];
            assert!(methods.to_str().unwrap().contains(asked), "{methods:?}");
        }
        let response = plugin(Method::OPTIONS, Some("PUT"), other).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        let allowed = header::ACCESS_CONTROL_ALLOW_ORIGIN;
        assert!(!response.headers().contains_key(allowed));
        let response = plugin(Method::OPTIONS, None, ours).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        let response = plugin(Method::PUT, None, other).await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
    }
}
