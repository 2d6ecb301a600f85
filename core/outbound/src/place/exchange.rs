//! One request of a backend by its channel: signed in, its body streamed out, its answer read or handed on
//! as it comes.

use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use taimat_contract::backend::{Operation, Source, Step};
use taimat_contract::message::HttpResponse;
use taimat_contract::place::{PlaceError, PutContent};

use super::content::ContentBody;
use super::patience::Patience;
use crate::channel::{Channel, Sender};
use crate::exchange::{Answer, BEYOND, Call, Driven, MAX_BODY, ask, kept, whole};
use crate::failure::{Failure, Outcome};
use crate::http::{Http, shown};

/// What is kept of an answer to a list.
const MAX_LIST: usize = 1 << 20;

/// What came of a request.
pub(super) enum Answered {
    /// The answer, all of it that is kept.
    Read(HttpResponse),
    /// The head of an answer whose body is still to come.
    Opened(HttpResponse, Incoming, Driven),
    /// No answer, with the reason.
    None(String),
}

/// Who asks: a channel of HTTP.
pub(super) struct Asker(pub(super) Arc<Channel>);

impl Asker {
    fn http(&self) -> Result<&Http, PlaceError> {
        let name = &self.0.spec.id;
        match &self.0.sender {
            Sender::Http(http) => Ok(http),
            Sender::Unready(why) => {
                let why = self.0.hidden.redactor().text(why);
                Err(PlaceError::Refused(format!("the channel {name}: {why}")))
            }
            Sender::Mqtt(_) | Sender::Mail(_) | Sender::Wire => {
                let kind = self.0.spec.kind();
                let why = format!("the channel {name} is one for {kind}, and not for http");
                Err(PlaceError::Refused(why))
            }
        }
    }

    /// Sends a step's request. Without an answer it is for the backend to say what that means, unless
    /// nobody but a person can mend it.
    pub(super) async fn send(
        &self,
        step: &Step,
        operation: &Operation,
        content: Option<&PutContent>,
    ) -> Result<Answered, PlaceError> {
        let http = self.http()?;
        match Box::pin(attempt(http, step, operation, content)).await {
            Ok(answered) => Ok(answered),
            Err(Trouble::Ours(error)) => Err(error),
            Err(Trouble::Theirs(failure)) => {
                let text = self.0.hidden.redactor().text(&failure.text);
                match failure.outcome {
                    Outcome::Guarded | Outcome::Untrusted | Outcome::Unready | Outcome::Unfit => {
                        Err(PlaceError::Refused(text))
                    }
                    _ => Ok(Answered::None(text)),
                }
            }
        }
    }
}

/// Whose fault it is.
enum Trouble {
    Ours(PlaceError),
    Theirs(Failure),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Theirs(failure)
    }
}

async fn attempt(
    http: &Http,
    step: &Step,
    operation: &Operation,
    content: Option<&PutContent>,
) -> Result<Answered, Trouble> {
    let mut again = http.grant.is_some();
    loop {
        let token = match &http.grant {
            Some(grant) => Some(grant.token().await?),
            None => None,
        };
        let (url, headers) = http.addressed(&step.head, token.as_ref())?;
        let source = |e: std::io::Error| Trouble::Ours(PlaceError::Source(e.to_string()));
        let (body, patience) = match (&step.body, content) {
            (Source::Bytes(bytes), _) => (whole(bytes.clone()), Patience::of(0)),
            (Source::Object(span), Some(content)) => {
                let patience = Patience::of(span.length);
                let body = ContentBody::open(content, *span, patience.clone()).await;
                (body.map_err(source)?.boxed_unsync(), patience)
            }
            (Source::Object(_), None) => {
                let why = "a backend sends an object where there is none";
                return Err(Trouble::Ours(PlaceError::Refused(why.into())));
            }
        };
        let call = Call {
            method: &step.head.method,
            url: &url,
            headers,
            body,
        };
        let (response, driven) = tokio::select! {
            answered = ask(&http.reach, &http.tls, call) => answered.map_err(ours)?,
            () = patience.over() => {
                return Err(Failure::new(Outcome::Late, "it takes too long").into());
            }
        };
        if let (401, true, Some(grant), Some(token)) =
            (response.status().as_u16(), again, &http.grant, &token)
        {
            again = false;
            grant.forget(token).await;
            continue;
        }
        return Ok(answered(http, response, driven, operation).await);
    }
}

/// What hyper says of a body that broke off is what its source said.
fn ours(failure: Failure) -> Trouble {
    match failure.text.strip_prefix("what is sent: ") {
        Some(why) => Trouble::Ours(PlaceError::Source(why.to_owned())),
        None => Trouble::Theirs(failure),
    }
}

async fn answered(
    http: &Http,
    response: hyper::Response<Incoming>,
    driven: Driven,
    operation: &Operation,
) -> Answered {
    let (head, mut body) = response.into_parts();
    let most = match operation {
        Operation::Entries(_) => MAX_LIST,
        _ => MAX_BODY,
    };
    let mut answer = Answer {
        status: head.status.as_u16(),
        headers: kept(&head.headers),
        body: Vec::new(),
    };
    let redactor = http.hidden.redactor();
    let is_object = matches!(operation, Operation::Get(_)) && matches!(answer.status, 200 | 206);
    if is_object {
        return Answered::Opened(shown(answer, most, &redactor), body, driven);
    }
    let patience = Patience::of(0);
    let reading = async {
        while answer.body.len() < most + BEYOND {
            match body.frame().await {
                Some(Ok(frame)) => {
                    patience.moved();
                    let part = frame.data_ref().map_or(&[][..], |part| part);
                    let room = (most + BEYOND).saturating_sub(answer.body.len());
                    answer.body.extend(part.iter().take(room));
                }
                // The status has come: what the body still has to say is for the backend to judge.
                Some(Err(_)) | None => break,
            }
        }
    };
    tokio::select! {
        () = reading => {}
        () = patience.over() => {}
    }
    Answered::Read(shown(answer, most, &redactor))
}
