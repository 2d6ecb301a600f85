//! Messages by HTTP: the channel's address with the plugin's path below it, signed in, signed, once.
//!
//! Not here: the connection (`exchange`), tokens (`oauth`), what bodies are made of (`body`).

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use taimat_base::{Redactor, Secret, clock};
use taimat_contract::channel::MediaSource;
use taimat_contract::detection::Attribute;
use taimat_contract::message::{HttpRequest, HttpResponse, Reply, RequestHead};
use url::Url;

use crate::address::Address;
use crate::body::Filler;
use crate::exchange::{Answer, Call, MAX_BODY, Reach, USER_AGENT, WHOLE, exchange, whole};
use crate::failure::{Failure, Outcome};
use crate::hidden::Hidden;
use crate::oauth::Grant;
use crate::signature;
use crate::spec::{HttpSpec, SignIn};

/// A plugin's headers that are not sent. An answer that is packed could bring a secret past who takes it
/// out; the others are the connection's.
const DROPPED: [&str; 8] = [
    "accept-encoding",
    "expect",
    "keep-alive",
    "proxy-connection",
    "range",
    "trailer",
    "upgrade",
    "http2-settings",
];
/// Headers of an answer that sign in, or would.
const KEPT_BACK: [&str; 9] = [
    "set-cookie",
    "set-cookie2",
    "www-authenticate",
    "proxy-authenticate",
    "authentication-info",
    "proxy-authentication-info",
    "authorization",
    "proxy-authorization",
    "cookie",
];

/// An HTTP channel.
#[derive(Debug)]
pub(crate) struct Http {
    pub(crate) address: Address,
    pub(crate) secrets: BTreeMap<String, Secret>,
    pub(crate) spec: HttpSpec,
    pub(crate) reach: Reach,
    pub(crate) tls: Arc<rustls::ClientConfig>,
    pub(crate) grant: Option<Grant>,
    pub(crate) hidden: Arc<Hidden>,
}

impl Http {
    /// Sends once; a token that ended meanwhile is renewed, which is no second message.
    pub(crate) async fn send(
        &self,
        key: &str,
        request: &HttpRequest,
        media: &dyn MediaSource,
    ) -> Result<(Outcome, Reply), Failure> {
        let head = &request.head;
        let url = self.joined(head)?;
        let mut said = head.headers.iter().filter(|h| h.key == "content-type");
        let said = said.next().map(|h| h.value.as_str());
        let mut filler = Filler::new(&self.secrets, media);
        let filled = filler.body(&request.body, said).await?;
        let mut headers = self.headers(key, &filled.bytes);
        headers.extend(filled.content_type.map(|t| ("content-type".to_owned(), t)));
        let deadline = clock::now() + WHOLE;
        let mut again = self.grant.is_some();
        loop {
            let token = match &self.grant {
                Some(grant) => Some(grant.token().await?),
                None => None,
            };
            let mut all = headers.clone();
            all.extend(token.as_ref().map(|token| self.token_header(token)));
            say(&mut all, &head.headers, |key| !DROPPED.contains(&key));
            let call = Call {
                method: &head.method,
                url: &url,
                headers: all,
                body: whole(filled.bytes.clone()),
            };
            let answer = exchange(&self.reach, &self.tls, call, deadline).await?;
            if let (401, true, Some(grant), Some(token)) =
                (answer.status, again, &self.grant, &token)
            {
                again = false;
                grant.forget(token).await;
                continue;
            }
            let outcome = Outcome::of_status(answer.status);
            let response = shown(answer, MAX_BODY, &self.hidden.redactor());
            return Ok((outcome, Reply::Http(response)));
        }
    }

    /// A request of a backend: where it goes, and what it says. It is signed in as a message is; its body
    /// goes elsewhere, and is not signed. What makes an answer partial is the backend's to say.
    pub(crate) fn addressed(
        &self,
        head: &RequestHead,
        token: Option<&Secret>,
    ) -> Result<(Url, Vec<(String, String)>), Failure> {
        let url = self.joined(head)?;
        let mut all = self.own_headers();
        all.extend(token.map(|token| self.token_header(token)));
        say(&mut all, &head.headers, |key| {
            key == "range" || !DROPPED.contains(&key)
        });
        Ok((url, all))
    }

    /// Where a request goes, with what signs it in there.
    fn joined(&self, head: &RequestHead) -> Result<Url, Failure> {
        // One makes a tunnel, the other sends back what signs in.
        if matches!(head.method.as_str(), "CONNECT" | "TRACE") {
            let text = format!("the method {} is not sent", head.method);
            return Err(Failure::new(Outcome::Unfit, text).for_good());
        }
        let url = self
            .address
            .join(&head.path, &self.spec.also, &self.secrets);
        let url =
            url.map_err(|error| Failure::new(Outcome::Unfit, error.to_string()).for_good())?;
        Ok(self.signed_in(url))
    }

    fn signed_in(&self, mut url: Url) -> Url {
        for sign_in in &self.spec.sign_in {
            if let SignIn::Query { name, secret } = sign_in {
                let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
                let pair = format!("{}={}", encoded(name), encoded(secret.reveal()));
                let query = match url.query() {
                    Some(query) => format!("{query}&{pair}"),
                    None => pair,
                };
                url.set_query(Some(&query));
            }
        }
        url
    }

    /// What every request says.
    fn own_headers(&self) -> Vec<(String, String)> {
        let header = |name: &str, value: String| (name.to_owned(), value);
        let mut headers = vec![
            header("user-agent", USER_AGENT.to_owned()),
            header("accept-encoding", "identity".to_owned()),
        ];
        for sign_in in &self.spec.sign_in {
            match sign_in {
                SignIn::Basic { user, password } => {
                    let pair = STANDARD.encode(format!("{user}:{}", password.reveal()));
                    headers.push(header("authorization", format!("Basic {pair}")));
                }
                SignIn::Bearer(secret) => {
                    headers.push(header(
                        "authorization",
                        format!("Bearer {}", secret.reveal()),
                    ));
                }
                SignIn::Header { name, secret } => {
                    headers.push(header(name, secret.reveal().to_owned()));
                }
                SignIn::Query { .. } => {}
            }
        }
        headers
    }

    /// What a message says besides.
    fn headers(&self, key: &str, body: &[u8]) -> Vec<(String, String)> {
        let mut headers = self.own_headers();
        headers.push(("idempotency-key".to_owned(), key.to_owned()));
        let seconds = clock::unix_seconds(clock::wall());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "seconds since 1970, never below 0"
        )]
        let seconds = seconds as u64;
        headers.extend(signature::headers(&self.spec.webhook, key, seconds, body));
        headers
    }

    fn token_header(&self, token: &Secret) -> (String, String) {
        let habits = self.spec.oauth2.as_ref().map(|grant| &grant.habits);
        match habits.and_then(|habits| habits.token_header.clone()) {
            Some(name) => (name, token.reveal().to_owned()),
            None => ("authorization".into(), format!("Bearer {}", token.reveal())),
        }
    }
}

/// Adds what a plugin says. What is the channel's to say comes first, and is said once.
fn say(all: &mut Vec<(String, String)>, headers: &[Attribute], may: impl Fn(&str) -> bool) {
    for Attribute { key, value } in headers {
        let taken = all.iter().any(|(name, _)| name == key);
        if !taken && may(key) {
            all.push((key.clone(), value.clone()));
        }
    }
}

/// An answer as a plugin gets it, with so many bytes of its body.
pub(crate) fn shown(answer: Answer, most: usize, redactor: &Redactor) -> HttpResponse {
    let text = |text: &str| String::from_utf8_lossy(&redactor.bytes(text.as_bytes())).into_owned();
    let encoding = answer.header("content-encoding").unwrap_or("identity");
    // Packed although it was not to be: what is in it can not be seen.
    let mut body = match encoding.trim().eq_ignore_ascii_case("identity") || encoding.is_empty() {
        true => redactor.bytes(&answer.body),
        false => Vec::new(),
    };
    body.truncate(most);
    let headers = answer.headers.iter();
    let headers = headers.filter(|(name, _)| !KEPT_BACK.contains(&name.as_str()));
    HttpResponse {
        status: answer.status,
        headers: headers
            .map(|(key, value)| Attribute {
                key: text(key),
                value: text(value),
            })
            .collect(),
        body,
    }
}
