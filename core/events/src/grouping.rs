//! Which detections of a plugin at a camera are one event: a state machine, with the time as an
//! argument.
//!
//! Detections of one kind, and of one track if the rule says so, belong together until none comes for
//! a while. What does not go on for long enough never was an event.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::{Duration, Instant};

use taimat_base::bucket::Bucket;
use taimat_base::{CameraKey, PluginId};
use taimat_contract::{Detection, UnixMicros};

use crate::event::{Event, EventId, Phase};
use crate::rules::EventRule;

/// Groups at once, of one plugin at one camera. What comes beyond is put with the others of its kind.
const MAX_GROUPS: usize = 64;
/// Events that may be opened at once, of one plugin at one camera, and then in a second: more than
/// anybody reads, less than a disk.
const OPENINGS: f64 = 60.0;
const OPENINGS_A_SECOND: f64 = 1.0;
/// An event changes no more often than this, unless it ends.
const UPDATE: Duration = Duration::from_secs(10);
/// How often the time of the last detection is written of an event of which nothing else changes.
const TOUCH: Duration = Duration::from_secs(30);
/// A detection is better than the best so far if it is surer by so much.
const SURER: f32 = 0.02;

/// Whose detections they are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Subject {
    pub(crate) camera: CameraKey,
    pub(crate) plugin: PluginId,
}

/// What became of a detection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Taken {
    /// It belongs to an event, or to what may become one.
    Grouped,
    /// Another of its kind is over only since a moment.
    Rests,
    /// There are too many already.
    TooMany,
}

/// How an event has gone until now.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Course {
    pub(crate) began: UnixMicros,
    pub(crate) last: UnixMicros,
    pub(crate) best: Detection,
    pub(crate) detections: u32,
}

/// What is to be written about an event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    Opened(Box<Event>),
    /// Something about it is new.
    Updated(EventId, Course),
    Closed(EventId, Course),
    /// It goes on as before; only for who comes after a crash.
    Touched(EventId, Course),
}

impl Change {
    /// The event that was there before.
    pub(crate) fn of_former(&self) -> Option<EventId> {
        match self {
            Self::Opened(_) => None,
            Self::Updated(id, _) | Self::Closed(id, _) | Self::Touched(id, _) => Some(*id),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct GroupKey {
    kind: String,
    track: Option<u64>,
}

impl GroupKey {
    fn new(rule: &EventRule, detection: &Detection) -> Self {
        Self {
            kind: detection.kind.clone(),
            track: detection.track.filter(|_| rule.by_track),
        }
    }
}

#[derive(Debug)]
struct Group {
    rule: EventRule,
    first_seen: Instant,
    last_seen: Instant,
    course: Course,
    /// Once it is one.
    event: Option<EventId>,
    /// The best has changed since it was told.
    better: bool,
    told: Instant,
    /// When its course was last written, whether or not anybody was told.
    written: Instant,
}

impl Group {
    fn new(rule: EventRule, detection: Detection, now: Instant) -> Self {
        Self {
            rule,
            first_seen: now,
            last_seen: now,
            course: Course {
                began: detection.at,
                last: detection.at,
                best: detection,
                detections: 1,
            },
            event: None,
            better: false,
            told: now,
            written: now,
        }
    }

    fn add(&mut self, detection: Detection, now: Instant) {
        self.last_seen = now;
        let course = &mut self.course;
        course.began = course.began.min(detection.at);
        course.last = course.last.max(detection.at);
        course.detections = course.detections.saturating_add(1);
        if detection.confidence > course.best.confidence + SURER {
            course.best = detection;
            self.better = true;
        }
    }

    fn is_long_enough(&self) -> bool {
        self.last_seen.saturating_duration_since(self.first_seen) >= self.rule.minimum
    }

    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last_seen) > self.rule.gap
    }

    /// What is due about an event that goes on.
    fn due(&mut self, now: Instant) -> Option<Change> {
        let id = self.event?;
        let since = |then: Instant| now.saturating_duration_since(then);
        if self.better && since(self.told) >= UPDATE {
            (self.better, self.told, self.written) = (false, now, now);
            return Some(Change::Updated(id, self.course.clone()));
        }
        if self.last_seen > self.written && since(self.written) >= TOUCH {
            self.written = now;
            return Some(Change::Touched(id, self.course.clone()));
        }
        None
    }

    fn opened(&mut self, id: EventId, subject: &Subject, now: Instant) -> Change {
        self.event = Some(id);
        (self.better, self.told, self.written) = (false, now, now);
        let course = self.course.clone();
        Change::Opened(Box::new(Event {
            id,
            revision: 1,
            phase: Phase::Opened,
            commune: subject.camera.commune.clone(),
            camera: Some(subject.camera.camera.clone()),
            kind: course.best.kind.clone(),
            severity: self.rule.severity,
            began: course.began,
            last: course.last,
            ended: None,
            best: course.best,
            detections: course.detections,
            plugin: subject.plugin.to_string(),
            picture: false,
            answered: None,
            assigned: None,
            silenced: false,
            extra: Vec::new(),
        }))
    }
}

/// The detections of one plugin at one camera.
#[derive(Debug)]
pub(crate) struct Grouping {
    subject: Subject,
    groups: HashMap<GroupKey, Group>,
    /// Kinds of which no event begins until then.
    resting: HashMap<String, Instant>,
    openings: Bucket,
}

impl Grouping {
    pub(crate) fn new(subject: Subject) -> Self {
        Self {
            subject,
            groups: HashMap::new(),
            resting: HashMap::new(),
            openings: Bucket::new(OPENINGS_A_SECOND, OPENINGS),
        }
    }

    /// Takes an event that was open when the router stopped, `ago` after its last detection.
    pub(crate) fn resume(&mut self, event: &Event, rule: EventRule, ago: Duration, now: Instant) {
        let mut group = Group::new(rule, event.best.clone(), now);
        group.last_seen = now.checked_sub(ago).unwrap_or(now);
        group.event = Some(event.id);
        group.course = Course {
            began: event.began,
            last: event.last,
            best: event.best.clone(),
            detections: event.detections,
        };
        self.groups.insert(GroupKey::new(&rule, &event.best), group);
    }

    /// Takes a detection. `id` names the event that it may open.
    pub(crate) fn seen(
        &mut self,
        detection: Detection,
        rule: EventRule,
        now: Instant,
        id: impl FnOnce() -> EventId,
    ) -> (Taken, Option<Change>) {
        let mut key = GroupKey::new(&rule, &detection);
        let mut may_begin = true;
        if !self.groups.contains_key(&key) {
            if self.rests(&key.kind, now) {
                return (Taken::Rests, None);
            }
            may_begin = self.groups.len() < MAX_GROUPS && self.openings.take(now);
            if !may_begin {
                // With the others of its kind, if there are any without a track.
                key.track = None;
            }
        }
        let group = match self.groups.entry(key) {
            Entry::Occupied(group) => {
                let group = group.into_mut();
                group.add(detection, now);
                group
            }
            Entry::Vacant(free) if may_begin => free.insert(Group::new(rule, detection, now)),
            Entry::Vacant(_) => return (Taken::TooMany, None),
        };
        let change = match group.event {
            Some(_) => group.due(now),
            None => group
                .is_long_enough()
                .then(|| group.opened(id(), &self.subject, now)),
        };
        (Taken::Grouped, change)
    }

    fn rests(&mut self, kind: &str, now: Instant) -> bool {
        match self.resting.get(kind) {
            Some(until) if now < *until => true,
            Some(_) => {
                self.resting.remove(kind);
                false
            }
            None => false,
        }
    }

    /// What follows from the time alone. Nothing is left if it returns `false`.
    pub(crate) fn passes(&mut self, now: Instant, changes: &mut Vec<Change>) -> bool {
        self.resting.retain(|_, until| now < *until);
        let resting = &mut self.resting;
        self.groups.retain(|key, group| {
            if !group.is_over(now) {
                changes.extend(group.due(now));
                return true;
            }
            if let Some(id) = group.event {
                changes.push(Change::Closed(id, group.course.clone()));
                if !group.rule.cool_down.is_zero() {
                    resting.insert(key.kind.clone(), now + group.rule.cool_down);
                }
            }
            false
        });
        !self.groups.is_empty() || !self.resting.is_empty()
    }

    /// An event could not be written: it never was one, and the next detection may open another.
    pub(crate) fn forget(&mut self, id: EventId) {
        self.groups.retain(|_, group| group.event != Some(id));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use taimat_base::clock;
    use taimat_contract::Severity;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A grouping and its clock; events are named by numbers.
    struct Tried {
        grouping: Grouping,
        now: Instant,
        begun: Instant,
        named: u128,
    }

    fn id(number: u128) -> EventId {
        EventId::new(std::time::SystemTime::UNIX_EPOCH, number)
    }

    fn detection(kind: &str, track: Option<u64>, at: i64, confidence: f32) -> Detection {
        Detection {
            kind: kind.into(),
            at: UnixMicros(at),
            confidence,
            regions: vec![],
            track,
            text: String::new(),
            extra: vec![],
        }
    }

    fn rule() -> EventRule {
        EventRule {
            minimum: Duration::ZERO,
            gap: SECOND * 10,
            cool_down: Duration::ZERO,
            by_track: true,
            severity: Severity::Notice,
        }
    }

    impl Tried {
        fn new() -> Self {
            let now = clock::now();
            let camera = CameraKey::new("thu".parse().unwrap(), "cho".parse().unwrap());
            let plugin = "motion".parse().unwrap();
            Self {
                grouping: Grouping::new(Subject { camera, plugin }),
                now,
                begun: now,
                named: 0,
            }
        }

        fn at(&self) -> i64 {
            i64::try_from((self.now - self.begun).as_micros()).unwrap()
        }

        fn sees(&mut self, rule: EventRule, track: Option<u64>, sure: f32) -> Vec<Change> {
            let named = &mut self.named;
            let at = i64::try_from((self.now - self.begun).as_micros()).unwrap();
            let detection = detection("motion", track, at, sure);
            let (_, change) = self.grouping.seen(detection, rule, self.now, || {
                *named += 1;
                id(*named)
            });
            change.into_iter().collect()
        }

        fn waits(&mut self, time: Duration) -> Vec<Change> {
            self.now += time;
            let mut changes = Vec::new();
            self.grouping.passes(self.now, &mut changes);
            changes
        }
    }

    fn opened(changes: &[Change]) -> Option<EventId> {
        match changes {
            [Change::Opened(event)] => Some(event.id),
            _ => None,
        }
    }

    #[test]
    fn detections_that_follow_each_other_are_one_event() {
        let mut tried = Tried::new();
        let first = opened(&tried.sees(rule(), None, 0.5)).unwrap();
        for _ in 0..5 {
            assert_eq!(tried.waits(SECOND), []);
            assert_eq!(tried.sees(rule(), None, 0.4), []);
        }
        let last = tried.at();
        assert_eq!(tried.waits(SECOND * 10), []);
        let closed = tried.waits(SECOND);
        let [Change::Closed(id, course)] = &closed[..] else {
            panic!("{closed:?}");
        };
        assert_eq!(*id, first);
        assert_eq!((course.began.0, course.last.0), (0, last));
        assert_eq!(course.detections, 6);
        assert!(opened(&tried.sees(rule(), None, 0.5)).is_some_and(|id| id != first));
    }

    #[test]
    fn what_is_too_short_never_was_an_event() {
        let mut tried = Tried::new();
        let rule = EventRule {
            minimum: SECOND,
            gap: SECOND * 3,
            ..rule()
        };
        assert_eq!(tried.sees(rule, None, 0.5), []);
        assert_eq!(tried.waits(SECOND * 4), []);
        // It counts from its own beginning, not from that of the one before.
        assert_eq!(tried.sees(rule, None, 0.5), []);
        tried.waits(SECOND / 2);
        assert_eq!(tried.sees(rule, None, 0.5), []);
        tried.waits(SECOND / 2);
        let Change::Opened(event) = &tried.sees(rule, None, 0.5)[0] else {
            panic!();
        };
        assert_eq!((event.began.0, event.detections), (4_000_000, 3));
    }

    #[test]
    fn tracks_are_events_of_their_own_if_the_rule_says_so() {
        let mut tried = Tried::new();
        let (a, b) = (Some(1), Some(2));
        assert!(opened(&tried.sees(rule(), a, 0.5)).is_some());
        assert!(opened(&tried.sees(rule(), b, 0.5)).is_some());
        assert_eq!(tried.sees(rule(), a, 0.5), []);
        let mut tried = Tried::new();
        let one = EventRule {
            by_track: false,
            ..rule()
        };
        assert!(opened(&tried.sees(one, a, 0.5)).is_some());
        assert_eq!(tried.sees(one, b, 0.5), []);
    }

    #[test]
    fn after_an_event_there_is_rest() {
        let mut tried = Tried::new();
        let rule = EventRule {
            cool_down: SECOND * 20,
            ..rule()
        };
        assert!(opened(&tried.sees(rule, None, 0.5)).is_some());
        assert_eq!(tried.waits(SECOND * 11).len(), 1);
        tried.waits(SECOND * 19);
        assert_eq!(tried.sees(rule, None, 0.9), []);
        tried.waits(SECOND * 2);
        assert!(opened(&tried.sees(rule, None, 0.9)).is_some());
    }

    #[test]
    fn a_better_detection_is_told_but_not_each() {
        let mut tried = Tried::new();
        tried.sees(rule(), None, 0.2);
        tried.now += SECOND;
        assert_eq!(tried.sees(rule(), None, 0.4), []);
        tried.now += SECOND;
        assert_eq!(tried.sees(rule(), None, 0.3), []);
        tried.now += SECOND * 8;
        let told = tried.waits(Duration::ZERO);
        let [Change::Updated(_, course)] = &told[..] else {
            panic!("{told:?}");
        };
        assert_eq!(course.best.confidence, 0.4);
        assert_eq!(tried.waits(SECOND), []);
    }

    #[test]
    fn what_goes_on_for_long_is_written_now_and_then() {
        let mut tried = Tried::new();
        tried.sees(rule(), None, 0.5);
        let mut touched = 0;
        for _ in 0..600 {
            touched += tried.waits(SECOND).len();
            touched += tried.sees(rule(), None, 0.5).len();
        }
        assert!((18..=20).contains(&touched), "{touched}");
    }

    #[test]
    fn a_flood_of_tracks_is_bounded() {
        let mut tried = Tried::new();
        let mut opened = 0;
        for track in 0..100_000 {
            opened += tried.sees(rule(), Some(track), 0.5).len();
            assert!(tried.grouping.groups.len() <= MAX_GROUPS);
            tried.now += SECOND / 10_000;
        }
        assert!(opened <= MAX_GROUPS, "{opened}");
        // For an hour: no more than one a second.
        let mut opened = 0;
        for track in 0..36_000 {
            opened += tried.waits(SECOND / 10).len();
            opened += tried.sees(rule(), Some(track), 0.5).len();
        }
        assert!(opened < 2 * (3_600 + 130), "{opened}");
    }

    #[test]
    fn an_event_outlives_the_router() {
        let mut tried = Tried::new();
        let Change::Opened(event) = tried.sees(rule(), Some(7), 0.5).remove(0) else {
            panic!();
        };
        let mut tried = Tried::new();
        tried.now += SECOND * 100;
        let now = tried.now;
        tried.grouping.resume(&event, rule(), SECOND * 5, now);
        assert_eq!(tried.sees(rule(), Some(7), 0.5), []);
        let mut tried = Tried::new();
        tried.now += SECOND * 100;
        let now = tried.now;
        tried.grouping.resume(&event, rule(), SECOND * 15, now);
        let closed = tried.waits(Duration::ZERO);
        assert!(matches!(&closed[..], [Change::Closed(id, course)]
            if *id == event.id && course.last == event.last));
    }

    proptest! {
        /// Whatever comes: each event is opened once and closed once, in this order, and none of its
        /// detections is counted twice.
        #[test]
        fn every_event_has_one_beginning_and_one_end(
            steps in prop::collection::vec((0u64..5, 0u64..40, 0f32..1.0, 0u8..3), 1..200)
        ) {
            let mut tried = Tried::new();
            let (mut open, mut closed) = (std::collections::HashSet::new(), 0_u64);
            let (mut seen, mut counted) = (0_u64, 0_u64);
            let rules = [rule(), EventRule { minimum: SECOND, ..rule() },
                EventRule { cool_down: SECOND * 5, by_track: false, ..rule() }];
            let mut all = Vec::new();
            for (track, wait, sure, which) in steps {
                all.extend(tried.waits(SECOND / 4 * u32::try_from(wait).unwrap()));
                seen += 1;
                all.extend(tried.sees(rules[which as usize], Some(track), sure));
            }
            all.extend(tried.waits(SECOND * 60));
            for change in all {
                match change {
                    Change::Opened(event) => prop_assert!(open.insert(event.id)),
                    Change::Updated(id, _) | Change::Touched(id, _) => {
                        prop_assert!(open.contains(&id));
                    }
                    Change::Closed(id, course) => {
                        prop_assert!(open.remove(&id));
                        prop_assert!(course.began <= course.last);
                        counted += u64::from(course.detections);
                        closed += 1;
                    }
                }
            }
            prop_assert!(open.is_empty());
            prop_assert!(counted <= seen, "{counted} of {seen} in {closed}");
        }
    }
}
