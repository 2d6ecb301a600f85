//! Who gets one of so many places when many want one.
//!
//! An address may hold half of what the others leave, so one alone never takes all. Many addresses, each
//! with its half of less and less, do: there, whoever holds less than an equal share gets in all the same,
//! and the newest passing place of the greediest address has to go for it. A place is passing until
//! somebody says that it has proven itself; a settled one is never taken away.
//!
//! Owner: whoever gives out places ([`crate::budget`], or a registry of its own). Cost: a look-up; with
//! nothing left, one look at each address. No clock, no lock, no socket.

use std::collections::{BTreeSet, HashMap};

use crate::peer::PeerNetwork;

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refused {
    /// The address has what it may have. Others may get in.
    #[error("this address has as much as it may have")]
    Share,
    /// All places are held, and by nobody who has more than an equal share to give up.
    #[error("all places are held")]
    Full,
}

/// Places and who holds them.
#[derive(Debug, Default)]
pub struct Shares {
    limit: usize,
    holdings: HashMap<PeerNetwork, Holding>,
    holders: HashMap<u64, PeerNetwork>,
}

#[derive(Debug, Default)]
struct Holding {
    places: usize,
    /// Those of them that have to go first, by number: the newest last.
    passing: BTreeSet<u64>,
}

impl Shares {
    /// So many places, all free.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    /// How many places are held.
    pub fn held(&self) -> usize {
        self.holders.len()
    }

    /// How many an address holds.
    pub fn held_by(&self, peer: PeerNetwork) -> usize {
        self.holdings.get(&peer).map_or(0, |h| h.places)
    }

    /// What each address may have if all have the same, one that comes among them.
    fn equal_share(&self, peer: PeerNetwork) -> usize {
        let addresses = self.holdings.len() + usize::from(!self.holdings.contains_key(&peer));
        (self.limit / addresses).max(1)
    }

    /// Whether an address would get in now; nothing is changed. With `Some`, that place would have to go.
    pub fn would(&self, peer: PeerNetwork) -> Result<Option<u64>, Refused> {
        let held = self.held_by(peer);
        let free = self.limit.saturating_sub(self.held());
        if held < free {
            return Ok(None);
        }
        let share = self.equal_share(peer);
        let displaced = match held < share {
            true => self.newest_of_the_greediest(share),
            false => None,
        };
        match displaced {
            Some(displaced) => Ok(Some(displaced)),
            // What is left is for others.
            None if free > 0 || held >= share => Err(Refused::Share),
            None => Err(Refused::Full),
        }
    }

    /// The newest passing place of the address that holds most, and more than `share`.
    fn newest_of_the_greediest(&self, share: usize) -> Option<u64> {
        let greedy = self.holdings.values().filter(|h| h.places > share);
        let newest = greedy.filter_map(|h| Some((h.places, *h.passing.last()?)));
        newest.max().map(|(_places, newest)| newest)
    }

    /// Gives an address a passing place of that number. Numbers are new and grow, so that the largest is
    /// the newest. The place that had to go for it, if one had to, is free already.
    pub fn enter(&mut self, peer: PeerNetwork, place: u64) -> Result<Option<u64>, Refused> {
        let displaced = self.would(peer)?;
        if let Some(displaced) = displaced {
            self.leave(displaced);
        }
        self.take(peer, place);
        Ok(displaced)
    }

    /// Gives an address a passing place without asking whether it may have one: where [`Self::would`] was
    /// asked, and what had to go for it is gone.
    pub fn take(&mut self, peer: PeerNetwork, place: u64) {
        let holding = self.holdings.entry(peer).or_default();
        holding.places += 1;
        holding.passing.insert(place);
        self.holders.insert(place, peer);
    }

    /// The place has proven itself: it stays. One that is gone stays gone.
    pub fn settle(&mut self, place: u64) {
        if let Some(holding) = self.holding_of(place) {
            holding.passing.remove(&place);
        }
    }

    /// The place is passing again.
    pub fn unsettle(&mut self, place: u64) {
        if let Some(holding) = self.holding_of(place) {
            holding.passing.insert(place);
        }
    }

    fn holding_of(&mut self, place: u64) -> Option<&mut Holding> {
        let peer = self.holders.get(&place)?;
        self.holdings.get_mut(peer)
    }

    /// The place is free again. Nothing happens if it was already.
    pub fn leave(&mut self, place: u64) {
        let Some(peer) = self.holders.remove(&place) else {
            return;
        };
        let Some(holding) = self.holdings.get_mut(&peer) else {
            return;
        };
        holding.places -= 1;
        holding.passing.remove(&place);
        if holding.places == 0 {
            self.holdings.remove(&peer);
        }
    }
}

#[cfg(test)]
mod tests;
