//! H.265 by `rusty_h265`.

use rusty_h265::{Decoder as Inner, Error};

use super::decoder::{DecodeFault, Decoder};
use crate::picture::Picture;

pub(super) struct H265(Inner);

impl H265 {
    pub(super) fn new() -> Self {
        Self(Inner::new())
    }
}

impl Decoder for H265 {
    fn decode(&mut self, stream: &[u8]) -> Result<Vec<Picture>, DecodeFault> {
        let refused = |e: Error| DecodeFault::Refused(e.to_string());
        self.0.push_annexb(stream, None).map_err(refused)?;
        let mut pictures = Vec::new();
        loop {
            match self.0.next_frame() {
                Ok(frame) => pictures.push(narrow(&frame.picture)?),
                Err(Error::Again | Error::Eof) => return Ok(pictures),
                Err(error) => return Err(refused(error)),
            }
        }
    }
}

/// To 8 bits, cropped.
fn narrow(picture: &rusty_h265::Picture) -> Result<Picture, DecodeFault> {
    let (x, y, width, height) = picture.crop;
    if picture.chroma_format_idc != 1 {
        return Err(DecodeFault::Refused("chroma is not 4:2:0".into()));
    }
    let plane = |index: usize, x: usize, y: usize, width: usize, height: usize, depth: u8| {
        let plane = picture.planes.get(index)?;
        let shift = u32::from(depth.saturating_sub(8));
        let mut out = Vec::with_capacity(width * height);
        for row in y..y + height {
            let start = row * plane.stride + x;
            let row = plane.data.get(start..start + width)?;
            out.extend(row.iter().map(|v| (v >> shift) as u8));
        }
        Some(out)
    };
    let (cx, cy, cw, ch) = (x / 2, y / 2, width.div_ceil(2), height.div_ceil(2));
    let (luma, chroma) = (picture.bit_depth_luma, picture.bit_depth_chroma);
    let made = || {
        Picture::new(
            width,
            height,
            plane(0, x, y, width, height, luma)?,
            plane(1, cx, cy, cw, ch, chroma)?,
            plane(2, cx, cy, cw, ch, chroma)?,
        )
    };
    made().ok_or(DecodeFault::Planes(width, height))
}
