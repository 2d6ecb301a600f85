//! For how many instances there is room.
//!
//! While a plugin is exchanged it has twice as many instances as usual, until the new ones have proven
//! themselves. So only half of the pool is promised: an exchange never fails for want of room, and is never taken
//! for the new version's fault.

use std::sync::{Arc, Mutex, MutexGuard};

/// The pool's places.
#[derive(Debug)]
pub(crate) struct InstanceRoom {
    /// Instances that plugins have at most, all together, when none is exchanged.
    total: usize,
    promised: Mutex<usize>,
}

impl InstanceRoom {
    /// In a pool for so many instances.
    pub(crate) fn of(instances: u32) -> Arc<Self> {
        Arc::new(Self {
            total: usize::try_from(instances / 2).unwrap_or(usize::MAX),
            promised: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.promised.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// What one plugin was promised, as long as this is there.
#[derive(Debug)]
pub(crate) struct InstanceShare {
    room: Arc<InstanceRoom>,
    own: usize,
}

impl InstanceShare {
    /// Nothing yet.
    pub(crate) fn new(room: &Arc<InstanceRoom>) -> Self {
        Self {
            room: Arc::clone(room),
            own: 0,
        }
    }

    /// So many instances from now on, or as many as there is room for: how many those are.
    pub(crate) fn ask(&mut self, instances: usize) -> usize {
        let mut promised = self.room.lock();
        let others = *promised - self.own;
        self.own = instances.min(self.room.total.saturating_sub(others));
        *promised = others + self.own;
        self.own
    }
}

impl Drop for InstanceShare {
    fn drop(&mut self) {
        self.ask(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_pool_is_promised_and_who_has_a_place_keeps_it() {
        let room = InstanceRoom::of(20);
        let [mut a, mut b, mut c] = [(); 3].map(|()| InstanceShare::new(&room));
        assert_eq!((a.ask(6), b.ask(4), c.ask(1)), (6, 4, 0));
        assert_eq!(a.ask(7), 6, "what runs goes on");
        assert_eq!((a.ask(2), c.ask(9)), (2, 4));
        drop(b);
        assert_eq!(c.ask(9), 8);
        drop((a, c));
        assert_eq!(InstanceShare::new(&room).ask(usize::MAX), 10);
        assert_eq!(InstanceShare::new(&InstanceRoom::of(1)).ask(1), 0);
    }
}
