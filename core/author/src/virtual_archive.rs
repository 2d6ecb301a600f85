//! An archive without footage: what a storage plugin says is done at once, by the rules that the router
//! has. A copy is let go when all others are there; when a place is full, the copies with the lowest worth
//! go first, the oldest of them first; what is held goes never.

use std::collections::{BTreeMap, BTreeSet};

use taimat_contract::storage::{Placed, ReviewCause, Segment, StorageTarget};
use taimat_contract::{Placement, Review, UnixMicros};

use crate::month::{Stretch, WrittenMonth};

/// How often the archive looks what is due: an hour.
pub(crate) const LOOKS: i64 = 3_600_000_000;

/// A copy, where it is or is to be.
#[derive(Debug, Clone)]
struct Copy {
    place: usize,
    until: UnixMicros,
    worth: u8,
    /// It is there: its place has taken it.
    made: bool,
    /// It goes as soon as all others are there.
    leaving: bool,
}

/// A segment. Of what the plugin may ask for more is worked out from the month.
#[derive(Debug)]
struct Kept {
    camera: usize,
    start: UnixMicros,
    kinds: BTreeSet<usize>,
    highest: Option<taimat_contract::Severity>,
    watched: bool,
    held: bool,
    copies: Vec<Copy>,
}

/// What is at a place.
#[derive(Debug, Default)]
pub(crate) struct AtPlace {
    /// Bytes.
    pub(crate) used: u64,
    /// By worth, then by age: who goes first.
    order: BTreeSet<(u8, UnixMicros, usize)>,
    /// Copies that could not be made because it was away.
    waiting: BTreeSet<usize>,
    /// Copies that went because it was full.
    pub(crate) evicted: u64,
}

/// Copies of one worth.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct OfAWorth {
    pub(crate) segments: u64,
    pub(crate) bytes: u64,
    pub(crate) oldest: Option<UnixMicros>,
}

/// The archive.
#[derive(Debug)]
pub(crate) struct VirtualArchive<'m> {
    month: &'m WrittenMonth,
    kinds: Vec<&'m str>,
    next_event: usize,
    segments: Vec<Kept>,
    pub(crate) places: Vec<AtPlace>,
    /// Segments by the hour in which they are to be asked about again.
    due: BTreeMap<i64, Vec<usize>>,
    now: UnixMicros,
    /// Segments of which nothing is left.
    pub(crate) gone: u64,
    /// Of these, such that somebody holds: there must be none.
    pub(crate) held_gone: u64,
}

fn within(stretches: &[(Option<usize>, Stretch)], camera: usize, when: Stretch) -> bool {
    stretches.iter().any(|(of, stretch)| {
        of.is_none_or(|of| of == camera) && stretch.0 < when.1 && when.0 < stretch.1
    })
}

impl<'m> VirtualArchive<'m> {
    pub(crate) fn new(month: &'m WrittenMonth) -> Self {
        let kinds: BTreeSet<&str> = month.events.iter().map(|e| e.kind.as_str()).collect();
        Self {
            month,
            kinds: kinds.into_iter().collect(),
            next_event: 0,
            segments: Vec::new(),
            places: month.places.iter().map(|_| AtPlace::default()).collect(),
            due: BTreeMap::new(),
            now: month.when.0,
            gone: 0,
            held_gone: 0,
        }
    }

    pub(crate) fn now(&self) -> UnixMicros {
        self.now
    }

    /// An hour passes: the segments that were written in it, by number; none when the month is over.
    pub(crate) fn hour(&mut self) -> Option<Vec<usize>> {
        let (begin, end) = (self.now, self.month.when.1);
        if begin >= end {
            return None;
        }
        self.now = UnixMicros((begin.0 + LOOKS).min(end.0));
        let mut fresh = Vec::new();
        let mut start = begin;
        while start < self.now {
            for camera in 0..self.month.commune.facts.cameras.len() {
                fresh.push(self.segments.len());
                self.segments.push(self.written(camera, start));
            }
            start = start.after(self.month.segment);
        }
        // What began long ago is over.
        let events = &self.month.events;
        while events
            .get(self.next_event)
            .is_some_and(|e| e.when.1 <= begin)
        {
            self.next_event += 1;
        }
        self.come_back();
        Some(fresh)
    }

    fn written(&self, camera: usize, start: UnixMicros) -> Kept {
        let when = (start, start.after(self.month.segment));
        let begun = self.month.events.iter().skip(self.next_event);
        let near = begun.take_while(|event| event.when.0 < when.1);
        let own = near.filter(|e| e.camera == camera && e.when.1 > when.0);
        let (mut kinds, mut highest) = (BTreeSet::new(), None);
        for event in own {
            kinds.extend(self.kinds.iter().position(|kind| *kind == event.kind));
            highest = highest.max(Some(event.severity));
        }
        Kept {
            camera,
            start,
            kinds,
            highest,
            watched: !within(&self.month.unwatched, camera, when),
            held: within(&self.month.held, camera, when),
            copies: Vec::new(),
        }
    }

    /// The segments whose time is over.
    pub(crate) fn due(&mut self) -> Vec<usize> {
        let later = self.due.split_off(&(self.now.0 / LOOKS + 1));
        let due = std::mem::replace(&mut self.due, later);
        let mut due: Vec<usize> = due.into_values().flatten().collect();
        due.sort_unstable();
        due.dedup();
        let (now, segments) = (self.now, &self.segments);
        // What was moved meanwhile has another time.
        due.retain(|number| {
            let copies = segments.get(*number).map_or(&[][..], |s| &s.copies);
            copies.iter().any(|copy| !copy.leaving && copy.until <= now)
        });
        due
    }

    fn is_healthy(&self, place: usize) -> bool {
        let away = self.month.places.get(place).map_or(&[][..], |p| &p.away);
        let now = self.now;
        !away.iter().any(|away| away.0 <= now && now < away.1)
    }

    /// A question about these, as the router asks it.
    pub(crate) fn review(&self, why: ReviewCause, numbers: &[usize]) -> Review {
        let segments = numbers.iter().filter_map(|number| self.segment(*number));
        let targets = self.month.places.iter().zip(&self.places).enumerate();
        let targets = targets.map(|(index, (place, at))| StorageTarget {
            name: place.name.clone(),
            used: at.used,
            quota: place.quota,
            healthy: self.is_healthy(index),
        });
        Review {
            why,
            segments: segments.collect(),
            targets: targets.collect(),
            now: self.now,
        }
    }

    fn segment(&self, number: usize) -> Option<Segment> {
        let kept = self.segments.get(number)?;
        let camera = self.month.commune.facts.cameras.get(kept.camera)?;
        let copies = kept.copies.iter().filter(|copy| !copy.leaving);
        let copies = copies.filter_map(|copy| {
            Some(Placed {
                target: self.month.places.get(copy.place)?.name.clone(),
                until: copy.until,
                worth: copy.worth,
            })
        });
        let kinds = kept.kinds.iter().filter_map(|kind| self.kinds.get(*kind));
        Some(Segment {
            id: number as u64,
            camera: camera.name.to_string(),
            start: kept.start,
            duration_ms: u32::try_from(self.month.segment.as_millis()).unwrap_or(u32::MAX),
            size: self.month.size,
            watched: kept.watched,
            kinds: kinds
                .take(Segment::MAX_KINDS)
                .map(|kind| (*kind).to_owned())
                .collect(),
            highest: kept.highest,
            held: kept.held,
            keep_until: None,
            copies: copies.collect(),
        })
    }

    /// Does what was answered. What it does not name is asked about again in an hour.
    pub(crate) fn place(&mut self, asked: &[usize], answer: Vec<Placement>) {
        let mut left: BTreeSet<usize> = asked.iter().copied().collect();
        for placement in answer {
            let Ok(number) = usize::try_from(placement.id) else {
                continue;
            };
            left.remove(&number);
            self.place_one(number, &placement.copies);
        }
        for number in left {
            self.ask_again(number, UnixMicros(self.now.0 + LOOKS));
        }
    }

    fn ask_again(&mut self, number: usize, at: UnixMicros) {
        // In the hour after it is over.
        let hour = (at.0 + LOOKS - 1)
            .div_euclid(LOOKS)
            .max(self.now.0 / LOOKS + 1);
        self.due.entry(hour).or_default().push(number);
    }

    fn place_one(&mut self, number: usize, copies: &[Placed]) {
        let month = self.month;
        let index = |name: &str| month.places.iter().position(|place| place.name == name);
        let wanted: Vec<(usize, &Placed)> = copies
            .iter()
            .filter_map(|copy| Some((index(&copy.target)?, copy)))
            .collect();
        for (place, copy) in &wanted {
            self.keep(number, *place, copy.until, copy.worth);
        }
        let Some(kept) = self.segments.get_mut(number) else {
            return;
        };
        let held = kept.held;
        for copy in &mut kept.copies {
            let stays = wanted.iter().any(|(place, _)| *place == copy.place);
            // Nothing lets go of what somebody holds.
            copy.leaving = !stays && !held;
        }
        if let Some(next) = wanted.iter().map(|(_, copy)| copy.until).min() {
            self.ask_again(number, next);
        }
        self.let_go(number);
    }

    fn keep(&mut self, number: usize, place: usize, until: UnixMicros, worth: u8) {
        let made = self.is_healthy(place);
        let (Some(kept), Some(at)) = (self.segments.get_mut(number), self.places.get_mut(place))
        else {
            return;
        };
        let start = kept.start;
        if let Some(copy) = kept.copies.iter_mut().find(|copy| copy.place == place) {
            if at.order.remove(&(copy.worth, start, number)) {
                at.order.insert((worth, start, number));
            }
            (copy.until, copy.worth, copy.leaving) = (until, worth, false);
            return;
        }
        kept.copies.push(Copy {
            place,
            until,
            worth,
            made,
            leaving: false,
        });
        if made {
            at.used += self.month.size;
            at.order.insert((worth, start, number));
        } else {
            at.waiting.insert(number);
        }
    }

    /// What leaves goes if all that stays is there.
    fn let_go(&mut self, number: usize) {
        let Some(kept) = self.segments.get_mut(number) else {
            return;
        };
        if kept.copies.iter().any(|copy| !copy.leaving && !copy.made) {
            return;
        }
        let before = kept.copies.len();
        let leaving: Vec<Copy> = kept.copies.extract_if(.., |copy| copy.leaving).collect();
        let none_left = before > 0 && kept.copies.is_empty();
        let (start, held) = (kept.start, kept.held);
        for copy in leaving {
            self.remove(number, start, &copy);
        }
        if none_left {
            self.gone += 1;
            self.held_gone += u64::from(held);
        }
    }

    fn remove(&mut self, number: usize, start: UnixMicros, copy: &Copy) {
        if let Some(at) = self.places.get_mut(copy.place) {
            at.waiting.remove(&number);
            if at.order.remove(&(copy.worth, start, number)) {
                at.used = at.used.saturating_sub(self.month.size);
            }
        }
    }

    /// Places that are there again take what waited for them.
    fn come_back(&mut self) {
        for place in 0..self.places.len() {
            if !self.is_healthy(place) {
                continue;
            }
            let waiting = self
                .places
                .get_mut(place)
                .map(|at| std::mem::take(&mut at.waiting));
            for number in waiting.unwrap_or_default() {
                let (Some(kept), Some(at)) =
                    (self.segments.get_mut(number), self.places.get_mut(place))
                else {
                    continue;
                };
                let start = kept.start;
                if let Some(copy) = kept.copies.iter_mut().find(|copy| copy.place == place) {
                    copy.made = true;
                    at.used += self.month.size;
                    at.order.insert((copy.worth, start, number));
                }
                self.let_go(number);
            }
        }
    }

    /// Places that have more than they may have let go of what is worth least.
    pub(crate) fn evict(&mut self) {
        for place in 0..self.places.len() {
            let quota = self.month.places.get(place).and_then(|place| place.quota);
            let Some(quota) = quota else { continue };
            let mut held = Vec::new();
            while let Some(at) = self.places.get_mut(place)
                && at.used > quota
                && let Some(first) = at.order.pop_first()
            {
                let (_, _, number) = first;
                let Some(kept) = self.segments.get_mut(number) else {
                    continue;
                };
                if kept.held {
                    held.push(first);
                    continue;
                }
                kept.copies.retain(|copy| copy.place != place);
                self.gone += u64::from(kept.copies.is_empty());
                at.used = at.used.saturating_sub(self.month.size);
                at.evicted += 1;
            }
            if let Some(at) = self.places.get_mut(place) {
                at.order.extend(held);
            }
        }
    }

    /// How many segments a place has.
    pub(crate) fn count(&self, place: usize) -> usize {
        self.places.get(place).map_or(0, |at| at.order.len())
    }

    /// What is at a place, by worth.
    pub(crate) fn by_worth(&self, place: usize) -> BTreeMap<u8, OfAWorth> {
        let mut all: BTreeMap<u8, OfAWorth> = BTreeMap::new();
        let order = self.places.get(place).into_iter().flat_map(|at| &at.order);
        for (worth, start, _) in order {
            let of = all.entry(*worth).or_default();
            of.segments += 1;
            of.bytes += self.month.size;
            of.oldest = Some(of.oldest.map_or(*start, |oldest| oldest.min(*start)));
        }
        all
    }
}
