//! A part of what there is that is kept for each of a few, whatever the others take.
//!
//! Half of all is divided equally and kept; the other half is for whoever comes first. One alone may have
//! everything. Owner: who gives something out to parties that are known beforehand; strangers have
//! [`crate::shares`]. Cost: a look at each party. No clock, no lock.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

/// Places, who they are kept for, and who holds them.
#[derive(Debug)]
pub struct Guarantees<K> {
    limit: usize,
    parties: HashSet<K>,
    held: HashMap<K, usize>,
    total: usize,
}

impl<K: Eq + Hash + Clone> Guarantees<K> {
    /// So many places, kept for nobody yet.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            parties: HashSet::new(),
            held: HashMap::new(),
            total: 0,
        }
    }

    /// From now on something is kept for these. What others hold they keep.
    pub fn keep_for(&mut self, parties: impl IntoIterator<Item = K>) {
        self.parties = parties.into_iter().collect();
    }

    /// What is kept for each.
    fn guaranteed(&self) -> usize {
        self.limit / 2 / self.parties.len().max(1)
    }

    /// Whether that party may take one more, if `leaving` gives one back for it.
    pub fn may_take(&self, party: &K, leaving: Option<&K>) -> bool {
        let held = |party: &K| {
            let held = self.held.get(party).copied().unwrap_or(0);
            held.saturating_sub(usize::from(leaving == Some(party)))
        };
        let total = self.total.saturating_sub(usize::from(leaving.is_some()));
        let (free, guaranteed) = (self.limit.saturating_sub(total), self.guaranteed());
        if self.parties.contains(party) && held(party) < guaranteed {
            return free > 0;
        }
        let others = self.parties.iter().filter(|other| *other != party);
        let kept: usize = others.map(|o| guaranteed.saturating_sub(held(o))).sum();
        free > kept
    }

    /// That party takes one, whether it may or not.
    pub fn take(&mut self, party: &K) {
        *self.held.entry(party.clone()).or_default() += 1;
        self.total += 1;
    }

    /// That party gives one back.
    pub fn give_back(&mut self, party: &K) {
        let Some(held) = self.held.get_mut(party) else {
            return;
        };
        *held -= 1;
        self.total -= 1;
        if *held == 0 {
            self.held.remove(party);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Takes as many as that party may, and says how many.
    fn fill(places: &mut Guarantees<u8>, party: u8) -> usize {
        let mut taken = 0;
        while places.may_take(&party, None) {
            places.take(&party);
            taken += 1;
        }
        taken
    }

    #[test]
    fn one_alone_has_everything_and_of_several_each_has_what_is_kept_for_it() {
        let mut places = Guarantees::new(100);
        places.keep_for([1]);
        assert_eq!(fill(&mut places, 1), 100);
        let mut places = Guarantees::new(100);
        places.keep_for([1, 2]);
        assert_eq!((fill(&mut places, 1), fill(&mut places, 2)), (75, 25));
        assert!(!places.may_take(&1, Some(&2)) && places.may_take(&2, Some(&1)));
        let mut places = Guarantees::new(100);
        places.keep_for([1, 2]);
        // One for whom nothing is kept, such as a commune that was just removed.
        assert_eq!(fill(&mut places, 9), 50);
        assert_eq!(fill(&mut places, 2), 25);
        places.give_back(&9);
        places.give_back(&7);
        assert!(places.may_take(&9, None));
    }

    proptest! {
        #[test]
        fn whatever_others_take_a_party_gets_what_is_kept_for_it(
            limit in 0_usize..60, parties in 1_u8..8, steps in prop::collection::vec((0_u8..10, any::<bool>()), 0..300)
        ) {
            let mut places = Guarantees::new(limit);
            places.keep_for(0..parties);
            let kept = places.guaranteed();
            for (party, takes) in steps {
                let held = places.held.get(&party).copied().unwrap_or(0);
                if !takes {
                    places.give_back(&party);
                } else if places.may_take(&party, None) {
                    places.take(&party);
                } else {
                    prop_assert!(party >= parties || held >= kept, "{held} of {kept}");
                }
                prop_assert!(places.total <= limit);
                prop_assert_eq!(places.total, places.held.values().sum::<usize>());
            }
        }
    }
}
