//! Recordings that plugins are tried on: a clip in a file, or a drawn scene.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use bytes::Bytes;
use taimat_base::clock;
use taimat_media::rtp::Packet;
use taimat_media::rtp::depacketize::{Depacketizer, Frame};
use taimat_media::{AccessUnit, MediaTime, Start, TrackKind, VideoCodec, h264, h265, nal};
use taimat_simulate::{Encoding, Scene, SceneKind, encode};
use taimat_vision::Picture;
use taimat_vision::decode::Resilient;

/// The largest file that is read: it is kept in memory.
const MAX_BYTES: u64 = 2 << 30;
/// Pictures a second of a byte stream, which does not say.
const STREAM_RATE: u32 = 25;

/// How a scene is filmed.
#[derive(Debug, Clone, Copy)]
pub struct Film {
    /// Width and height in pixels.
    pub size: (usize, usize),
    /// Pictures a second.
    pub rate: u32,
    /// Length in seconds.
    pub seconds: u32,
}

impl Default for Film {
    /// A sub-stream of a camera, for one round of the scene.
    fn default() -> Self {
        Self {
            size: (640, 360),
            rate: 10,
            seconds: 20,
        }
    }
}

/// Encoded pictures with their times.
#[derive(Debug)]
pub struct Recording {
    codec: VideoCodec,
    /// In decoding order.
    units: Vec<(Duration, AccessUnit)>,
}

/// A decoded picture and its time in the recording.
#[derive(Debug, Clone)]
pub struct DecodedPicture {
    /// The picture.
    pub picture: Arc<Picture>,
    /// Since the beginning.
    pub time: Duration,
    /// Decoded from a key frame.
    pub key: bool,
}

impl Recording {
    /// A file (`.mp4`, or a byte stream `.h264`, `.264`, `.h265`, `.265`, `.hevc`), or the name of a
    /// scene, with a seed after a colon if one is wanted: `street`, `bag:7`.
    pub fn open(what: &str, film: Film) -> anyhow::Result<Self> {
        let (name, seed) = what.split_once(':').unwrap_or((what, "1"));
        if let Some(kind) = SceneKind::ALL.into_iter().find(|k| k.as_str() == name) {
            let seed = seed
                .parse()
                .with_context(|| format!("{what}: the seed is a number"))?;
            return Self::scene(kind, seed, film);
        }
        let path = Path::new(what);
        let size = std::fs::metadata(path).map(|m| m.len()).with_context(|| {
            let scenes = SceneKind::ALL.map(SceneKind::as_str).join(", ");
            format!("{what} is neither a scene ({scenes}) nor a file that can be read")
        })?;
        anyhow::ensure!(
            size <= MAX_BYTES,
            "{what} has {size} bytes, at most {MAX_BYTES} are read"
        );
        let bytes = Bytes::from(std::fs::read(path).with_context(|| format!("reading {what}"))?);
        let extension = path
            .extension()
            .and_then(|e| e.to_str())
            .unwrap_or_default();
        let recording = match extension.to_ascii_lowercase().as_str() {
            "h264" | "264" => Self::byte_stream(VideoCodec::H264, &bytes),
            "h265" | "265" | "hevc" => Self::byte_stream(VideoCodec::H265, &bytes),
            "mp4" | "m4v" | "mov" => Self::mp4(&bytes),
            _ => Err(anyhow::anyhow!(
                "files that can be read: .mp4 with H.264 or H.265, .h264, .h265; for others: \
                 ffmpeg -i FILE -an -c:v libx264 -bf 0 OUT.mp4"
            )),
        };
        recording.with_context(|| what.to_owned())
    }

    /// A drawn scene, encoded as a camera would.
    pub fn scene(kind: SceneKind, seed: u64, film: Film) -> anyhow::Result<Self> {
        let rate = film.rate.clamp(1, 60);
        let scene = Scene::new(kind, seed, film.seconds.clamp(1, 600) * rate, rate);
        let (width, height) = film.size;
        anyhow::ensure!(
            (64..=3840).contains(&width) && (64..=2160).contains(&height),
            "scenes are drawn at 64x64 to 3840x2160"
        );
        let encoding = Encoding {
            width,
            height,
            keyframe_interval: 2 * rate,
            bitrate: u32::try_from(width * height * 2).unwrap_or(u32::MAX),
        };
        let frames = encode(&scene, &encoding)?;
        let units = (0_u32..).zip(frames).map(|(index, frame)| {
            let frame = Frame {
                timestamp: 0,
                start: frame.keyframe.then_some(Start::Idr),
                params: Some(frame.params),
                new_params: false,
                data: frame.data,
                lost_packets: 0,
                damaged: false,
            };
            unit(Duration::from_secs(1) * index / rate, frame)
        });
        Ok(Self {
            codec: VideoCodec::H264,
            units: units.collect(),
        })
    }

    /// NAL units with start codes (ITU-T H.264 and H.265, annex B), 25 pictures a second.
    fn byte_stream(codec: VideoCodec, bytes: &Bytes) -> anyhow::Result<Self> {
        let mut pictures: Vec<Vec<Bytes>> = Vec::new();
        let mut seen_slice = true;
        for nal in nal::split_annex_b(bytes) {
            let (slice, first) = slice(codec, nal);
            if seen_slice && (first || !slice) {
                pictures.push(Vec::new());
            }
            seen_slice = slice;
            if let Some(picture) = pictures.last_mut() {
                picture.push(bytes.slice_ref(nal));
            }
        }
        let times = (0_u32..).map(|index| Duration::from_secs(1) * index / STREAM_RATE);
        Self::assemble(codec, &[], times.zip(pictures))
    }

    fn mp4(bytes: &Bytes) -> anyhow::Result<Self> {
        let mp4 = re_mp4::Mp4::read_bytes(bytes).context("not an MP4 file that can be read")?;
        let video = |track: &&re_mp4::Track| track.kind == Some(re_mp4::TrackKind::Video);
        let track = mp4
            .tracks()
            .values()
            .find(video)
            .context("no video in it")?;
        let contents = &track.trak(&mp4).mdia.minf.stbl.stsd.contents;
        let (codec, sets, length_size): (_, Vec<Bytes>, _) = match contents {
            re_mp4::StsdBoxContent::Avc1(avc) => {
                let sets = &avc.avcc.sequence_parameter_sets;
                let sets = sets.iter().chain(&avc.avcc.picture_parameter_sets);
                let sets = sets.map(|set| set.bytes.clone().into()).collect();
                let length = avc.avcc.length_size_minus_one;
                (VideoCodec::H264, sets, length + 1)
            }
            re_mp4::StsdBoxContent::Hev1(hevc) | re_mp4::StsdBoxContent::Hvc1(hevc) => {
                let arrays = hevc.hvcc.arrays.iter().flat_map(|array| &array.nalus);
                let sets = arrays.map(|nal| nal.data.clone().into()).collect();
                let length = hevc.hvcc.length_size_minus_one;
                (VideoCodec::H265, sets, length + 1)
            }
            _ => anyhow::bail!("its video is neither H.264 nor H.265"),
        };
        let samples = track.samples.iter().map(|sample| {
            let start = usize::try_from(sample.offset).unwrap_or(usize::MAX);
            let length = usize::try_from(sample.size).unwrap_or(usize::MAX);
            let end = start.saturating_add(length).min(bytes.len());
            let nals = lengths(&bytes.slice(start.min(end)..end), usize::from(length_size));
            let ticks = u64::try_from(sample.composition_timestamp).unwrap_or(0);
            let rate = sample.timescale.max(1);
            let time = Duration::from_secs(ticks / rate)
                + Duration::from_nanos((ticks % rate) * 1_000_000_000 / rate);
            (time, nals)
        });
        Self::assemble(codec, &sets, samples)
    }

    /// Access units of the NAL units of pictures, by the depacketizer that cameras' packets go
    /// through.
    fn assemble(
        codec: VideoCodec,
        sets: &[Bytes],
        pictures: impl Iterator<Item = (Duration, Vec<Bytes>)>,
    ) -> anyhow::Result<Self> {
        let mut depacketizer = Depacketizer::video(codec, sets).trusting_markers();
        let (mut times, mut units) = (Vec::new(), Vec::new());
        let mut frames = Vec::new();
        for (number, (time, nals)) in (0_u32..).zip(pictures) {
            times.push(time);
            let last = nals.len().saturating_sub(1);
            for (index, payload) in nals.iter().enumerate() {
                let packet = Packet {
                    timestamp: number,
                    marker: index == last,
                    lost: 0,
                    payload,
                };
                // What can not be read costs the picture that it is in, as on the way from a camera.
                if let Err(error) = depacketizer.push(&packet, &mut frames) {
                    tracing::debug!(number, %error, "a picture is left out");
                }
            }
        }
        depacketizer.flush(&mut frames);
        units.extend(frames.into_iter().filter_map(|frame| {
            let time = times.get(usize::try_from(frame.timestamp).ok()?)?;
            (!frame.damaged).then(|| unit(*time, frame))
        }));
        anyhow::ensure!(!units.is_empty(), "no picture in it");
        Ok(Self { codec, units })
    }

    /// How many pictures it has.
    pub fn len(&self) -> usize {
        self.units.len()
    }

    /// Never: there is no recording without a picture.
    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// What it is encoded with.
    pub fn codec(&self) -> VideoCodec {
        self.codec
    }

    /// The encoded pictures in decoding order, with the times at which they are shown.
    pub fn units(&self) -> &[(Duration, AccessUnit)] {
        &self.units
    }

    /// Decodes it, picture by picture, in the order in which they are shown.
    pub fn pictures(&self) -> Pictures<'_> {
        Pictures {
            units: self.units.iter(),
            decoder: Resilient::new(self.codec),
            times: BinaryHeap::new(),
            ready: VecDeque::new(),
        }
    }
}

/// Decodes a recording.
#[derive(Debug)]
pub struct Pictures<'a> {
    units: std::slice::Iter<'a, (Duration, AccessUnit)>,
    decoder: Resilient,
    /// Times of pictures that went into the decoder and have not come out: where later pictures are
    /// decoded first, they come out in the order of their times.
    times: BinaryHeap<Reverse<(Duration, bool)>>,
    ready: VecDeque<DecodedPicture>,
}

impl Iterator for Pictures<'_> {
    type Item = DecodedPicture;

    fn next(&mut self) -> Option<DecodedPicture> {
        loop {
            if let Some(shown) = self.ready.pop_front() {
                return Some(shown);
            }
            let (time, unit) = self.units.next()?;
            self.times.push(Reverse((*time, unit.keyframe)));
            let decoded = self.decoder.decode(unit);
            if let Some((restart, detail)) = decoded.restart {
                tracing::warn!(
                    cause = restart.as_str(),
                    detail,
                    ?time,
                    "decoding starts over"
                );
                self.times.clear();
            }
            for picture in decoded.pictures {
                let Reverse((time, key)) = self.times.pop().unwrap_or(Reverse((*time, false)));
                self.ready.push_back(DecodedPicture {
                    picture: Arc::new(picture),
                    time,
                    key,
                });
            }
        }
    }
}

fn unit(time: Duration, frame: Frame) -> (Duration, AccessUnit) {
    let ticks = i64::try_from(time.as_micros() * 9 / 100).unwrap_or(i64::MAX);
    let unit = AccessUnit {
        track: TrackKind::Video,
        media_time: MediaTime::new(ticks, taimat_media::codec::VIDEO_CLOCK),
        wall_time: SystemTime::UNIX_EPOCH + time,
        received: clock::now(),
        camera_time: None,
        keyframe: frame.is_key(),
        start: frame.start,
        params: frame.params,
        data: frame.data,
        lost_packets: 0,
        damaged: false,
    };
    (time, unit)
}

/// Whether a NAL unit is a slice, and whether it is a picture's first (its first bit after the
/// header says so in both codecs).
fn slice(codec: VideoCodec, nal: &[u8]) -> (bool, bool) {
    let (slice, header) = match codec {
        VideoCodec::H264 => (matches!(h264::type_of(nal), Some(1..=5)), 1),
        VideoCodec::H265 => (matches!(h265::type_of(nal), Some(0..=31)), 2),
        VideoCodec::Jpeg => return (false, false),
    };
    let first = nal.get(header).is_some_and(|byte| byte & 0x80 != 0);
    (slice, slice && first)
}

/// NAL units after lengths of `size` bytes (ISO 14496-15); stops at the first that does not fit.
fn lengths(sample: &Bytes, size: usize) -> Vec<Bytes> {
    let mut nals = Vec::new();
    let mut at = 0;
    while let Some(length) = sample.get(at..at + size) {
        let length = length
            .iter()
            .fold(0_usize, |n, byte| n << 8 | usize::from(*byte));
        let start = at + size;
        let Some(end) = start.checked_add(length).filter(|end| *end <= sample.len()) else {
            break;
        };
        if length > 0 {
            nals.push(sample.slice(start..end));
        }
        at = end;
    }
    nals
}

#[cfg(test)]
mod tests {
    use super::*;

    fn film() -> Film {
        Film {
            size: (320, 180),
            rate: 10,
            seconds: 3,
        }
    }

    fn numbers(recording: &Recording) -> Vec<u32> {
        let number = |shown: DecodedPicture| {
            let picture = shown.picture;
            taimat_simulate::number::read(&picture.y, picture.width).unwrap()
        };
        recording.pictures().map(number).collect()
    }

    #[test]
    fn a_scene_is_decoded_in_order() {
        let recording = Recording::open("street:3", film()).unwrap();
        assert_eq!(numbers(&recording), (0..30).collect::<Vec<_>>());
        let times: Vec<_> = recording.pictures().map(|s| s.time.as_millis()).collect();
        assert_eq!(times[..3], [0, 100, 200]);
    }

    #[test]
    fn a_byte_stream_has_the_same_pictures() {
        let scene = Recording::open("bag", film()).unwrap();
        let mut stream = Vec::new();
        for (_, unit) in &scene.units {
            let sets = unit.params.iter().filter(|_| unit.keyframe);
            let sets = sets.flat_map(|params| params.sets().cloned().collect::<Vec<_>>());
            for nal in sets.chain(nal::units(&unit.data)) {
                stream.extend([0, 0, 0, 1]);
                stream.extend(nal);
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("clip.h264");
        std::fs::write(&file, &stream).unwrap();
        let clip = Recording::open(file.to_str().unwrap(), film()).unwrap();
        assert_eq!(numbers(&clip), numbers(&scene));
    }

    #[test]
    fn says_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let file = folder.path().join(name);
            std::fs::write(&file, bytes).unwrap();
            file.to_str().unwrap().to_owned()
        };
        for (what, word) in [
            (
                "strete".to_owned(),
                "neither a scene (street, night, bag, covered)",
            ),
            ("street:x".to_owned(), "the seed is a number"),
            (file("a.avi", b"RIFF"), "ffmpeg -i"),
            (file("a.mp4", b"nothing of the kind"), "MP4"),
            (file("a.h264", &[7; 1000]), "no picture"),
        ] {
            let error = format!("{:#}", Recording::open(&what, film()).unwrap_err());
            assert!(error.contains(word), "{what}: {error}");
        }
    }
}
