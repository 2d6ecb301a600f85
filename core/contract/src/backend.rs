//! A backend reaches a place where objects are kept over HTTP, in the words of its protocol: it says
//! which requests an operation takes and what the answers mean, and the host moves the bytes.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use taimat_base::{CommuneId, PluginId};

use crate::bounds::{self, MEMO_BYTES, OutOfBounds, TEXT_BYTES, holds, most};
use crate::failure::Unanswered;
use crate::message::{HttpResponse, RequestHead};

/// What is to be put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: [u8; 32],
    /// For example `video/mp4`.
    pub content_type: String,
}

/// A part of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Bytes before it.
    pub offset: u64,
    /// Bytes, at least 1.
    pub length: u64,
}

/// Which page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// Keys that begin so, in any order.
    pub prefix: String,
    /// From the answer before; empty is the first page.
    pub cursor: String,
}

/// What is to be done with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Keep this under it.
    Put(Content),
    /// Give a part of it.
    Get(Span),
    /// Is it there, and how large?
    Stat,
    /// Removing what is not there is no error.
    Remove,
    /// What is there. The key is empty.
    Entries(Page),
    /// How much room there is. The key is empty.
    Space,
}

/// An operation by a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errand {
    /// The channel's name: it has to be granted to the plugin.
    pub channel: String,
    /// Up to 512 of a-z, 0-9, `-`, `_`, `.` and `/`; no part of one is empty, `.` or `..`. Empty where
    /// the operation is about no object.
    pub key: String,
    /// What is to be done.
    pub operation: Operation,
}

/// Where the body of a request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Up to [`Step::MAX_BYTES`]; may be empty.
    Bytes(Vec<u8>),
    /// That part of what is to be put.
    Object(Span),
}

/// One request of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What goes before the body.
    pub head: RequestHead,
    /// The body.
    pub body: Source,
    /// Comes back with the response. Up to 4 KiB.
    pub memo: String,
}

impl Step {
    /// Bytes of a body that the plugin itself wrote, at most.
    pub const MAX_BYTES: usize = 256 << 10;
    /// Steps of an operation at most.
    pub const MAX_STEPS: u32 = 10_000;
}

/// An object of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its key.
    pub key: String,
    /// Bytes.
    pub size: u64,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// At most [`Listing::MAX_ENTRIES`].
    pub entries: Vec<Entry>,
    /// Of the next page; empty was the last.
    pub cursor: String,
}

impl Listing {
    /// Entries of a page at most.
    pub const MAX_ENTRIES: usize = 1000;
}

/// How much room there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes.
    pub used: u64,
    /// Bytes, if it says so.
    pub free: Option<u64>,
}

/// What is known of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectFacts {
    /// Bytes.
    pub size: u64,
    /// When the other side tells it.
    pub sha256: Option<[u8; 32]>,
}

/// How an operation goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// As the host reads it: 2xx is done; 404 and 410 are missing; 408, 425, 429, 5xx and no response
    /// are tried again, with Retry-After; other codes are refused.
    Usual,
    /// Another request.
    Step(Step),
    /// All of it is done.
    Done,
    /// The object is there.
    Found(ObjectFacts),
    /// The object is not there.
    Missing,
    /// A page of the list.
    Listed(Listing),
    /// How much room there is.
    Room(Room),
    /// The same step again after so many seconds; 0 is when the host thinks fit.
    Again(u32),
    /// It will not work, with the reason.
    Refused(String),
    /// This place has no such thing.
    Unsupported,
}

/// Whether a text may be the key of an object. What begins a key, as of a list, may also be empty or end
/// in the midst of it.
pub fn is_key(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_./".contains(&b);
    let part = |part: &str| !matches!(part, "" | "." | "..");
    text.len() <= 512 && text.bytes().all(fits) && text.split('/').all(part)
}

impl Errand {
    /// The question itself, if it keeps to the contract.
    pub fn checked(&self) -> Result<(), OutOfBounds> {
        let keyed = match &self.operation {
            Operation::Entries(page) => {
                let text = page.prefix.trim_end_matches('/');
                holds(text.is_empty() || is_key(text), "a prefix", PREFIX)?;
                most("bytes of a cursor", page.cursor.len(), TEXT_BYTES)?;
                false
            }
            Operation::Space => false,
            Operation::Put(content) => {
                let type_fits = content.content_type.bytes().all(|b| b.is_ascii_graphic());
                holds(type_fits, "a content type", "one word")?;
                whole("the size of an object", content.size)?;
                true
            }
            Operation::Get(span) => {
                span.checked()?;
                true
            }
            Operation::Stat | Operation::Remove => true,
        };
        match keyed {
            true => holds(is_key(&self.key), "a key", KEY),
            false => holds(
                self.key.is_empty(),
                "the key",
                "empty: it is about no object",
            ),
        }
    }

    /// The answer, if it keeps to the contract and is one to this operation.
    pub fn answered(&self, progress: Progress) -> Result<Progress, OutOfBounds> {
        match (&progress, &self.operation) {
            (Progress::Step(step), operation) => step.checked(operation)?,
            (Progress::Again(seconds), _) => {
                bounds::between("again", *seconds, 0..=86_400, "0 to 86400")?;
            }
            (Progress::Refused(why), _) => most("bytes of the reason", why.len(), TEXT_BYTES)?,
            (Progress::Found(facts), operation) => {
                holds(matches!(operation, Operation::Stat), "found", "asked for")?;
                whole("the size of an object", facts.size)?;
            }
            (Progress::Listed(listing), Operation::Entries(page)) => listing.checked(page)?,
            (Progress::Room(room), Operation::Space) => {
                whole("used", room.used)?;
                whole("free", room.free.unwrap_or(0))?;
            }
            (Progress::Listed(_), _) => holds(false, "a list", "asked for")?,
            (Progress::Room(_), _) => holds(false, "how much room there is", "asked for")?,
            (Progress::Usual | Progress::Done | Progress::Missing | Progress::Unsupported, _) => {}
        }
        Ok(progress)
    }
}

const KEY: &str = "up to 512 of a-z, 0-9, '-', '_', '.' and '/', without empty parts, '.' and '..'";
const PREFIX: &str = "what a key begins with";

fn whole(what: &'static str, number: u64) -> Result<(), OutOfBounds> {
    holds(number < 1 << 53, what, "below 2^53")
}

impl Span {
    fn checked(self) -> Result<(), OutOfBounds> {
        holds(self.length > 0, "the length of a span", "1 at least")?;
        whole("the end of a span", self.offset.saturating_add(self.length))
    }
}

impl Step {
    fn checked(&self, operation: &Operation) -> Result<(), OutOfBounds> {
        self.head.checked()?;
        most("bytes of the memo", self.memo.len(), MEMO_BYTES)?;
        match &self.body {
            Source::Bytes(bytes) => most("bytes of a body", bytes.len(), Self::MAX_BYTES),
            Source::Object(span) => {
                span.checked()?;
                let size = match operation {
                    Operation::Put(content) => content.size,
                    _ => 0,
                };
                let within = span.offset.saturating_add(span.length) <= size;
                holds(within, "the body", "a part of what is to be put")
            }
        }
    }
}

impl Listing {
    fn checked(&self, page: &Page) -> Result<(), OutOfBounds> {
        most("entries", self.entries.len(), Self::MAX_ENTRIES)?;
        most("bytes of a cursor", self.cursor.len(), TEXT_BYTES)?;
        let on = self.cursor.is_empty() || self.cursor != page.cursor;
        holds(on, "the cursor", "another than that of this page")?;
        for entry in &self.entries {
            holds(is_key(&entry.key), "the key of an entry", KEY)?;
            let within = entry.key.starts_with(&page.prefix);
            holds(within, "the key of an entry", "one with the prefix")?;
            whole("the size of an entry", entry.size)?;
        }
        Ok(())
    }
}

/// One of a commune's backends, whatever instance of it is running at the moment.
#[async_trait]
pub trait Backend: Send + Sync + Debug {
    /// How an operation begins.
    async fn begin(&self, errand: &Errand) -> Result<Progress, Unanswered>;
    /// What a response means; `memo` is that of the step. Of a `get` that was answered with 200 or 206
    /// the body has gone where it belongs and is empty here. Status 0 is no response.
    async fn next(
        &self,
        errand: &Errand,
        memo: &str,
        response: &HttpResponse,
    ) -> Result<Progress, Unanswered>;
}

/// Who knows the communes' backends.
pub trait Backends: Send + Sync + Debug {
    /// One of a commune's, by the name that its file has. It is asked for again with every operation:
    /// `commune.toml` changes.
    fn backend(&self, commune: &CommuneId, name: &PluginId) -> Option<Arc<dyn Backend>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errand(key: &str, operation: Operation) -> Errand {
        Errand {
            channel: "nas".into(),
            key: key.into(),
            operation,
        }
    }

    fn put(size: u64) -> Errand {
        let content = Content {
            size,
            sha256: [0; 32],
            content_type: "video/mp4".into(),
        };
        errand("a/b.mp4", Operation::Put(content))
    }

    fn step(body: Source) -> Progress {
        Progress::Step(Step {
            head: RequestHead {
                method: "PUT".into(),
                path: "/a/b.mp4".into(),
                headers: Vec::new(),
            },
            body,
            memo: String::new(),
        })
    }

    #[test]
    fn keys_stay_below_where_they_begin() {
        for good in ["a", "hoa-lac/c1/2027-03-01/08_00.mp4", &"a".repeat(512)] {
            assert!(is_key(good), "{good}");
            assert_eq!(errand(good, Operation::Stat).checked(), Ok(()));
        }
        for bad in [
            "", "/", "/a", "a/", "a//b", "a/../b", ".", "A", "a b", "a?b", "ấ", "a%2e",
        ] {
            assert!(!is_key(bad), "{bad}");
            assert!(errand(bad, Operation::Stat).checked().is_err(), "{bad}");
        }
        assert!(!is_key(&"a".repeat(513)));
        let entries = |prefix: &str| {
            let page = Page {
                prefix: prefix.into(),
                cursor: String::new(),
            };
            errand("", Operation::Entries(page)).checked()
        };
        assert!(entries("").is_ok() && entries("a/").is_ok() && entries("a/b").is_ok());
        assert!(entries("../a").is_err());
        assert!(errand("a", Operation::Space).checked().is_err());
    }

    #[test]
    fn a_body_is_a_part_of_what_is_to_be_put() {
        let object = |offset, length| step(Source::Object(Span { offset, length }));
        assert!(put(10).answered(object(0, 10)).is_ok());
        assert!(put(10).answered(object(9, 1)).is_ok());
        assert!(put(10).answered(object(9, 2)).is_err());
        assert!(put(10).answered(object(0, 0)).is_err());
        assert!(put(10).answered(object(u64::MAX, 2)).is_err());
        assert!(errand("a", Operation::Stat).answered(object(0, 1)).is_err());
        assert!(put(0).answered(step(Source::Bytes(Vec::new()))).is_ok());
        let long = step(Source::Bytes(vec![0; Step::MAX_BYTES + 1]));
        assert!(put(0).answered(long).is_err());
    }

    #[test]
    fn an_answer_is_one_to_the_question_and_a_list_goes_on() {
        let page = |cursor: &str| {
            let page = Page {
                prefix: "a/".into(),
                cursor: cursor.into(),
            };
            errand("", Operation::Entries(page))
        };
        let listed = |key: &str, cursor: &str| {
            Progress::Listed(Listing {
                entries: vec![Entry {
                    key: key.into(),
                    size: 1,
                }],
                cursor: cursor.into(),
            })
        };
        assert!(page("").answered(listed("a/b", "2")).is_ok());
        assert!(page("2").answered(listed("a/b", "")).is_ok());
        // It would never end.
        assert!(page("2").answered(listed("a/b", "2")).is_err());
        assert!(page("").answered(listed("b/b", "")).is_err());
        assert!(page("").answered(listed("a/../b", "")).is_err());
        assert!(put(1).answered(listed("a/b", "")).is_err());
        let facts = ObjectFacts {
            size: 1,
            sha256: None,
        };
        assert!(put(1).answered(Progress::Found(facts)).is_err());
        let stat = errand("a", Operation::Stat);
        assert!(stat.answered(Progress::Found(facts)).is_ok());
        let room = Room {
            used: 1,
            free: Some(1 << 53),
        };
        assert!(
            errand("", Operation::Space)
                .answered(Progress::Room(room))
                .is_err()
        );
    }
}
