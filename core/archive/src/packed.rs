//! What the index keeps of a part: where it lies, its times, its samples and its hash, in about 150 bytes.
//!
//! Numbers are varints (seven bits a byte, the lowest first), signed ones zigzag. A sample is its size and
//! four bits beside it: whether it is a key frame, whether its duration is another one than that of the sample
//! before, and the same of its shift; what is another follows.

use taimat_media::mp4::Sample;

use crate::error::ArchiveError;
use crate::part::TrackPart;

/// Samples of a part at most, of all tracks.
const MAX_SAMPLES: u64 = 8192;

/// A part as the index has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartRow {
    /// Bytes of what goes before the payload.
    pub(crate) header: u32,
    /// Microseconds since 1970.
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// What the camera's clock showed at its start.
    pub(crate) camera: Option<i64>,
    pub(crate) video: TrackPart,
    pub(crate) audio: TrackPart,
    /// SHA-256 of the payload.
    pub(crate) hash: [u8; 32],
}

impl PartRow {
    /// Bytes of the payload.
    pub(crate) fn payload(&self) -> u64 {
        self.video.bytes() + self.audio.bytes()
    }

    /// Bytes in the file.
    pub(crate) fn bytes(&self) -> u64 {
        u64::from(self.header) + self.payload()
    }

    /// Appends it to what is packed.
    pub(crate) fn pack(&self, to: &mut Vec<u8>) {
        unsigned(to, u64::from(self.header));
        signed(to, self.start);
        unsigned(to, self.end.abs_diff(self.start));
        match self.camera {
            None => unsigned(to, 0),
            Some(camera) => {
                unsigned(to, 1);
                signed(to, camera.wrapping_sub(self.start));
            }
        }
        to.extend_from_slice(&self.hash);
        for track in [&self.video, &self.audio] {
            pack_track(to, track);
        }
    }

    /// Reads one; `from` is what follows it.
    pub(crate) fn unpack(from: &mut &[u8]) -> Result<Self, ArchiveError> {
        Self::try_unpack(from).ok_or_else(|| ArchiveError::Damaged("a part can not be read".into()))
    }

    /// Reads all there are.
    pub(crate) fn unpack_all(mut from: &[u8]) -> Result<Vec<Self>, ArchiveError> {
        let mut parts = Vec::new();
        while !from.is_empty() {
            parts.push(Self::unpack(&mut from)?);
        }
        Ok(parts)
    }

    fn try_unpack(from: &mut &[u8]) -> Option<Self> {
        let header = u32::try_from(read_unsigned(from)?).ok()?;
        let start = read_signed(from)?;
        let end = start.checked_add_unsigned(read_unsigned(from)?)?;
        let camera = match read_unsigned(from)? {
            0 => None,
            _ => Some(start.wrapping_add(read_signed(from)?)),
        };
        let (hash, rest) = from.split_at_checked(32)?;
        *from = rest;
        let hash = hash.try_into().ok()?;
        let (video, audio) = (unpack_track(from)?, unpack_track(from)?);
        Some(Self {
            header,
            start,
            end,
            camera,
            video,
            audio,
            hash,
        })
    }
}

fn pack_track(to: &mut Vec<u8>, track: &TrackPart) {
    unsigned(to, track.samples.len() as u64);
    if track.samples.is_empty() {
        return;
    }
    unsigned(to, track.time);
    let (mut duration, mut shift) = (0, 0);
    for sample in &track.samples {
        let (longer, shifted) = (sample.duration != duration, sample.shift != shift);
        let bits = u64::from(sample.sync) | u64::from(longer) << 1 | u64::from(shifted) << 2;
        unsigned(to, u64::from(sample.size) << 3 | bits);
        if longer {
            unsigned(to, u64::from(sample.duration));
            duration = sample.duration;
        }
        if shifted {
            signed(to, i64::from(sample.shift));
            shift = sample.shift;
        }
    }
}

fn unpack_track(from: &mut &[u8]) -> Option<TrackPart> {
    let count = read_unsigned(from)?;
    if count == 0 {
        return Some(TrackPart::default());
    }
    if count > MAX_SAMPLES {
        return None;
    }
    let time = read_unsigned(from)?;
    let mut samples = Vec::new();
    let (mut duration, mut shift) = (0, 0);
    for _ in 0..count {
        let word = read_unsigned(from)?;
        if word & 2 != 0 {
            duration = u32::try_from(read_unsigned(from)?).ok()?;
        }
        if word & 4 != 0 {
            shift = i32::try_from(read_signed(from)?).ok()?;
        }
        samples.push(Sample {
            size: u32::try_from(word >> 3).ok()?,
            duration,
            shift,
            sync: word & 1 != 0,
        });
    }
    Some(TrackPart { time, samples })
}

fn unsigned(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

fn signed(to: &mut Vec<u8>, number: i64) {
    unsigned(to, ((number << 1) ^ (number >> 63)).cast_unsigned());
}

fn read_unsigned(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        let bits = u64::from(byte & 0x7F);
        // Of the tenth byte only one bit is left.
        if shift == 63 && bits > 1 {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn read_signed(from: &mut &[u8]) -> Option<i64> {
    let number = read_unsigned(from)?;
    Some((number >> 1).cast_signed() ^ -((number & 1).cast_signed()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn samples() -> impl Strategy<Value = TrackPart> {
        let sample = (0..u32::MAX, 0..u32::MAX, any::<i32>(), any::<bool>());
        let sample = sample.prop_map(|(size, duration, shift, sync)| Sample {
            size,
            duration,
            shift,
            sync,
        });
        (any::<u64>(), prop::collection::vec(sample, 1..40))
            .prop_map(|(time, samples)| TrackPart { time, samples })
    }

    proptest! {
        #[test]
        fn there_and_back(
            header in any::<u32>(), start in -(1_i64 << 60)..1_i64 << 60, length in 0..1_i64 << 40,
            camera in prop::option::of(any::<i64>()), video in samples(),
            audio in prop::option::of(samples()), hash in any::<[u8; 32]>(),
        ) {
            let row = PartRow {
                header, start, end: start + length, camera, video, audio: audio.unwrap_or_default(), hash,
            };
            let mut packed = Vec::new();
            row.pack(&mut packed);
            row.pack(&mut packed);
            prop_assert_eq!(PartRow::unpack_all(&packed).unwrap(), vec![row.clone(), row]);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            drop(PartRow::unpack_all(&bytes));
        }
    }

    #[test]
    fn a_second_of_a_usual_camera_is_small() {
        let sample = |n: u32| Sample {
            size: if n == 0 { 40_000 } else { 9_000 + n * 13 },
            duration: 3600 + n % 3,
            shift: 0,
            sync: n == 0,
        };
        let row = PartRow {
            header: 420,
            start: 1_795_718_400_000_000,
            end: 1_795_718_401_000_000,
            camera: Some(1_795_718_400_123_456),
            video: TrackPart {
                time: 161_614_656_000_000,
                samples: (0..25).map(sample).collect(),
            },
            audio: TrackPart::default(),
            hash: [7; 32],
        };
        let mut packed = Vec::new();
        row.pack(&mut packed);
        assert!(packed.len() < 200, "{} bytes", packed.len());
    }
}
