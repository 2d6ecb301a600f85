//! One sample of a track: a picture, or a frame of sound.

/// What is said of one sample besides its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Bytes.
    pub size: u32,
    /// Ticks of the track's timescale until the next one is decoded.
    pub duration: u32,
    /// Ticks from when it is decoded to when it is shown. May be negative.
    pub shift: i32,
    /// Whether decoding can start here. Of sound, every sample.
    pub sync: bool,
}

/// The flags of ISO 14496-12 section 8.8.3.1: depends on no other.
const SYNC: u32 = 0x0200_0000;
/// Depends on others, and is no sync sample.
const DEPENDENT: u32 = 0x0101_0000;
/// The bit that says that it is no sync sample.
const NON_SYNC: u32 = 0x0001_0000;

impl Sample {
    pub(super) const fn flags(self) -> u32 {
        if self.sync { SYNC } else { DEPENDENT }
    }

    pub(super) const fn is_sync(flags: u32) -> bool {
        flags & NON_SYNC == 0
    }
}
