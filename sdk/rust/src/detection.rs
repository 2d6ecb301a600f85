//! Making detections.

use crate::bindings::taimat::plugin::types::{Attribute, Detection, Rect};

/// What can be added to a detection.
pub trait DetectionExt: Sized {
    /// Where in the picture.
    #[must_use]
    fn at(self, region: Rect) -> Self;
    /// The same number for the same object.
    #[must_use]
    fn track(self, id: u64) -> Self;
    /// One line for people.
    #[must_use]
    fn text(self, text: impl Into<String>) -> Self;
    /// What there is no field for.
    #[must_use]
    fn extra(self, key: impl Into<String>, value: impl ToString) -> Self;
}

impl DetectionExt for Detection {
    fn at(mut self, region: Rect) -> Self {
        self.regions.push(region);
        self
    }

    fn track(mut self, id: u64) -> Self {
        self.track = Some(id);
        self
    }

    fn text(mut self, text: impl Into<String>) -> Self {
        self.text = text.into();
        self
    }

    fn extra(mut self, key: impl Into<String>, value: impl ToString) -> Self {
        self.extra.push(Attribute {
            key: key.into(),
            value: value.to_string(),
        });
        self
    }
}
