use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;

fn peer(number: u8) -> PeerNetwork {
    PeerNetwork::V4(Ipv4Addr::new(192, 0, 2, number))
}

/// So many tries of an address, and how many got in.
fn flood(shares: &mut Shares, number: u8, tries: u64, next: &mut u64) -> usize {
    let mut got = 0;
    for _ in 0..tries {
        *next += 1;
        got += usize::from(shares.enter(peer(number), *next).is_ok());
    }
    got
}

#[test]
fn an_address_gets_half_of_what_the_others_leave_and_what_one_has_above_an_equal_share() {
    let (mut shares, mut next) = (Shares::new(100), 0);
    assert_eq!(flood(&mut shares, 1, 1000, &mut next), 50);
    assert_eq!(flood(&mut shares, 2, 1000, &mut next), 25);
    // Thirteen of the rest, and seventeen of the first, which is left with a third.
    assert_eq!(flood(&mut shares, 3, 1000, &mut next), 30);
    assert_eq!((shares.held_by(peer(1)), shares.held()), (33, 88));
    assert_eq!(shares.enter(peer(1), 9000), Err(Refused::Share));
    assert_eq!(shares.enter(peer(4), 9001), Ok(None));
}

#[test]
fn where_nothing_is_left_the_newest_of_the_greediest_goes_and_never_what_is_settled() {
    let mut shares = Shares::new(8);
    for (place, number) in (1..).zip([1, 1, 1, 1, 2, 2, 3, 4]) {
        assert_eq!(shares.enter(peer(number), place), Ok(None));
    }
    shares.settle(4);
    assert_eq!(shares.enter(peer(9), 9), Ok(Some(3)));
    assert_eq!((shares.held(), shares.held_by(peer(1))), (8, 3));
    for place in 1..=2 {
        shares.settle(place);
    }
    // The greediest has nothing to give any more: the next one gives.
    assert_eq!(shares.enter(peer(10), 10), Ok(Some(6)));
    assert_eq!(shares.enter(peer(11), 11), Err(Refused::Full));
    shares.unsettle(2);
    assert_eq!(shares.would(peer(11)), Ok(Some(2)));
    shares.settle(2);
    shares.leave(1);
    assert_eq!(shares.enter(peer(11), 11), Ok(None));
}

#[test]
fn with_nobody_above_an_equal_share_it_is_full() {
    let mut shares = Shares::new(2);
    assert_eq!(shares.enter(peer(1), 1), Ok(None));
    assert_eq!(shares.enter(peer(1), 2), Err(Refused::Share));
    assert_eq!(shares.enter(peer(2), 3), Ok(None));
    assert_eq!(shares.enter(peer(3), 4), Err(Refused::Full));
    assert_eq!(shares.enter(peer(2), 5), Err(Refused::Share));
    shares.leave(1);
    shares.leave(1);
    assert_eq!(shares.enter(peer(3), 6), Ok(None));
    assert_eq!(Shares::new(0).would(peer(1)), Err(Refused::Full));
}

/// What may happen to places, in any order.
#[derive(Debug, Clone, Copy)]
enum Step {
    Enter(u8),
    Settle(usize),
    Unsettle(usize),
    Leave(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        // A few flood, many come now and then.
        6 => (0_u8..3).prop_map(Step::Enter),
        3 => (3_u8..60).prop_map(Step::Enter),
        1 => any::<usize>().prop_map(Step::Settle),
        1 => any::<usize>().prop_map(Step::Unsettle),
        2 => any::<usize>().prop_map(Step::Leave),
    ];
    prop::collection::vec(step, 0..400)
}

/// What is held, kept apart from [`Shares`]: number, whose, and whether it is settled.
#[derive(Debug, Default)]
struct Book(Vec<(u64, PeerNetwork, bool)>);

impl Book {
    fn of(&self, peer: PeerNetwork) -> usize {
        self.0.iter().filter(|(_, other, _)| *other == peer).count()
    }

    fn share(&self, limit: usize, peer: PeerNetwork) -> usize {
        let all = self.0.iter().map(|(_, peer, _)| *peer).chain([peer]);
        (limit / all.collect::<BTreeSet<_>>().len()).max(1)
    }

    /// Somebody has more than that, and something of it to give.
    fn can_give(&self, share: usize) -> bool {
        let giving = self.0.iter().filter(|(_, _, settled)| !settled);
        giving.map(|(_, peer, _)| self.of(*peer)).any(|n| n > share)
    }

    fn enter(&mut self, shares: &mut Shares, limit: usize, peer: PeerNetwork, place: u64) {
        let (held, share) = (self.of(peer), self.share(limit, peer));
        let (free, can_give) = (limit - self.0.len(), self.can_give(share));
        let entered = shares.enter(peer, place);
        if held < share && (free > held || can_give) {
            assert!(
                entered.is_ok(),
                "{held} of {share}, {free} free: {entered:?}"
            );
        }
        if entered == Err(Refused::Full) {
            assert!(free == 0 && !can_give && held < share, "{held} of {share}");
        }
        let Ok(displaced) = entered else { return };
        if let Some(displaced) = displaced {
            let at = self.0.iter().position(|(n, _, _)| *n == displaced).unwrap();
            let (_, victim, settled) = self.0[at];
            assert!(!settled && victim != peer && self.of(victim) > share);
            let greedier = |(_, other, settled): &(u64, PeerNetwork, bool)| {
                !settled && self.of(*other) > self.of(victim)
            };
            assert!(!self.0.iter().any(greedier), "there is a greedier one");
            let newer = |(n, other, settled): &(u64, PeerNetwork, bool)| {
                *other == victim && !settled && *n > displaced
            };
            assert!(!self.0.iter().any(newer), "there is a newer one");
            self.0.remove(at);
        }
        self.0.push((place, peer, false));
    }
}

proptest! {
    #[test]
    fn whoever_holds_little_gets_in_as_long_as_anybody_has_more_than_its_share(
        limit in 1_usize..40, steps in steps()
    ) {
        let (mut shares, mut book, mut next) = (Shares::new(limit), Book::default(), 0);
        for step in steps {
            let some = |at: usize| (!book.0.is_empty()).then(|| at % book.0.len());
            match step {
                Step::Enter(number) => {
                    next += 1;
                    book.enter(&mut shares, limit, peer(number), next);
                }
                Step::Settle(at) => if let Some(at) = some(at) {
                    shares.settle(book.0[at].0);
                    book.0[at].2 = true;
                }
                Step::Unsettle(at) => if let Some(at) = some(at) {
                    shares.unsettle(book.0[at].0);
                    book.0[at].2 = false;
                }
                Step::Leave(at) => if let Some(at) = some(at) {
                    shares.leave(book.0.remove(at).0);
                }
            }
            prop_assert!(shares.held() <= limit);
            prop_assert_eq!(shares.held(), book.0.len());
        }
        for (place, ..) in book.0 {
            shares.leave(place);
        }
        prop_assert!(shares.holdings.is_empty() && shares.holders.is_empty());
    }

    #[test]
    fn however_few_flood_a_stranger_gets_a_place(limit in 8_usize..200, flooders in 1_u8..20) {
        let (mut shares, mut next) = (Shares::new(limit), 0);
        for round in 0..5 {
            for number in 0..flooders {
                flood(&mut shares, number, 50, &mut next);
            }
            // Less than an equal share is free only if more addresses than places want one.
            if usize::from(flooders) + 5 < limit {
                next += 1;
                prop_assert!(shares.enter(peer(100 + round), next).is_ok());
            }
        }
    }
}
