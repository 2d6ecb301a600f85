//! Footage: encoded once by ffmpeg, kept beside the build, cut into access units, with the hash of
//! every picture as ffmpeg decodes it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use anyhow::Context;
use bytes::Bytes;
use serde::Deserialize;
use taimat_media::nal;

/// A piece of footage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Footage {
    /// H.264, 320×240, 10 pictures a second, a key frame every two seconds.
    Plain,
    /// The same at 640×480.
    Vga,
    /// Four slices a picture.
    Slices,
    /// Gradual refresh: after the first picture no key frame, a recovery point every two seconds.
    Refresh,
    /// Pictures that refer to later ones.
    BFrames,
    /// Interlaced (MBAFF).
    Interlaced,
    /// Key pictures that are no IDR pictures, with a recovery point.
    OpenGroup,
    /// One key frame in a minute.
    LongGroup,
    /// 3840×2160; key frames of several megabytes.
    #[serde(rename = "4k")]
    Uhd,
    /// H.265, 320×240.
    #[serde(rename = "h265")]
    Hevc,
    /// H.265, 640×480.
    #[serde(rename = "h265-vga")]
    HevcVga,
    /// H.265, four slices a picture.
    #[serde(rename = "h265-slices")]
    HevcSlices,
    /// H.265 whose later key pictures are CRA pictures with leading ones.
    #[serde(rename = "h265-cra")]
    HevcCra,
}

/// How the units of a stream are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// ITU-T H.264.
    H264,
    /// ITU-T H.265.
    H265,
}

/// What a NAL unit is, as far as cameras treat it differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnitKind {
    /// A slice of a picture that is not an instantaneous refresh.
    Slice,
    /// A slice of an IDR picture.
    Idr,
    /// A parameter set.
    Set,
    /// Supplemental information.
    Sei,
    /// An access unit delimiter.
    Delimiter,
    /// Anything else.
    Other,
}

impl Codec {
    /// The number of a unit's type.
    pub fn unit_type(self, unit: &[u8]) -> u8 {
        let first = unit.first().copied().unwrap_or(0);
        match self {
            Self::H264 => first & 31,
            Self::H265 => first >> 1 & 63,
        }
    }

    /// What a unit is.
    pub fn kind(self, unit: &[u8]) -> UnitKind {
        match (self, self.unit_type(unit)) {
            (Self::H264, 1) | (Self::H265, 0..=18 | 21) => UnitKind::Slice,
            (Self::H264, 5) | (Self::H265, 19 | 20) => UnitKind::Idr,
            (Self::H264, 7 | 8) | (Self::H265, 32..=34) => UnitKind::Set,
            (Self::H264, 6) | (Self::H265, 39 | 40) => UnitKind::Sei,
            (Self::H264, 9) | (Self::H265, 35) => UnitKind::Delimiter,
            _ => UnitKind::Other,
        }
    }

    /// Whether a slice is the first of its picture (of our own footage, whose slices come in order).
    fn begins_picture(self, unit: &[u8]) -> bool {
        let at = match self {
            Self::H264 => 1,
            Self::H265 => 2,
        };
        unit.get(at).is_some_and(|byte| byte & 0x80 != 0)
    }
}

/// An access unit: its NAL units, without start codes.
pub type Unit = Arc<[Bytes]>;

/// Footage that can be played.
#[derive(Debug)]
pub struct Reel {
    /// How it is encoded.
    pub codec: Codec,
    /// Its access units in decoding order.
    pub units: Vec<Unit>,
    /// The hashes of its pictures in the order in which they are shown.
    pub hashes: Vec<String>,
}

impl Reel {
    /// The first unit of each type of parameter set, in the order of their types.
    pub fn sets(&self) -> Vec<Bytes> {
        let mut sets: Vec<Bytes> = Vec::new();
        for unit in self.units.iter().flat_map(|unit| unit.iter()) {
            let kind = self.codec.unit_type(unit);
            let known = sets.iter().any(|s| self.codec.unit_type(s) == kind);
            if self.codec.kind(unit) == UnitKind::Set && !known {
                sets.push(unit.clone());
            }
        }
        sets.sort_by_key(|set| self.codec.unit_type(set));
        sets
    }
}

impl Footage {
    /// How it is encoded.
    pub fn codec(self) -> Codec {
        match self {
            Self::Hevc | Self::HevcVga | Self::HevcSlices | Self::HevcCra => Codec::H265,
            _ => Codec::H264,
        }
    }

    /// The size of its pictures.
    pub fn size(self) -> (u32, u32) {
        match self {
            Self::Uhd => (3840, 2160),
            Self::Vga | Self::HevcVga => (640, 480),
            _ => (320, 240),
        }
    }

    /// The footage, encoded now if it never was.
    pub fn reel(self) -> anyhow::Result<Arc<Reel>> {
        // Held while one is encoded: whoever else wants it needs the result anyway.
        static REELS: Mutex<Option<HashMap<Footage, Arc<Reel>>>> = Mutex::new(None);
        let mut reels = REELS.lock().unwrap_or_else(|e| e.into_inner());
        let reels = reels.get_or_insert_default();
        if let Some(reel) = reels.get(&self) {
            return Ok(Arc::clone(reel));
        }
        let reel = Arc::new(self.load().with_context(|| format!("footage {self:?}"))?);
        reels.insert(self, Arc::clone(&reel));
        Ok(reel)
    }

    fn load(self) -> anyhow::Result<Reel> {
        let stream = kept(
            &self.recipe(),
            if self.codec() == Codec::H264 {
                "h264"
            } else {
                "h265"
            },
        )?;
        let hashes = stream.with_extension("md5");
        if !hashes.exists() {
            let listed = pictures_of(&stream)?;
            taimat_base::files::replace(&hashes, listed.join("\n").as_bytes())?;
        }
        let bytes = Bytes::from(std::fs::read(&stream)?);
        Ok(Reel {
            codec: self.codec(),
            units: access_units(self.codec(), &bytes),
            hashes: std::fs::read_to_string(&hashes)?
                .lines()
                .map(str::to_owned)
                .collect(),
        })
    }

    /// How ffmpeg makes it.
    fn recipe(self) -> Vec<String> {
        let (width, height) = self.size();
        let groups = "keyint=20:min-keyint=20:scenecut=0";
        let h265 = "log-level=none:pools=1:frame-threads=1:repeat-headers=1";
        let (seconds, codec, preset, parameters, rate) = match self {
            Self::Plain | Self::Vga => (6, "libx264", "ultrafast", groups.into(), "400k"),
            Self::Slices => (
                6,
                "libx264",
                "ultrafast",
                format!("{groups}:slices=4"),
                "400k",
            ),
            // These have no place at which they could begin again: long enough for every test.
            Self::Refresh => (
                60,
                "libx264",
                "veryfast",
                format!("{groups}:intra-refresh=1:bframes=0"),
                "300k",
            ),
            Self::OpenGroup => (
                60,
                "libx264",
                "veryfast",
                "keyint=20:min-keyint=10:scenecut=0:open-gop=1:bframes=1:b-adapt=0".into(),
                "300k",
            ),
            Self::BFrames => (
                6,
                "libx264",
                "veryfast",
                format!("{groups}:bframes=2:b-adapt=0"),
                "400k",
            ),
            Self::Interlaced => (
                6,
                "libx264",
                "veryfast",
                format!("{groups}:interlaced=1:bframes=0"),
                "400k",
            ),
            Self::LongGroup => (
                60,
                "libx264",
                "ultrafast",
                "keyint=9999:min-keyint=9999:scenecut=0".into(),
                "200k",
            ),
            Self::Uhd => (
                2,
                "libx264",
                "ultrafast",
                "keyint=5:min-keyint=5:scenecut=0:qp=30".into(),
                "0",
            ),
            Self::Hevc | Self::HevcVga => (
                6,
                "libx265",
                "ultrafast",
                format!("{groups}:bframes=0:open-gop=0:{h265}"),
                "300k",
            ),
            Self::HevcSlices => (
                6,
                "libx265",
                "ultrafast",
                format!("{groups}:bframes=0:open-gop=0:slices=4:{h265}"),
                "300k",
            ),
            Self::HevcCra => (
                60,
                "libx265",
                "ultrafast",
                format!("{groups}:bframes=2:b-adapt=0:open-gop=1:{h265}"),
                "300k",
            ),
        };
        let (per_second, noise) = match self {
            Self::Uhd => (5, ",noise=alls=40:allf=t"),
            _ => (10, ""),
        };
        let h264 = codec == "libx264";
        let mut recipe = vec![
            "-f".into(),
            "lavfi".into(),
            "-i".into(),
            format!("testsrc2=size={width}x{height}:rate={per_second}{noise}"),
            "-t".into(),
            seconds.to_string(),
            "-pix_fmt".into(),
            "yuv420p".into(),
            "-c:v".into(),
            codec.into(),
            "-preset".into(),
            preset.into(),
            if h264 { "-x264-params" } else { "-x265-params" }.into(),
            parameters,
            "-b:v".into(),
            rate.into(),
        ];
        if h264 && preset == "ultrafast" {
            recipe.extend(["-profile:v".into(), "baseline".into()]);
        }
        recipe.extend(["-f".into(), if h264 { "h264" } else { "hevc" }.into()]);
        recipe
    }
}

/// Six seconds of a tone as AAC-LC, 16 kHz, mono: whole ADTS frames.
pub fn tone() -> anyhow::Result<Vec<Bytes>> {
    let recipe = "-f lavfi -i sine=frequency=440:sample_rate=16000 -t 6 -c:a aac -b:a 32k -f adts";
    let recipe: Vec<String> = recipe.split(' ').map(str::to_owned).collect();
    let mut rest = Bytes::from(std::fs::read(kept(&recipe, "aac")?)?);
    let mut frames = Vec::new();
    while let [_, _, _, a, b, c, ..] = rest[..] {
        let length = usize::from(a & 3) << 11 | usize::from(b) << 3 | usize::from(c >> 5);
        anyhow::ensure!((7..=rest.len()).contains(&length), "not ADTS");
        frames.push(rest.split_to(length));
    }
    Ok(frames)
}

/// The hashes of the pictures that ffmpeg decodes from a file.
fn pictures_of(stream: &Path) -> anyhow::Result<Vec<String>> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-threads", "1", "-i"])
        .arg(stream)
        .args(["-fps_mode", "passthrough", "-f", "framemd5", "-"])
        .output()
        .context("starting ffmpeg")?;
    anyhow::ensure!(
        output.status.success(),
        "ffmpeg: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(super::pull::hashes(&text)
        .map(|(_, hash)| hash.to_owned())
        .collect())
}

/// The file that ffmpeg makes of a recipe, in the folder of the build; a changed recipe is another
/// file.
fn kept(recipe: &[String], extension: &str) -> anyhow::Result<PathBuf> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    let mut hasher = DefaultHasher::new();
    recipe.hash(&mut hasher);
    let folder = folder();
    let file = folder.join(format!("{:016x}.{extension}", hasher.finish()));
    if file.exists() {
        return Ok(file);
    }
    std::fs::create_dir_all(&folder)?;
    // Several test processes may do this at once: each writes its own and the last one stays.
    let part = folder.join(format!(
        "{:016x}-{}.part",
        hasher.finish(),
        std::process::id()
    ));
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-y", "-threads", "1"])
        .args(recipe)
        .arg(&part)
        .output()
        .context("starting ffmpeg (Debian package ffmpeg)")?;
    anyhow::ensure!(
        output.status.success(),
        "ffmpeg {recipe:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    std::fs::rename(&part, &file)?;
    Ok(file)
}

/// Beside what was built, so that it goes with `cargo clean`.
fn folder() -> PathBuf {
    let built = std::env::current_exe().ok();
    let target = built.as_deref().and_then(|exe| {
        exe.ancestors()
            .find(|folder| folder.join("CACHEDIR.TAG").exists())
            .map(Path::to_path_buf)
    });
    target
        .unwrap_or_else(std::env::temp_dir)
        .join("field-footage")
}

/// Sets, delimiters and information belong to the slice that follows them.
fn access_units(codec: Codec, stream: &Bytes) -> Vec<Unit> {
    let mut units = Vec::new();
    let mut current: Vec<Bytes> = Vec::new();
    let mut has_slice = false;
    for nal in nal::split_annex_b(stream) {
        let slice = matches!(codec.kind(nal), UnitKind::Slice | UnitKind::Idr);
        if has_slice && (!slice || codec.begins_picture(nal)) {
            units.push(std::mem::take(&mut current).into());
            has_slice = false;
        }
        has_slice |= slice;
        current.push(stream.slice_ref(nal));
    }
    if has_slice {
        units.push(current.into());
    }
    units
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_access_unit_is_a_picture() {
        let all = [
            Footage::Plain,
            Footage::Slices,
            Footage::Interlaced,
            Footage::Hevc,
            Footage::HevcSlices,
        ];
        for footage in all {
            let reel = footage.reel().unwrap();
            assert_eq!(reel.units.len(), 60, "{footage:?}");
            assert_eq!(reel.hashes.len(), 60, "{footage:?}");
            let mut distinct = reel.hashes.clone();
            distinct.sort_unstable();
            distinct.dedup();
            assert_eq!(distinct.len(), 60, "{footage:?}: pictures that are alike");
            let sets = reel.sets().len();
            assert_eq!(sets, if reel.codec == Codec::H264 { 2 } else { 3 });
        }
    }

    #[test]
    fn sliced_footage_has_four_slices_a_picture() {
        for footage in [Footage::Slices, Footage::HevcSlices] {
            let reel = footage.reel().unwrap();
            for unit in &reel.units {
                let slice =
                    |u: &&Bytes| matches!(reel.codec.kind(u), UnitKind::Slice | UnitKind::Idr);
                assert_eq!(unit.iter().filter(slice).count(), 4, "{footage:?}");
            }
        }
    }

    #[test]
    fn the_tone_is_adts() {
        let frames = tone().unwrap();
        assert!(frames.len() > 80, "{}", frames.len());
        assert!(frames.iter().all(|f| f.starts_with(&[0xFF, 0xF1])));
    }
}
