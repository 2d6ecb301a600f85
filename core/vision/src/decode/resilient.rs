//! A decoder that survives what cameras send: after a panic, an error on a key frame or three
//! errors in a row it starts over at the next key frame.

use std::panic::{AssertUnwindSafe, catch_unwind};

use taimat_media::{AccessUnit, VideoCodec};

use super::choice::decoder;
use super::decoder::{DecodeFault, Decoder, MAX_PIXELS};
use super::stream::stream;
use crate::picture::Picture;

/// Errors in a row that are put up with between key frames.
const PATIENCE: u32 = 3;

/// Why the decoder was started over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Restart {
    /// It refused what the camera sent.
    Damaged,
    /// It panicked.
    Panic,
}

impl Restart {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Damaged, Self::Panic];

    /// The word in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Damaged => "damaged",
            Self::Panic => "panic",
        }
    }
}

/// A decoder of one stream.
pub struct Resilient {
    codec: VideoCodec,
    make: fn(VideoCodec) -> Box<dyn Decoder>,
    /// `None` until a key frame comes.
    decoder: Option<Box<dyn Decoder>>,
    errors: u32,
}

impl std::fmt::Debug for Resilient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resilient")
            .field("codec", &self.codec)
            .field("decoding", &self.decoder.is_some())
            .finish_non_exhaustive()
    }
}

/// What became of an access unit.
#[derive(Debug, Default)]
pub struct Decoded {
    /// Pictures that are ready.
    pub pictures: Vec<Picture>,
    /// The decoder was started over, and why.
    pub restart: Option<(Restart, String)>,
}

impl Resilient {
    /// Waits for the first key frame.
    pub fn new(codec: VideoCodec) -> Self {
        Self::with(codec, decoder)
    }

    fn with(codec: VideoCodec, make: fn(VideoCodec) -> Box<dyn Decoder>) -> Self {
        Self {
            codec,
            make,
            decoder: None,
            errors: 0,
        }
    }

    /// What it decodes.
    pub fn codec(&self) -> VideoCodec {
        self.codec
    }

    /// Something is missing: what follows can not be decoded before the next key frame.
    pub fn wait_for_key(&mut self) {
        self.decoder = None;
    }

    /// Decodes, or waits for a key frame.
    pub fn decode(&mut self, unit: &AccessUnit) -> Decoded {
        if unit.keyframe
            && let Some(params) = &unit.params
        {
            let (width, height) = (params.width as usize, params.height as usize);
            if width.saturating_mul(height) > MAX_PIXELS {
                let fault = DecodeFault::Size(width, height);
                return self.restart(Restart::Damaged, fault.to_string());
            }
        }
        if self.decoder.is_none() {
            if !unit.keyframe {
                return Decoded::default();
            }
            self.decoder = Some((self.make)(self.codec));
            self.errors = 0;
        }
        let Some(decoder) = &mut self.decoder else {
            return Decoded::default();
        };
        let stream = stream(self.codec, unit);
        // A decoder that has panicked is dropped: nobody sees what it left half done.
        match catch_unwind(AssertUnwindSafe(|| decoder.decode(&stream))) {
            Ok(Ok(pictures)) => {
                self.errors = 0;
                Decoded {
                    pictures,
                    restart: None,
                }
            }
            Ok(Err(fault)) => {
                self.errors += 1;
                if unit.keyframe || self.errors >= PATIENCE {
                    return self.restart(Restart::Damaged, fault.to_string());
                }
                Decoded::default()
            }
            Err(_) => self.restart(Restart::Panic, "the decoder panicked".into()),
        }
    }

    fn restart(&mut self, restart: Restart, detail: String) -> Decoded {
        self.decoder = None;
        Decoded {
            pictures: Vec::new(),
            restart: Some((restart, detail)),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::sync::Arc;
    use taimat_base::clock;
    use taimat_media::{MediaTime, Start, TrackKind};
    use taimat_simulate::{Encoding, Scene, SceneKind, encode};

    pub(in crate::decode) fn units() -> Vec<AccessUnit> {
        let scene = Scene::new(SceneKind::Street, 5, 30, 10);
        let encoding = Encoding {
            width: 320,
            height: 180,
            keyframe_interval: 10,
            bitrate: 400_000,
        };
        let encoded = encode(&scene, &encoding).unwrap();
        let unit = |(i, e): (usize, taimat_simulate::Encoded)| AccessUnit {
            track: TrackKind::Video,
            media_time: MediaTime::new(i as i64 * 9000, 90_000),
            wall_time: clock::wall(),
            received: clock::now(),
            camera_time: None,
            keyframe: e.keyframe,
            start: e.keyframe.then_some(Start::Idr),
            params: Some(Arc::clone(&e.params)),
            data: e.data,
            lost_packets: 0,
            damaged: false,
        };
        encoded.into_iter().enumerate().map(unit).collect()
    }

    #[test]
    fn decodes_every_frame_of_a_scene() {
        let mut decoder = Resilient::new(VideoCodec::H264);
        let mut numbers = Vec::new();
        for unit in units() {
            let decoded = decoder.decode(&unit);
            assert_eq!(decoded.restart, None);
            for picture in decoded.pictures {
                assert_eq!((picture.width, picture.height), (320, 180));
                let number = taimat_simulate::number::read(&picture.y[..320 * 20], 320);
                numbers.push(number.unwrap());
            }
        }
        assert_eq!(numbers, (0..30).collect::<Vec<u32>>());
    }

    struct Panics;
    impl Decoder for Panics {
        fn decode(&mut self, stream: &[u8]) -> Result<Vec<Picture>, DecodeFault> {
            assert!(stream.len() > 100_000_000, "of course");
            Ok(Vec::new())
        }
    }

    #[test]
    fn a_panic_costs_a_restart_at_the_next_key_frame() {
        let mut decoder = Resilient::with(VideoCodec::H264, |_| Box::new(Panics));
        let units = units();
        let restart = decoder.decode(&units[0]).restart.unwrap();
        assert_eq!(restart.0, Restart::Panic);
        // Nothing is tried before the next key frame.
        assert!(
            units[1..10]
                .iter()
                .all(|u| decoder.decode(u).restart.is_none())
        );
        assert!(decoder.decode(&units[10]).restart.is_some());
    }

    #[test]
    fn damage_costs_at_most_a_group_of_pictures() {
        let mut decoder = Resilient::new(VideoCodec::H264);
        let mut after_key = 0;
        for (index, mut unit) in units().into_iter().enumerate() {
            if index < 10 {
                let mut data = unit.data.to_vec();
                for at in (40..data.len()).step_by(17) {
                    data[at] ^= 0x5A;
                }
                unit.data = data.into();
            }
            let decoded = decoder.decode(&unit);
            if index >= 10 {
                after_key += decoded.pictures.len();
            }
        }
        assert_eq!(after_key, 20);
    }
}
