//! Detections become events: grouped, kept before anyone is told, answered by people.
//!
//! Owner: `server` makes one [`Events`] and gives it to the sandbox as the sink of detections. Cost: one
//! task, one thread that writes, one wait for the disk for all that comes meanwhile.
//! Not here: what a detection is (`contract`), who is shown what (`api`).

// The house of fakes is that of the tests outside, which know the room by its name.
#[cfg(test)]
extern crate self as taimat_events;

mod alert_rule;
#[cfg(test)]
mod bad_disk_tests;
mod delivery;
mod error;
mod event;
mod grouping;
mod house;
mod log;
mod metrics;
mod outbox;
mod push;
mod room;
mod rules;
mod rulings;
mod silence;
mod start;
mod store;
mod surroundings;
mod target;
mod wall_clock;

pub use alert_rule::{AlertRule, Escalation};
pub use delivery::{Delivery, DeliveryStatus};
pub use error::StoreError;
pub use event::{BadEventId, Event, EventAnswer, EventId, EventPicture, HOUSE, Phase};
pub use house::Condition;
pub use log::{BUILT_IN, Happening, LogEntry, NotTold, NotToldReason, SilencedBy, Story, Told};
pub use push::{Language, NewSubscription, Subscription, Wants};
pub use room::{CommuneEvents, Events};
pub use rules::{EventRule, EventRuleChange, EventRules};

pub use silence::{NewSilence, Silence};
pub use store::{
    Answer, EventPage, EventQuery, EventState, EventStore, Keep, Standing, TargetState,
};
pub use surroundings::{Conditions, Shrink, Surroundings};
pub use target::{CommuneAlerts, LOG_ALERTER, PUSH_ALERTER, Target};
