//! How much waits for the disk: so much may, then it is lost, and said so.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of all streams that may wait: a minute without a disk of eight cameras with 1 MB/s, or some seconds
/// of a hundred.
pub(crate) const ALL: u64 = 128 << 20;
/// Bytes of one stream: ten seconds at 30 Mbit/s.
pub(crate) const ONE: u64 = 40 << 20;

/// What waits.
#[derive(Debug, Default)]
pub(crate) struct Load {
    all: AtomicU64,
}

/// What waits of a stream.
#[derive(Debug, Clone)]
pub(crate) struct StreamLoad {
    all: Arc<Load>,
    own: Arc<AtomicU64>,
}

/// Something that waits, until this is dropped.
#[derive(Debug)]
pub(crate) struct Waiting {
    load: StreamLoad,
    bytes: u64,
}

impl Load {
    /// For one stream.
    pub(crate) fn stream(self: &Arc<Self>) -> StreamLoad {
        StreamLoad {
            all: Arc::clone(self),
            own: Arc::default(),
        }
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> u64 {
        self.all.load(Ordering::Relaxed)
    }
}

impl StreamLoad {
    /// Room for so many bytes, if there is any.
    pub(crate) fn room(&self, bytes: u64) -> Option<Waiting> {
        let take = |of: &AtomicU64, most: u64| {
            let more = |now: u64| now.checked_add(bytes).filter(|sum| *sum <= most);
            of.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
                .is_ok()
        };
        if !take(&self.own, ONE) {
            return None;
        }
        if !take(&self.all.all, ALL) {
            self.own.fetch_sub(bytes, Ordering::Relaxed);
            return None;
        }
        Some(Waiting {
            load: self.clone(),
            bytes,
        })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.load.own.fetch_sub(self.bytes, Ordering::Relaxed);
        self.load.all.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_stream_does_not_take_the_room_of_all() {
        let load = Arc::new(Load::default());
        let (greedy, other) = (load.stream(), load.stream());
        let taken: Vec<Waiting> = std::iter::from_fn(|| greedy.room(ONE / 4)).collect();
        assert_eq!(taken.len(), 4);
        let small = other.room(1 << 20).unwrap();
        assert_eq!(load.bytes(), ONE + (1 << 20));
        drop((taken, small));
        assert_eq!(load.bytes(), 0);
        assert!(greedy.room(ONE).is_some());
    }

    #[test]
    fn all_together_have_an_end() {
        let load = Arc::new(Load::default());
        let streams: Vec<StreamLoad> = (0..8).map(|_| load.stream()).collect();
        let taken: Vec<Option<Waiting>> = streams.iter().map(|s| s.room(ONE)).collect();
        assert_eq!(taken.iter().flatten().count() as u64, ALL / ONE);
        // Who was refused has taken nothing.
        drop(taken);
        assert!(streams.iter().all(|stream| stream.room(ONE).is_some()));
    }
}
