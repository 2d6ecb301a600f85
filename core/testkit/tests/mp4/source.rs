//! Footage that ffmpeg makes, as access units with times: what a camera would have sent.

use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use taimat_media::mp4::{Mp4Track, Sample};
use taimat_media::{
    AudioCodec, AudioTrack, TrackKind, VideoCodec, VideoParams, g711, h264, h265, nal,
};

use crate::tools::ffmpeg;

/// A track, its samples in the order in which they are decoded, with their bytes.
pub(crate) struct Stream {
    pub(crate) track: Mp4Track,
    /// When the first one is decoded, in ticks from the beginning of the footage.
    pub(crate) start: u64,
    pub(crate) samples: Vec<(Sample, Bytes)>,
    /// The file that ffmpeg made.
    pub(crate) file: PathBuf,
}

/// How long footage is.
const SECONDS: u64 = 6;
/// What is drawn and heard.
const PICTURE: &str = "testsrc2=rate=25:size=320x240";
const LARGE_PICTURE: &str = "testsrc2=rate=25:size=640x480";
const TONE: &str = "sine=frequency=440:sample_rate=";

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

fn made(folder: &Path, name: &str, input: &str, recipe: &str) -> PathBuf {
    let file = folder.join(name);
    let mut args = vec!["-v", "error", "-f", "lavfi", "-i", input, "-t", "6"];
    args.extend(words(recipe));
    let path = file.to_string_lossy();
    args.push(&path);
    ffmpeg(&args);
    file
}

/// Six seconds of H.264 with these settings of x264.
pub(crate) fn h264(folder: &Path, name: &str, settings: &str) -> Stream {
    h264_of(folder, name, PICTURE, settings)
}

/// The same, of larger pictures.
pub(crate) fn large_h264(folder: &Path, name: &str, settings: &str) -> Stream {
    h264_of(folder, name, LARGE_PICTURE, settings)
}

fn h264_of(folder: &Path, name: &str, picture: &str, settings: &str) -> Stream {
    let recipe = format!(
        "-pix_fmt yuv420p -c:v libx264 -preset veryfast -threads 1 -x264-params {settings} -video_track_timescale 90000"
    );
    let file = made(folder, &format!("{name}.mp4"), picture, &recipe);
    let sets = sets(&file, "h264");
    let of = |kind| move |unit: &Bytes| h264::type_of(unit) == Some(kind);
    let sps = first(&sets, of(h264::unit_type::SPS));
    let pps = first(&sets, of(h264::unit_type::PPS));
    video(&h264::params(sps, pps).unwrap(), file)
}

/// Six seconds of H.265 with these settings of x265.
pub(crate) fn h265(folder: &Path, name: &str, settings: &str) -> Stream {
    let recipe = format!(
        "-pix_fmt yuv420p -c:v libx265 -preset ultrafast -tag:v hvc1 -x265-params {settings}:log-level=none:pools=1:frame-threads=1 -video_track_timescale 90000"
    );
    let file = made(folder, &format!("{name}.mp4"), PICTURE, &recipe);
    let sets = sets(&file, "hevc");
    let of = |kind| move |unit: &Bytes| h265::type_of(unit) == Some(kind);
    let vps = first(&sets, of(h265::unit_type::VPS));
    let sps = first(&sets, of(h265::unit_type::SPS));
    let pps = first(&sets, of(h265::unit_type::PPS));
    video(&h265::params(vps, sps, pps).unwrap(), file)
}

/// Six seconds of MJPEG.
pub(crate) fn jpeg(folder: &Path) -> Stream {
    let recipe = "-pix_fmt yuvj420p -c:v mjpeg -threads 1 -video_track_timescale 90000";
    let file = made(folder, "jpeg.mov", PICTURE, recipe);
    let params = VideoParams {
        codec: VideoCodec::Jpeg,
        vps: Vec::new(),
        sps: Vec::new(),
        pps: Vec::new(),
        width: 320,
        height: 240,
    };
    video(&params, file)
}

/// Six seconds of AAC.
pub(crate) fn aac(folder: &Path) -> Stream {
    let recipe = "-c:a aac -b:a 32k";
    let file = made(folder, "aac.mp4", &format!("{TONE}16000"), recipe);
    // AAC-LC, 16 kHz, mono.
    let config = Bytes::from_static(&[0x14, 0x08]);
    audio(AudioCodec::Aac { config }, 16_000, 1, file)
}

/// Six seconds of Opus.
pub(crate) fn opus(folder: &Path) -> Stream {
    let recipe = "-ac 2 -c:a libopus -b:a 48k";
    let file = made(folder, "opus.mp4", &format!("{TONE}48000"), recipe);
    audio(AudioCodec::Opus, 48_000, 2, file)
}

/// Six seconds of G.711 in packets of different lengths, as the FLAC that is kept of it.
pub(crate) fn g711(folder: &Path, codec: AudioCodec) -> Stream {
    let format = if codec == AudioCodec::Pcmu {
        "mulaw"
    } else {
        "alaw"
    };
    let recipe = format!("-ac 1 -f {format}");
    let file = made(folder, format, &format!("{TONE}8000"), &recipe);
    let sent = Bytes::from(std::fs::read(&file).unwrap());
    let track = AudioTrack {
        codec,
        rate: 8000,
        channels: 1,
    };
    let (mut samples, mut at) = (Vec::new(), 0);
    for length in [160, 320, 160, 240, 1000].into_iter().cycle() {
        let packet = sent.slice(at..sent.len().min(at + length));
        if packet.is_empty() {
            break;
        }
        let kept = g711::flac(&track, &packet, at as u64).unwrap();
        let sample = Sample {
            size: kept.len() as u32,
            duration: packet.len() as u32,
            shift: 0,
            sync: true,
        };
        samples.push((sample, kept));
        at += packet.len();
    }
    Stream {
        track: Mp4Track::audio(&track).unwrap(),
        start: 0,
        samples,
        file,
    }
}

fn video(params: &VideoParams, file: PathBuf) -> Stream {
    packets(Mp4Track::video(params).unwrap(), file)
}

fn audio(codec: AudioCodec, rate: u32, channels: u16, file: PathBuf) -> Stream {
    let track = AudioTrack {
        codec,
        rate,
        channels,
    };
    packets(Mp4Track::audio(&track).unwrap(), file)
}

/// The units of a stream.
fn sets(file: &Path, format: &str) -> Vec<Bytes> {
    let stream = file.with_extension(format);
    let (file, out) = (file.to_string_lossy(), stream.to_string_lossy());
    ffmpeg(&["-i", &file, "-c", "copy", "-f", format, &out]);
    let bytes = Bytes::from(std::fs::read(&stream).unwrap());
    nal::split_annex_b(&bytes)
        .map(|unit| bytes.slice_ref(unit))
        .collect()
}

fn first(units: &[Bytes], is: impl Fn(&Bytes) -> bool) -> Vec<Bytes> {
    units
        .iter()
        .find(|unit| is(unit))
        .cloned()
        .into_iter()
        .collect()
}

/// What ffprobe says of a file's packets.
fn packets(track: Mp4Track, file: PathBuf) -> Stream {
    let listed = crate::tools::output(
        "ffprobe",
        &[
            "-v",
            "error",
            "-show_entries",
            "packet=pts,dts,duration,size,pos,flags",
            "-of",
            "default=noprint_wrappers=1",
            &file.to_string_lossy(),
        ],
    );
    let bytes = Bytes::from(std::fs::read(&file).unwrap());
    let (mut samples, mut fields, mut start) = (Vec::new(), [0_i64; 5], None);
    for line in listed.lines() {
        let (name, value) = line.split_once('=').unwrap();
        let names = ["pts", "dts", "duration", "size", "pos"];
        if let Some(at) = names.iter().position(|n| *n == name) {
            fields[at] = value.parse().unwrap_or(0);
        } else if name == "flags" {
            let [pts, dts, duration, size, pos] = fields;
            start.get_or_insert(dts);
            let range: Range<usize> = pos as usize..(pos + size) as usize;
            let sample = Sample {
                size: size as u32,
                duration: duration as u32,
                shift: (pts - dts) as i32,
                sync: value.starts_with('K'),
            };
            samples.push((sample, bytes.slice(range)));
        }
    }
    if track.kind() == TrackKind::Audio {
        // A movie ends with its pictures: a packet that begins later is not in it.
        let longest = SECONDS * u64::from(track.timescale());
        let mut at = 0;
        samples.retain(|(sample, _)| {
            at += u64::from(sample.duration);
            at - u64::from(sample.duration) < longest
        });
    }
    Stream {
        track,
        start: 0,
        samples,
        file,
    }
}

impl Stream {
    /// With the first picture shown when it is decoded: those that are shown before one that they
    /// refer to are decoded too late, by the tables.
    pub(crate) fn shown_at_once(mut self) -> Self {
        let first = self.samples[0].0.shift;
        for (sample, _) in &mut self.samples {
            sample.shift -= first;
        }
        self
    }
}
