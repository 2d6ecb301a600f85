//! A watched channel: packetized once, kept for viewers that join and for packets that are asked
//! for again.
//!
//! A track lives while somebody holds it. Its task reads the channel, packetizes each access unit,
//! appends it to the track's ring, and tells those who listen.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use taimat_base::tasks::{Stop, Tasks};
use taimat_hub::{Channel, ChannelKey, Limits, Read, Reader, Ring};
use taimat_media::StreamInfo;
use tokio::sync::watch;

use crate::packets::PacketBatch;

/// Told that a track has something new. Must not block.
pub trait Listener: Send + Sync {
    /// Something new is in the track's ring, or it was closed. False if it need not be told again.
    fn wake(&self, track: &Arc<Track>) -> bool;
}

/// A watched channel.
pub struct Track {
    key: ChannelKey,
    channel: Arc<Channel>,
    info: Arc<StreamInfo>,
    ring: Arc<Ring<PacketBatch>>,
    listeners: Mutex<Vec<Arc<dyn Listener>>>,
    /// The stream changed so that viewers have to be set up anew.
    superseded: AtomicBool,
    /// Fires when the last holder lets go.
    gone: Stop,
    _reader: Reader,
}

impl Drop for Track {
    fn drop(&mut self) {
        self.gone.cancel();
    }
}

impl fmt::Debug for Track {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Track")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl Track {
    /// Whose packets these are.
    pub fn key(&self) -> &ChannelKey {
        &self.key
    }

    /// What the stream consists of; never changes during a track's life.
    pub fn info(&self) -> &Arc<StreamInfo> {
        &self.info
    }

    /// The channel behind it.
    pub fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }

    /// The packets.
    pub fn ring(&self) -> &Arc<Ring<PacketBatch>> {
        &self.ring
    }

    /// Whether the stream changed its codecs: viewers have to come again.
    pub fn is_superseded(&self) -> bool {
        self.superseded.load(Ordering::Acquire)
    }

    /// Adds a listener.
    pub fn listen(&self, listener: Arc<dyn Listener>) {
        self.listeners
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .push(listener);
    }

    pub(crate) fn wake_all(self: &Arc<Self>) {
        let mut listeners = self.listeners.lock().unwrap_or_else(|e| e.into_inner());
        listeners.retain(|l| l.wake(self));
    }
}

/// All tracks that live.
#[derive(Debug)]
pub struct Tracks {
    live: Mutex<HashMap<ChannelKey, Weak<Track>>>,
    tasks: Tasks,
    limits: Limits,
}

impl Tracks {
    /// None yet. `stop` ends all of them.
    pub fn new(stop: &Stop, limits: Limits) -> Self {
        Self {
            live: Mutex::default(),
            tasks: Tasks::under(stop),
            limits,
        }
    }

    /// The track of a channel whose stream is known, started if there is none.
    pub fn watch(&self, channel: &Arc<Channel>, info: &Arc<StreamInfo>) -> Arc<Track> {
        let mut live = self.live.lock().unwrap_or_else(|e| e.into_inner());
        let existing = live.get(channel.key()).and_then(Weak::upgrade);
        if let Some(track) = existing
            && Arc::ptr_eq(&track.channel, channel)
            && track.info.compatible(info)
            && !track.is_superseded()
        {
            return track;
        }
        live.retain(|_, track| track.strong_count() > 0);
        let track = Arc::new(Track {
            key: channel.key().clone(),
            channel: Arc::clone(channel),
            info: Arc::clone(info),
            ring: Arc::new(Ring::new(Limits {
                // Where the commune gave a camera more room, its long groups have to fit here too.
                bytes: self.limits.bytes.max(channel.limits().bytes),
                ..self.limits
            })),
            listeners: Mutex::default(),
            superseded: AtomicBool::new(false),
            gone: Stop::new(),
            _reader: channel.join(),
        });
        live.insert(channel.key().clone(), Arc::downgrade(&track));
        let span = tracing::info_span!("track", channel = %channel.key());
        let (weak, gone) = (Arc::downgrade(&track), track.gone.clone());
        let channel = Arc::clone(channel);
        self.tasks.spawn("packetize", span, |stop| {
            packetize(weak, channel, gone, stop)
        });
        track
    }
}

/// Fills the track's ring until nobody holds the track, the channel ends, or its codecs change.
async fn packetize(track: Weak<Track>, channel: Arc<Channel>, gone: Stop, stop: Stop) {
    let mut cursor = channel.read();
    let mut info: watch::Receiver<Option<Arc<StreamInfo>>> = channel.watch_info();
    // It may have changed since the track was made.
    info.mark_changed();
    loop {
        let read = tokio::select! {
            read = cursor.next() => read,
            () = stop.cancelled() => Read::Closed,
            // A track without media has nothing else to wake it.
            () = gone.cancelled() => return,
        };
        let Some(track) = track.upgrade() else { return };
        if info.has_changed().unwrap_or(false) {
            let now = info.borrow_and_update().clone();
            if now.is_some_and(|now| !track.info.compatible(&now)) {
                track.superseded.store(true, Ordering::Release);
                track.ring.close();
                track.wake_all();
                return;
            }
        }
        match read {
            Read::Item(_, unit) => {
                track.ring.push(PacketBatch::new(&unit, &track.info));
                track.wake_all();
            }
            Read::Lost(units) => {
                tracing::warn!(
                    units,
                    "packetizing fell behind; goes on at the next key frame"
                );
            }
            Read::Closed => {
                track.ring.close();
                track.wake_all();
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use std::time::Duration;
    use taimat_media::{VideoCodec, VideoParams, VideoTrack};

    use crate::testing::{key_frame, live_channel};

    fn info(codec: VideoCodec) -> StreamInfo {
        let params = VideoParams {
            codec,
            vps: Vec::new(),
            sps: vec![Bytes::from_static(&[0x67, 0x42, 0, 0x1F])],
            pps: Vec::new(),
            width: 64,
            height: 64,
        };
        let video = VideoTrack {
            codec,
            params: Arc::new(params),
        };
        StreamInfo {
            video: Some(video),
            audio: None,
        }
    }

    #[tokio::test]
    async fn packetizes_once_for_all_and_ends_with_the_last_holder() {
        let (channel, tracks) = (live_channel(), Tracks::new(&Stop::new(), Limits::default()));
        let known = channel.info().unwrap();
        let first = tracks.watch(&channel, &known);
        let second = tracks.watch(&channel, &known);
        assert!(Arc::ptr_eq(&first, &second));
        let mut cursor = first.ring().from_start();
        channel.publish(key_frame());
        let Read::Item(_, batch) = cursor.next().await else {
            panic!("nothing came")
        };
        assert_eq!((batch.payloads.len(), channel.readers()), (3, 1));
        drop((first, second));
        let mut readers = channel.watch_readers();
        tokio::time::timeout(Duration::from_secs(5), readers.wait_for(|n| *n == 0))
            .await
            .expect("the task still holds the channel")
            .unwrap();
    }

    #[tokio::test]
    async fn another_codec_ends_the_track() {
        let (channel, tracks) = (live_channel(), Tracks::new(&Stop::new(), Limits::default()));
        let known = channel.info().unwrap();
        let track = tracks.watch(&channel, &known);
        // Before the track's task has had a chance to look.
        channel.set_info(info(VideoCodec::H265));
        let mut cursor = track.ring().from_start();
        channel.publish(key_frame());
        assert!(matches!(cursor.next().await, Read::Closed));
        assert!(track.is_superseded());
        let now = channel.info().unwrap();
        assert!(!Arc::ptr_eq(&track, &tracks.watch(&channel, &now)));
    }
}
