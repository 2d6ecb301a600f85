//! One encoding of one camera: its ring, what it consists of, how it is doing, who reads.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use taimat_base::clock;
use taimat_media::{AccessUnit, StreamInfo, TrackKind};
use tokio::sync::watch;

use crate::demand::{Demand, Reader};
use crate::key::ChannelKey;
use crate::meter::{Meter, Rates};
use crate::ring::{Cursor, Item, Limits, Ring};
use crate::status::{SourceFacts, SourceState, Status};

impl Item for AccessUnit {
    fn weight(&self) -> usize {
        AccessUnit::weight(self)
    }
    fn is_start(&self) -> bool {
        self.starts_video()
    }
    fn received(&self) -> Instant {
        self.received
    }
    fn needs_more_than(&self, start: &Self) -> Option<bool> {
        (self.track == TrackKind::Video).then(|| self.leads(start))
    }
}

/// One encoding of one camera.
#[derive(Debug)]
pub struct Channel {
    key: ChannelKey,
    ring: Arc<Ring<AccessUnit>>,
    info: watch::Sender<Option<Arc<StreamInfo>>>,
    status: watch::Sender<Status>,
    demand: Demand,
    meter: Mutex<Meter>,
    facts: Mutex<SourceFacts>,
    limits: Limits,
}

impl Channel {
    pub(crate) fn new(key: ChannelKey, limits: Limits) -> Self {
        Self {
            key,
            ring: Arc::new(Ring::new(limits)),
            info: watch::Sender::new(None),
            status: watch::Sender::new(Status::new(SourceState::Idle, clock::wall())),
            demand: Demand::new(),
            meter: Mutex::default(),
            facts: Mutex::default(),
            limits,
        }
    }

    /// How much it keeps.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Whose encoding it is.
    pub fn key(&self) -> &ChannelKey {
        &self.key
    }

    /// Publishes an access unit.
    pub fn publish(&self, unit: AccessUnit) {
        self.meter
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .count(&unit);
        self.ring.push(unit);
    }

    /// Says what the stream consists of. Readers that can not go on with it are set up anew, so
    /// what the ring has of the former stream is let go.
    pub fn set_info(&self, info: StreamInfo) {
        self.info.send_if_modified(|current| {
            if current.as_deref() == Some(&info) {
                return false;
            }
            if current.as_ref().is_some_and(|c| !c.compatible(&info)) {
                self.ring.clear();
            }
            *current = Some(Arc::new(info));
            true
        });
    }

    /// Says how the source is doing. `since` stays as long as the state does.
    pub fn set_status(&self, mut status: Status) {
        self.status.send_if_modified(|current| {
            if current.state == status.state {
                status.since = current.since;
            }
            let changed = *current != status;
            *current = status;
            changed
        });
    }

    /// The source starts over: rates and key frames of before say nothing any more.
    pub fn restart(&self) {
        self.meter
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .restart();
    }

    /// What the stream consists of, once that is known.
    pub fn info(&self) -> Option<Arc<StreamInfo>> {
        self.info.borrow().clone()
    }

    /// Follows what the stream consists of.
    pub fn watch_info(&self) -> watch::Receiver<Option<Arc<StreamInfo>>> {
        self.info.subscribe()
    }

    /// How the source is doing.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Follows how the source is doing.
    pub fn watch_status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Counts as a reader until the guard is dropped; starts a source that runs on demand.
    pub fn join(&self) -> Reader {
        self.demand.join()
    }

    /// How many read.
    pub fn readers(&self) -> usize {
        self.demand.count()
    }

    /// Follows how many read.
    pub fn watch_readers(&self) -> watch::Receiver<usize> {
        self.demand.watch()
    }

    /// A reader that begins with the newest key frame.
    pub fn read(&self) -> Cursor<AccessUnit> {
        self.ring.from_start()
    }

    /// Bytes in memory, and those of the newest group of pictures.
    pub fn bytes(&self) -> (usize, usize) {
        self.ring.bytes()
    }

    /// What it carries at the moment.
    pub fn rates(&self, now: Instant) -> Rates {
        self.meter
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .rates(now)
    }

    /// When the newest picture arrived. Sound does not count: it goes on when a lens is dead.
    pub fn last_picture(&self) -> Option<Instant> {
        self.meter
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .last_picture()
    }

    /// Writes down what is learned about the source.
    pub fn learn(&self, change: impl FnOnce(&mut SourceFacts)) {
        change(&mut self.facts.lock().unwrap_or_else(|e| e.into_inner()));
    }

    /// What was learned about the source.
    pub fn facts(&self) -> SourceFacts {
        self.facts.lock().unwrap_or_else(|e| e.into_inner()).clone()
    }

    pub(crate) fn close(&self) {
        self.ring.close();
    }

    /// Whether the channel was removed.
    pub fn is_closed(&self) -> bool {
        self.ring.is_closed()
    }
}
