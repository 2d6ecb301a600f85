//! Storage plugins: where recordings are kept, and how long.
//!
//! ```
//! use taimat_sdk::storage::{DAY, Placed, Review, Segment, Storage, storage};
//! use taimat_sdk::Error;
//!
//! struct AWeek;
//!
//! impl Storage for AWeek {
//!     type Settings = serde_json::Value;
//!     fn new(_settings: Self::Settings) -> Result<Self, Error> {
//!         Ok(Self)
//!     }
//!     fn place(&mut self, segment: &Segment, review: &Review<'_>) -> Result<Option<Vec<Placed>>, Error> {
//!         let until = segment.start + 7 * DAY;
//!         let over = until <= review.now;
//!         Ok(Some(if over { Vec::new() } else { vec![Placed::at("local", until, 1)] }))
//!     }
//! }
//!
//! storage!(AWeek);
//! ```

use serde::de::DeserializeOwned;

use crate::bindings::taimat::plugin::types::Error;
use crate::glue::Slot;

pub use crate::bindings::storage::exports::taimat::plugin::storage::{
    Cause, Placed, Placement, Segment, Target,
};
pub use crate::bindings::taimat::plugin::types::Severity;
#[doc(inline)]
pub use crate::storage_plugin as storage;

/// Microseconds of a day.
pub const DAY: i64 = 24 * 3_600_000_000;

/// What is the same for all segments of a question.
#[derive(Debug, Clone, Copy)]
pub struct Review<'a> {
    /// Why it is asked.
    pub why: Cause,
    /// Where copies can be.
    pub targets: &'a [Target],
    /// Microseconds since 1970.
    pub now: i64,
}

/// Says which copies of recordings there are to be. What it answers comes from the arguments, the
/// settings, what `commune` says and what `state` holds, and from nothing else: a question may come again.
pub trait Storage: Sized + 'static {
    /// What an operator may set; `serde(default)` makes settings optional.
    type Settings: DeserializeOwned;
    /// JSON Schema of the settings.
    const SETTINGS_SCHEMA: &'static str = "{}";

    /// Takes settings. An error should say which and what would be right.
    fn new(settings: Self::Settings) -> Result<Self, Error>;
    /// The copies of a segment that there are to be, all of them; none at all let it go. Nothing leaves it
    /// as it is.
    fn place(
        &mut self,
        segment: &Segment,
        review: &Review<'_>,
    ) -> Result<Option<Vec<Placed>>, Error>;
}

impl Placed {
    /// A copy there until then, in microseconds since 1970.
    pub fn at(target: impl Into<String>, until: i64, worth: u8) -> Self {
        Self {
            target: target.into(),
            until,
            worth,
        }
    }
}

#[doc(hidden)]
impl<T: Storage> Slot<T> {
    pub fn review(
        &self,
        why: Cause,
        segments: &[Segment],
        targets: &[Target],
        now: i64,
    ) -> Result<Vec<Placement>, Error> {
        self.with(|storage| {
            let review = Review { why, targets, now };
            let mut placements = Vec::with_capacity(segments.len());
            for segment in segments {
                if let Some(copies) = storage.place(segment, &review)? {
                    let id = segment.id;
                    placements.push(Placement { id, copies });
                }
            }
            Ok(placements)
        })
    }
}

/// Exports a [`Storage`].
#[macro_export]
macro_rules! storage_plugin {
    ($type:ty) => {
        $crate::component! {
            $type, $crate::storage::Storage,

            use $crate::bindings::storage::exports::taimat::plugin as exports;
            use $crate::storage::{Cause, Placement, Segment, Target};

            impl exports::storage::Guest for Component {
                fn review(
                    why: Cause,
                    segments: Vec<Segment>,
                    targets: Vec<Target>,
                    now: i64,
                ) -> Result<Vec<Placement>, $crate::Error> {
                    SLOT.with(|slot| slot.review(why, &segments, &targets, now))
                }
            }

            $crate::bindings::storage::export_storage!(
                Component with_types_in $crate::bindings::storage
            );
        }
    };
}
