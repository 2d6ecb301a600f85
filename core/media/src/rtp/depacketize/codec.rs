//! What the assembler has to know of a codec.

use super::error::DepacketizeError;
use super::sets::{SetKind, SetReader, Sets};
use crate::h264::PictureId;
use crate::start::Start;

/// What a NAL unit means to the assembler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A parameter set: kept beside the pictures.
    Set(SetKind),
    /// A part of a picture.
    Slice,
    /// Carried, and belongs to the picture that follows.
    Info,
    /// Carried, and belongs to the picture before.
    Suffix,
    /// Ends the picture before, and is not worth carrying.
    Delimiter,
    /// Not worth carrying.
    Skip,
    /// Of a type that the codec does not have, or that no camera uses.
    Unknown,
}

/// What the beginning of a slice says.
#[derive(Debug, Clone, Copy)]
pub struct Slice {
    /// It is the first of a picture, or of a field.
    pub first: bool,
    /// Where it lies in the picture; grows from slice to slice.
    pub position: u32,
    /// What tells its picture from the next one, if that can be read.
    pub id: Option<PictureId>,
    /// The number of its picture parameter set.
    pub pps: u32,
    /// It is coded without other pictures.
    pub intra: bool,
    /// There is room for one reference only.
    pub single_reference: bool,
    /// What its type says about starting with it.
    pub start: Option<Start>,
}

/// The codec's part, besides that of its sets.
pub trait Codec: SetReader + std::fmt::Debug {
    /// Bytes of a NAL unit's header.
    const HEADER_BYTES: usize;
    /// Payload type of several units in one packet.
    const AGGREGATION: u8;
    /// Payload type of a part of a unit.
    const FRAGMENT: u8;
    /// The bits of a fragment's header that are the unit's type.
    const FRAGMENT_TYPE: u8;

    /// The type of a NAL unit or payload.
    fn type_of(unit: &[u8]) -> Option<u8>;
    /// The header of the unit of type `kind` that a fragment's payload is a part of; the first
    /// [`Codec::HEADER_BYTES`] of `out` count.
    fn unit_header(payload: &[u8], kind: u8, out: &mut [u8; 2]);
    /// What a unit means.
    fn role(unit: &[u8]) -> Result<Role, DepacketizeError>;
    /// What the beginning of a slice says, if it can be read.
    fn slice(unit: &[u8], sets: &Sets<Self::Sps>) -> Option<Slice>;
    /// If the unit has a recovery point: after how many pictures all is well.
    fn recovery_point(unit: &[u8]) -> Option<u32>;
}
