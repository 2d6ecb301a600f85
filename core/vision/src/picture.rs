//! A decoded picture: 8-bit planar 4:2:0.

/// Planes without padding; chroma is half as wide and high, rounded up.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    /// Width of luma.
    pub width: usize,
    /// Height of luma.
    pub height: usize,
    /// Luma.
    pub y: Vec<u8>,
    /// Blue difference.
    pub cb: Vec<u8>,
    /// Red difference.
    pub cr: Vec<u8>,
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({}x{})", self.width, self.height)
    }
}

impl Picture {
    /// Planes of these sizes, if that is what they have.
    pub fn new(width: usize, height: usize, y: Vec<u8>, cb: Vec<u8>, cr: Vec<u8>) -> Option<Self> {
        let chroma = width.div_ceil(2) * height.div_ceil(2);
        let fits = width > 0
            && height > 0
            && y.len() == width * height
            && cb.len() == chroma
            && cr.len() == chroma;
        fits.then_some(Self {
            width,
            height,
            y,
            cb,
            cr,
        })
    }

    /// All of one brightness and no colour.
    pub fn gray(width: usize, height: usize, luma: u8) -> Self {
        let chroma = width.div_ceil(2) * height.div_ceil(2);
        Self {
            width,
            height,
            y: vec![luma; width * height],
            cb: vec![128; chroma],
            cr: vec![128; chroma],
        }
    }

    /// Size of the chroma planes.
    pub fn chroma_size(&self) -> (usize, usize) {
        (self.width.div_ceil(2), self.height.div_ceil(2))
    }

    /// This picture at another size.
    #[must_use]
    pub fn scaled(&self, width: usize, height: usize) -> Self {
        use crate::kernels::{Source, scale};
        let (cw, ch) = self.chroma_size();
        let (dcw, dch) = (width.div_ceil(2), height.div_ceil(2));
        let plane = |data, w, h, dw, dh| scale(Source::whole(data, w, h), dw, dh);
        Self {
            width,
            height,
            y: plane(&self.y, self.width, self.height, width, height),
            cb: plane(&self.cb, cw, ch, dcw, dch),
            cr: plane(&self.cr, cw, ch, dcw, dch),
        }
    }
}
