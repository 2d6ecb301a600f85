//! The smallest detector: numbers its frames, and hands the count over when it is replaced.

use taimat_sdk::{Detection, DetectionExt, Detector, Error, Frame, Want, detector};

struct Smallest {
    count: u64,
}

impl Detector for Smallest {
    type Settings = serde::de::IgnoredAny;

    fn new(_settings: Self::Settings) -> Result<Self, Error> {
        Ok(Self { count: 0 })
    }

    fn wants(&self, _camera: &str) -> Want {
        Want::size(64, 36).fps(60.0)
    }

    fn on_frame(&mut self, frame: &Frame) -> Result<Vec<Detection>, Error> {
        self.count += 1;
        Ok(vec![
            frame
                .detection("frame", 1.0)
                .track(self.count)
                .text(frame.id().to_string()),
        ])
    }

    fn save(&self) -> Vec<u8> {
        self.count.to_le_bytes().to_vec()
    }

    fn load(&mut self, _from_version: &str, saved: &[u8]) -> Result<(), String> {
        self.count = u64::from_le_bytes(saved.try_into().map_err(|_length| "not eight bytes")?);
        Ok(())
    }
}

detector!(Smallest);
