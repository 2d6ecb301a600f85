//! Keeping a session alive (RFC 2326 section 12.37 and A.2): how often, and by which request.
//!
//! A missing or refusing answer ends nothing: whether the session lives is seen by its media.

use std::time::{Duration, Instant};

use taimat_media::{Quirk, Quirks};

use crate::message::{Method, Response};
use crate::session::{Methods, Session};

/// So many may wait for their answer; more than that, and the camera does not answer them.
const MOST_WAITING: usize = 4;

/// How often, where the camera says nothing.
const USUAL: Duration = Duration::from_secs(30);

/// By which request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeepAliveBy {
    /// What the camera says that it can, OPTIONS if it says nothing.
    #[default]
    Auto,
    /// OPTIONS.
    Options,
    /// GET_PARAMETER.
    GetParameter,
    /// SET_PARAMETER.
    SetParameter,
    /// Not at all.
    Off,
}

/// What the operator wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeepAliveSpec {
    /// By which request.
    pub by: KeepAliveBy,
    /// How often; half of what the camera allows if not said.
    pub every: Option<Duration>,
}

/// One session's keep-alive.
#[derive(Debug)]
pub(crate) struct KeepAlive {
    spec: KeepAliveSpec,
    offered: Methods,
    /// What the camera refused.
    refused: Vec<Method>,
    every: Duration,
    due: Option<Instant>,
    waiting: Vec<u32>,
}

impl KeepAlive {
    pub(crate) fn new(spec: KeepAliveSpec) -> Self {
        Self {
            spec,
            offered: Methods::default(),
            refused: Vec::new(),
            every: spec.every.unwrap_or(USUAL),
            due: None,
            waiting: Vec::new(),
        }
    }

    /// Takes what any answer says about methods and the session's time limit.
    pub(crate) fn learn(&mut self, response: &Response, session: Option<&Session>) {
        let methods = Methods::parse(&response.headers);
        if !methods.is_empty() {
            self.offered = methods;
        }
        let allowed = session.map_or(USUAL, Session::keep_alive_interval);
        self.every = self.spec.every.unwrap_or(allowed);
    }

    pub(crate) fn start(&mut self, now: Instant) {
        self.due = Some(now + self.every);
    }

    pub(crate) fn due(&self) -> Option<Instant> {
        self.due.filter(|_| self.spec.by != KeepAliveBy::Off)
    }

    /// The next one is not to wait for its turn.
    pub(crate) fn soon(&mut self, now: Instant) {
        self.due = Some(now);
    }

    /// What to send, if it is time.
    pub(crate) fn take(&mut self, now: Instant, quirks: &mut Quirks) -> Option<Method> {
        if self.due().is_none_or(|due| now < due) {
            return None;
        }
        self.due = Some(now + self.every);
        if !self.waiting.is_empty() {
            quirks.note(Quirk::SilentKeepAlive);
        }
        if self.waiting.len() >= MOST_WAITING {
            self.waiting.remove(0);
        }
        Some(self.method())
    }

    fn method(&self) -> Method {
        match self.spec.by {
            KeepAliveBy::Options => Method::Options,
            KeepAliveBy::GetParameter => Method::GetParameter,
            KeepAliveBy::SetParameter => Method::SetParameter,
            KeepAliveBy::Auto | KeepAliveBy::Off => {
                let first = self.offered.keep_alive();
                let others = [Method::Options, Method::GetParameter, Method::SetParameter];
                let mut all = std::iter::once(first).chain(others);
                all.find(|method| !self.refused.contains(method))
                    .unwrap_or(Method::Options)
            }
        }
    }

    pub(crate) fn sent(&mut self, cseq: u32) {
        self.waiting.push(cseq);
    }

    /// Whether this is the answer to one that waits; it waits no more.
    pub(crate) fn answered(&mut self, cseq: u32) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|waiting| *waiting != cseq);
        self.waiting.len() < before
    }

    /// An answer without a number that fits: it is for the one that waits longest, if any does.
    pub(crate) fn answered_any(&mut self) -> bool {
        let any = !self.waiting.is_empty();
        if any {
            self.waiting.remove(0);
        }
        any
    }

    /// A method that the camera does not have is not sent again; another one follows at once.
    pub(crate) fn judge(&mut self, status: u16, now: Instant) {
        if matches!(status, 400 | 405 | 501 | 551) && self.spec.by == KeepAliveBy::Auto {
            let method = self.method();
            if !self.refused.contains(&method) {
                self.refused.push(method);
                self.soon(now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offering(methods: &str) -> KeepAlive {
        let mut keep = KeepAlive::new(KeepAliveSpec::default());
        let response = Response::new(200).with("Public", methods);
        keep.learn(&response, None);
        keep
    }

    #[test]
    fn uses_what_the_camera_says_it_can() {
        assert_eq!(
            offering("OPTIONS, GET_PARAMETER").method(),
            Method::GetParameter
        );
        assert_eq!(offering("OPTIONS, DESCRIBE").method(), Method::Options);
        assert_eq!(offering("").method(), Method::Options);
        let own = KeepAliveSpec {
            by: KeepAliveBy::SetParameter,
            every: None,
        };
        assert_eq!(KeepAlive::new(own).method(), Method::SetParameter);
    }

    #[test]
    fn moves_on_from_what_is_refused_and_does_not_loop() {
        let now = taimat_base::clock::now();
        let mut keep = offering("OPTIONS, GET_PARAMETER");
        keep.start(now);
        keep.judge(501, now);
        assert_eq!((keep.method(), keep.due()), (Method::Options, Some(now)));
        let mut again = 0;
        for _ in 0..10 {
            keep.start(now);
            keep.judge(501, now);
            again += u32::from(keep.due() == Some(now));
        }
        assert_eq!(
            again, 2,
            "when all are refused, one is sent in its turn only"
        );
    }

    #[test]
    fn silence_is_noticed_and_bounded() {
        let (now, mut quirks) = (taimat_base::clock::now(), Quirks::default());
        let mut keep = offering("OPTIONS");
        keep.start(now);
        assert_eq!(keep.take(now, &mut quirks), None);
        for n in 1..20 {
            let at = now + keep.every * n;
            assert_eq!(keep.take(at, &mut quirks), Some(Method::Options));
            keep.sent(n);
        }
        assert_eq!(quirks.count(Quirk::SilentKeepAlive), 18);
        assert!(keep.waiting.len() <= MOST_WAITING);
        assert!(keep.answered(19) && !keep.answered(19) && !keep.answered(1));
    }

    #[test]
    fn off_is_off() {
        let spec = KeepAliveSpec {
            by: KeepAliveBy::Off,
            every: Some(Duration::from_secs(1)),
        };
        let mut keep = KeepAlive::new(spec);
        keep.start(taimat_base::clock::now());
        assert_eq!(keep.due(), None);
    }
}
