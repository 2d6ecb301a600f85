//! A detector's place at a camera: when it wants a frame, of what size, and the frame that waits.
//! The decoding task puts frames in, the subscription takes them out.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use taimat_base::CameraId;
use taimat_contract::{Delivery, FrameId, FrameInfo, UnixMicros, Want};
use tokio::sync::Notify;

use crate::history::{Frame, History};
use crate::picture::Picture;

/// What the decoding task and the reader share.
#[derive(Debug)]
pub(crate) struct Slot {
    want: Want,
    state: Mutex<SlotFrames>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct SlotFrames {
    next_id: u64,
    /// Stream time from which the next frame is due.
    due: Option<Duration>,
    waiting: Option<Delivery>,
    dropped: u32,
    /// The newest first.
    kept: VecDeque<Arc<Frame>>,
    closed: bool,
}

/// What is known of a decoded picture.
#[derive(Debug, Clone)]
pub(crate) struct Moment {
    pub(crate) camera: CameraId,
    pub(crate) at: UnixMicros,
    pub(crate) key: bool,
}

impl Slot {
    pub(crate) fn new(want: Want) -> Self {
        Self {
            want,
            state: Mutex::default(),
            arrived: Notify::new(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, SlotFrames> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub(crate) fn keyframes_only(&self) -> bool {
        self.want.keyframes_only
    }

    /// Whether a picture at this time of the stream is one it wants.
    pub(crate) fn is_due(&self, stream_time: Duration, key: bool) -> bool {
        if self.want.keyframes_only && !key {
            return false;
        }
        let due = self.lock().due;
        // A camera's own jitter must not halve the rate: a tenth early is on time.
        due.is_none_or(|due| stream_time + self.interval() / 10 >= due)
    }

    fn interval(&self) -> Duration {
        Duration::from_secs_f32(1.0 / self.want.max_fps.clamp(0.01, 240.0))
    }

    /// Size of its frames of a picture of this size: the wanted one with the picture's aspect
    /// ratio, never enlarged, even.
    pub(crate) fn size(&self, width: usize, height: usize) -> (usize, usize) {
        let (mut w, mut h) = (self.want.width as usize, self.want.height as usize);
        if w == 0 {
            w = width;
        }
        if h == 0 {
            h = height;
        }
        let (w, h) = (w.min(width), h.min(height));
        let (w, h) = if w * height <= h * width {
            (w, w * height / width)
        } else {
            (h * width / height, h)
        };
        ((w & !1).max(2), (h & !1).max(2))
    }

    /// Hands a frame over; one that still waits is dropped and counted.
    pub(crate) fn deliver(&self, picture: Arc<Picture>, moment: &Moment, stream_time: Duration) {
        let mut state = self.lock();
        let due = state.due.unwrap_or(stream_time);
        // Without bursts after a gap.
        state.due = Some((due + self.interval()).max(stream_time + self.interval() / 2));
        if state.waiting.take().is_some() {
            state.dropped = state.dropped.saturating_add(1);
            // It was never seen: `previous` counts deliveries.
            state.kept.pop_front();
        }
        let info = FrameInfo {
            id: FrameId(state.next_id),
            camera: moment.camera.clone(),
            at: moment.at,
            width: picture.width as u32,
            height: picture.height as u32,
            key: moment.key,
            dropped_before: state.dropped,
        };
        state.next_id += 1;
        // Frames of another size can not be compared.
        let fits = |f: &Arc<Frame>| (f.info.width, f.info.height) == (info.width, info.height);
        if !state.kept.front().is_none_or(fits) {
            state.kept.clear();
        }
        let frame = Arc::new(Frame {
            info: info.clone(),
            picture,
        });
        state.kept.push_front(frame);
        let keep = self.want.history.min(Want::MAX_HISTORY) as usize + 1;
        state.kept.truncate(keep);
        let frames = Arc::new(History::new(state.kept.iter().cloned().collect()));
        state.waiting = Some(Delivery { info, frames });
        drop(state);
        self.arrived.notify_one();
    }

    /// The frame that waits.
    pub(crate) fn take(&self) -> Option<Delivery> {
        let mut state = self.lock();
        let delivery = state.waiting.take()?;
        state.dropped = 0;
        Some(delivery)
    }

    /// The next frame; `None` when there will be no more.
    pub(crate) async fn next(&self) -> Option<Delivery> {
        loop {
            if let Some(delivery) = self.take() {
                return Some(delivery);
            }
            if self.lock().closed {
                return None;
            }
            self.arrived.notified().await;
        }
    }

    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(max_fps: f32, history: u32) -> Slot {
        Slot::new(Want {
            width: 320,
            height: 0,
            max_fps,
            keyframes_only: false,
            history,
        })
    }

    fn moment() -> Moment {
        Moment {
            camera: "a".parse().unwrap(),
            at: UnixMicros(0),
            key: false,
        }
    }

    #[test]
    fn keeps_the_aspect_ratio_and_never_enlarges() {
        let slot = slot(5.0, 0);
        assert_eq!(slot.size(1280, 720), (320, 180));
        assert_eq!(slot.size(160, 90), (160, 90));
        assert_eq!(slot.size(720, 1280), (320, 568));
        assert_eq!(slot.size(3, 9999), (2, 9998));
    }

    #[test]
    fn five_of_twenty_five_in_spite_of_jitter() {
        let slot = slot(5.0, 0);
        let picture = Arc::new(Picture::gray(320, 180, 9));
        let mut delivered = 0;
        for index in 0_u64..250 {
            let jitter = (index * 7919) % 11;
            let at = Duration::from_millis(index * 40 + jitter);
            if slot.is_due(at, false) {
                slot.deliver(Arc::clone(&picture), &moment(), at);
                delivered += 1;
            }
        }
        assert!((49..=51).contains(&delivered), "{delivered}");
    }

    #[test]
    fn the_newest_wins_and_the_rest_is_counted() {
        let slot = slot(5.0, 2);
        for index in 0..5 {
            let picture = Arc::new(Picture::gray(320, 180, index));
            slot.deliver(picture, &moment(), Duration::from_secs(u64::from(index)));
        }
        let delivery = slot.lock().waiting.take().unwrap();
        assert_eq!(
            (delivery.info.id, delivery.info.dropped_before),
            (FrameId(4), 4)
        );
        // The four were never delivered: there is nothing before this one.
        assert_eq!(delivery.frames.previous(FrameId(4), 1), None);
        slot.lock().dropped = 0;
        let picture = Arc::new(Picture::gray(320, 180, 9));
        slot.deliver(picture, &moment(), Duration::from_secs(9));
        let delivery = slot.lock().waiting.take().unwrap();
        assert_eq!(delivery.info.dropped_before, 0);
        let before = delivery.frames.previous(delivery.info.id, 1).unwrap();
        assert_eq!(before.id, FrameId(4));
    }
}
