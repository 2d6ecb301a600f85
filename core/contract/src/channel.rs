//! Channels: what carries an alerter's messages out of the house.

use std::fmt::Debug;

use async_trait::async_trait;
use taimat_base::CommuneId;

use crate::message::{Media, Outgoing, Reply};

/// A message on its way, and whose it is.
#[derive(Debug, Clone, Copy)]
pub struct Dispatch<'a> {
    /// The commune. Channels and secrets of others are not there for it.
    pub commune: &'a CommuneId,
    /// The same for every attempt at the same message: up to 80 of 0-9, a-z, `-` and `_`. Channels that
    /// have a place for it send it along, so that whoever receives it twice can tell.
    pub key: &'a str,
    /// The message. It keeps to the contract.
    pub message: &'a Outgoing,
}

/// Who has the pictures that messages name.
#[async_trait]
pub trait MediaSource: Send + Sync + Debug {
    /// A JPEG or an MP4, as [`Media`] wants it; none if there is none (any more), or it is none of the
    /// task's.
    async fn media(&self, media: &Media) -> Option<Vec<u8>>;
}

/// The communes' channels.
#[async_trait]
pub trait Channels: Send + Sync + Debug {
    /// Sends once, within bounds of time and bytes, and says what came back. What can not be sent at
    /// all is [`Reply::Failed`], or [`Reply::Refused`] if it never can; no secret stands in it.
    async fn send(&self, dispatch: Dispatch<'_>, media: &dyn MediaSource) -> Reply;

    /// How often channels that stay connected have connected: when it changes, what is to stand at the
    /// other side has to be said again.
    fn connections(&self) -> u64;
}
