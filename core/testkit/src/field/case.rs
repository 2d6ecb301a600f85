//! What a file in `cameras/` may say: how a camera differs from a good one, and what has to come of
//! it. All of it can be combined; what is not said is as a good camera does it.

use std::sync::Arc;

use serde::Deserialize;

use super::footage::{Footage, Reel, Unit, UnitKind};
pub use super::speech::*;
pub use super::stream::*;

/// A kind of camera.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Case {
    /// The file's name without its ending.
    #[serde(skip)]
    pub name: String,
    /// What it does, in a sentence.
    pub what: String,
    /// Public reports of such cameras.
    pub seen: Vec<String>,
    /// What it plays, over and over; [`Footage::Plain`] if nothing is said.
    pub footage: Vec<Clip>,
    /// The sound that it plays beside.
    pub sound: Option<Sound>,
    /// How it speaks RTSP.
    pub rtsp: Rtsp,
    /// How clients have to sign in.
    pub sign_in: Option<SignIn>,
    /// Requests that it answers in another way.
    pub answers: Vec<Rule>,
    /// How it describes itself.
    pub description: Description,
    /// How it cuts pictures into packets.
    pub packets: Packets,
    /// Its clocks.
    pub time: Time,
    /// What else it does.
    pub misbehaves: Misbehaves,
    /// What has to come of it.
    pub expect: Expect,
}

/// A part of a piece of footage.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Clip {
    /// Which.
    pub name: Footage,
    /// The first access unit.
    #[serde(default)]
    pub from: usize,
    /// The access unit before which it ends.
    pub until: Option<usize>,
    /// Units that are taken out.
    #[serde(default)]
    pub without: Vec<UnitKind>,
}

/// Sound that goes with the pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sound {
    /// G.711 A-law.
    Pcma,
    /// G.711 µ-law.
    Pcmu,
    /// AAC-LC by RFC 3640.
    Aac,
    /// AAC-LC in whole ADTS frames, described as by RFC 3640.
    Adts,
    /// ADPCM of 16 kbit/s.
    G726,
    /// Linear 16 bits.
    L16,
}

/// What has to come of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Expect {
    /// Which pictures.
    pub pictures: Pictures,
    /// How many are pulled.
    pub frames: usize,
    /// After so many all are right, for [`Pictures::Settles`].
    pub settles_after: usize,
    /// The state that is said.
    pub state: Option<String>,
    /// The cause that is said; one of these.
    pub cause: Vec<String>,
    /// Quirks that are said. An empty list: none may be.
    pub quirks: Option<Vec<String>>,
    /// The name of the sound that is carried, or `none`.
    pub sound: Option<String>,
    /// What stands in its section of `commune.toml`. `password` is written into a file, as it may not
    /// stand there; `{fingerprint}` is the SHA-256 of its certificate.
    pub camera: toml::Table,
    /// Texts that may never be seen, besides the password.
    pub secrets: Vec<String>,
    /// Whether ffmpeg itself shows it.
    pub ffmpeg: Ffmpeg,
    /// Whether it is tried in Chromium too.
    pub chromium: bool,
}

impl Default for Expect {
    fn default() -> Self {
        Self {
            pictures: Pictures::Right,
            frames: 25,
            settles_after: 0,
            state: None,
            cause: Vec::new(),
            quirks: None,
            sound: None,
            camera: toml::Table::new(),
            secrets: Vec::new(),
            ffmpeg: Ffmpeg::Right,
            chromium: false,
        }
    }
}

/// Which pictures have to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pictures {
    /// All, as they were sent.
    Right,
    /// All, after some at the beginning.
    Settles,
    /// Some as they were sent; wrong ones are no surprise.
    Some,
    /// All as they were sent, or none and a cause.
    RightOrFault,
    /// None, and a cause.
    None,
}

/// What ffmpeg itself does with a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ffmpeg {
    /// Shows it rightly.
    Right,
    /// Shows some of it.
    Some,
    /// Shows nothing.
    None,
    /// Is not asked.
    Unasked,
}

impl Case {
    /// The first piece of footage that it plays.
    pub fn plays(&self) -> Footage {
        self.footage
            .first()
            .map_or(Footage::Plain, |clip| clip.name)
    }

    /// Path and query at which it is.
    pub fn path(&self) -> &str {
        self.rtsp.path.as_deref().unwrap_or(&self.name)
    }

    /// What it plays: each piece with the access units that are sent of it.
    pub fn reels(&self) -> anyhow::Result<Vec<(Arc<Reel>, Vec<Unit>)>> {
        let plain = [Clip::of(Footage::Plain)];
        let clips = if self.footage.is_empty() {
            &plain[..]
        } else {
            &self.footage
        };
        let mut reels = Vec::new();
        for clip in clips {
            let reel = clip.name.reel()?;
            let until = clip.until.unwrap_or(reel.units.len()).min(reel.units.len());
            let units = reel.units.get(clip.from..until).unwrap_or_default();
            let kept = |unit: &Unit| -> Unit {
                unit.iter()
                    .filter(|nal| !clip.without.contains(&reel.codec.kind(nal)))
                    .cloned()
                    .collect()
            };
            let units: Vec<Unit> = units
                .iter()
                .map(kept)
                .filter(|unit| !unit.is_empty())
                .collect();
            anyhow::ensure!(!units.is_empty(), "{}: nothing to play", self.name);
            reels.push((reel, units));
        }
        Ok(reels)
    }

    /// The hashes of the pictures of one round of what it plays, in the order of showing.
    pub fn shown(&self) -> anyhow::Result<Vec<String>> {
        let plain = [Clip::of(Footage::Plain)];
        let clips = if self.footage.is_empty() {
            &plain[..]
        } else {
            &self.footage
        };
        let mut shown = Vec::new();
        for clip in clips {
            let reel = clip.name.reel()?;
            let until = clip
                .until
                .unwrap_or(reel.hashes.len())
                .min(reel.hashes.len());
            // Where pictures are shown in another order than they are sent in, a cut can let some of
            // before through.
            let from = clip.from.saturating_sub(3);
            shown.extend(
                reel.hashes
                    .get(from..until)
                    .unwrap_or_default()
                    .iter()
                    .cloned(),
            );
        }
        Ok(shown)
    }
}

impl Clip {
    /// All of it.
    pub fn of(name: Footage) -> Self {
        Self {
            name,
            from: 0,
            until: None,
            without: Vec::new(),
        }
    }
}

impl Sound {
    /// The payload type of its packets.
    pub fn payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
            Self::Aac | Self::Adts | Self::G726 | Self::L16 => 97,
        }
    }
}
