//! Detections become events: grouped, kept before anyone is told, answered by people.
//!
//! Owner: `server` makes one [`Events`] and gives it to the sandbox as the sink of detections. Cost: one
//! task, one thread that writes, one wait for the disk for all that comes meanwhile.
//! Not here: what a detection is (`contract`), who is shown what (`api`).

mod error;
mod event;
mod grouping;
mod house;
mod log;
mod metrics;
mod room;
mod rules;
mod silence;
mod store;

pub use error::StoreError;
pub use event::{BadEventId, Event, EventAnswer, EventId, EventPicture, HOUSE, Phase};
pub use house::Condition;
pub use log::{Happening, LogEntry, Story, Told};
pub use room::{CommuneEvents, Conditions, Events};
pub use rules::{EventRule, EventRuleChange, EventRules};
pub use silence::{NewSilence, Silence};
pub use store::{Answer, EventPage, EventQuery, EventState, EventStore, Keep, Standing};
