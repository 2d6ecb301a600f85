//! Whether a source's marker can be believed.
//!
//! A marker says that a picture is complete, so that it may leave without waiting for the next one:
//! a frame interval is saved. Some cameras set it after every slice, some never. A picture that left
//! too early can not be taken back, so belief is earned first: pictures wait until the beginning of
//! the next one has shown that their marker was right. That costs one frame interval for the first
//! two or three pictures of a connection.

/// What is thought of the marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// So many pictures had it in the right place; `key`: one that decoding can start with was among
    /// them, and those have the most slices.
    Learning { right: u32, key: bool },
    /// It was right.
    Given,
    /// It came before the end of a picture.
    Lost,
}

impl Trust {
    pub(super) const NEW: Self = Self::Learning {
        right: 0,
        key: false,
    };

    /// The next picture's beginning has shown that a picture's marker was at its end. `several`: it
    /// had slices without marker before.
    pub(super) fn confirm(&mut self, is_key: bool, several: bool) {
        /// Sources without any key picture are believed after so many.
        const MANY: u32 = 30;
        let Self::Learning { right, key } = self else {
            return;
        };
        *right += 1;
        *key |= is_key;
        if several || (*key && *right >= 2) || *right >= MANY {
            *self = Self::Given;
        }
    }

    /// A picture went on after its marker.
    pub(super) fn betray(&mut self) {
        *self = Self::Lost;
    }

    pub(super) fn is_given(self) -> bool {
        self == Self::Given
    }

    pub(super) fn is_lost(self) -> bool {
        self == Self::Lost
    }
}
