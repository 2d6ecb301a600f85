//! Our answers to a camera that asks us something, as some do to see whether we are still there.

use std::time::{Duration, Instant};

use crate::message::{Method, Request, Response};

/// Answers a second; what is more is not answered.
const ANSWERS_PER_SECOND: u32 = 20;
const SECOND: Duration = Duration::from_secs(1);

/// How many were given in the last second.
#[derive(Debug, Default)]
pub(super) struct Answers {
    since: Option<Instant>,
    count: u32,
}

impl Answers {
    /// The answer to a request, unless it asks too often.
    pub(super) fn to(&mut self, request: &Request, now: Instant) -> Option<Response> {
        let over = |since| now.saturating_duration_since(since) >= SECOND;
        if self.since.is_none_or(over) {
            (self.since, self.count) = (Some(now), 0);
        }
        self.count += 1;
        if self.count > ANSWERS_PER_SECOND {
            return None;
        }
        let response = match request.method {
            Method::Options => {
                Response::new(200).with("Public", "OPTIONS, GET_PARAMETER, SET_PARAMETER")
            }
            Method::GetParameter | Method::SetParameter | Method::Teardown => Response::new(200),
            _ => Response::new(501),
        };
        Some(match request.headers.get("CSeq") {
            Some(number) => response.with("CSeq", number),
            None => response,
        })
    }
}
