//! A number of places for connections, given out by [`Shares`] and counted by kind.
//!
//! Owner: `server` makes one for each kind of connection out of what the process has; who accepts
//! connections asks it. Cost: a short lock when a connection comes, proves itself and goes.
//! Not here: how many there are (`server`), who has which share (`shares`).

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::metrics::{Error, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Register, Registry};
use crate::peer::PeerNetwork;
pub use crate::shares::Refused;
use crate::shares::Shares;
use crate::tasks::Stop;

/// Why a connection that had a place was ended by the router. A closed set: each is a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cut {
    /// Its address held more than its share, and somebody else came.
    Displaced,
    /// It began to ask and did not come to an end.
    SlowRequest,
    /// It asked nothing.
    Idle,
    /// It did not take its answer.
    SlowAnswer,
}

impl Cut {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Displaced,
        Self::SlowRequest,
        Self::Idle,
        Self::SlowAnswer,
    ];

    /// The word in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Displaced => "displaced",
            Self::SlowRequest => "slow_request",
            Self::Idle => "idle",
            Self::SlowAnswer => "slow_answer",
        }
    }
}

/// What is counted of all budgets.
#[derive(Debug)]
pub struct BudgetMetrics {
    held: IntGaugeVec,
    limit: IntGaugeVec,
    refused: IntCounterVec,
    cut: IntCounterVec,
}

impl BudgetMetrics {
    /// Registers all of it.
    pub fn register(registry: &Registry) -> Result<Self, Error> {
        let (r, by_reason) = (Register(registry), ["kind", "reason"]);
        Ok(Self {
            held: r.gauges(
                "taimat_connections",
                "Connections and sessions that hold a place, by kind.",
                &["kind"],
            )?,
            limit: r.gauges(
                "taimat_connections_limit",
                "Places that there are, by kind.",
                &["kind"],
            )?,
            refused: r.counters(
                "taimat_connections_refused_total",
                "Who got no place: its address had its share, or all places were held.",
                &by_reason,
            )?,
            cut: r.counters(
                "taimat_connections_cut_total",
                "Connections that the router ended, by reason.",
                &by_reason,
            )?,
        })
    }

    /// So many places for connections of a kind. `kind` is a word of a closed set.
    pub fn allot(&self, kind: &'static str, limit: usize) -> Allotment {
        let refused = |reason| self.refused.with_label_values(&[kind, reason]);
        let cut = Cut::ALL.map(|cut| self.cut.with_label_values(&[kind, cut.as_str()]));
        let count = i64::try_from(limit).unwrap_or(i64::MAX);
        self.limit.with_label_values(&[kind]).set(count);
        Allotment {
            kind,
            limit,
            held: self.held.with_label_values(&[kind]),
            share: refused("share"),
            full: refused("full"),
            cut,
        }
    }
}

/// How many places a kind of connection has, and where it is counted who holds them.
#[derive(Debug, Clone)]
pub struct Allotment {
    /// What the places are for: a metric label.
    pub kind: &'static str,
    /// How many there are.
    pub limit: usize,
    held: IntGauge,
    share: IntCounter,
    full: IntCounter,
    cut: [IntCounter; Cut::ALL.len()],
}

impl Allotment {
    /// So many are held now.
    pub fn hold(&self, places: usize) {
        self.held.set(i64::try_from(places).unwrap_or(i64::MAX));
    }

    /// Somebody got no place.
    pub fn refuse(&self, why: Refused) {
        match why {
            Refused::Share => self.share.inc(),
            Refused::Full => self.full.inc(),
        }
    }

    /// Somebody who had a place was cut off.
    pub fn cut(&self, why: Cut) {
        let counters = Cut::ALL.iter().zip(&self.cut);
        for (_, counter) in counters.filter(|(cut, _)| **cut == why) {
            counter.inc();
        }
    }
}

#[derive(Default)]
struct Held {
    shares: Shares,
    newest: u64,
    /// What tells the holder of a place that it has to go.
    gone: HashMap<u64, Stop>,
}

/// The places. Clones give out the same ones.
#[derive(Clone)]
pub struct Budget(Arc<BudgetState>);

struct BudgetState {
    allotment: Allotment,
    held: Mutex<Held>,
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("kind", &self.0.allotment.kind)
            .field("limit", &self.0.allotment.limit)
            .finish_non_exhaustive()
    }
}

impl Budget {
    /// All places are free.
    pub fn new(allotment: Allotment) -> Self {
        let held = Held {
            shares: Shares::new(allotment.limit),
            ..Held::default()
        };
        Self(Arc::new(BudgetState {
            allotment,
            held: Mutex::new(held),
        }))
    }

    /// How many places there are.
    pub fn limit(&self) -> usize {
        self.0.allotment.limit
    }

    /// A passing place for a connection of that address. Another one may have to go for it, which is told
    /// by [`Place::displaced`].
    pub fn enter(&self, peer: PeerNetwork) -> Result<Place, Refused> {
        let mut held = self.0.lock();
        held.newest += 1;
        let number = held.newest;
        let entered = held.shares.enter(peer, number);
        let had = entered.inspect_err(|why| self.0.allotment.refuse(*why))?;
        let told = had.and_then(|place| held.gone.remove(&place));
        let displaced = Stop::new();
        held.gone.insert(number, displaced.clone());
        self.0.allotment.hold(held.shares.held());
        drop(held);
        if let Some(told) = told {
            told.cancel();
            self.0.allotment.cut(Cut::Displaced);
        }
        Ok(Place {
            number,
            displaced,
            budget: self.clone(),
        })
    }
}

impl BudgetState {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// A place, until it is dropped.
#[derive(Debug)]
pub struct Place {
    number: u64,
    displaced: Stop,
    budget: Budget,
}

impl Place {
    /// It has proven itself: it is not taken away any more.
    pub fn settle(&self) {
        self.budget.0.lock().shares.settle(self.number);
    }

    /// It does nothing that anybody would miss: it may be taken away.
    pub fn unsettle(&self) {
        self.budget.0.lock().shares.unsettle(self.number);
    }

    /// Its holder is cut off, for a reason of whoever serves it.
    pub fn cut(&self, why: Cut) {
        self.budget.0.allotment.cut(why);
    }

    /// Comes when the place was taken away. It is somebody else's already: end at once.
    pub async fn displaced(&self) {
        self.displaced.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.budget.0.lock();
        held.gone.remove(&self.number);
        held.shares.leave(self.number);
        self.budget.0.allotment.hold(held.shares.held());
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use prometheus::{Encoder, TextEncoder};

    use super::*;

    fn peer(number: u8) -> PeerNetwork {
        IpAddr::from(Ipv4Addr::new(192, 0, 2, number)).into()
    }

    fn shown(registry: &Registry) -> String {
        let mut text = Vec::new();
        TextEncoder::new()
            .encode(&registry.gather(), &mut text)
            .unwrap();
        String::from_utf8(text).unwrap()
    }

    #[tokio::test]
    async fn who_is_displaced_is_told_and_everything_is_counted() {
        let registry = Registry::new();
        let metrics = BudgetMetrics::register(&registry).unwrap();
        let budget = Budget::new(metrics.allot("door", 4));
        let first = budget.enter(peer(1)).unwrap();
        let second = budget.enter(peer(1)).unwrap();
        assert_eq!(budget.enter(peer(1)).unwrap_err(), Refused::Share);
        let others = [2, 3].map(|n| budget.enter(peer(n)).unwrap());
        let newcomer = budget.enter(peer(4)).unwrap();
        second.displaced().await;
        assert!(!first.displaced.is_cancelled());
        assert_eq!(budget.enter(peer(5)).unwrap_err(), Refused::Full);
        let text = shown(&registry);
        for line in [
            "taimat_connections{kind=\"door\"} 4",
            "taimat_connections_limit{kind=\"door\"} 4",
            "taimat_connections_refused_total{kind=\"door\",reason=\"share\"} 1",
            "taimat_connections_refused_total{kind=\"door\",reason=\"full\"} 1",
            "taimat_connections_cut_total{kind=\"door\",reason=\"displaced\"} 1",
            "taimat_connections_cut_total{kind=\"door\",reason=\"idle\"} 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}: {text}");
        }
        // The displaced place was somebody else's already.
        drop((second, newcomer));
        assert!(shown(&registry).contains("taimat_connections{kind=\"door\"} 3"));
        drop((first, others));
        assert!(shown(&registry).contains("taimat_connections{kind=\"door\"} 0"));
    }
}
