//! Frames of pixels, for native unit tests.

use std::rc::Rc;

use crate::frame::Frame;

pub use crate::memory::{Memory, Picture};

/// The last of these pictures as a frame; those before are what `previous` gives. Pictures are
/// `interval` microseconds apart.
pub fn frame(pictures: &Rc<Vec<Picture>>, at: usize, interval: i64) -> Frame {
    frame_at(pictures, at, at as i64 * interval)
}

/// As [`frame`], at a moment in microseconds since 1970.
pub fn frame_at(pictures: &Rc<Vec<Picture>>, at: usize, moment: i64) -> Frame {
    let memory = Memory::new(pictures, at);
    Frame::in_memory(memory.info(moment), memory)
}
