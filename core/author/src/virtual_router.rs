//! What stands for the router while a policy is tried on a written day: who was told, what waits, when to ask
//! again. Pure: it says what to ask, is told the ruling, and knows the time from what happens only.

use std::collections::BTreeMap;
use std::time::Duration;

use taimat_contract::event::{Answer, Phase};
use taimat_contract::policy::{Alert, DeliveryState, OtherEvent, Told, Why};
use taimat_contract::{Event, Ruling, Severity, Situation, UnixMicros};

/// How long an event counts as one of the last hour.
const HOUR: Duration = Duration::from_secs(3600);
/// Events that go out together at most.
const MOST_TOGETHER: usize = 32;
/// Things that happen on a trial at most: a policy that asks for itself for ever ends there.
const MOST_STEPS: usize = 2_000_000;

/// Something that a day has written down.
#[derive(Debug, Clone)]
pub(crate) enum Happening {
    /// An event begins.
    Opens(Box<Event>),
    /// Something about it changes.
    Updates {
        id: String,
        severity: Option<Severity>,
        confidence: Option<f32>,
        text: Option<String>,
    },
    /// It ends.
    Closes(String),
    /// Somebody deals with it.
    Answered(String, Answer),
}

/// What the router does of itself.
#[derive(Debug)]
enum Due {
    Written(Happening),
    /// A target could not be told of the event.
    Undelivered(String),
    /// The time that the policy wanted, if it has wanted no other since.
    Timer(String, u64),
    Sends(u64),
    GivesUp(u64),
}

/// In what order things happen that happen at the same time: what people and cameras do, then
/// what the router asks, then what it sends.
fn rank(due: &Due) -> u8 {
    match due {
        Due::Written(_) => 0,
        Due::Undelivered(_) | Due::Timer(..) => 1,
        Due::Sends(_) | Due::GivesUp(_) => 2,
    }
}

/// An event with what goes with it.
#[derive(Debug)]
struct EventState {
    event: Event,
    asked: u32,
    memo: String,
    told: Vec<ToldOf>,
    timer: u64,
}

#[derive(Debug)]
struct ToldOf {
    told: Told,
    follow: bool,
    /// The newest revision that went out; 0 is none yet.
    revision: u32,
}

/// Alerts that go out together.
#[derive(Debug)]
struct Sending {
    target: String,
    group: String,
    events: Vec<String>,
    /// It has gone out and nobody has it.
    tried: bool,
}

/// What is asked of the policy.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) event: Event,
    pub(crate) situation: Situation,
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Step {
    /// The policy is to be asked, and [`VirtualRouter::ruled`] told.
    Asks(Box<Question>),
    /// A target is told about these, each with its revision.
    Tells {
        at: UnixMicros,
        target: String,
        events: Vec<(String, u32)>,
    },
    /// A target could not be told about these.
    GaveUp {
        at: UnixMicros,
        target: String,
        events: Vec<String>,
    },
}

/// The router of a trial.
#[derive(Debug)]
pub(crate) struct VirtualRouter {
    targets: Vec<String>,
    undelivered: BTreeMap<String, Duration>,
    agenda: BTreeMap<(UnixMicros, u8, u64), Due>,
    events: BTreeMap<String, EventState>,
    /// Ids of what is open or began within the last hour, in the order of their beginning.
    order: Vec<String>,
    sendings: BTreeMap<u64, Sending>,
    numbers: u64,
    steps: usize,
}

impl VirtualRouter {
    /// Before anything has happened. `undelivered` are targets that can not be reached, with how long
    /// it tries.
    pub(crate) fn new(
        targets: Vec<String>,
        undelivered: BTreeMap<String, Duration>,
        day: Vec<(UnixMicros, Happening)>,
    ) -> Self {
        let mut router = Self {
            targets,
            undelivered,
            agenda: BTreeMap::new(),
            events: BTreeMap::new(),
            order: Vec::new(),
            sendings: BTreeMap::new(),
            numbers: 0,
            steps: 0,
        };
        for (at, happening) in day {
            router.plan(at, Due::Written(happening));
        }
        router
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn plan(&mut self, at: UnixMicros, due: Due) {
        let number = self.number();
        self.agenda.insert((at, rank(&due), number), due);
    }

    /// What comes next; none when the day is over and nothing waits. An error ends a policy that never
    /// comes to an end.
    pub(crate) fn next(&mut self) -> Result<Option<Step>, String> {
        while let Some(((at, _, _), due)) = self.agenda.pop_first() {
            self.steps += 1;
            if self.steps > MOST_STEPS {
                return Err(format!(
                    "{MOST_STEPS} things have happened, and no end is in sight"
                ));
            }
            let step = match due {
                Due::Written(happening) => self.happens(at, happening),
                Due::Undelivered(id) => self.question(&id, Why::Undelivered, at),
                Due::Timer(id, number) => {
                    let wanted = self.events.get(&id).is_some_and(|k| k.timer == number);
                    if wanted {
                        self.question(&id, Why::Timer, at)
                    } else {
                        None
                    }
                }
                Due::Sends(number) => self.sends(number, at),
                Due::GivesUp(number) => self.gives_up(number, at),
            };
            if step.is_some() {
                return Ok(step);
            }
        }
        Ok(None)
    }

    fn happens(&mut self, at: UnixMicros, happening: Happening) -> Option<Step> {
        let (id, why) = match happening {
            Happening::Opens(event) => {
                let id = event.id.clone();
                let kept = EventState {
                    event: *event,
                    asked: 0,
                    memo: String::new(),
                    told: Vec::new(),
                    timer: 0,
                };
                self.events.insert(id.clone(), kept);
                // What is over for an hour is no longer among the others.
                let events = &self.events;
                self.order.retain(|old| {
                    let old = events.get(old).map(|k| &k.event);
                    old.is_some_and(|e| e.ended.is_none() || at.since(e.began) <= HOUR)
                });
                self.order.push(id.clone());
                (id, Why::Opened)
            }
            Happening::Updates {
                id,
                severity,
                confidence,
                text,
            } => {
                let event = &mut self.events.get_mut(&id)?.event;
                event.revision += 1;
                event.detections += 1;
                event.phase = Phase::Updated;
                event.severity = severity.unwrap_or(event.severity);
                event.best.confidence = confidence.unwrap_or(event.best.confidence);
                if let Some(text) = text {
                    event.best.text = text;
                }
                (id, Why::Updated)
            }
            Happening::Closes(id) => {
                let event = &mut self.events.get_mut(&id)?.event;
                event.revision += 1;
                event.phase = Phase::Closed;
                event.ended = Some(at);
                (id, Why::Closed)
            }
            Happening::Answered(id, answer) => {
                let event = &mut self.events.get_mut(&id)?.event;
                event.revision += 1;
                event.answered = Some(answer);
                (id, Why::Answered)
            }
        };
        self.question(&id, why, at)
    }

    fn question(&self, id: &str, why: Why, now: UnixMicros) -> Option<Step> {
        let kept = self.events.get(id)?;
        let recent = |e: &Event| now.since(e.began) <= HOUR;
        let mut others = Vec::new();
        let mut same = 1;
        // The newest first.
        for other in self.order.iter().rev() {
            let Some(other) = self.events.get(other).filter(|o| o.event.id != id) else {
                continue;
            };
            let (event, late) = (&other.event, recent(&other.event));
            let alike = event.kind == kept.event.kind && event.camera == kept.event.camera;
            same += u32::from(late && alike);
            let listed = late || event.ended.is_none();
            if listed && others.len() < Situation::MAX_LISTED {
                others.push(OtherEvent {
                    id: event.id.clone(),
                    camera: event.camera.clone(),
                    kind: event.kind.clone(),
                    severity: event.severity,
                    phase: event.phase,
                    began: event.began,
                    answered: event.answered.is_some(),
                    told: !other.told.is_empty(),
                });
            }
        }
        let told = kept.told.iter().take(Situation::MAX_LISTED);
        let situation = Situation {
            why,
            now,
            asked: kept.asked,
            memo: kept.memo.clone(),
            told: told.map(|t| t.told.clone()).collect(),
            others,
            same_last_hour: same,
        };
        Some(Step::Asks(Box::new(Question {
            event: kept.event.clone(),
            situation,
        })))
    }

    /// The policy's ruling to a question.
    pub(crate) fn ruled(&mut self, question: &Question, ruling: &Ruling) {
        let (id, now) = (&question.event.id, question.situation.now);
        let Some(kept) = self.events.get_mut(id) else {
            return;
        };
        kept.asked += 1;
        kept.memo.clone_from(&ruling.memo);
        let before = (kept.event.severity, kept.event.extra.clone());
        kept.event.severity = ruling.severity.unwrap_or(kept.event.severity);
        for note in &ruling.notes {
            kept.event.extra.retain(|old| old.key != note.key);
            kept.event.extra.push(note.clone());
        }
        let changed = before != (kept.event.severity, kept.event.extra.clone());
        kept.event.revision += u32::from(changed);
        if ruling.suppress.is_some() {
            self.take_back(id);
        }
        for alert in &ruling.alerts {
            self.tell(id, alert, now);
        }
        if matches!(question.situation.why, Why::Closed | Why::Answered) {
            self.tell_followers(id, now);
        }
        if ruling.ask_again != 0 {
            let timer = self.number();
            if let Some(kept) = self.events.get_mut(id) {
                kept.timer = timer;
            }
            let at = now.after(Duration::from_secs(ruling.ask_again.into()));
            self.plan(at, Due::Timer(id.clone(), timer));
        }
    }

    /// What waits is not told, and nobody follows any more.
    fn take_back(&mut self, id: &str) {
        for sending in self.sendings.values_mut().filter(|s| !s.tried) {
            sending.events.retain(|event| event != id);
        }
        if let Some(kept) = self.events.get_mut(id) {
            kept.told.retain(|t| t.revision > 0);
            kept.told.iter_mut().for_each(|t| t.follow = false);
        }
    }

    /// Whether there is such a target.
    pub(crate) fn knows(&self, target: &str) -> bool {
        self.targets.iter().any(|known| known == target)
    }

    fn tell_followers(&mut self, id: &str, now: UnixMicros) {
        let Some(kept) = self.events.get(id) else {
            return;
        };
        let follow = kept.told.iter().filter(|t| t.follow);
        let targets: Vec<String> = follow.map(|t| t.told.target.clone()).collect();
        for target in targets {
            let alert = Alert {
                target,
                follow: true,
                group: String::new(),
                not_before: UnixMicros(0),
            };
            self.tell(id, &alert, now);
        }
    }

    fn tell(&mut self, id: &str, alert: &Alert, now: UnixMicros) {
        if !self.knows(&alert.target) {
            return;
        }
        let Some(kept) = self.events.get_mut(id) else {
            return;
        };
        let revision = kept.event.revision;
        match kept.told.iter_mut().find(|t| t.told.target == alert.target) {
            Some(before) => {
                before.follow = alert.follow;
                let newer = before.revision < revision;
                if before.told.state == DeliveryState::Waiting || !newer {
                    return;
                }
                before.told.state = DeliveryState::Waiting;
            }
            None => kept.told.push(ToldOf {
                told: Told {
                    target: alert.target.clone(),
                    at: now,
                    state: DeliveryState::Waiting,
                },
                follow: alert.follow,
                revision: 0,
            }),
        }
        let together = self.sendings.values_mut().find(|s| {
            let joins = !s.tried && !s.group.is_empty() && s.group == alert.group;
            joins && s.target == alert.target && s.events.len() < MOST_TOGETHER
        });
        if let Some(sending) = together {
            sending.events.push(id.to_owned());
            return;
        }
        let number = self.number();
        let sending = Sending {
            target: alert.target.clone(),
            group: alert.group.clone(),
            events: vec![id.to_owned()],
            tried: false,
        };
        self.sendings.insert(number, sending);
        self.plan(now.max(alert.not_before), Due::Sends(number));
    }

    fn sends(&mut self, number: u64, at: UnixMicros) -> Option<Step> {
        let sending = self.sendings.get_mut(&number)?;
        if sending.events.is_empty() {
            self.sendings.remove(&number);
            return None;
        }
        let target = sending.target.clone();
        sending.tried = true;
        let ids = sending.events.clone();
        let tries = self.undelivered.get(&target).copied();
        let mut events = Vec::new();
        for id in ids {
            let Some(kept) = self.events.get_mut(&id) else {
                continue;
            };
            let revision = kept.event.revision;
            if let Some(told) = kept.told.iter_mut().find(|t| t.told.target == target) {
                told.revision = revision;
                if tries.is_none() {
                    told.told.state = DeliveryState::Delivered;
                }
            }
            events.push((id, revision));
        }
        match tries {
            Some(tries) => self.plan(at.after(tries), Due::GivesUp(number)),
            None => {
                self.sendings.remove(&number);
            }
        }
        Some(Step::Tells { at, target, events })
    }

    fn gives_up(&mut self, number: u64, at: UnixMicros) -> Option<Step> {
        let sending = self.sendings.remove(&number)?;
        for id in &sending.events {
            if let Some(kept) = self.events.get_mut(id) {
                let own = |t: &&mut ToldOf| t.told.target == sending.target;
                if let Some(told) = kept.told.iter_mut().find(own) {
                    told.told.state = DeliveryState::Failed;
                }
            }
            self.plan(at, Due::Undelivered(id.clone()));
        }
        Some(Step::GaveUp {
            at,
            target: sending.target,
            events: sending.events,
        })
    }
}

#[cfg(test)]
mod tests;
