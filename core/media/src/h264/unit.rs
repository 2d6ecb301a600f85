//! NAL units of H.264 by their types.

/// NAL unit types (table 7-1) that are treated in a way of their own.
pub mod unit_type {
    /// Slice of a picture that is not an IDR picture.
    pub const SLICE: u8 = 1;
    /// Slice of an IDR picture.
    pub const IDR: u8 = 5;
    /// Supplemental enhancement information.
    pub const SEI: u8 = 6;
    /// Sequence parameter set.
    pub const SPS: u8 = 7;
    /// Picture parameter set.
    pub const PPS: u8 = 8;
    /// Access unit delimiter.
    pub const AUD: u8 = 9;
    /// End of sequence.
    pub const END_OF_SEQUENCE: u8 = 10;
    /// Sequence parameter set of other layers or views.
    pub const SUBSET_SPS: u8 = 15;
    /// Slice of an auxiliary picture.
    pub const AUXILIARY: u8 = 19;
    /// Slice of another view with depth.
    pub const DEPTH: u8 = 21;
}

/// The type of a NAL unit: the low five bits of its first byte.
pub fn type_of(unit: &[u8]) -> Option<u8> {
    unit.first().map(|b| b & 0x1F)
}
