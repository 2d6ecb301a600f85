//! One channel: its turn, its way, and what is said of it afterwards.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, RwLock};
use std::time::SystemTime;

use serde::Serialize;
use taimat_base::{ChannelId, CommuneId, clock};
use taimat_contract::channel::{Dispatch, MediaSource};
use taimat_contract::message::{Outgoing, Reply};
use utoipa::ToSchema;

use crate::body::{self, Filler};
use crate::exchange::Reach;
use crate::failure::{Failure, Outcome};
use crate::hidden::Hidden;
use crate::http::Http;
use crate::mail::MailChannel;
use crate::metrics::OfAChannel;
use crate::mqtt::Mqtt;
use crate::rate::Turns;
use crate::spec::ChannelSpec;
use crate::wire;

/// How a channel is.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ChannelStatus {
    /// Its name in the commune's file.
    #[schema(value_type = String)]
    pub name: ChannelId,
    /// `http`, `mqtt`, `mail` or `wire`.
    pub kind: &'static str,
    /// Whether the connection is there, if it is one that is kept up.
    pub connected: Option<bool>,
    /// Why it can not be used until somebody changes something: a secret that is not there, a lost grant.
    pub unready: Option<String>,
    /// What went wrong last, without secrets; none if it worked since.
    pub last_error: Option<String>,
    /// When a message last was taken, in seconds since 1970.
    pub last_success: Option<f64>,
}

#[derive(Debug, Default)]
struct Last {
    error: Option<String>,
    success: Option<SystemTime>,
}

/// What a channel sends by.
#[derive(Debug)]
pub(crate) enum Sender {
    Http(Box<Http>),
    Mqtt(Mqtt),
    Mail(Box<MailChannel>),
    Wire,
    /// Why it can not.
    Unready(String),
}

/// All channels.
pub(crate) type ChannelMap = Arc<RwLock<BTreeMap<(CommuneId, ChannelId), Arc<Channel>>>>;

/// A channel that is configured.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) spec: ChannelSpec,
    pub(crate) sender: Sender,
    pub(crate) turns: Turns,
    pub(crate) reach: Reach,
    pub(crate) hidden: Arc<Hidden>,
    pub(crate) metrics: Arc<OfAChannel>,
    last: Mutex<Last>,
}

impl Channel {
    pub(crate) fn new(
        spec: ChannelSpec,
        sender: Sender,
        turns: Turns,
        reach: Reach,
        hidden: Arc<Hidden>,
        metrics: Arc<OfAChannel>,
    ) -> Self {
        Self {
            spec,
            sender,
            turns,
            reach,
            hidden,
            metrics,
            last: Mutex::default(),
        }
    }

    /// Sends once, and remembers what became of it.
    pub(crate) async fn send(&self, dispatch: Dispatch<'_>, media: &dyn MediaSource) -> Reply {
        let began = clock::now();
        let result = Box::pin(self.attempt(dispatch, media)).await;
        let took = clock::now().saturating_duration_since(began);
        let outcome = match &result {
            Ok((outcome, _)) => *outcome,
            Err(failure) => failure.outcome,
        };
        self.metrics.sent(outcome, took);
        if let Sender::Http(http) = &self.sender
            && let Some(grant) = &http.grant
        {
            self.metrics.grant_lost(grant.lost().is_some());
        }
        let redactor = self.hidden.redactor();
        let reply = match result {
            Ok((_, Reply::Accepted(said))) => Reply::Accepted(redactor.text(&said)),
            Ok((_, reply)) => reply,
            Err(failure) => {
                let text = redactor.text(&failure.text);
                self.remember(outcome, Some(with_hint(&failure, text.clone())));
                return match failure.for_good {
                    true => Reply::Refused(text),
                    false => Reply::Failed(text),
                };
            }
        };
        let said = match &reply {
            Reply::Http(response) => format!("the server answers {}", response.status),
            _ => String::new(),
        };
        self.remember(outcome, Some(said));
        reply
    }

    fn remember(&self, outcome: Outcome, said: Option<String>) {
        let mut last = self.last.lock().unwrap_or_else(|e| e.into_inner());
        if outcome == Outcome::Delivered {
            last.error = None;
            last.success = Some(clock::wall());
        } else {
            last.error = said;
        }
    }

    async fn attempt(
        &self,
        dispatch: Dispatch<'_>,
        media: &dyn MediaSource,
    ) -> Result<(Outcome, Reply), Failure> {
        if let Sender::Unready(why) = &self.sender {
            return Err(Failure::new(Outcome::Unready, why.clone()));
        }
        let _turn = self.turns.turn().await?;
        let key = dispatch.key;
        match (&self.sender, dispatch.message) {
            (Sender::Http(http), Outgoing::Http(request)) => {
                Box::pin(http.send(key, request, media)).await
            }
            (Sender::Mqtt(mqtt), Outgoing::Mqtt(publish)) => {
                if !mqtt.admits(&publish.topic) {
                    let text = "the topic is not below the channel's prefix";
                    return Err(Failure::new(Outcome::Unfit, text).for_good());
                }
                let mut filler = Filler::new(&self.spec.secrets, media);
                let within = body::within(None, &publish.payload);
                let payload = filler.content(&publish.payload, within).await?;
                mqtt.publish(&publish.topic, payload, publish.retain)
                    .await?;
                Ok((Outcome::Delivered, Reply::Accepted("PUBACK".into())))
            }
            (Sender::Mail(channel), Outgoing::Mail(mail)) => {
                Box::pin(channel.send(key, mail, media)).await
            }
            (Sender::Wire, Outgoing::Wire(bytes)) => {
                wire::send(&self.spec.address, &self.reach, &self.hidden, bytes).await
            }
            _ => {
                let text = format!("the channel is one for {}", self.spec.kind());
                Err(Failure::new(Outcome::Unfit, text).for_good())
            }
        }
    }

    pub(crate) fn status(&self) -> ChannelStatus {
        let redactor = self.hidden.redactor();
        let (mut connected, mut unready, mut trouble) = (None, None, None);
        match &self.sender {
            Sender::Unready(why) => unready = Some(redactor.text(why)),
            Sender::Http(http) => {
                let lost = http.grant.as_ref().and_then(crate::oauth::Grant::lost);
                unready = lost.map(|why| format!("the grant is lost: {}", redactor.text(&why)));
            }
            Sender::Mqtt(mqtt) => {
                connected = Some(mqtt.is_connected());
                let failure = mqtt.trouble();
                trouble = failure.map(|f| with_hint(&f, redactor.text(&f.text)));
            }
            Sender::Mail(_) | Sender::Wire => {}
        }
        let last = self.last.lock().unwrap_or_else(|e| e.into_inner());
        ChannelStatus {
            name: self.spec.id.clone(),
            kind: self.spec.kind(),
            connected,
            unready,
            last_error: trouble.or_else(|| last.error.clone()),
            last_success: last.success.map(clock::unix_seconds),
        }
    }

    /// Ends what is kept up. What is on its way may still come to its end.
    pub(crate) async fn end(&self) {
        if let Sender::Mqtt(mqtt) = &self.sender {
            mqtt.stop().await;
        }
        self.metrics.end();
    }
}

fn with_hint(failure: &Failure, text: String) -> String {
    match failure.hint.is_empty() {
        true => text,
        false => format!("{text} ({})", failure.hint),
    }
}
