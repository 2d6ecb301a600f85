//! A component as a backend.

use std::sync::Arc;

use async_trait::async_trait;
use taimat_base::PluginId;
use taimat_contract::backend::{
    Entry, Errand, Listing, ObjectFacts, Operation, Progress, Room, Source, Span, Step,
};
use taimat_contract::message::{ChannelKind, HttpResponse, RequestHead};
use taimat_contract::{Failure, OutOfBounds, UnixMicros};

use crate::answers::{self, Answers, asked};
use crate::bindings::v0_3::exports::taimat::plugin::backend as wire;
use crate::bindings::v0_3::taimat::plugin::http;
use crate::budget::Budget;
use crate::events::{attribute, own_attribute};
use crate::generation::Generation;
use crate::granted::Granted;
use crate::instance::Instance;
use crate::place::Place;
use crate::seat::Making;

/// What a backend is asked: how an operation begins, or what the response to a step means, with the
/// step's memo.
pub(crate) struct BackendQuestion {
    pub(crate) errand: Errand,
    pub(crate) answered: Option<(String, HttpResponse)>,
}

/// A configured backend.
pub(crate) struct ReadyBackend {
    instance: Instance,
    exports: wire::Guest,
    granted: Arc<Granted>,
    plugin: PluginId,
}

impl std::fmt::Debug for ReadyBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadyBackend")
            .field("instance", &self.instance)
            .finish_non_exhaustive()
    }
}

impl ReadyBackend {
    /// Starts and configures one.
    pub(crate) fn make(
        generation: Arc<Generation>,
        place: Place,
        budget: Arc<Budget>,
    ) -> Making<Self> {
        Box::pin(async move {
            let pre = &generation.loaded.prepared.pre;
            let start = answers::start(&generation, &place, &budget, |store, instance| {
                wire::GuestIndices::new(pre)?.load(store, instance)
            });
            let (instance, exports) = start.await?;
            Ok(Self {
                instance,
                exports,
                granted: Arc::clone(&generation.context.granted),
                plugin: generation.context.plugin.clone(),
            })
        })
    }
}

#[async_trait]
impl Answers for ReadyBackend {
    type Question = BackendQuestion;
    type Reply = Progress;

    fn instance(&mut self) -> &mut Instance {
        &mut self.instance
    }

    async fn answer(&mut self, question: &BackendQuestion) -> Result<Progress, Failure> {
        let BackendQuestion { errand, answered } = question;
        let channels = &self.granted.channels;
        channels.admit_named(ChannelKind::Http, &errand.channel, &self.plugin)?;
        let Self {
            instance, exports, ..
        } = self;
        // It is told no time, and looks at none.
        let now = UnixMicros(0);
        let (key, operation) = (&errand.key, operation(&errand.operation));
        match answered {
            None => asked!(
                instance,
                now,
                |store| exports.call_begin(store, key, &operation),
                |said| Ok(errand.answered(progress(said)?)?)
            ),
            Some((memo, response)) => {
                let response = http::Response {
                    status: response.status,
                    headers: response.headers.iter().map(attribute).collect(),
                    body: response.body.clone(),
                };
                asked!(
                    instance,
                    now,
                    |store| exports.call_next(store, key, &operation, memo, &response),
                    |said| Ok(errand.answered(progress(said)?)?)
                )
            }
        }
    }
}

fn operation(operation: &Operation) -> wire::Operation {
    match operation {
        Operation::Put(content) => wire::Operation::Put(wire::Content {
            size: content.size,
            sha256: content.sha256.to_vec(),
            content_type: content.content_type.clone(),
        }),
        Operation::Get(span) => wire::Operation::Get(wire::Span {
            offset: span.offset,
            length: span.length,
        }),
        Operation::Stat => wire::Operation::Stat,
        Operation::Remove => wire::Operation::Remove,
        Operation::Entries(page) => wire::Operation::Entries(wire::Page {
            prefix: page.prefix.clone(),
            cursor: page.cursor.clone(),
        }),
        Operation::Space => wire::Operation::Space,
    }
}

fn progress(progress: wire::Progress) -> Result<Progress, OutOfBounds> {
    Ok(match progress {
        wire::Progress::Usual => Progress::Usual,
        wire::Progress::Step(step) => Progress::Step(own_step(step)),
        wire::Progress::Done => Progress::Done,
        wire::Progress::Found(facts) => Progress::Found(ObjectFacts {
            size: facts.size,
            sha256: facts.sha256.map(digest).transpose()?,
        }),
        wire::Progress::Missing => Progress::Missing,
        wire::Progress::Listed(listing) => {
            let entry = |entry: wire::Entry| Entry {
                key: entry.key,
                size: entry.size,
            };
            Progress::Listed(Listing {
                entries: listing.entries.into_iter().map(entry).collect(),
                cursor: listing.cursor,
            })
        }
        wire::Progress::Room(room) => Progress::Room(Room {
            used: room.used,
            free: room.free,
        }),
        wire::Progress::Again(seconds) => Progress::Again(seconds),
        wire::Progress::Refused(why) => Progress::Refused(why),
        wire::Progress::Unsupported => Progress::Unsupported,
    })
}

fn own_step(step: wire::Step) -> Step {
    Step {
        head: RequestHead {
            method: step.head.method,
            path: step.head.path,
            headers: step.head.headers.into_iter().map(own_attribute).collect(),
        },
        body: match step.body {
            wire::Source::Bytes(bytes) => Source::Bytes(bytes),
            wire::Source::Object(span) => Source::Object(Span {
                offset: span.offset,
                length: span.length,
            }),
        },
        memo: step.memo,
    }
}

fn digest(bytes: Vec<u8>) -> Result<[u8; 32], OutOfBounds> {
    bytes.try_into().map_err(|_other| OutOfBounds::Not {
        what: "sha256",
        rule: "of 32 bytes",
    })
}
