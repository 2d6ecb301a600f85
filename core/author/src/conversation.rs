//! What stands for the router while an alerter tells something: which message is next, what was tried, when
//! it is tried again. Pure: replies and verdicts come in, messages go out.

use std::collections::VecDeque;
use std::time::Duration;

use taimat_contract::UnixMicros;
use taimat_contract::alerter::{Decision, Planned, Sent, Verdict};
use taimat_contract::message::{HttpResponse, Outgoing, Reply};

/// How long it waits after the first attempt; twice as long after each further one.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// The longest time between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// What becomes of a message after a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum After {
    /// It is there.
    Delivered,
    /// It is tried again then.
    Again(UnixMicros),
    /// The task ends here, for this reason.
    Ends(String),
    /// Other messages take its place.
    Instead(usize),
}

/// One task on its way.
#[derive(Debug)]
pub(crate) struct Conversation {
    planned: VecDeque<Planned>,
    step: u32,
    attempt: u32,
    now: UnixMicros,
    deadline: UnixMicros,
    receipt: String,
    ended: bool,
}

impl Conversation {
    /// Begins with what an alerter composed; none if there is nothing to send.
    pub(crate) fn begin(
        decision: &Decision,
        now: UnixMicros,
        deadline: UnixMicros,
    ) -> Option<Self> {
        let Decision::Send(planned) = decision else {
            return None;
        };
        Some(Self {
            planned: planned.iter().cloned().collect(),
            step: 0,
            attempt: 1,
            now,
            deadline,
            receipt: String::new(),
            ended: false,
        })
    }

    /// The next message and how it is counted; none when all is done.
    pub(crate) fn next(&self) -> Option<(Planned, Sent)> {
        let planned = self.planned.front().filter(|_| !self.ended)?;
        let sent = Sent {
            step: self.step,
            attempt: self.attempt,
            at: self.now,
            memo: planned.memo.clone(),
        };
        Some((planned.clone(), sent))
    }

    /// What the events get back as `earlier`, if anything.
    pub(crate) fn receipt(&self) -> Option<&str> {
        Some(self.receipt.as_str()).filter(|text| !text.is_empty())
    }

    /// The alerter's verdict on a reply to the present message.
    pub(crate) fn judged(&mut self, verdict: &Verdict, reply: &Reply) -> After {
        match verdict {
            Verdict::Usual => self.usual(reply),
            Verdict::Delivered(receipt) => {
                if !receipt.is_empty() {
                    self.receipt.clone_from(receipt);
                }
                self.delivered()
            }
            Verdict::Again(0) => self.again(None),
            Verdict::Again(seconds) => self.again(Some(Duration::from_secs((*seconds).into()))),
            Verdict::GiveUp(why) | Verdict::Gone(why) => self.ends(why),
            Verdict::Instead(planned) => {
                let sent = self.step as usize + 1;
                if sent + planned.len() > Outgoing::MAX_MESSAGES {
                    return self.ends("a task sends 16 messages at most");
                }
                self.planned = planned.iter().cloned().collect();
                (self.step, self.attempt) = (self.step + 1, 1);
                After::Instead(planned.len())
            }
        }
    }

    fn usual(&mut self, reply: &Reply) -> After {
        match reply {
            Reply::Accepted(_) | Reply::Bytes(_) => self.delivered(),
            Reply::Http(answer) if (200..300).contains(&answer.status) => self.delivered(),
            Reply::Http(answer) if matches!(answer.status, 408 | 425 | 429 | 500..) => {
                self.again(retry_after(answer))
            }
            Reply::Http(answer) => self.ends(&format!("answered with {}", answer.status)),
            Reply::Failed(_) => self.again(None),
            Reply::Refused(why) => self.ends(why),
        }
    }

    fn delivered(&mut self) -> After {
        self.planned.pop_front();
        (self.step, self.attempt) = (self.step + 1, 1);
        After::Delivered
    }

    fn ends(&mut self, why: &str) -> After {
        self.ended = true;
        After::Ends(why.to_owned())
    }

    fn again(&mut self, wait: Option<Duration>) -> After {
        let doubled = FIRST_WAIT.saturating_mul(1 << (self.attempt - 1).min(10));
        let at = self.now.after(wait.unwrap_or(doubled.min(LONGEST_WAIT)));
        if at > self.deadline {
            return self.ends("its deadline is over");
        }
        (self.now, self.attempt) = (at, self.attempt + 1);
        After::Again(at)
    }
}

fn retry_after(answer: &HttpResponse) -> Option<Duration> {
    let header = answer.headers.iter().find(|h| h.key == "retry-after")?;
    header.value.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use taimat_contract::Attribute;
    use taimat_contract::message::Wire;

    const NOW: UnixMicros = UnixMicros(0);

    fn plan(memo: &str) -> Planned {
        Planned {
            message: Outgoing::Wire(Wire {
                channel: "w".into(),
                bytes: Vec::new(),
                answer_bytes: 0,
            }),
            memo: memo.into(),
        }
    }

    fn begin(memos: &[&str]) -> Conversation {
        let planned = memos.iter().map(|m| plan(m)).collect();
        let deadline = NOW.after(Duration::from_secs(60));
        Conversation::begin(&Decision::Send(planned), NOW, deadline).unwrap()
    }

    fn http(status: u16, retry: &str) -> Reply {
        let header = Attribute {
            key: "retry-after".into(),
            value: retry.into(),
        };
        Reply::Http(HttpResponse {
            status,
            headers: vec![header],
            body: Vec::new(),
        })
    }

    fn seconds(after: u64) -> After {
        After::Again(NOW.after(Duration::from_secs(after)))
    }

    #[test]
    fn messages_go_out_one_after_the_other_and_the_last_receipt_stays() {
        let mut talk = begin(&["a", "b"]);
        let ok = http(200, "");
        assert_eq!(
            talk.judged(&Verdict::Delivered("1".into()), &ok),
            After::Delivered
        );
        let (planned, sent) = talk.next().unwrap();
        assert_eq!(
            (planned.memo.as_str(), sent.step, sent.attempt),
            ("b", 1, 1)
        );
        assert_eq!(talk.judged(&Verdict::Usual, &ok), After::Delivered);
        assert!(talk.next().is_none());
        assert_eq!(talk.receipt(), Some("1"));
    }

    #[test]
    fn what_is_tried_again_waits_longer_until_the_deadline() {
        let mut talk = begin(&["a"]);
        let failed = Reply::Failed("no answer".into());
        assert_eq!(talk.judged(&Verdict::Usual, &failed), seconds(5));
        assert_eq!(talk.judged(&Verdict::Usual, &failed), seconds(15));
        assert_eq!(talk.judged(&Verdict::Usual, &http(429, "7")), seconds(22));
        assert_eq!(talk.judged(&Verdict::Again(20), &failed), seconds(42));
        assert_eq!(talk.next().unwrap().1.attempt, 5);
        let over = talk.judged(&Verdict::Usual, &failed);
        assert_eq!(over, After::Ends("its deadline is over".into()));
        assert!(talk.next().is_none());
        let refused = Reply::Refused("550 no such user".into());
        let over = begin(&["a"]).judged(&Verdict::Usual, &refused);
        assert_eq!(over, After::Ends("550 no such user".into()));
    }

    #[test]
    fn another_way_counts_on_and_what_was_planned_goes() {
        let mut talk = begin(&["a", "b"]);
        let instead = Verdict::Instead(vec![plan("c")]);
        assert_eq!(talk.judged(&instead, &http(400, "")), After::Instead(1));
        let (planned, sent) = talk.next().unwrap();
        assert_eq!((planned.memo.as_str(), sent.step), ("c", 1));
        assert_eq!(
            talk.judged(&Verdict::Usual, &http(404, "")),
            After::Ends("answered with 404".into())
        );
    }
}
