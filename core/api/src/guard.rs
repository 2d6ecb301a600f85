//! Who gets in, until accounts exist: only requests under a name of the router's own, and pages of other
//! origins only to watch and to read, if they are allowed to (CORS).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::client::{Client, Scheme};
use crate::origin::Origin;
use crate::problem::ProblemJson;
use crate::state::Access;

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// What a page may read of an answer.
const EXPOSED: &str =
    "location, etag, link, accept-patch, retry-after, taimat-profile, taimat-session";
/// What a page may say in a request.
const ASKED: &str = "content-type, if-match, authorization";

/// What pages of allowed origins may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opened {
    /// WHEP: watching.
    Whep,
    /// The API, to read it.
    Reading,
}

impl Opened {
    /// What is at that path, if it is open at all.
    fn at(path: &str) -> Option<Self> {
        let mut parts = path.strip_prefix('/')?.split('/').skip(2);
        match (parts.next(), parts.next(), parts.next()) {
            (Some("whep"), _, None) => Some(Self::Whep),
            _ if path.starts_with("/api/v1/") => Some(Self::Reading),
            _ => None,
        }
    }

    fn allows(self, method: &Method) -> bool {
        let whep = [Method::POST, Method::PATCH, Method::DELETE, Method::OPTIONS];
        match self {
            Self::Whep => whep.contains(method),
            Self::Reading => [Method::GET, Method::HEAD].contains(method),
        }
    }

    const fn methods(self) -> &'static str {
        match self {
            Self::Whep => "POST, PATCH, DELETE, OPTIONS",
            Self::Reading => "GET, HEAD",
        }
    }
}

/// Whose page a request is of.
#[derive(Debug, PartialEq, Eq)]
enum Page {
    /// The router's own, or no browser's.
    Own,
    /// One that may use this, and is told so.
    Allowed(HeaderValue, Opened),
    /// Another one. Its browser does not let it see the answer.
    Stranger,
}

/// Lets a request in or not, and says in the answer what pages may do with it.
pub(crate) async fn check(
    State(access): State<Arc<Access>>,
    mut request: Request,
    next: Next,
) -> Response {
    let client = Client::of(&request, &access.trusted_proxies);
    let page = match judge(&access, &request, client) {
        Ok(page) => page,
        Err(refused) => return refused.into_response(),
    };
    let preflight = asked_method(&request).is_some();
    request.extensions_mut().insert(client);
    let mut response = next.run(request).await;
    if !access.allowed_origins.is_empty() {
        let origin = HeaderValue::from_static("origin");
        response.headers_mut().append(header::VARY, origin);
    }
    if let Page::Allowed(origin, opened) = page {
        if preflight && !response.status().is_success() {
            // Only WHEP has an answer of its own. Whether the method is there says the request itself.
            response = StatusCode::NO_CONTENT.into_response();
        }
        say_allowed(response.headers_mut(), origin, opened, preflight);
    }
    response
}

fn judge(access: &Access, request: &Request, client: Client) -> Result<Page, ProblemJson> {
    let host = host(request);
    if !access.names.contain(host) {
        let detail = "the router answers to addresses as numbers, to localhost, and to names that it \
                      was given; see --name";
        let title = "Host not accepted";
        return Err(ProblemJson::new(
            StatusCode::FORBIDDEN,
            "host",
            title,
            detail,
        ));
    }
    let Some(origin) = request.headers().get(header::ORIGIN) else {
        return Ok(Page::Own);
    };
    let page = origin.to_str().ok().and_then(|o| Origin::parse(o).ok());
    if is_own(access, page.as_ref(), host, client) {
        return Ok(Page::Own);
    }
    let opened = Opened::at(request.uri().path());
    let method = asked_method(request);
    let method = method.as_ref().unwrap_or(request.method());
    let opened = opened.filter(|opened| opened.allows(method));
    let allowed = access.allowed_origins.contain(page.as_ref());
    match opened.filter(|_| allowed) {
        Some(opened) => Ok(Page::Allowed(origin.clone(), opened)),
        None if is_harmless(request.method()) => Ok(Page::Stranger),
        None => {
            let detail = match allowed {
                true => "pages of that origin may watch and read, and change nothing",
                false => "pages of that origin may not use this server; see --allow-origin",
            };
            let title = "Origin not accepted";
            Err(ProblemJson::new(
                StatusCode::FORBIDDEN,
                "origin",
                title,
                detail,
            ))
        }
    }
}

const fn is_harmless(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// What a preflight asks for.
fn asked_method(request: &Request) -> Option<Method> {
    let asked = request.headers().get(header::ACCESS_CONTROL_REQUEST_METHOD);
    let asked = asked.filter(|_| *request.method() == Method::OPTIONS)?;
    Method::from_bytes(asked.as_bytes()).ok()
}

/// Host and port that are asked: those of the request's own address come before the header (RFC 9112
/// section 3.2.2).
fn host(request: &Request) -> &str {
    let header = request.headers().get(header::HOST);
    let header = header.and_then(|h| h.to_str().ok()).unwrap_or("");
    request.uri().authority().map_or(header, |a| a.as_str())
}

/// Whether a page is one that the router sent, as the browser saw it: under the address that people are
/// told, or under the one that this request is for.
fn is_own(access: &Access, page: Option<&Origin>, host: &str, client: Client) -> bool {
    let Some(page) = page else { return false };
    let schemes: &[&str] = match client.scheme {
        Some(Scheme::Http) => &["http"],
        Some(Scheme::Https) => &["https"],
        None => &["http", "https"],
    };
    let mut asked = schemes.iter().filter_map(|scheme| Origin::of(scheme, host));
    access.public.as_ref() == Some(page) || asked.any(|own| own == *page)
}

fn say_allowed(headers: &mut HeaderMap, origin: HeaderValue, opened: Opened, preflight: bool) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
    let exposed = HeaderValue::from_static(EXPOSED);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    if preflight {
        let methods = HeaderValue::from_static(opened.methods());
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        let asked = HeaderValue::from_static(ASKED);
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked);
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;
    use crate::client::PeerAddress;
    use crate::origin::{AllowedOrigins, HostNames};

    const PLUGIN: &str = "/api/v1/communes/thu/plugins/motion";
    const WHEP: &str = "/thu/cho/whep";
    const SESSION: &str = "/thu/cho/whep/token";
    const PAGE: &str = "https://a.example";

    fn access() -> Access {
        let public = Origin::of_url("https://cameras.example/x").unwrap();
        Access {
            allowed_origins: AllowedOrigins::parse(&[PAGE.to_owned()]).unwrap(),
            names: HostNames::parse(&["router.example".to_owned()])
                .unwrap()
                .and_of(Some(&public)),
            public: Some(public),
            trusted_proxies: vec!["192.0.2.1".parse().unwrap()],
            ..Access::default()
        }
    }

    /// How the router answers, behind the guard.
    async fn ask(method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
        let layer = axum::middleware::from_fn_with_state(Arc::new(access()), check);
        let any = get(|| async {}).post(|| async {}).put(|| async {});
        let any = any.patch(|| async {}).delete(|| async {});
        let app = Router::new().route("/{*path}", any).layer(layer);
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::empty()).unwrap();
        let peer = headers
            .iter()
            .find(|(name, _)| *name == "x-forwarded-proto");
        let peer = peer.map_or([127, 0, 0, 1], |_| [192, 0, 2, 1]);
        request.extensions_mut().insert(PeerAddress(peer.into()));
        app.oneshot(request).await.unwrap()
    }

    async fn status(method: Method, path: &str, host: &str, origin: &str) -> u16 {
        let headers = [("host", host), ("origin", origin)];
        ask(method, path, &headers).await.status().as_u16()
    }

    #[tokio::test]
    async fn other_names_are_refused_whatever_they_ask() {
        for host in [
            "localhost",
            "192.0.2.9:8080",
            "router.example",
            "cameras.example",
        ] {
            let asked = ask(Method::GET, PLUGIN, &[("host", host)]).await;
            assert_eq!(asked.status(), 200, "{host}");
        }
        for path in [PLUGIN, WHEP, "/healthz", "/metrics"] {
            let asked = ask(Method::GET, path, &[("host", "evil.example")]).await;
            assert_eq!(asked.status(), 403, "{path}");
        }
        assert_eq!(ask(Method::GET, PLUGIN, &[]).await.status(), 403);
        // The address in the request comes first.
        let headers = [("host", "localhost")];
        let asked = ask(Method::GET, "http://evil.example/healthz", &headers).await;
        assert_eq!(asked.status(), 403);
    }

    #[tokio::test]
    async fn a_page_of_the_routers_own_may_do_everything() {
        for (host, origin) in [
            ("localhost:8080", "http://localhost:8080"),
            ("192.0.2.9", "http://192.0.2.9"),
            ("localhost", "https://cameras.example"),
        ] {
            assert_eq!(
                status(Method::PUT, PLUGIN, host, origin).await,
                200,
                "{origin}"
            );
        }
        for (host, origin) in [
            ("localhost:8080", "http://localhost"),
            ("localhost", "https://localhost"),
            ("localhost", "http://localhost:3000"),
            ("localhost", "http://cameras.example"),
            ("localhost", "null"),
        ] {
            assert_eq!(
                status(Method::PUT, PLUGIN, host, origin).await,
                403,
                "{origin}"
            );
        }
    }

    #[tokio::test]
    async fn a_proxy_that_is_believed_says_by_which_scheme_its_pages_come() {
        for (scheme, origin, code) in [
            ("https", "https://router.example", 200),
            ("https", "http://router.example", 403),
            ("http", "http://router.example", 200),
            ("?", "https://router.example", 200),
        ] {
            let headers = [
                ("host", "router.example"),
                ("origin", origin),
                ("x-forwarded-proto", scheme),
            ];
            let asked = ask(Method::PUT, PLUGIN, &headers).await;
            assert_eq!(asked.status(), code, "{scheme} {origin}");
        }
    }

    #[tokio::test]
    async fn an_allowed_page_may_watch_and_read_and_change_nothing() {
        let allow = header::ACCESS_CONTROL_ALLOW_ORIGIN;
        for (method, path, code, told) in [
            (Method::POST, WHEP, 200, true),
            (Method::PATCH, SESSION, 200, true),
            (Method::DELETE, SESSION, 200, true),
            (Method::GET, PLUGIN, 200, true),
            (Method::HEAD, PLUGIN, 200, true),
            (Method::PUT, PLUGIN, 403, false),
            (Method::PATCH, PLUGIN, 403, false),
            (Method::DELETE, "/api/v1/sessions/9", 403, false),
            (Method::POST, "/api/v1/communes/thu/whep", 403, false),
            (Method::GET, "/metrics", 200, false),
        ] {
            let case = format!("{method} {path}");
            let headers = [("host", "localhost"), ("origin", PAGE)];
            let answer = ask(method.clone(), path, &headers).await;
            assert_eq!(answer.status(), code, "{case}");
            assert_eq!(answer.headers().contains_key(&allow), told, "{case}");
            if told {
                assert_eq!(answer.headers()[RESOURCE_POLICY], "cross-origin");
            }
            let asked = [
                ("access-control-request-method", method.as_str()),
                headers[0],
                headers[1],
            ];
            let answer = ask(Method::OPTIONS, path, &asked).await;
            assert_eq!(
                answer.headers().contains_key(&allow),
                told,
                "preflight of {case}"
            );
            if told {
                assert_eq!(answer.status(), 204, "preflight of {case}");
                let methods = &answer.headers()[header::ACCESS_CONTROL_ALLOW_METHODS];
                assert!(
                    methods.to_str().unwrap().contains(method.as_str()),
                    "{case}"
                );
            }
        }
        for method in [Method::POST, Method::DELETE] {
            let code = status(method, WHEP, "localhost", "http://a.example").await;
            assert_eq!(code, 403);
        }
    }
}
