//! A bounded log in memory with cursors.
//!
//! Items are shared, not copied. What a cursor has not read when it leaves the ring is lost to it:
//! the cursor is told how much, and goes on where decoding can start.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// What a ring can hold.
pub trait Item: Send + Sync + 'static {
    /// Bytes it keeps in memory.
    fn weight(&self) -> usize;
    /// Whether a reader can start with it.
    fn is_start(&self) -> bool;
    /// When it arrived.
    fn received(&self) -> Instant;
    /// Whether it is of no use to a reader that began with `start` a moment ago, because it refers to
    /// what came before that. `None`: it has nothing to do with the start, and the next one may still.
    fn needs_more_than(&self, _start: &Self) -> Option<bool> {
        Some(false)
    }
}

/// How much a ring keeps: the newest group of pictures, whatever its age, so that a reader starts at
/// once however seldom the camera sends a key frame, and a little history before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that are never exceeded, except by a single item. A group that outgrows them is let go
    /// from its beginning on, and readers that come then wait for the next start.
    pub bytes: usize,
    /// Items from before the newest start are kept this long, for readers that are late.
    pub history: Duration,
}

impl Default for Limits {
    /// 24 MiB hold a minute at 3 Mbit/s, more than cameras with a "smart" codec send between two key
    /// frames, or 16 s at 12 Mbit/s. It is a ceiling: a camera with the usual two seconds between key
    /// frames at 4 Mbit/s keeps 2 MiB. It is also what a hostile camera may make us keep, and the
    /// allocator takes up to twice that where threads take turns. 2 s of history are more than a reader that still makes
    /// sense falls behind.
    fn default() -> Self {
        Self {
            bytes: 24 << 20,
            history: Duration::from_secs(2),
        }
    }
}

#[derive(Debug)]
struct RingItems<T> {
    items: VecDeque<Arc<T>>,
    /// Sequence number of the front item.
    front: u64,
    bytes: usize,
    /// Sequence number of the newest item that a reader can start with.
    start: Option<u64>,
    closed: bool,
}

impl<T> RingItems<T> {
    fn end(&self) -> u64 {
        self.front + self.items.len() as u64
    }

    fn get(&self, seq: u64) -> Option<&Arc<T>> {
        self.items
            .get(usize::try_from(seq.checked_sub(self.front)?).ok()?)
    }
}

/// The ring. One writer, any number of [`Cursor`]s.
#[derive(Debug)]
pub struct Ring<T> {
    inner: Mutex<RingItems<T>>,
    arrived: Notify,
    limits: Limits,
}

/// What a cursor finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read<T> {
    /// The next item and its sequence number.
    Item(u64, Arc<T>),
    /// So many items were lost because the reader was late; it goes on at the next start.
    Lost(u64),
    /// The source was removed: nothing will come any more.
    Closed,
}

impl<T: Item> Ring<T> {
    /// An empty ring.
    pub fn new(limits: Limits) -> Self {
        let inner = RingItems {
            items: VecDeque::new(),
            front: 0,
            bytes: 0,
            start: None,
            closed: false,
        };
        Self {
            inner: Mutex::new(inner),
            arrived: Notify::new(),
            limits,
        }
    }

    fn lock(&self) -> MutexGuard<'_, RingItems<T>> {
        self.inner.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Appends an item, lets go of what is too much, wakes the readers. Returns its number.
    pub fn push(&self, item: T) -> u64 {
        self.push_shared(Arc::new(item))
    }

    /// As [`Ring::push`], for an item that others hold too.
    pub fn push_shared(&self, item: Arc<T>) -> u64 {
        let now = item.received();
        let seq = {
            let mut inner = self.lock();
            let seq = inner.end();
            inner.bytes += item.weight();
            if item.is_start() {
                inner.start = Some(seq);
            }
            inner.items.push_back(item);
            self.evict(&mut inner, now);
            seq
        };
        self.arrived.notify_waiters();
        seq
    }

    fn evict(&self, inner: &mut RingItems<T>, now: Instant) {
        while inner.items.len() > 1 {
            let Some(front) = inner.items.front() else {
                break;
            };
            let age = now.saturating_duration_since(front.received());
            let before_start = inner.start.is_none_or(|start| inner.front < start);
            let surplus =
                inner.bytes > self.limits.bytes || (before_start && age > self.limits.history);
            if !surplus {
                break;
            }
            inner.bytes -= front.weight();
            inner.items.pop_front();
            inner.front += 1;
            if inner.start.is_some_and(|start| start < inner.front) {
                inner.start = None;
            }
        }
    }

    /// Empties the ring without ending it: what comes next has nothing to do with what was.
    pub fn clear(&self) {
        let mut inner = self.lock();
        inner.front = inner.end();
        inner.items.clear();
        inner.bytes = 0;
        inner.start = None;
    }

    /// Ends the ring: cursors read what is left, then [`Read::Closed`].
    pub fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_waiters();
    }

    /// Whether it was ended.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// The item with that number, if it is still there.
    pub fn get(&self, seq: u64) -> Option<Arc<T>> {
        self.lock().get(seq).cloned()
    }

    /// The item that came last.
    pub fn newest(&self) -> Option<Arc<T>> {
        self.lock().items.back().cloned()
    }

    /// Bytes held, and bytes held since the newest start.
    pub fn bytes(&self) -> (usize, usize) {
        let inner = self.lock();
        let skip = inner.start.map_or(inner.items.len(), |start| {
            usize::try_from(start - inner.front).unwrap_or(usize::MAX)
        });
        (
            inner.bytes,
            inner.items.iter().skip(skip).map(|i| i.weight()).sum(),
        )
    }

    /// Everything from the newest start on, and the number that the next item will have. Empty if
    /// there is no start.
    pub fn since_start(&self) -> (Vec<(u64, Arc<T>)>, u64) {
        let inner = self.lock();
        let items = match inner.start {
            None => Vec::new(),
            Some(start) => {
                let skip = usize::try_from(start - inner.front).unwrap_or(usize::MAX);
                (start..)
                    .zip(inner.items.iter().skip(skip).cloned())
                    .collect()
            }
        };
        (items, inner.end())
    }

    /// A reader that begins with the newest start, that is in the past if there is one.
    pub fn from_start(self: &Arc<Self>) -> Cursor<T> {
        let inner = self.lock();
        let next = inner.start.unwrap_or_else(|| inner.end());
        Cursor {
            ring: Arc::clone(self),
            next,
            seeking: true,
            began: None,
        }
    }

    /// A reader that begins with the next item, whether or not decoding can start there.
    pub fn from_end(self: &Arc<Self>) -> Cursor<T> {
        Cursor {
            ring: Arc::clone(self),
            next: self.lock().end(),
            seeking: false,
            began: None,
        }
    }
}

/// A reader's place in a ring.
#[derive(Debug)]
pub struct Cursor<T> {
    ring: Arc<Ring<T>>,
    next: u64,
    /// Skips to the next start.
    seeking: bool,
    /// Where it began, until something follows that is of use.
    began: Option<Arc<T>>,
}

impl<T: Item> Cursor<T> {
    /// What is there now, or `None` if nothing new is.
    pub fn try_next(&mut self) -> Option<Read<T>> {
        let ring = Arc::clone(&self.ring);
        let inner = ring.lock();
        if self.next < inner.front {
            let lost = inner.front - self.next;
            self.next = inner.front;
            self.seeking = true;
            return Some(Read::Lost(lost));
        }
        if self.seeking {
            // Everything before the newest start would be skipped one by one otherwise.
            if let Some(start) = inner.start.filter(|start| *start >= self.next) {
                self.next = start;
                self.seeking = false;
                self.began = inner.get(start).cloned();
            } else {
                self.next = inner.end();
            }
        }
        while let Some(item) = inner.get(self.next) {
            let seq = self.next;
            self.next += 1;
            match &self.began {
                Some(start) if Arc::ptr_eq(start, item) => {}
                Some(start) => match item.needs_more_than(start) {
                    Some(true) => continue,
                    Some(false) => self.began = None,
                    None => {}
                },
                None => {}
            }
            return Some(Read::Item(seq, Arc::clone(item)));
        }
        inner.closed.then_some(Read::Closed)
    }

    /// Waits for what comes next. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Read<T> {
        let ring = Arc::clone(&self.ring);
        loop {
            let arrived = ring.arrived.notified();
            tokio::pin!(arrived);
            // Registered before looking, so that nothing is missed in between.
            arrived.as_mut().enable();
            if let Some(read) = self.try_next() {
                return read;
            }
            arrived.await;
        }
    }

    /// The number of the item that is read next, unless that is skipped.
    pub fn position(&self) -> u64 {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, PartialEq, Eq)]
    struct Unit {
        n: u64,
        key: bool,
        weight: usize,
        at: Instant,
    }

    impl Item for Unit {
        fn weight(&self) -> usize {
            self.weight
        }
        fn is_start(&self) -> bool {
            self.key
        }
        fn received(&self) -> Instant {
            self.at
        }
    }

    struct Bench {
        ring: Arc<Ring<Unit>>,
        at: Instant,
        n: u64,
    }

    impl Bench {
        fn new(limits: Limits) -> Self {
            Self {
                ring: Arc::new(Ring::new(limits)),
                at: taimat_base::clock::now(),
                n: 0,
            }
        }

        fn push(&mut self, key: bool) {
            self.at += Duration::from_millis(40);
            self.ring.push(Unit {
                n: self.n,
                key,
                weight: 100,
                at: self.at,
            });
            self.n += 1;
        }

        fn gops(&mut self, lens: &[usize]) {
            for len in lens {
                (0..*len).for_each(|i| self.push(i == 0));
            }
        }
    }

    fn drain(cursor: &mut Cursor<Unit>) -> Vec<u64> {
        let mut seen = Vec::new();
        while let Some(Read::Item(_, unit)) = cursor.try_next() {
            seen.push(unit.n);
        }
        seen
    }

    #[test]
    fn a_reader_starts_with_the_newest_group() {
        let mut bench = Bench::new(Limits::default());
        bench.gops(&[5, 3]);
        let mut cursor = bench.ring.from_start();
        assert_eq!(drain(&mut cursor), [5, 6, 7]);
        bench.push(false);
        assert_eq!(drain(&mut cursor), [8]);
        let (snapshot, end) = bench.ring.since_start();
        assert_eq!((snapshot.len(), snapshot[0].0, end), (4, 5, 9));
    }

    const SOUND: u64 = 1;

    /// Whether it is a start, and when it is shown.
    #[derive(Debug)]
    struct Leading(bool, u64);

    impl Item for Leading {
        fn weight(&self) -> usize {
            1
        }
        fn is_start(&self) -> bool {
            self.0
        }
        fn received(&self) -> Instant {
            taimat_base::clock::now()
        }
        fn needs_more_than(&self, start: &Self) -> Option<bool> {
            (self.1 != SOUND).then_some(self.1 < start.1)
        }
    }

    #[test]
    fn what_refers_to_before_the_start_is_left_out_right_after_it_only() {
        let ring = Arc::new(Ring::new(Limits::default()));
        for (start, shown) in [
            (true, 0),
            (true, 9),
            (false, 7),
            (false, SOUND),
            (false, 8),
            (false, 12),
            (false, 11),
        ] {
            ring.push(Leading(start, shown));
        }
        let mut seen = Vec::new();
        let mut cursor = ring.from_start();
        while let Some(Read::Item(_, item)) = cursor.try_next() {
            seen.push(item.1);
        }
        assert_eq!(seen, [9, SOUND, 12, 11]);
        // A reader that was there before misses nothing.
        ring.push(Leading(true, 20));
        ring.push(Leading(false, 18));
        let next = [cursor.try_next(), cursor.try_next()];
        let shown = next.map(|read| match read {
            Some(Read::Item(_, item)) => item.1,
            _ => 0,
        });
        assert_eq!(shown, [20, 18]);
    }

    #[test]
    fn a_reader_of_an_empty_ring_waits_for_a_start() {
        let mut bench = Bench::new(Limits::default());
        let mut cursor = bench.ring.from_start();
        bench.push(false);
        bench.push(false);
        assert_eq!(drain(&mut cursor), [0; 0]);
        bench.push(true);
        bench.push(false);
        assert_eq!(drain(&mut cursor), [2, 3]);
    }

    #[test]
    fn a_late_reader_learns_what_it_lost() {
        let limits = Limits {
            bytes: 1000,
            ..Limits::default()
        };
        let mut bench = Bench::new(limits);
        bench.push(true);
        let mut cursor = bench.ring.from_start();
        assert_eq!(drain(&mut cursor), [0]);
        bench.gops(&[8, 8]);
        assert_eq!(cursor.try_next(), Some(Read::Lost(6)));
        assert_eq!(drain(&mut cursor), [9, 10, 11, 12, 13, 14, 15, 16]);
    }

    #[test]
    fn bytes_win_over_a_long_group() {
        let mut bench = Bench::new(Limits {
            bytes: 1000,
            ..Limits::default()
        });
        bench.gops(&[50]);
        assert!(bench.ring.bytes().0 <= 1000);
        assert!(bench.ring.since_start().0.is_empty());
        let mut cursor = bench.ring.from_start();
        bench.gops(&[2]);
        assert_eq!(drain(&mut cursor), [50, 51]);
    }

    #[test]
    fn old_groups_leave_after_the_history() {
        let limits = Limits {
            history: Duration::from_millis(200),
            ..Limits::default()
        };
        let mut bench = Bench::new(limits);
        bench.gops(&[10, 10]);
        assert_eq!(bench.ring.bytes(), (1000, 1000));
    }

    #[test]
    fn a_long_group_is_kept_whatever_its_age() {
        let mut bench = Bench::new(Limits::default());
        // 100 s.
        bench.gops(&[5, 2500]);
        assert_eq!(bench.ring.since_start().0.len(), 2500);
        let mut cursor = bench.ring.from_start();
        assert_eq!(drain(&mut cursor).len(), 2500);
    }

    #[test]
    fn what_is_left_of_a_group_that_outgrew_the_budget_is_history() {
        let mut bench = Bench::new(Limits {
            bytes: 10_000,
            history: Duration::from_secs(2),
        });
        bench.gops(&[500]);
        assert_eq!(bench.ring.since_start().0.len(), 0);
        // Two seconds of it, for readers that were there already.
        assert_eq!(bench.ring.bytes().0, 51 * 100);
    }

    #[tokio::test]
    async fn wakes_and_ends_readers() {
        let mut bench = Bench::new(Limits::default());
        let mut cursor = bench.ring.from_start();
        let ring = Arc::clone(&bench.ring);
        let reader = async move { (cursor.next().await, cursor.next().await) };
        let writer = async {
            bench.push(true);
            ring.close();
        };
        let ((first, second), ()) = tokio::join!(reader, writer);
        assert!(matches!(first, Read::Item(0, _)));
        assert_eq!(second, Read::Closed);
    }

    proptest! {
        /// Whatever is written and however late readers are: what a reader sees is in order,
        /// begins with a start, and after a loss begins with one again; the budget holds.
        #[test]
        fn readers_see_decodable_runs(
            keys in prop::collection::vec(any::<bool>(), 1..200),
            reads in prop::collection::vec(0_usize..12, 1..40),
            bytes in 200_usize..4000,
        ) {
            let mut bench = Bench::new(Limits { bytes, ..Limits::default() });
            let mut cursor = bench.ring.from_start();
            let (mut last, mut fresh) = (None, true);
            let mut reads = reads.into_iter().cycle();
            for key in keys {
                bench.push(key);
                prop_assert!(bench.ring.bytes().0 <= bytes.max(100));
                for _ in 0..reads.next().unwrap_or(0) {
                    match cursor.try_next() {
                        Some(Read::Item(seq, unit)) => {
                            prop_assert_eq!(seq, unit.n);
                            prop_assert!(!fresh || unit.key);
                            prop_assert!(last.is_none_or(|l| fresh || unit.n == l + 1));
                            last = Some(unit.n);
                            fresh = false;
                        }
                        Some(Read::Lost(n)) => {
                            prop_assert!(n > 0);
                            fresh = true;
                        }
                        Some(Read::Closed) => prop_assert!(false),
                        None => break,
                    }
                }
            }
        }
    }
}
