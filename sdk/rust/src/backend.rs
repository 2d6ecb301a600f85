//! Backends: the protocol of a place where objects are kept over HTTP.
//!
//! ```
//! use taimat_sdk::backend::{Backend, Operation, Progress, Response, backend, request};
//! use taimat_sdk::Error;
//!
//! /// A server that takes PUT, GET and DELETE, and says no more.
//! struct Plain;
//!
//! impl Backend for Plain {
//!     type Settings = serde_json::Value;
//!     fn new(_settings: Self::Settings) -> Result<Self, Error> {
//!         Ok(Self)
//!     }
//!     fn begin(&mut self, key: &str, operation: &Operation) -> Result<Progress, Error> {
//!         let path = format!("/{key}");
//!         Ok(match operation {
//!             Operation::Put(content) => request("PUT", path).whole(content).step(),
//!             Operation::Get(span) => request("GET", path).range(span).step(),
//!             Operation::Remove => request("DELETE", path).step(),
//!             _ => Progress::Unsupported,
//!         })
//!     }
//! }
//!
//! backend!(Plain);
//! ```

use serde::de::DeserializeOwned;

use crate::bindings::taimat::plugin::types::{Attribute, Error};
use crate::glue::Slot;

#[doc(inline)]
pub use crate::backend_plugin as backend;
pub use crate::bindings::backend::exports::taimat::plugin::backend::{
    Content, Entry, Facts, Listing, Operation, Page, Progress, Room, Source, Span, Step,
};
pub use crate::bindings::backend::taimat::plugin::http::{RequestHead, Response};

/// Says which requests an operation takes, and what the responses mean. What it has to remember between
/// two of them is the step's memo.
pub trait Backend: Sized + 'static {
    /// What an operator may set; `serde(default)` makes settings optional.
    type Settings: DeserializeOwned;
    /// JSON Schema of the settings.
    const SETTINGS_SCHEMA: &'static str = "{}";

    /// Takes settings. An error should say which and what would be right.
    fn new(settings: Self::Settings) -> Result<Self, Error>;
    /// How an operation begins.
    fn begin(&mut self, key: &str, operation: &Operation) -> Result<Progress, Error>;
    /// What a response means; as the host reads it, if there is nothing better to say. Status 0 is no
    /// response.
    fn next(
        &mut self,
        key: &str,
        operation: &Operation,
        memo: &str,
        response: &Response,
    ) -> Result<Progress, Error> {
        let _unused = (key, operation, memo, response);
        Ok(Progress::Usual)
    }
}

impl Default for Listing {
    /// Nothing, and no further page.
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            cursor: String::new(),
        }
    }
}

/// A request that is being written.
#[derive(Debug, Clone)]
pub struct Request(Step);

/// A request without body and memo. The path is below the channel's address.
pub fn request(method: &str, path: impl Into<String>) -> Request {
    Request(Step {
        head: RequestHead {
            method: method.into(),
            path: path.into(),
            headers: Vec::new(),
        },
        body: Source::Bytes(Vec::new()),
        memo: String::new(),
    })
}

impl Request {
    /// With a header; its name in lower case.
    pub fn header(mut self, key: &str, value: impl Into<String>) -> Self {
        self.0.head.headers.push(Attribute {
            key: key.into(),
            value: value.into(),
        });
        self
    }

    /// With a body of these bytes.
    pub fn body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.0.body = Source::Bytes(bytes.into());
        self
    }

    /// With all of what is to be put as its body.
    pub fn whole(self, content: &Content) -> Self {
        let mut request = self.header("content-type", &*content.content_type);
        // A span has a byte at least.
        if content.size > 0 {
            request.0.body = Source::Object(Span {
                offset: 0,
                length: content.size,
            });
        }
        request
    }

    /// For these bytes only.
    pub fn range(self, span: &Span) -> Self {
        let last = span.offset.saturating_add(span.length).saturating_sub(1);
        self.header("range", format!("bytes={}-{last}", span.offset))
    }

    /// With something that comes back with the response.
    pub fn memo(mut self, memo: impl Into<String>) -> Self {
        self.0.memo = memo.into();
        self
    }

    /// To be sent next.
    pub fn step(self) -> Progress {
        Progress::Step(self.0)
    }
}

#[doc(hidden)]
impl<T: Backend> Slot<T> {
    pub fn begin(&self, key: &str, operation: &Operation) -> Result<Progress, Error> {
        self.with(|backend| backend.begin(key, operation))
    }

    pub fn next(
        &self,
        key: &str,
        operation: &Operation,
        memo: &str,
        response: &Response,
    ) -> Result<Progress, Error> {
        self.with(|backend| backend.next(key, operation, memo, response))
    }
}

/// Exports a [`Backend`].
#[macro_export]
macro_rules! backend_plugin {
    ($type:ty) => {
        $crate::component! {
            $type, $crate::backend::Backend,

            use $crate::bindings::backend::exports::taimat::plugin as exports;
            use $crate::backend::{Operation, Progress, Response};

            impl exports::backend::Guest for Component {
                fn begin(key: String, operation: Operation) -> Result<Progress, $crate::Error> {
                    SLOT.with(|slot| slot.begin(&key, &operation))
                }
                fn next(
                    key: String,
                    operation: Operation,
                    memo: String,
                    response: Response,
                ) -> Result<Progress, $crate::Error> {
                    SLOT.with(|slot| slot.next(&key, &operation, &memo, &response))
                }
            }

            $crate::bindings::backend::export_backend!(
                Component with_types_in $crate::bindings::backend
            );
        }
    };
}
