//! Web Push (RFC 8030): what is told is sealed for one browser, signed by the router, and given to the push
//! service of the browser's maker, which keeps it until the browser can be reached.
//!
//! Owner: the room. Cost: a connection and two signatures a notification; nothing while nobody asked for any.
//! Not here: which browsers there are and what they want to be told (`events`).

mod seal;
mod vapid;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use taimat_base::metrics::{Error, Histogram, IntCounterVec, Register, Registry};
use taimat_base::{CommuneId, Redactor, clock, text};
use taimat_contract::detection::Attribute;
use taimat_contract::message::{HttpResponse, Reply};
use taimat_contract::push::Push;
use tokio::sync::Semaphore;
use url::Url;

use crate::exchange::{Answer, Call, Reach, USER_AGENT, WHOLE, exchange, whole};
use crate::failure::{Failure, Outcome};
use crate::rate::Turns;
use crate::spec::{CommuneChannels, Rate};
use crate::tls::Roots;
use vapid::Vapid;

/// A commune's notifications at once: one event is told to all its browsers.
const AT_ONCE: usize = 8;
/// So long one waits for its turn: all browsers of a commune are through by then.
const PATIENCE: Duration = Duration::from_secs(60);
/// Two events to all browsers of a commune at once, and then one every six seconds.
const RATE: Rate = Rate {
    per_minute: 2_000.0,
    burst: 400.0,
};
/// Services keep nothing for longer (RFC 8030 leaves it to them; four weeks is what the largest allow).
const LONGEST_TTL: Duration = Duration::from_secs(28 * 86_400);
/// What a service says of a refusal is logged so far.
const SAID_BYTES: usize = 200;

/// Sends to browsers.
#[derive(Debug)]
pub(crate) struct WebPush {
    file: PathBuf,
    contact: String,
    key: Mutex<Option<Arc<Vapid>>>,
    tls: Mutex<Option<Arc<rustls::ClientConfig>>>,
    turns: Mutex<BTreeMap<CommuneId, Arc<Turns>>>,
    sent: IntCounterVec,
    seconds: Histogram,
}

impl WebPush {
    pub(crate) fn new(
        data_folder: &Path,
        contact: String,
        registry: &Registry,
    ) -> Result<Self, Error> {
        let r = Register(registry);
        let sent: IntCounterVec = r.counters(
            "taimat_push_sent_total",
            "Attempts to send a notification to a browser, by what became of them.",
            &["result"],
        )?;
        for outcome in Outcome::ALL {
            sent.with_label_values(&[outcome.as_str()]).inc_by(0);
        }
        Ok(Self {
            file: data_folder.join("push").join("vapid.pem"),
            contact,
            key: Mutex::default(),
            tls: Mutex::default(),
            turns: Mutex::default(),
            sent,
            seconds: r.histogram(
                "taimat_push_send_seconds",
                "Time that an attempt took, with the wait for its turn.",
                &[0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0],
            )?,
        })
    }

    /// Forgets communes that are there no more.
    pub(crate) fn keep(&self, communes: &[CommuneChannels]) {
        let mut turns = self.turns.lock().unwrap_or_else(|e| e.into_inner());
        turns.retain(|commune, _| communes.iter().any(|kept| kept.commune == *commune));
    }

    /// Waits for the disk when it is asked first. One that asks meanwhile waits too: there is only one key.
    fn key(&self) -> Result<Arc<Vapid>, String> {
        let mut key = self.key.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(key) = &*key {
            return Ok(Arc::clone(key));
        }
        let made = Vapid::load_or_make(&self.file).map_err(|error| error.to_string())?;
        Ok(Arc::clone(key.insert(Arc::new(made))))
    }

    pub(crate) fn public_key(&self) -> Result<String, String> {
        Ok(self.key()?.public_key())
    }

    fn tls(&self, roots: &Roots) -> Result<Arc<rustls::ClientConfig>, String> {
        let mut tls = self.tls.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(tls) = &*tls {
            return Ok(Arc::clone(tls));
        }
        let made = roots.config(&crate::spec::Trust::System, None, &[b"h2", b"http/1.1"])?;
        Ok(Arc::clone(tls.insert(made)))
    }

    fn turns(&self, commune: &CommuneId) -> Arc<Turns> {
        let new = || {
            let all = Arc::new(Semaphore::new(AT_ONCE));
            Arc::new(Turns::waiting(RATE, AT_ONCE, PATIENCE, all))
        };
        let mut turns = self.turns.lock().unwrap_or_else(|e| e.into_inner());
        Arc::clone(turns.entry(commune.clone()).or_insert_with(new))
    }

    /// Sends once.
    pub(crate) async fn send(&self, reach: &Reach, roots: &Roots, push: Push<'_>) -> Reply {
        let began = clock::now();
        let result = Box::pin(self.attempt(reach, roots, push)).await;
        let took = clock::now().saturating_duration_since(began);
        self.seconds.observe(took.as_secs_f64());
        let outcome = match &result {
            Ok(answer) => Outcome::of_status(answer.status),
            Err(failure) => failure.outcome,
        };
        self.sent.with_label_values(&[outcome.as_str()]).inc();
        match result {
            Ok(answer) => {
                if outcome == Outcome::Refused {
                    refused(&answer, push);
                }
                Reply::Http(shown(&answer))
            }
            Err(failure) => Reply::Failed(failure.text),
        }
    }

    async fn attempt(
        &self,
        reach: &Reach,
        roots: &Roots,
        push: Push<'_>,
    ) -> Result<Answer, Failure> {
        let unready = |why: String| Failure::new(Outcome::Unready, why);
        let unfit = |what: &str| Failure::new(Outcome::Unfit, what);
        let key = self.key().map_err(unready)?;
        let tls = self.tls(roots).map_err(unready)?;
        let url = Url::parse(push.to.url().reveal());
        let url = url.map_err(|_no| unfit("the browser's address is none"))?;
        let _turn = self.turns(push.commune).turn().await?;
        let body = seal::seal(push.to, push.payload);
        let body = body.map_err(|_no| unfit("the notification can not be sealed"))?;
        let origin = url.origin().ascii_serialization();
        let signed = key.authorization(&origin, &self.contact, unix_seconds());
        let signed = signed.ok_or_else(|| unfit("the notification can not be signed"))?;
        let header = |name: &str, value: String| (name.to_owned(), value);
        let headers = vec![
            header("user-agent", USER_AGENT.to_owned()),
            header("accept-encoding", "identity".to_owned()),
            header("authorization", signed),
            header("content-type", "application/octet-stream".to_owned()),
            header("content-encoding", "aes128gcm".to_owned()),
            header("ttl", push.ttl.min(LONGEST_TTL).as_secs().to_string()),
            header("topic", push.topic.to_owned()),
            header("urgency", push.urgency.as_str().to_owned()),
        ];
        let call = Call {
            method: "POST",
            url: &url,
            headers,
            body: whole(body),
        };
        exchange(reach, &tls, call, clock::now() + WHOLE).await
    }
}

fn unix_seconds() -> u64 {
    let seconds = clock::unix_seconds(clock::wall());
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "seconds since 1970, never below 0"
    )]
    let seconds = seconds as u64;
    seconds
}

/// What is of use in an answer: its words are the service's, and may have the browser's address in them.
fn shown(answer: &Answer) -> HttpResponse {
    let wait = answer.header("retry-after").map(|value| Attribute {
        key: "retry-after".into(),
        value: value.to_owned(),
    });
    HttpResponse {
        status: answer.status,
        headers: wait.into_iter().collect(),
        body: Vec::new(),
    }
}

/// Why a service refuses is said by nobody but itself.
fn refused(answer: &Answer, push: Push<'_>) {
    let (commune, status) = (push.commune, answer.status);
    // A browser that wants nothing any more is nothing that anybody has to look at.
    if matches!(status, 404 | 410) {
        return tracing::debug!(%commune, status, "a browser wants no notifications any more");
    }
    let url = push.to.url().reveal();
    let path = Url::parse(url).map_or_else(|_no| String::new(), |url| url.path().to_owned());
    let redactor = Redactor::new([url, path.as_str()]);
    let said = redactor.text(&String::from_utf8_lossy(&answer.body));
    let said = text::line(&said, SAID_BYTES);
    tracing::warn!(%commune, status, said, "a push service refuses a notification");
}
