//! A place that is reached in the words of a backend, by a channel.

use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use taimat_base::{ChannelId, CommuneId, PluginId};
use taimat_contract::Backends;
use taimat_contract::backend::{Content, Errand, Operation, Page, Span};
use taimat_contract::place::{
    BlobEntry, BlobPage, BlobStat, BlobStore, ByteStream, PlaceError, PlaceSpace, PutContent,
};

use super::errand::{Ended, Runner};
use super::exchange::Asker;
use super::incoming::{Coming, before};
use crate::channel::ChannelMap;

/// Such a place.
#[derive(Debug)]
pub(crate) struct BackendPlace {
    pub(crate) commune: CommuneId,
    pub(crate) plugin: PluginId,
    pub(crate) channel: ChannelId,
    pub(crate) channels: ChannelMap,
    pub(crate) backends: Arc<dyn Backends>,
}

impl BackendPlace {
    /// The backend and the channel as they are now: both change with the commune's file.
    fn runner(&self) -> Result<Runner, PlaceError> {
        let backend = self.backends.backend(&self.commune, &self.plugin);
        let plugin = &self.plugin;
        let backend =
            backend.ok_or_else(|| PlaceError::later(format!("no backend {plugin} runs")))?;
        let key = (self.commune.clone(), self.channel.clone());
        let channels = self.channels.read().unwrap_or_else(PoisonError::into_inner);
        let channel = channels.get(&key).map(Arc::clone);
        let name = &self.channel;
        let channel =
            channel.ok_or_else(|| PlaceError::Refused(format!("there is no channel {name}")))?;
        Ok(Runner {
            name: plugin.clone(),
            backend,
            asker: Asker(channel),
        })
    }

    fn errand(&self, key: &str, operation: Operation) -> Errand {
        Errand {
            channel: self.channel.to_string(),
            key: key.to_owned(),
            operation,
        }
    }

    async fn run(&self, key: &str, operation: Operation) -> Result<(Runner, Ended), PlaceError> {
        let runner = self.runner()?;
        let ended = runner.run(&self.errand(key, operation), None).await?;
        Ok((runner, ended))
    }
}

#[async_trait]
impl BlobStore for BackendPlace {
    async fn put(&self, key: &str, content: PutContent) -> Result<(), PlaceError> {
        let runner = self.runner()?;
        let operation = Operation::Put(Content {
            size: content.size,
            sha256: content.sha256,
            content_type: content.content_type.clone(),
        });
        match runner
            .run(&self.errand(key, operation), Some(&content))
            .await?
        {
            Ended::Done => {}
            Ended::Missing => {
                return Err(PlaceError::Refused("there is no such folder".into()));
            }
            Ended::Unsupported => return Err(PlaceError::Unsupported),
            _ => return Err(runner.wrong("answers something else than was asked")),
        }
        // What a server says it has is looked at.
        let there = match self.stat(key).await {
            Err(PlaceError::Unsupported) => return Ok(()),
            other => other?,
        };
        let Some(there) = there else {
            let why = "the server said that it has it, and does not";
            return Err(PlaceError::Differs(why.into()));
        };
        if there.size != content.size {
            let (has, sent) = (there.size, content.size);
            return Err(PlaceError::Differs(format!(
                "{has} bytes are there of {sent}"
            )));
        }
        match there.sha256 {
            Some(digest) if digest != content.sha256 => {
                Err(PlaceError::Differs("its digest is another".into()))
            }
            _ => Ok(()),
        }
    }

    async fn stat(&self, key: &str) -> Result<Option<BlobStat>, PlaceError> {
        match self.run(key, Operation::Stat).await? {
            (_, Ended::Found(facts)) => Ok(Some(BlobStat {
                size: facts.size,
                sha256: facts.sha256,
            })),
            (_, Ended::Missing) => Ok(None),
            (_, Ended::Unsupported) => Err(PlaceError::Unsupported),
            (runner, _) => Err(runner.wrong("does not say how large it is")),
        }
    }

    async fn get(&self, key: &str, offset: u64, length: u64) -> Result<ByteStream, PlaceError> {
        let span = Span { offset, length };
        match self.run(key, Operation::Get(span)).await? {
            (_, Ended::Opened(head, body, driven)) => {
                let skip = before(&head, span)?;
                Ok(Coming::new(body, driven, skip, length).stream())
            }
            (_, Ended::Missing) => Err(PlaceError::Missing),
            (_, Ended::Unsupported) => Err(PlaceError::Unsupported),
            (runner, _) => Err(runner.wrong("fetches nothing")),
        }
    }

    async fn delete(&self, key: &str) -> Result<(), PlaceError> {
        match self.run(key, Operation::Remove).await? {
            (_, Ended::Done | Ended::Missing) => Ok(()),
            (_, Ended::Unsupported) => Err(PlaceError::Unsupported),
            (runner, _) => Err(runner.wrong("answers something else than was asked")),
        }
    }

    async fn list(&self, prefix: &str, cursor: Option<&str>) -> Result<BlobPage, PlaceError> {
        let page = Page {
            prefix: prefix.to_owned(),
            cursor: cursor.unwrap_or("").to_owned(),
        };
        match self.run("", Operation::Entries(page)).await? {
            (_, Ended::Listed(listing)) => {
                let entries = listing.entries.into_iter().map(|entry| BlobEntry {
                    key: entry.key,
                    size: entry.size,
                });
                Ok(BlobPage {
                    entries: entries.collect(),
                    cursor: Some(listing.cursor).filter(|cursor| !cursor.is_empty()),
                })
            }
            (_, Ended::Missing) => Ok(BlobPage::default()),
            (_, Ended::Unsupported) => Err(PlaceError::Unsupported),
            (runner, _) => Err(runner.wrong("does not say what is there")),
        }
    }

    async fn space(&self) -> Result<Option<PlaceSpace>, PlaceError> {
        match self.run("", Operation::Space).await? {
            (_, Ended::Room(room)) => Ok(Some(PlaceSpace {
                used: room.used,
                free: room.free,
            })),
            (_, Ended::Unsupported | Ended::Missing) => Ok(None),
            (runner, _) => Err(runner.wrong("does not say how much room there is")),
        }
    }
}
