//! One operation in the words of a backend: which request comes next is the backend's to say, how many and
//! how long is ours. A backend that never comes to an end is ended, and named.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use taimat_base::{PluginId, clock};
use taimat_contract::backend::{Errand, Listing, ObjectFacts, Operation, Progress, Room, Step};
use taimat_contract::message::HttpResponse;
use taimat_contract::place::{PlaceError, PutContent};
use taimat_contract::{Backend, Failure, PluginError, Unanswered};

use super::exchange::{Answered, Asker};
use crate::exchange::Driven;

/// Requests of an operation that moves no object.
const MOST_STEPS: u32 = 200;
/// All of such an operation.
const WHOLE: Duration = Duration::from_secs(120);
/// All of one that puts: beside what its bytes need.
const WHOLE_PUT: Duration = Duration::from_secs(600);
/// Bytes a second at least, over all parts.
const SLOWEST: u64 = 16 << 10;
/// A backend may wait so long for the same step within an operation; what takes longer is tried again as a
/// whole.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// And so often.
const MOST_WAITS: u32 = 5;
/// When it leaves it to us.
const USUAL_WAIT: Duration = Duration::from_secs(2);

/// How an operation ended.
pub(super) enum Ended {
    Done,
    Missing,
    Unsupported,
    Found(ObjectFacts),
    Listed(Listing),
    Room(Room),
    /// The answer to a `get`, whose body is to come.
    Opened(HttpResponse, Incoming, Driven),
}

/// Who runs operations: a backend, and the channel that it speaks by.
pub(super) struct Runner {
    pub(super) name: PluginId,
    pub(super) backend: Arc<dyn Backend>,
    pub(super) asker: Asker,
}

impl Runner {
    /// Runs one to its end.
    pub(super) async fn run(
        &self,
        errand: &Errand,
        content: Option<&PutContent>,
    ) -> Result<Ended, PlaceError> {
        let whole = match content {
            Some(content) => WHOLE_PUT + Duration::from_secs(content.size / SLOWEST),
            None => WHOLE,
        };
        let running = Box::pin(self.steps(errand, content));
        match tokio::time::timeout(whole, running).await {
            Ok(ended) => ended,
            Err(_late) => {
                let name = &self.name;
                let text = format!("the backend {name} came to no end within {whole:?}");
                Err(PlaceError::later(text))
            }
        }
    }

    async fn steps(
        &self,
        errand: &Errand,
        content: Option<&PutContent>,
    ) -> Result<Ended, PlaceError> {
        let most = match &errand.operation {
            Operation::Put(_) => Step::MAX_STEPS,
            _ => MOST_STEPS,
        };
        let begun = self.backend.begin(errand).await;
        let mut progress = begun.map_err(|why| self.unanswered(&why))?;
        let mut waits = 0;
        for _ in 0..most {
            let step = match progress {
                Progress::Step(step) => step,
                Progress::Usual | Progress::Again(_) => {
                    return Err(self.wrong("begins without a request"));
                }
                last => return self.ended(last),
            };
            let (answered, next) = loop {
                let answered = self.asker.send(&step, &errand.operation, content).await?;
                let next = self.next(errand, &step, &answered).await?;
                let Some(wait) = waiting(&next) else {
                    break (answered, next);
                };
                waits += 1;
                if wait > LONGEST_WAIT || waits > MOST_WAITS {
                    return Err(later(&answered, Some(wait)));
                }
                clock::sleep_until(clock::now() + wait).await;
            };
            progress = match (next, answered) {
                (Progress::Usual, answered) => return usual(answered),
                (Progress::Done, Answered::Opened(head, body, driven)) => {
                    return Ok(Ended::Opened(head, body, driven));
                }
                (next, _) => next,
            };
        }
        Err(self.wrong(&format!(
            "wants more than {most} requests for one operation"
        )))
    }

    async fn next(
        &self,
        errand: &Errand,
        step: &Step,
        answered: &Answered,
    ) -> Result<Progress, PlaceError> {
        let none = HttpResponse {
            status: 0,
            headers: Vec::new(),
            body: Vec::new(),
        };
        let response = match answered {
            Answered::Read(response) | Answered::Opened(response, ..) => response,
            Answered::None(_) => &none,
        };
        let next = self.backend.next(errand, &step.memo, response).await;
        next.map_err(|why| self.unanswered(&why))
    }

    /// What needs no further request.
    fn ended(&self, progress: Progress) -> Result<Ended, PlaceError> {
        Ok(match progress {
            Progress::Done => Ended::Done,
            Progress::Missing => Ended::Missing,
            Progress::Unsupported => Ended::Unsupported,
            Progress::Found(facts) => Ended::Found(facts),
            Progress::Listed(listing) => Ended::Listed(listing),
            Progress::Room(room) => Ended::Room(room),
            Progress::Refused(why) => return Err(PlaceError::Refused(why)),
            Progress::Usual | Progress::Step(_) | Progress::Again(_) => {
                return Err(self.wrong("has no end"));
            }
        })
    }

    /// What a backend said that can not be.
    pub(super) fn wrong(&self, what: &str) -> PlaceError {
        PlaceError::Refused(format!("the backend {} {what}", self.name))
    }

    fn unanswered(&self, why: &Unanswered) -> PlaceError {
        let text = format!("the backend {}: {why}", self.name);
        match why {
            Unanswered::Unasked(_)
            | Unanswered::Failed(Failure::Said(PluginError::Settings(_))) => {
                PlaceError::Refused(text)
            }
            _ => PlaceError::later(text),
        }
    }
}

/// How long a backend wants to wait for the same step again.
fn waiting(progress: &Progress) -> Option<Duration> {
    match progress {
        Progress::Again(0) => Some(USUAL_WAIT),
        Progress::Again(seconds) => Some(Duration::from_secs((*seconds).into())),
        _ => None,
    }
}

/// What an answer means if the backend leaves it to us.
fn usual(answered: Answered) -> Result<Ended, PlaceError> {
    let status = match &answered {
        Answered::Opened(..) => 200,
        Answered::Read(response) => response.status,
        Answered::None(_) => 0,
    };
    match status {
        200..=299 => Ok(match answered {
            Answered::Opened(head, body, driven) => Ended::Opened(head, body, driven),
            _ => Ended::Done,
        }),
        404 | 410 => Ok(Ended::Missing),
        0 | 408 | 425 | 429 | 500..=599 => Err(later(&answered, None)),
        status => Err(PlaceError::Refused(format!("the server answers {status}"))),
    }
}

/// Later, as the answer says, or as who asked does.
fn later(answered: &Answered, wait: Option<Duration>) -> PlaceError {
    let (why, said) = match answered {
        Answered::None(why) => (why.clone(), None),
        Answered::Read(response) | Answered::Opened(response, ..) => {
            let after = response.headers.iter().find(|h| h.key == "retry-after");
            let seconds = after.and_then(|header| header.value.trim().parse::<u32>().ok());
            let said = seconds.map(|seconds| Duration::from_secs(seconds.min(86_400).into()));
            (format!("the server answers {}", response.status), said)
        }
    };
    PlaceError::Later {
        why,
        after: wait.or(said),
    }
}
