//! What the house sees of itself: cameras that are lost, plugins that do not run. A state machine
//! over what is the case at a moment, with the time as an argument.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use taimat_base::{CameraId, CommuneId};
use taimat_contract::{Attribute, Detection, Severity, UnixMicros};

use crate::event::{Event, EventId, HOUSE, Phase};
use crate::grouping::{Change, Course};

/// Something that is the case and should not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Where.
    pub commune: CommuneId,
    /// At which camera, if it is about one.
    pub camera: Option<CameraId>,
    /// A word, as of a detection's kind.
    pub kind: &'static str,
    /// What it is about, where there may be several: a plugin, a profile. May be empty.
    pub about: String,
    /// One line for people.
    pub text: String,
    /// It has to be so for that long before it is an event.
    pub wait: Duration,
    /// How much attention it deserves.
    pub severity: Severity,
}

/// The attribute in which an event says what it is about.
const ABOUT: &str = "about";

type ConditionKey = (CommuneId, Option<CameraId>, String, String);

impl Condition {
    fn key(&self) -> ConditionKey {
        (
            self.commune.clone(),
            self.camera.clone(),
            self.kind.to_owned(),
            self.about.clone(),
        )
    }
}

#[derive(Debug)]
struct Standing {
    since: Instant,
    began: UnixMicros,
    event: Option<EventId>,
    course: Option<Course>,
}

/// What is the case, and since when.
#[derive(Debug, Default)]
pub(crate) struct House {
    standing: HashMap<ConditionKey, Standing>,
}

impl House {
    /// Takes an event that was open when the router stopped.
    pub(crate) fn resume(&mut self, event: &Event, now: Instant) {
        let about = event.best.extra.iter().find(|a| a.key == ABOUT);
        let key = (
            event.commune.clone(),
            event.camera.clone(),
            event.kind.clone(),
            about.map(|a| a.value.clone()).unwrap_or_default(),
        );
        let standing = Standing {
            since: now,
            began: event.began,
            event: Some(event.id),
            course: Some(Course {
                began: event.began,
                last: event.last,
                best: event.best.clone(),
                detections: event.detections,
            }),
        };
        self.standing.insert(key, standing);
    }

    /// All that is the case now.
    pub(crate) fn look(
        &mut self,
        conditions: Vec<Condition>,
        now: Instant,
        wall: UnixMicros,
        mut id: impl FnMut() -> EventId,
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        let present: HashSet<ConditionKey> = conditions.iter().map(Condition::key).collect();
        self.standing.retain(|key, standing| {
            if present.contains(key) {
                return true;
            }
            if let (Some(id), Some(mut course)) = (standing.event, standing.course.take()) {
                course.last = wall.max(course.began);
                changes.push(Change::Closed(id, course));
            }
            false
        });
        for condition in conditions {
            let standing = self
                .standing
                .entry(condition.key())
                .or_insert_with(|| Standing {
                    since: now,
                    began: wall,
                    event: None,
                    course: None,
                });
            let long = now.saturating_duration_since(standing.since) >= condition.wait;
            if standing.event.is_none() && long {
                let event = event(condition, id(), standing.began, wall);
                standing.event = Some(event.id);
                standing.course = Some(Course {
                    began: event.began,
                    last: event.last,
                    best: event.best.clone(),
                    detections: 1,
                });
                changes.push(Change::Opened(Box::new(event)));
            }
        }
        changes
    }

    /// An event could not be written: it is tried again.
    pub(crate) fn forget(&mut self, id: EventId) {
        for standing in self.standing.values_mut() {
            if standing.event == Some(id) {
                (standing.event, standing.course) = (None, None);
            }
        }
    }
}

/// The kind of an event that is made for trying a target.
pub(crate) const TEST: &str = "test";

/// An event that is made for trying a target; over as soon as it begins.
pub(crate) fn test(commune: CommuneId, id: EventId, now: UnixMicros) -> Event {
    let condition = Condition {
        commune,
        camera: None,
        kind: TEST,
        about: String::new(),
        text: String::new(),
        wait: Duration::ZERO,
        severity: Severity::Info,
    };
    Event {
        phase: Phase::Closed,
        ended: Some(now),
        ..event(condition, id, now, now)
    }
}

fn event(condition: Condition, id: EventId, began: UnixMicros, now: UnixMicros) -> Event {
    let about = (!condition.about.is_empty()).then(|| Attribute {
        key: ABOUT.into(),
        value: condition.about,
    });
    Event {
        id,
        revision: 1,
        phase: Phase::Opened,
        commune: condition.commune,
        camera: condition.camera,
        kind: condition.kind.to_owned(),
        severity: condition.severity,
        began,
        last: now,
        ended: None,
        best: Detection {
            kind: condition.kind.to_owned(),
            at: began,
            confidence: 1.0,
            regions: Vec::new(),
            track: None,
            text: condition.text,
            extra: about.into_iter().collect(),
        },
        detections: 1,
        plugin: HOUSE.to_owned(),
        picture: false,
        answered: None,
        assigned: None,
        silenced: false,
        extra: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use taimat_base::clock;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn lost(camera: &str) -> Condition {
        Condition {
            commune: "thu".parse().unwrap(),
            camera: Some(camera.parse().unwrap()),
            kind: "camera-lost",
            about: "main".into(),
            text: "refused".into(),
            wait: SECOND * 30,
            severity: Severity::Warning,
        }
    }

    struct Tried {
        house: House,
        begun: Instant,
        named: u128,
    }

    impl Tried {
        fn at(&mut self, seconds: u32, conditions: Vec<Condition>) -> Vec<Change> {
            let now = self.begun + SECOND * seconds;
            let wall = UnixMicros(i64::from(seconds) * 1_000_000);
            let named = &mut self.named;
            self.house.look(conditions, now, wall, || {
                *named += 1;
                EventId::new(std::time::SystemTime::UNIX_EPOCH, *named)
            })
        }
    }

    fn tried() -> Tried {
        Tried {
            house: House::default(),
            begun: clock::now(),
            named: 0,
        }
    }

    #[test]
    fn what_lasts_is_an_event_that_ends_when_it_is_over() {
        let mut tried = tried();
        assert_eq!(tried.at(0, vec![lost("cho")]), []);
        assert_eq!(tried.at(29, vec![lost("cho")]), []);
        let opened = tried.at(30, vec![lost("cho"), lost("cau")]);
        let [Change::Opened(event)] = &opened[..] else {
            panic!("{opened:?}");
        };
        // It began when it began, not when it was long enough.
        assert_eq!(event.began.0, 0);
        assert_eq!(tried.at(31, vec![lost("cho"), lost("cau")]), []);
        let closed = tried.at(40, vec![lost("cau")]);
        assert!(matches!(&closed[..], [Change::Closed(id, course)]
            if *id == event.id && course.last.0 == 40_000_000));
        // A short one was none, and the next counts from its own beginning.
        assert_eq!(tried.at(41, vec![]), []);
        assert_eq!(tried.at(42, vec![lost("cau")]), []);
        assert_eq!(tried.at(71, vec![lost("cau")]), []);
        assert_eq!(tried.at(72, vec![lost("cau")]).len(), 1);
    }

    #[test]
    fn what_was_the_case_before_the_router_stopped_is_the_same_event() {
        let mut before = tried();
        before.at(0, vec![lost("cho")]);
        let Change::Opened(event) = before.at(30, vec![lost("cho")]).remove(0) else {
            panic!();
        };
        let mut after = tried();
        let begun = after.begun;
        after.house.resume(&event, begun);
        assert_eq!(after.at(40, vec![lost("cho")]), []);
        assert!(matches!(after.at(41, vec![])[..], [Change::Closed(id, _)] if id == event.id));
    }

    #[test]
    fn what_could_not_be_written_is_tried_again() {
        let mut tried = tried();
        tried.at(0, vec![lost("cho")]);
        let Change::Opened(event) = tried.at(30, vec![lost("cho")]).remove(0) else {
            panic!();
        };
        tried.house.forget(event.id);
        assert!(matches!(
            tried.at(31, vec![lost("cho")])[..],
            [Change::Opened(_)]
        ));
    }
}
