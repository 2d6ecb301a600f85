//! What is shared: by all connections of a camera, and by what goes on in one of them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;

use super::case::{Case, Sound};
use super::footage::Reel;
use super::wire::{Outgoing, Wire};
use super::{describe, footage};

/// What all connections of a camera share.
pub(super) struct PreparedCase {
    case: Arc<Case>,
    /// Where the camera is.
    pub(super) local: SocketAddr,
    /// The group that it sends to, if it does.
    pub(super) group: Option<(Ipv4Addr, u16)>,
    /// What it says of itself.
    pub(super) description: Vec<u8>,
    /// The footage that is played, one piece after the other.
    pub(super) reels: Vec<(Arc<Reel>, Vec<footage::Unit>)>,
    /// Frames of sound, where it is AAC.
    pub(super) tone: Vec<Bytes>,
}

impl PreparedCase {
    pub(super) fn prepare(
        case: Arc<Case>,
        local: SocketAddr,
        group: Option<(Ipv4Addr, u16)>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            description: describe::body(&case, group)?,
            reels: case.reels()?,
            tone: match case.sound {
                Some(Sound::Aac | Sound::Adts) => footage::tone()?,
                _ => Vec::new(),
            },
            case,
            local,
            group,
        })
    }

    pub(super) fn case(&self) -> &Arc<Case> {
        &self.case
    }
}

/// What a connection's tasks share.
pub(super) struct Client {
    pub(super) shared: Arc<PreparedCase>,
    pub(super) wire: Wire,
    /// The last of the camera's own requests that was answered.
    answered: AtomicU64,
    over: AtomicBool,
}

impl Client {
    pub(super) fn new(shared: Arc<PreparedCase>, outgoing: Outgoing) -> Self {
        Self {
            wire: Wire::new(outgoing, shared.case.rtsp.delivery),
            shared,
            answered: AtomicU64::new(0),
            over: AtomicBool::new(false),
        }
    }

    /// Either the client has gone, or the camera hangs up.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// The client has answered what the camera asked.
    pub(super) fn answers(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether it has since this was asked last.
    pub(super) fn was_answered(&self) -> bool {
        self.answered.swap(0, Ordering::Relaxed) > 0
    }
}
