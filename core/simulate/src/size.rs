//! The size of a drawn picture, as it is written on command lines: `1280x720`.

use std::str::FromStr;

/// A size that scenes can be drawn in, and that the encoder takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureSize {
    /// Pixels, 64 to 3840.
    pub width: usize,
    /// Pixels, 64 to 2160.
    pub height: usize,
}

/// It is not such a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a size such as 1280x720, from 64x64 to 3840x2160")]
pub struct SizeError(String);

impl FromStr for PictureSize {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let parsed = text
            .split_once('x')
            .and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
        match parsed {
            Some((width @ 64..=3840, height @ 64..=2160)) => Ok(Self { width, height }),
            _ => Err(SizeError(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_others_named() {
        let size = PictureSize {
            width: 640,
            height: 360,
        };
        assert_eq!("640x360".parse(), Ok(size));
        for wrong in [
            "", "640", "640x", "x360", "640X360", "-640x360", "10x10", "640x9999",
        ] {
            let error = wrong.parse::<PictureSize>().unwrap_err();
            assert!(error.to_string().contains(&format!("{wrong:?}")), "{error}");
        }
    }
}
