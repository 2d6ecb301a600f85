//! Alerters: events worded as messages, and what an answer means.
//!
//! ```
//! use taimat_sdk::alerter::{Alerter, Decision, Task, alerter, post};
//! use taimat_sdk::Error;
//!
//! struct Hook;
//!
//! impl Alerter for Hook {
//!     type Settings = serde_json::Value;
//!     fn new(_settings: Self::Settings) -> Result<Self, Error> {
//!         Ok(Self)
//!     }
//!     fn compose(&mut self, task: &Task) -> Result<Decision, Error> {
//!         let kinds: Vec<&str> = task.items.iter().map(|i| i.event.kind.as_str()).collect();
//!         Ok(Decision::Send(vec![post("hook", "/", "text/plain", kinds.join(", "))]))
//!     }
//! }
//!
//! alerter!(Hook);
//! ```

use serde::de::DeserializeOwned;

use crate::bindings::alerter::taimat::plugin::{http, message};
use crate::bindings::taimat::plugin::types::{Attribute, Error};
use crate::glue::Slot;

#[doc(inline)]
pub use crate::alerter_plugin as alerter;
pub use crate::bindings::alerter::exports::taimat::plugin::alerter::{
    Decision, Item, Planned, Receipt, Sent, Task, Verdict,
};
pub use crate::bindings::alerter::exports::taimat::plugin::upkeep::{CameraState, Chores};
pub use crate::bindings::alerter::taimat::plugin::events::{Answer, Event, Phase};
pub use crate::bindings::alerter::taimat::plugin::http::{RequestHead, Response};
pub use crate::bindings::alerter::taimat::plugin::message::{
    Body, Chunk, Field, HttpRequest, Mail, Media, MediaKind, MqttPublish, Outgoing, Reply, Wire,
};

/// Words events as messages, and reads the answers. What it answers comes from the arguments, the
/// settings, what `commune` says and what `state` holds, and from nothing else: a question may come
/// again.
pub trait Alerter: Sized + 'static {
    /// What an operator may set; `serde(default)` makes settings optional.
    type Settings: DeserializeOwned;
    /// JSON Schema of the settings.
    const SETTINGS_SCHEMA: &'static str = "{}";

    /// Takes settings. An error should say which and what would be right.
    fn new(settings: Self::Settings) -> Result<Self, Error>;
    /// What is to be sent, or why nothing is.
    fn compose(&mut self, task: &Task) -> Result<Decision, Error>;
    /// What a reply means; as the host reads it, if there is nothing better to say.
    fn judge(&mut self, task: &Task, sent: &Sent, reply: &Reply) -> Result<Verdict, Error> {
        let _unused = (task, sent, reply);
        Ok(Verdict::Usual)
    }
    /// What is to stand at a target without events; nothing, if there is no such thing. `now` is in
    /// microseconds since 1970.
    fn tend(
        &mut self,
        target: &str,
        address: &[Attribute],
        cameras: &[CameraState],
        now: i64,
    ) -> Result<Chores, Error> {
        let _unused = (target, address, cameras, now);
        Ok(Chores {
            messages: Vec::new(),
            ask_again: 0,
        })
    }
}

/// A request with a body of text, through a channel.
pub fn post(channel: &str, path: &str, content_type: &str, text: impl Into<String>) -> Planned {
    let header = Attribute {
        key: "content-type".into(),
        value: content_type.into(),
    };
    let request = message::HttpRequest {
        channel: channel.into(),
        head: http::RequestHead {
            method: "POST".into(),
            path: path.into(),
            headers: vec![header],
        },
        body: message::Body::Content(vec![message::Chunk::Text(text.into())]),
    };
    Planned {
        message: message::Outgoing::Http(request),
        memo: String::new(),
    }
}

/// The same with JSON as its body; `memo` comes back with the reply.
pub fn post_json(channel: &str, path: &str, body: &serde_json::Value, memo: &str) -> Planned {
    Planned {
        memo: memo.into(),
        ..post(channel, path, "application/json", body.to_string())
    }
}

/// What is said under a key: of a target's address, an event's extra, or a response's headers.
pub fn said<'a>(pairs: &'a [Attribute], key: &str) -> Option<&'a str> {
    let found = pairs.iter().find(|pair| pair.key == key)?;
    Some(found.value.as_str()).filter(|value| !value.is_empty())
}

#[doc(hidden)]
impl<T: Alerter> Slot<T> {
    pub fn compose(&self, task: &Task) -> Result<Decision, Error> {
        self.with(|alerter| alerter.compose(task))
    }

    pub fn judge(&self, task: &Task, sent: &Sent, reply: &Reply) -> Result<Verdict, Error> {
        self.with(|alerter| alerter.judge(task, sent, reply))
    }

    pub fn tend(
        &self,
        target: &str,
        address: &[Attribute],
        cameras: &[CameraState],
        now: i64,
    ) -> Result<Chores, Error> {
        self.with(|alerter| alerter.tend(target, address, cameras, now))
    }
}

/// Exports an [`Alerter`].
#[macro_export]
macro_rules! alerter_plugin {
    ($type:ty) => {
        $crate::component! {
            $type, $crate::alerter::Alerter,

            use $crate::bindings::alerter::exports::taimat::plugin as exports;
            use $crate::alerter::{CameraState, Chores, Decision, Reply, Sent, Task, Verdict};

            impl exports::alerter::Guest for Component {
                fn compose(task: Task) -> Result<Decision, $crate::Error> {
                    SLOT.with(|slot| slot.compose(&task))
                }
                fn judge(task: Task, sent: Sent, reply: Reply) -> Result<Verdict, $crate::Error> {
                    SLOT.with(|slot| slot.judge(&task, &sent, &reply))
                }
            }

            impl exports::upkeep::Guest for Component {
                fn tend(
                    target: String,
                    address: Vec<$crate::Attribute>,
                    cameras: Vec<CameraState>,
                    now: i64,
                ) -> Result<Chores, $crate::Error> {
                    SLOT.with(|slot| slot.tend(&target, &address, &cameras, now))
                }
            }

            $crate::bindings::alerter::export_alerter!(
                Component with_types_in $crate::bindings::alerter
            );
        }
    };
}
