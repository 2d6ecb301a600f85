//! Whose series are there.
//!
//! Series have no owner in the library: looking one up makes it, and removing it removes it for all. An
//! owner that goes and comes back may be there twice for a moment, as what is left of the old one ends
//! while the new one counts already; and what still runs of an owner that is gone could make its series
//! again, which would then stay. [`Owners`] knows who has them now.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// Who has series now, by what their labels say. Cheap to clone.
#[derive(Debug)]
pub struct Owners<K>(Arc<Mutex<Owned<K>>>);

#[derive(Debug)]
struct Owned<K> {
    owners: BTreeMap<K, u64>,
    /// Counts up: numbers are not given twice.
    next: u64,
}

impl<K> Clone for Owners<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> Default for Owners<K> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Owned {
            owners: BTreeMap::new(),
            next: 0,
        })))
    }
}

impl<K: Ord + Clone> Owners<K> {
    /// A new owner of the series of `key`, which `make` looks up. What was counted before it stays; who
    /// had them before has them no more.
    pub fn begin<T>(&self, key: K, make: impl FnOnce() -> T) -> (Owner<K>, T) {
        let mut owned = self.lock();
        let number = owned.next;
        owned.next += 1;
        owned.owners.insert(key.clone(), number);
        let made = make();
        drop(owned);
        let owners = self.clone();
        let owner = Owner {
            owners,
            key,
            number,
        };
        (owner, made)
    }

    fn lock(&self) -> MutexGuard<'_, Owned<K>> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// Has series until another one with the same key begins, or it ends them.
#[derive(Debug)]
pub struct Owner<K> {
    owners: Owners<K>,
    key: K,
    number: u64,
}

impl<K: Ord + Clone> Owner<K> {
    /// What the labels are made of.
    pub fn key(&self) -> &K {
        &self.key
    }

    /// Does something that may make a series, if this owner still has them; nobody else gets them
    /// meanwhile.
    pub fn with<T>(&self, act: impl FnOnce(&K) -> T) -> Option<T> {
        let owned = self.owners.lock();
        (owned.owners.get(&self.key) == Some(&self.number)).then(|| act(&self.key))
    }

    /// Ends the series by `remove`, unless another one has them by now.
    pub fn end(&self, remove: impl FnOnce(&K)) {
        let mut owned = self.owners.lock();
        if owned.owners.get(&self.key) == Some(&self.number) {
            owned.owners.remove(&self.key);
            remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{IntCounterVec, Register, Registry};

    struct Doors {
        registry: Registry,
        opened: IntCounterVec,
        owners: Owners<&'static str>,
    }

    impl Doors {
        fn new() -> Self {
            let registry = Registry::new();
            let opened = Register(&registry).counters("opened", "Times.", &["door"]);
            Self {
                opened: opened.unwrap(),
                registry,
                owners: Owners::default(),
            }
        }

        fn door(&self) -> Owner<&'static str> {
            let make = || drop(self.opened.with_label_values(&["front"]));
            self.owners.begin("front", make).0
        }

        fn open(&self, door: &Owner<&'static str>) {
            door.with(|key| self.opened.with_label_values(&[key]).inc());
        }

        fn end(&self, door: &Owner<&'static str>) {
            door.end(|key| drop(self.opened.remove_label_values(&[key])));
        }

        fn count(&self) -> Option<f64> {
            let families = self.registry.gather();
            let family = families.first()?;
            Some(family.get_metric().first()?.get_counter().get_value())
        }
    }

    #[test]
    fn what_is_counted_goes_on_when_an_owner_comes_back_before_the_old_one_has_ended() {
        let doors = Doors::new();
        let old = doors.door();
        doors.open(&old);
        let new = doors.door();
        doors.end(&old);
        doors.open(&new);
        assert_eq!(doors.count(), Some(2.0));
        doors.end(&new);
        assert_eq!(doors.count(), None);
    }

    #[test]
    fn what_is_left_of_an_owner_that_is_gone_makes_no_series() {
        let doors = Doors::new();
        let old = doors.door();
        let new = doors.door();
        doors.end(&new);
        doors.open(&old);
        doors.open(&new);
        doors.end(&old);
        assert_eq!(doors.count(), None);
    }
}
