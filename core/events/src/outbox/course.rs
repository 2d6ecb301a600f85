//! What follows from an answer: a state machine without a clock.

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;
use taimat_contract::UnixMicros;
use taimat_contract::alerter::{Planned, Verdict};
use taimat_contract::message::{HttpResponse, Reply};

/// Waits between attempts grow from this to this.
const FIRST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(30 * 60);
/// A server is not let ask for more.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(6 * 3600);
/// After so many attempts that were answered with an error, a message no longer holds back those behind it.
const ASIDE_AFTER: u32 = 8;

/// What is done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// The message has arrived, with this receipt.
    Sent(String),
    /// The same again.
    Again {
        after: Duration,
        error: String,
        /// Those behind it need not wait.
        aside: bool,
    },
    /// Others in place of it and of what was still planned.
    Instead(Vec<Planned>),
    /// It will never work.
    Failed(String),
    /// The target is no more.
    Gone(String),
}

/// So long until the next attempt; `attempt` is how many there were, `random` from 0 to 1 keeps many from
/// trying at the same moment.
pub(super) fn wait(attempt: u32, random: f64) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(1 << attempt.saturating_sub(1).min(16));
    doubled.min(LONGEST_WAIT).mul_f64(0.8 + 0.4 * random)
}

/// What follows from what the alerter says of an answer that came at `now`.
pub(super) fn next(
    verdict: Verdict,
    reply: &Reply,
    attempt: u32,
    now: UnixMicros,
    random: f64,
) -> Next {
    let again = |after: Option<Duration>| Next::Again {
        after: after.unwrap_or(wait(attempt, random)),
        error: said(reply),
        aside: !matches!(reply, Reply::Failed(_)) && attempt >= ASIDE_AFTER,
    };
    match verdict {
        Verdict::Delivered(receipt) => Next::Sent(receipt),
        Verdict::Again(0) => again(None),
        Verdict::Again(seconds) => again(Some(Duration::from_secs(seconds.into()))),
        Verdict::GiveUp(why) => Next::Failed(why),
        Verdict::Gone(why) => Next::Gone(why),
        Verdict::Instead(planned) => Next::Instead(planned),
        Verdict::Usual => match reply {
            Reply::Accepted(_) | Reply::Bytes(_) => Next::Sent(String::new()),
            Reply::Failed(_) => again(None),
            Reply::Refused(why) => Next::Failed(why.clone()),
            Reply::Http(response) => match response.status {
                200..=299 => Next::Sent(String::new()),
                408 | 425 | 429 | 500..=599 => again(retry_after(response, now)),
                _ => Next::Failed(said(reply)),
            },
        },
    }
}

/// What came back, in a line for people. Bodies are left out: they are the server's words.
pub(super) fn said(reply: &Reply) -> String {
    match reply {
        Reply::Http(response) => format!("HTTP {}", response.status),
        Reply::Accepted(text) => text.clone(),
        Reply::Bytes(bytes) => format!("{} bytes", bytes.len()),
        Reply::Failed(why) | Reply::Refused(why) => why.clone(),
    }
}

/// RFC 9110 section 10.2.3: seconds, or a date.
fn retry_after(response: &HttpResponse, now: UnixMicros) -> Option<Duration> {
    let header = response.headers.iter().find(|h| h.key == "retry-after")?;
    let value = header.value.trim();
    let wait = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = DateTimeParser::new().parse_timestamp(value).ok()?;
            UnixMicros(date.as_microsecond()).since(now)
        }
    };
    Some(wait.clamp(Duration::from_secs(1), LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use taimat_contract::Attribute;

    use super::*;

    const NOW: UnixMicros = UnixMicros(1_800_000_000_000_000);

    fn http(status: u16, retry_after: &str) -> Reply {
        let header = Attribute {
            key: "retry-after".into(),
            value: retry_after.into(),
        };
        Reply::Http(HttpResponse {
            status,
            headers: if retry_after.is_empty() {
                vec![]
            } else {
                vec![header]
            },
            body: b"secret words".to_vec(),
        })
    }

    fn usual(reply: &Reply, attempt: u32) -> Next {
        next(Verdict::Usual, reply, attempt, NOW, 0.5)
    }

    fn seconds(next: &Next) -> u64 {
        match next {
            Next::Again { after, .. } => after.as_secs(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn answers_are_read_as_the_contract_says() {
        assert_eq!(usual(&http(204, ""), 1), Next::Sent(String::new()));
        assert_eq!(
            usual(&Reply::Accepted("ok".into()), 1),
            Next::Sent(String::new())
        );
        assert_eq!(usual(&http(404, ""), 1), Next::Failed("HTTP 404".into()));
        assert_eq!(usual(&http(302, ""), 1), Next::Failed("HTTP 302".into()));
        let refused = Reply::Refused("550 no such user".into());
        assert_eq!(usual(&refused, 1), Next::Failed("550 no such user".into()));
        // An alerter may know better.
        assert_eq!(
            seconds(&next(Verdict::Again(60), &refused, 1, NOW, 0.5)),
            60
        );
        assert_eq!(seconds(&usual(&http(503, ""), 1)), 5);
        assert_eq!(seconds(&usual(&http(429, "17"), 1)), 17);
        // 2027-01-15 08:01:00 UTC is a minute later.
        let date = "Fri, 15 Jan 2027 08:01:00 GMT";
        assert_eq!(seconds(&usual(&http(429, date), 1)), 60);
        assert_eq!(seconds(&usual(&http(429, "99999999999"), 1)), 6 * 3600);
        assert_eq!(seconds(&usual(&http(429, "soon"), 1)), 5);
        let gone = next(Verdict::Gone("left".into()), &http(403, ""), 1, NOW, 0.5);
        assert_eq!(gone, Next::Gone("left".into()));
    }

    #[test]
    fn waits_grow_to_half_an_hour() {
        let waits: Vec<u64> = (1..=12).map(|n| wait(n, 0.5).as_secs()).collect();
        assert_eq!(waits[..4], [5, 10, 20, 40]);
        assert_eq!(waits[11], 1800);
        assert!(wait(u32::MAX, 1.0) <= LONGEST_WAIT.mul_f64(1.2));
    }

    #[test]
    fn what_is_answered_with_an_error_again_and_again_stands_aside() {
        let aside = |reply: &Reply, attempt| match usual(reply, attempt) {
            Next::Again { aside, .. } => aside,
            other => panic!("{other:?}"),
        };
        assert!(!aside(&http(500, ""), 7));
        assert!(aside(&http(500, ""), 8));
        // Nobody is there: nothing behind it would fare better.
        assert!(!aside(&Reply::Failed("refused".into()), 8));
    }
}
