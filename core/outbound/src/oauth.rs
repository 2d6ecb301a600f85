//! A grant by OAuth 2 (RFC 6749): access tokens that end soon, and a refresh token that may turn with
//! each use. A turned one is the only one that is left: it is on the disk before anything is done with
//! what came along with it. Whoever waits for a token may give up; the turning does not.
//!
//! Owner: an HTTP channel. Cost: a request each time a token ends.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex as StdMutex};
use std::time::{Duration, Instant};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use taimat_base::{Secret, clock, files};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tracing::Instrument as _;

use crate::exchange::{Answer, Call, Reach, USER_AGENT, WHOLE, exchange, whole};
use crate::failure::{Failure, Outcome};
use crate::hidden::Hidden;
use crate::spec::OAuth2Spec;

/// If the service does not say how long a token is good.
const USUAL_LIFE: Duration = Duration::from_secs(300);
/// The longest that is believed: a clock that runs wrong ends it then.
const LONGEST_LIFE: Duration = Duration::from_secs(90 * 86_400);
/// A token is not used in its last moments.
const MARGIN: Duration = Duration::from_secs(30);
/// A service that refuses so often in a row, in words that are not the standard's, means it.
const REFUSALS: u32 = 3;
/// A grant's file is not larger.
const MAX_FILE_BYTES: u64 = 64 << 10;
const FORM: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A refresh token as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// The SHA-256 of the token that the file of the commune had then: another one there is a new grant.
    began_with: String,
    refresh_token: String,
}

#[derive(Debug)]
struct State {
    access: Option<(Secret, Instant)>,
    refresh: Option<Secret>,
    /// The refresh token is not on the disk yet.
    unwritten: bool,
    refusals: u32,
}

/// A channel's grant.
#[derive(Debug, Clone)]
pub(crate) struct Grant(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    spec: OAuth2Spec,
    secrets: BTreeMap<String, Secret>,
    file: PathBuf,
    reach: Reach,
    tls: Arc<rustls::ClientConfig>,
    hidden: Arc<Hidden>,
    /// One refresh at a time: a refresh token that turns is good once.
    state: Arc<Mutex<State>>,
    lost: StdMutex<Option<String>>,
}

impl Grant {
    pub(crate) fn new(
        spec: OAuth2Spec,
        secrets: BTreeMap<String, Secret>,
        file: PathBuf,
        reach: Reach,
        tls: Arc<rustls::ClientConfig>,
        hidden: Arc<Hidden>,
    ) -> Self {
        let refresh = spec.refresh_token.as_ref().map(|first| {
            let turned = read(&file, first).unwrap_or_else(|| first.clone());
            hidden.know(turned.reveal());
            turned
        });
        let state = State {
            access: None,
            refresh,
            unwritten: false,
            refusals: 0,
        };
        Self(Arc::new(Inner {
            spec,
            secrets,
            file,
            reach,
            tls,
            hidden,
            state: Arc::new(Mutex::new(state)),
            lost: StdMutex::default(),
        }))
    }

    /// Why the grant is lost, if it is: somebody has to give a new one.
    pub(crate) fn lost(&self) -> Option<String> {
        self.0
            .lost
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .clone()
    }

    /// An access token that is good for a while.
    pub(crate) async fn token(&self) -> Result<Secret, Failure> {
        let state = Arc::clone(&self.0.state).lock_owned().await;
        if let Some((token, until)) = &state.access
            && clock::now() < *until
        {
            return Ok(token.clone());
        }
        if let Some(why) = self.lost() {
            return Err(lost(&why));
        }
        let inner = Arc::clone(&self.0);
        let turning = |_stop| inner.renew(state).in_current_span();
        let tasks = &self.0.reach.tasks;
        let renewed = tasks
            .spawn("outbound-oauth", tracing::Span::current(), turning)
            .await;
        renewed.unwrap_or_else(|_ended| Err(Failure::new(Outcome::Unready, "the router stops")))
    }

    /// The service takes this token no more.
    pub(crate) async fn forget(&self, token: &Secret) {
        let mut state = self.0.state.lock().await;
        if state
            .access
            .as_ref()
            .is_some_and(|(known, _)| known == token)
        {
            state.access = None;
        }
    }
}

fn lost(why: &str) -> Failure {
    Failure::new(Outcome::Unready, format!("the grant is lost: {why}"))
}

fn digest(first: &Secret) -> String {
    let digest = Sha256::digest(first.reveal().as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read(file: &std::path::Path, first: &Secret) -> Option<Secret> {
    let bytes = files::read_at_most(file, MAX_FILE_BYTES).ok()?;
    let kept: Kept = serde_json::from_slice(&bytes).ok()?;
    (kept.began_with == digest(first)).then(|| Secret::new(kept.refresh_token))
}

impl Inner {
    async fn renew(self: Arc<Self>, mut state: OwnedMutexGuard<State>) -> Result<Secret, Failure> {
        // A disk that was full a moment ago may have room now; nothing is asked for before.
        self.keep(&mut state).await?;
        let answer = self.ask(&state).await?;
        let said: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        let text = |key: &str| said.get(key).and_then(Value::as_str);
        let token = text("access_token").filter(|_| answer.status == 200);
        let Some(token) = token.filter(|token| !token.is_empty()) else {
            return Err(self.refused(&mut state, &answer, text("error")));
        };
        state.refusals = 0;
        self.hidden.know(token);
        if let (Some(turned), Some(former)) = (text("refresh_token"), &state.refresh)
            && turned != former.reveal()
        {
            self.hidden.know(turned);
            state.refresh = Some(Secret::new(turned));
            state.unwritten = true;
        }
        let token = Secret::new(token);
        let life = lifetime(said.get("expires_in"));
        state.access = Some((token.clone(), clock::now() + life));
        if let Err(failure) = self.keep(&mut state).await {
            // Nothing of it is used before it would be there after a power cut.
            state.access = None;
            return Err(failure);
        }
        Ok(token)
    }

    async fn keep(&self, state: &mut State) -> Result<(), Failure> {
        if !state.unwritten {
            return Ok(());
        }
        let (Some(first), Some(turned)) = (&self.spec.refresh_token, &state.refresh) else {
            return Ok(());
        };
        let kept = Kept {
            began_with: digest(first),
            refresh_token: turned.reveal().to_owned(),
        };
        let file = self.file.clone();
        let written = tokio::task::spawn_blocking(move || {
            let bytes = serde_json::to_vec(&kept).map_err(std::io::Error::other)?;
            files::replace_private(&file, &bytes)
        });
        let written = written.await.map_err(std::io::Error::other);
        let written = written.and_then(|written| written);
        written.map_err(|error| {
            let text = format!(
                "the new refresh token can not be written down: {}",
                error.kind()
            );
            Failure::new(Outcome::Unready, text)
        })?;
        state.unwritten = false;
        Ok(())
    }

    async fn ask(&self, state: &State) -> Result<Answer, Failure> {
        let unfit =
            |error: crate::address::JoinError| Failure::new(Outcome::Unready, error.to_string());
        let url = self
            .spec
            .token_url
            .join("", &[], &self.secrets)
            .map_err(unfit)?;
        let habits = &self.spec.habits;
        let mut fields = match &state.refresh {
            Some(token) => vec![
                ("grant_type", "refresh_token"),
                ("refresh_token", token.reveal()),
            ],
            None => vec![("grant_type", "client_credentials")],
        };
        fields.push((&habits.client_id_field, &self.spec.client_id));
        if !self.spec.scope.is_empty() {
            fields.push(("scope", &self.spec.scope));
        }
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut headers = vec![
            header("content-type", "application/x-www-form-urlencoded"),
            header("accept", "application/json"),
            header("accept-encoding", "identity"),
            header("user-agent", USER_AGENT),
        ];
        match (&self.spec.client_secret, &habits.client_secret_header) {
            (Some(secret), Some(name)) => headers.push(header(name, secret.reveal())),
            (Some(secret), None) => fields.push(("client_secret", secret.reveal())),
            (None, _) => {}
        }
        let field = |(name, value): &(&str, &str)| {
            let encoded = |text| utf8_percent_encode(text, FORM).to_string();
            format!("{}={}", encoded(name), encoded(value))
        };
        let body = fields.iter().map(field).collect::<Vec<_>>().join("&");
        let call = Call {
            method: "POST",
            url: &url,
            headers,
            body: whole(body.into_bytes()),
        };
        exchange(&self.reach, &self.tls, call, clock::now() + WHOLE).await
    }

    /// The service gives no token: for now, or for ever.
    fn refused(&self, state: &mut State, answer: &Answer, error: Option<&str>) -> Failure {
        let named =
            error.filter(|error| error.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
        let said = named.map_or_else(String::new, |error| format!(", {error}"));
        let why = format!("the token service answers {}{said}", answer.status);
        // RFC 6749 section 5.2.
        let standard = ["invalid_grant", "invalid_client", "unauthorized_client"];
        let passing = matches!(answer.status, 408 | 425 | 429 | 500..=599);
        if !passing {
            state.refusals += 1;
        }
        if named.is_some_and(|error| standard.contains(&error)) || state.refusals >= REFUSALS {
            *self.lost.lock().unwrap_or_else(|e| e.into_inner()) = Some(why.clone());
            tracing::error!(%why, "a channel's grant is lost; somebody has to give a new one");
            return lost(&why);
        }
        let outcome = if passing {
            Outcome::Busy
        } else {
            Outcome::Refused
        };
        Failure::new(outcome, why)
    }
}

/// For how long a token is used. Some services write the number as a text.
fn lifetime(said: Option<&Value>) -> Duration {
    let seconds = said.and_then(|v| v.as_u64().or_else(|| v.as_str()?.parse().ok()));
    let life = seconds
        .map_or(USUAL_LIFE, Duration::from_secs)
        .min(LONGEST_LIFE);
    life.checked_sub(MARGIN)
        .unwrap_or(Duration::ZERO)
        .max(life / 2)
}
