//! Requests and their answers: numbers, signing in, the session's name. One request waits for its
//! answer at a time; what it is for is the step's matter.

use std::time::Instant;

use taimat_media::{Quirk, Quirks};

use crate::auth::{AuthError, Authenticator};
use crate::message::{Request, Response};
use crate::session::Session;

/// The request that waits for its answer.
#[derive(Debug)]
pub(super) struct Asked {
    cseq: u32,
    request: Request,
    tries: u32,
    until: Instant,
}

/// What is said in a connection, and what the camera calls it.
#[derive(Debug)]
pub(super) struct Exchange {
    user_agent: String,
    auth: Authenticator,
    asked: Option<Asked>,
    cseq: u32,
    out: Vec<u8>,
    session: Option<Session>,
    /// An identifier that was replaced by another one: a camera may still mean it.
    former: Option<String>,
}

impl Exchange {
    pub(super) fn new(user_agent: String, auth: Authenticator) -> Self {
        Self {
            user_agent,
            auth,
            asked: None,
            cseq: 0,
            out: Vec::new(),
            session: None,
            former: None,
        }
    }

    /// Bytes to be written, taken away.
    pub(super) fn output(&mut self) -> Option<Vec<u8>> {
        (!self.out.is_empty()).then(|| std::mem::take(&mut self.out))
    }

    pub(super) fn into_auth(self) -> Authenticator {
        self.auth
    }

    pub(super) fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.asked.is_some()
    }

    /// Whether the request that waits was sent more than once.
    pub(super) fn is_repeating(&self) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.tries > 1)
    }

    /// Until when there has to be an answer.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.asked.as_ref().map(|asked| asked.until)
    }

    /// No answer is waited for any more.
    pub(super) fn give_up(&mut self) {
        self.asked = None;
    }

    /// Sends a request whose answer has to come until then.
    pub(super) fn ask(&mut self, request: Request, until: Instant) {
        let asked = Asked {
            cseq: 0,
            request,
            tries: 0,
            until,
        };
        self.again(asked, until);
    }

    /// The same once more, with what has been learned since.
    pub(super) fn again(&mut self, mut asked: Asked, until: Instant) {
        asked.cseq = self.send(asked.request.clone());
        asked.tries += 1;
        asked.until = until;
        self.asked = Some(asked);
    }

    /// Sends a request that nothing waits for; returns its number.
    pub(super) fn send(&mut self, request: Request) -> u32 {
        self.cseq += 1;
        let authorization = self.auth.authorize(&request.method, &request.uri);
        let mut request = request
            .with("CSeq", self.cseq.to_string())
            .with("User-Agent", self.user_agent.as_str());
        if let Some(value) = authorization {
            request = request.with("Authorization", value);
        }
        if let Some(session) = &self.session {
            request = request.with("Session", session.id.as_str());
        }
        request.write(&mut self.out);
        self.cseq
    }

    /// Answers the camera.
    pub(super) fn answer(&mut self, response: &Response) {
        response.write(&mut self.out);
    }

    /// The request that an answer of this number is to. An answer that is misnumbered is to the one
    /// that waits, unless it is one to what was given up or answered already.
    pub(super) fn answered(&mut self, number: Option<u32>, quirks: &mut Quirks) -> Option<Asked> {
        let due = self.asked.as_ref()?.cseq;
        match number {
            Some(number) if number == due => {}
            Some(number) if number > 0 && number < due => return None,
            _ => quirks.note(Quirk::WrongCseq),
        }
        self.asked.take()
    }

    /// The camera asks who we are. If this is fine, the request is to be sent again.
    pub(super) fn challenged(&mut self, response: &Response) -> Result<(), AuthError> {
        self.auth.challenged(response)
    }

    /// The camera let a request in.
    pub(super) fn accepted(&mut self) {
        self.auth.accepted();
    }

    /// Cameras name their session in any answer, and some another one each time. Says whether this
    /// one does.
    pub(super) fn follow_session(&mut self, response: &Response, quirks: &mut Quirks) -> bool {
        let header = response.headers.get("Session");
        let Some(mut named) = header.and_then(Session::parse) else {
            return false;
        };
        let says = header.is_some_and(|h| h.to_ascii_lowercase().contains("timeout"));
        if let (false, Some(known)) = (says, &self.session) {
            // What SETUP said holds on.
            named.timeout = known.timeout;
        }
        match self.session.replace(named) {
            Some(old) if Some(&old.id) != self.session.as_ref().map(|s| &s.id) => {
                quirks.note(Quirk::OddSession);
                self.former.get_or_insert(old.id);
            }
            _ => {}
        }
        true
    }

    /// Whether there is another identifier that the camera may mean; it is used from now on.
    pub(super) fn other_session(&mut self) -> bool {
        match (&mut self.session, self.former.take()) {
            (Some(session), Some(former)) => {
                session.id = former;
                true
            }
            _ => false,
        }
    }
}
