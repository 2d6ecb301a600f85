//! Who comes next, when there is more to decode than there is time for: the camera that has had
//! the least. Virtual time as in start-time fair queueing: a camera's clock advances by what its
//! work cost, and one that was idle starts where the others are.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// Jobs of several owners, at most one waiting per owner.
#[derive(Debug)]
pub struct Fair<J> {
    accounts: HashMap<u64, Account<J>>,
    /// Owners with a waiting job, in the order of their clocks.
    waiting: BTreeSet<(Duration, u64)>,
    /// The clock of the owner served last.
    now: Duration,
}

#[derive(Debug)]
struct Account<J> {
    clock: Duration,
    job: Option<J>,
}

impl<J> Default for Fair<J> {
    fn default() -> Self {
        Self {
            accounts: HashMap::new(),
            waiting: BTreeSet::new(),
            now: Duration::ZERO,
        }
    }
}

impl<J> Fair<J> {
    /// Puts a job in. Gives it back when the owner has one waiting.
    pub fn push(&mut self, owner: u64, job: J) -> Option<J> {
        let now = self.now;
        let account = self.accounts.entry(owner).or_insert(Account {
            clock: now,
            job: None,
        });
        if account.job.is_some() {
            return Some(job);
        }
        account.clock = account.clock.max(now);
        account.job = Some(job);
        self.waiting.insert((account.clock, owner));
        None
    }

    /// The next job and its owner.
    pub fn pop(&mut self) -> Option<(u64, J)> {
        let (clock, owner) = self.waiting.pop_first()?;
        self.now = self.now.max(clock);
        let job = self.accounts.get_mut(&owner)?.job.take()?;
        Some((owner, job))
    }

    /// Says what an owner's work has cost.
    pub fn charge(&mut self, owner: u64, cost: Duration) {
        let Some(account) = self.accounts.get_mut(&owner) else {
            return;
        };
        if account.job.is_some() {
            self.waiting.remove(&(account.clock, owner));
            self.waiting.insert((account.clock + cost, owner));
        }
        account.clock += cost;
    }

    /// Forgets an owner.
    pub fn remove(&mut self, owner: u64) {
        if let Some(account) = self.accounts.remove(&owner) {
            self.waiting.remove(&(account.clock, owner));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_expensive_does_not_starve_fifty() {
        let mut fair = Fair::default();
        let cost = |owner: u64| Duration::from_millis(if owner == 0 { 60 } else { 1 });
        let (mut spent, mut served) = (Duration::ZERO, [0_u32; 51]);
        (0..51).for_each(|owner| assert!(fair.push(owner, ()).is_none()));
        while spent < Duration::from_secs(6) {
            let (owner, ()) = fair.pop().unwrap();
            spent += cost(owner);
            served[usize::try_from(owner).unwrap()] += 1;
            fair.charge(owner, cost(owner));
            fair.push(owner, ());
        }
        // An equal share of six seconds is 117 ms.
        assert!((1..=3).contains(&served[0]), "{served:?}");
        assert!(
            served[1..].iter().all(|n| (100..=130).contains(n)),
            "{served:?}"
        );
    }

    #[test]
    fn being_idle_saves_up_nothing() {
        let mut fair = Fair::default();
        for _ in 0..100 {
            fair.push(1, 'x');
            fair.pop();
            fair.charge(1, Duration::from_millis(10));
        }
        fair.push(1, 'a');
        fair.push(2, 'b');
        assert_eq!(fair.pop(), Some((2, 'b')));
        fair.charge(2, Duration::from_millis(20));
        fair.push(2, 'c');
        assert_eq!(fair.pop(), Some((1, 'a')));
        assert_eq!(fair.push(2, 'd'), Some('d'));
        fair.remove(2);
        assert_eq!(fair.pop(), None);
    }
}
