//! Where decoding can start.

/// How a picture lets decoding start.
///
/// After a start that is not [`Start::Idr`], pictures that follow it but are shown before it (their
/// media time is earlier) may refer to what is not there: a reader that begins here leaves them out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Start {
    /// An IDR picture, in H.265 a BLA picture too: nothing after it refers to anything before it.
    Idr,
    /// A recovery point that is complete at once, in H.265 a CRA picture: an open group of pictures.
    Recovery,
    /// A recovery point that is complete only after some more pictures: gradual refresh.
    Refresh {
        /// After so many.
        frames: u32,
    },
    /// All of it is coded without other pictures, and nothing says more. What follows refers to it,
    /// not to anything before it, as far as can be seen.
    Intra,
}

impl Start {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idr => "idr",
            Self::Recovery => "recovery",
            Self::Refresh { .. } => "refresh",
            Self::Intra => "intra",
        }
    }

    /// Whether a decoder that knows nothing, such as a browser's, starts here for certain.
    pub const fn is_idr(self) -> bool {
        matches!(self, Self::Idr)
    }
}
