//! H.264 by `rusty_h264`.

use rusty_h264_decoder::Decoder as Inner;

use super::decoder::{DecodeFault, Decoder};
use crate::picture::Picture;

pub(super) struct H264(Inner);

impl H264 {
    pub(super) fn new() -> Self {
        Self(Inner::new())
    }
}

impl Decoder for H264 {
    fn decode(&mut self, stream: &[u8]) -> Result<Vec<Picture>, DecodeFault> {
        let decoded = self.0.decode(stream);
        let Some(frame) = decoded.map_err(|e| DecodeFault::Refused(e.to_string()))? else {
            return Ok(Vec::new());
        };
        let (width, height) = (frame.width, frame.height);
        Picture::new(width, height, frame.y, frame.u, frame.v)
            .map(|picture| vec![picture])
            .ok_or(DecodeFault::Planes(width, height))
    }
}
