//! The newest frame of a detector and some before it: what [`Frames`] is for decoded pictures.

use std::sync::Arc;

use taimat_contract::{CellStats, FrameError, FrameId, FrameInfo, Frames, Plane, Rect, Region};

use crate::kernels::{self, Source};
use crate::picture::Picture;

/// Bytes of one answer at most.
const MAX_ANSWER: usize = 4 << 20;
/// Cells of a grid at most.
const MAX_CELLS: u32 = 4096;
/// Of a picture for people: a plate can still be read.
const STILL_QUALITY: u8 = 85;

/// A picture with its name.
#[derive(Debug)]
pub struct Frame {
    /// What is known of it.
    pub info: FrameInfo,
    /// What it looks like.
    pub picture: Arc<Picture>,
}

/// Frames, the newest first.
#[derive(Debug)]
pub struct History(Vec<Arc<Frame>>);

impl History {
    /// Of these frames, the newest first.
    pub fn new(frames: Vec<Arc<Frame>>) -> Self {
        Self(frames)
    }

    fn find(&self, id: FrameId) -> Result<&Frame, FrameError> {
        let found = self.0.iter().find(|f| f.info.id == id);
        found.map(AsRef::as_ref).ok_or(FrameError::Expired)
    }
}

fn bounded(width: u32, height: u32, depth: usize) -> Result<(usize, usize), FrameError> {
    let (width, height) = (width as usize, height as usize);
    if width == 0 || height == 0 {
        return Err(FrameError::OutOfRange);
    }
    let bytes = width.checked_mul(height).and_then(|n| n.checked_mul(depth));
    match bytes {
        Some(bytes) if bytes <= MAX_ANSWER => Ok((width, height)),
        _ => Err(FrameError::TooLarge),
    }
}

/// The part of a plane that a region of luma covers, `shift` being 1 for chroma.
fn part<'a>(plane: &'a [u8], size: (usize, usize), region: Region, shift: u32) -> Source<'a> {
    let (width, height) = size;
    let x = ((region.x >> shift) as usize).min(width - 1);
    let y = ((region.y >> shift) as usize).min(height - 1);
    let right = (((region.x + region.width).div_ceil(1 << shift)) as usize).min(width);
    let bottom = (((region.y + region.height).div_ceil(1 << shift)) as usize).min(height);
    Source::region(
        plane,
        width,
        x,
        y,
        right.saturating_sub(x).max(1),
        bottom.saturating_sub(y).max(1),
    )
}

pub(crate) fn colours(picture: &Picture, region: Region, width: usize, height: usize) -> Vec<u8> {
    let luma = part(&picture.y, (picture.width, picture.height), region, 0);
    let chroma = |plane| part(plane, picture.chroma_size(), region, 1);
    let scaled = |source| kernels::scale(source, width, height);
    kernels::rgb(
        &scaled(luma),
        &scaled(chroma(&picture.cb)),
        &scaled(chroma(&picture.cr)),
    )
}

impl Frames for History {
    fn previous(&self, id: FrameId, back: u32) -> Option<FrameInfo> {
        let at = self.0.iter().position(|f| f.info.id == id)?;
        let frame = self.0.get(at.checked_add(back as usize)?)?;
        Some(frame.info.clone())
    }

    fn read_plane(&self, id: FrameId, plane: Plane, region: Region) -> Result<Vec<u8>, FrameError> {
        let picture = &self.find(id)?.picture;
        let (data, (width, height)) = match plane {
            Plane::Luma => (&picture.y, (picture.width, picture.height)),
            Plane::Cb => (&picture.cb, picture.chroma_size()),
            Plane::Cr => (&picture.cr, picture.chroma_size()),
        };
        let region = region.within(width as u32, height as u32)?;
        bounded(region.width, region.height, 1)?;
        Ok(part(data, (width, height), region, 0).copy())
    }

    fn gray(
        &self,
        id: FrameId,
        region: Region,
        width: u32,
        height: u32,
    ) -> Result<Vec<u8>, FrameError> {
        let picture = &self.find(id)?.picture;
        let size = (picture.width, picture.height);
        let region = region.within(size.0 as u32, size.1 as u32)?;
        let (width, height) = bounded(width, height, 1)?;
        let source = part(&picture.y, size, region, 0);
        Ok(kernels::scale(source, width, height))
    }

    fn rgb(
        &self,
        id: FrameId,
        region: Region,
        width: u32,
        height: u32,
    ) -> Result<Vec<u8>, FrameError> {
        let picture = &self.find(id)?.picture;
        let region = region.within(picture.width as u32, picture.height as u32)?;
        let (width, height) = bounded(width, height, 3)?;
        Ok(colours(picture, region, width, height))
    }

    fn grid(
        &self,
        id: FrameId,
        against: Option<FrameId>,
        columns: u32,
        rows: u32,
    ) -> Result<CellStats, FrameError> {
        let picture = &self.find(id)?.picture;
        let other = against.map(|other| self.find(other)).transpose()?;
        let other = other.map(|f| &f.picture);
        let (width, height) = (picture.width, picture.height);
        if other.is_some_and(|o| (o.width, o.height) != (width, height)) {
            return Err(FrameError::OutOfRange);
        }
        let (columns_, rows_) = (columns as usize, rows as usize);
        if columns == 0 || rows == 0 || columns_ > width || rows_ > height {
            return Err(FrameError::OutOfRange);
        }
        if columns.saturating_mul(rows) > MAX_CELLS {
            return Err(FrameError::TooLarge);
        }
        let other = other.map(|o| &o.y[..]);
        Ok(kernels::grid(
            &picture.y, other, width, height, columns_, rows_,
        ))
    }

    fn jpeg(
        &self,
        id: FrameId,
        region: Option<Region>,
        width: u32,
        quality: u8,
    ) -> Result<Vec<u8>, FrameError> {
        let picture = &self.find(id)?.picture;
        let (full_width, full_height) = (picture.width as u32, picture.height as u32);
        let region = region
            .unwrap_or(Region::whole(full_width, full_height))
            .within(full_width, full_height)?;
        let height = u64::from(region.height) * u64::from(width) / u64::from(region.width);
        let height = u32::try_from(height.max(1)).map_err(|_large| FrameError::TooLarge)?;
        let (width, height) = bounded(width, height, 3)?;
        encoded(
            &colours(picture, region, width, height),
            width,
            height,
            quality,
        )
    }

    fn still(&self, id: FrameId, marks: &[Rect]) -> Result<Vec<u8>, FrameError> {
        let picture = &self.find(id)?.picture;
        let (width, height) = (picture.width, picture.height);
        let whole = Region::whole(width as u32, height as u32);
        let mut pixels = colours(picture, whole, width, height);
        for mark in marks {
            kernels::outline(&mut pixels, width, height, *mark);
        }
        encoded(&pixels, width, height, STILL_QUALITY)
    }
}

pub(crate) fn encoded(
    pixels: &[u8],
    width: usize,
    height: usize,
    quality: u8,
) -> Result<Vec<u8>, FrameError> {
    let mut jpeg = Vec::new();
    let encoder = jpeg_encoder::Encoder::new(&mut jpeg, quality.clamp(1, 100));
    let size = (u16::try_from(width), u16::try_from(height));
    let (Ok(width), Ok(height)) = size else {
        return Err(FrameError::TooLarge);
    };
    encoder
        .encode(pixels, width, height, jpeg_encoder::ColorType::Rgb)
        .map_err(|_sizes_were_checked| FrameError::OutOfRange)?;
    Ok(jpeg)
}

#[cfg(test)]
mod tests {
    use super::*;
    use taimat_contract::UnixMicros;

    fn history() -> History {
        let frame = |id: u64, luma: u8| {
            let info = FrameInfo {
                id: FrameId(id),
                camera: "a".parse().unwrap(),
                at: UnixMicros(0),
                width: 64,
                height: 36,
                key: true,
                dropped_before: 0,
            };
            let picture = Arc::new(Picture::gray(64, 36, luma));
            Arc::new(Frame { info, picture })
        };
        History::new(vec![frame(8, 120), frame(7, 100), frame(6, 100)])
    }

    #[test]
    fn looks_back_and_compares() {
        let history = history();
        let (now, before) = (FrameId(8), FrameId(7));
        assert_eq!(history.previous(now, 1).unwrap().id, before);
        assert_eq!(history.previous(now, 3), None);
        assert_eq!(history.previous(now, u32::MAX), None);
        let stats = history.grid(now, Some(before), 4, 2).unwrap();
        assert_eq!((stats.mean, stats.change), (vec![120; 8], vec![20; 8]));
        let gray = history.gray(now, Region::whole(64, 36), 8, 8).unwrap();
        assert_eq!(gray, [120; 64]);
    }

    #[test]
    fn refuses_what_is_not_there() {
        let history = history();
        let whole = Region::whole(64, 36);
        let id = FrameId(8);
        assert_eq!(
            history.gray(FrameId(5), whole, 8, 8),
            Err(FrameError::Expired)
        );
        let outside = Region { x: 60, ..whole };
        assert_eq!(history.gray(id, outside, 8, 8), Err(FrameError::OutOfRange));
        let wraps = Region {
            x: u32::MAX,
            ..whole
        };
        assert_eq!(history.rgb(id, wraps, 8, 8), Err(FrameError::OutOfRange));
        assert_eq!(history.gray(id, whole, 0, 8), Err(FrameError::OutOfRange));
        let large = history.rgb(id, whole, 2000, 2000);
        assert_eq!(large, Err(FrameError::TooLarge));
        let large = history.gray(id, whole, u32::MAX, u32::MAX);
        assert_eq!(large, Err(FrameError::TooLarge));
        assert_eq!(
            history.grid(id, None, 65, 1).unwrap_err(),
            FrameError::OutOfRange
        );
        let chroma = Region::whole(33, 18);
        assert_eq!(
            history.read_plane(id, Plane::Cb, chroma),
            Err(FrameError::OutOfRange)
        );
    }

    #[test]
    fn makes_a_jpeg() {
        let history = history();
        let region = Region {
            x: 1,
            y: 1,
            width: 31,
            height: 17,
        };
        let jpeg = history.jpeg(FrameId(8), Some(region), 16, 80).unwrap();
        assert!(jpeg.starts_with(&[0xFF, 0xD8, 0xFF]) && jpeg.ends_with(&[0xFF, 0xD9]));
    }

    #[test]
    fn a_still_shows_where_something_was_seen() {
        let history = history();
        let mark = |x, y, width, height| Rect {
            x,
            y,
            width,
            height,
        };
        let plain = history.still(FrameId(8), &[]).unwrap();
        assert!(plain.starts_with(&[0xFF, 0xD8, 0xFF]));
        let marked = history.still(FrameId(8), &[mark(0.25, 0.25, 0.5, 0.5)]);
        assert_ne!(marked.unwrap(), plain);
        // At the edges, and of no size, it is drawn as far as it goes.
        for odd in [mark(0.0, 0.0, 1.0, 1.0), mark(1.0, 1.0, 0.0, 0.0)] {
            history.still(FrameId(8), &[odd; 64]).unwrap();
        }
        assert_eq!(history.still(FrameId(5), &[]), Err(FrameError::Expired));
    }
}
