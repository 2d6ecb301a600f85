//! What a detector saw.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use taimat_base::text;
use utoipa::ToSchema;

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    ToSchema,
)]
pub struct UnixMicros(pub i64);

impl From<SystemTime> for UnixMicros {
    fn from(at: SystemTime) -> Self {
        let micros = match at.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()),
            Err(before) => i64::try_from(before.duration().as_micros()).map(|m| -m),
        };
        Self(micros.unwrap_or(i64::MAX))
    }
}

impl UnixMicros {
    /// How much later than `earlier` it is; nothing if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        let micros = self.0.saturating_sub(earlier.0);
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }

    /// Numbers of the contract lie between this and its negative, so that JavaScript holds them.
    pub const MOST: i64 = 1 << 53;

    /// Whether it is a number that every language of the contract holds.
    pub const fn is_exact(self) -> bool {
        -Self::MOST < self.0 && self.0 < Self::MOST
    }

    /// This much later.
    pub fn after(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)),
        )
    }
}

/// A pair for what the records have no field for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Attribute {
    /// Up to 64 bytes.
    pub key: String,
    /// Up to 1 KiB.
    pub value: String,
}

/// A rectangle in fractions of the picture, from the top left.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Rect {
    /// Left edge.
    pub x: f32,
    /// Upper edge.
    pub y: f32,
    /// Width.
    pub width: f32,
    /// Height.
    pub height: f32,
}

impl Rect {
    /// What lies within the picture; `None` for what is not finite or has nothing in it.
    pub fn clipped(self) -> Option<Self> {
        let all = [self.x, self.y, self.width, self.height];
        if all.iter().any(|v| !v.is_finite()) {
            return None;
        }
        let (left, top) = (self.x.clamp(0.0, 1.0), self.y.clamp(0.0, 1.0));
        let right = (self.x + self.width).clamp(left, 1.0);
        let bottom = (self.y + self.height).clamp(top, 1.0);
        (right > left && bottom > top).then_some(Self {
            x: left,
            y: top,
            width: right - left,
            height: bottom - top,
        })
    }

    /// Area of the overlap over that of both: 1 for the same, 0 for apart.
    pub fn overlap(self, other: Self) -> f32 {
        let side = |a: f32, aw: f32, b: f32, bw: f32| ((a + aw).min(b + bw) - a.max(b)).max(0.0);
        let both = side(self.x, self.width, other.x, other.width)
            * side(self.y, self.height, other.y, other.height);
        let all = self.width * self.height + other.width * other.height - both;
        if all > 0.0 { both / all } else { 0.0 }
    }
}

/// How much attention something deserves.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth keeping.
    Info,
    /// Worth a look.
    Notice,
    /// Somebody should look.
    Warning,
    /// Somebody has to act.
    Alarm,
}

impl Severity {
    /// All of them, the least first.
    pub const ALL: [Self; 4] = [Self::Info, Self::Notice, Self::Warning, Self::Alarm];

    /// Its word in configuration and API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Alarm => "alarm",
        }
    }
}

/// What a detector saw at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Detection {
    /// What was seen: 1 to 32 of a-z, 0-9 and `-`.
    pub kind: String,
    /// When.
    pub at: UnixMicros,
    /// How sure the detector is, 0 to 1.
    pub confidence: f32,
    /// Where in the picture.
    pub regions: Vec<Rect>,
    /// The same for the same object over several frames.
    pub track: Option<u64>,
    /// One line for people; may be empty.
    pub text: String,
    /// What else there is to say.
    pub extra: Vec<Attribute>,
}

/// What a detection may not be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadDetection {
    /// A kind outside of its characters or length.
    #[error("kind {0:?} is not 1 to 32 of a-z, 0-9 and '-'")]
    Kind(String),
    /// Not between 0 and 1.
    #[error("confidence is not between 0 and 1")]
    Confidence,
    /// A track that not every language holds.
    #[error("track {0} is not below 2^53")]
    Track(u64),
    /// Later than the question, or no time at all.
    #[error(
        "it is said to be of {0} µs since 1970, which is not the time of this frame or an earlier one"
    )]
    Time(i64),
    /// A region that is not finite or has no area within the picture.
    #[error("region {0} is not within the picture")]
    Region(usize),
    /// More of something than there may be.
    #[error("{what}: {found}, at most {most}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there may be.
        most: usize,
    },
}

impl Detection {
    /// Regions at most.
    pub const MAX_REGIONS: usize = 64;
    /// Bytes of `text` at most.
    pub const MAX_TEXT: usize = 256;
    /// Attributes at most.
    pub const MAX_EXTRA: usize = 16;

    /// How much later than the question a detection may be: clocks of cameras jump, and a moment's
    /// difference is nobody's mistake.
    const MAX_AHEAD: Duration = Duration::from_secs(60);

    /// The detection with its regions clipped to the picture and its text in one line, if it keeps to
    /// the contract. `now` is the time of the frame or the tick that it answers.
    pub fn checked(mut self, now: UnixMicros) -> Result<Self, BadDetection> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.kind.is_empty() || self.kind.len() > 32 || !self.kind.chars().all(fits) {
            return Err(BadDetection::Kind(text::line(&self.kind, 40)));
        }
        if !(0.0..=1.0).contains(&self.confidence) {
            return Err(BadDetection::Confidence);
        }
        if !self.at.is_exact() || self.at > now.after(Self::MAX_AHEAD) {
            return Err(BadDetection::Time(self.at.0));
        }
        if let Some(track) = self.track
            && track >= UnixMicros::MOST.unsigned_abs()
        {
            return Err(BadDetection::Track(track));
        }
        let most = |what, found, most| {
            if found > most {
                return Err(BadDetection::TooMany { what, found, most });
            }
            Ok(())
        };
        most("regions", self.regions.len(), Self::MAX_REGIONS)?;
        most("bytes of text", self.text.len(), Self::MAX_TEXT)?;
        most("attributes", self.extra.len(), Self::MAX_EXTRA)?;
        for Attribute { key, value } in &self.extra {
            most("bytes of a key", key.len(), 64)?;
            most("bytes of a value", value.len(), 1024)?;
        }
        if self.text.contains(char::is_control) {
            self.text = text::line(&self.text, Self::MAX_TEXT);
        }
        for (index, region) in self.regions.iter_mut().enumerate() {
            *region = region.clipped().ok_or(BadDetection::Region(index))?;
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn detection(kind: &str) -> Detection {
        Detection {
            kind: kind.into(),
            at: UnixMicros(1),
            confidence: 0.5,
            regions: vec![],
            track: None,
            text: String::new(),
            extra: vec![],
        }
    }

    #[test]
    fn keeps_what_fits_and_names_what_does_not() {
        let checked = |detection: Detection| detection.checked(UnixMicros(1_000_000));
        assert!(checked(detection("line-crossed")).is_ok());
        assert!(matches!(checked(detection("Chó")), Err(BadDetection::Kind(k)) if k == "Chó"));
        assert!(checked(detection("")).is_err());
        let unsure = Detection {
            confidence: f32::NAN,
            ..detection("a")
        };
        assert_eq!(checked(unsure), Err(BadDetection::Confidence));
        let lines = Detection {
            text: "one\ntwo\u{1b}[2J".into(),
            ..detection("a")
        };
        assert_eq!(checked(lines).unwrap().text, "one two [2J");
        let long = Detection {
            text: "x".repeat(257),
            ..detection("a")
        };
        assert_eq!(
            checked(long).unwrap_err().to_string(),
            "bytes of text: 257, at most 256"
        );
    }

    #[test]
    fn times_and_tracks_are_numbers_that_all_languages_hold() {
        let now = UnixMicros(1_800_000_000_000_000);
        let at = |at: i64| {
            let detection = Detection {
                at: UnixMicros(at),
                ..detection("a")
            };
            detection.checked(now).is_ok()
        };
        assert!(at(now.0) && at(now.0 - 1_000_000) && at(now.0 + 1_000_000));
        let late = now.0 + 61_000_000;
        assert!(!at(late) && !at(i64::MAX) && !at(i64::MIN) && !at(-(1 << 53)));
        let track = |track: u64| {
            let detection = Detection {
                track: Some(track),
                ..detection("a")
            };
            detection.checked(now).map(|_fits| ())
        };
        assert_eq!(track((1 << 53) - 1), Ok(()));
        assert_eq!(track(1 << 53), Err(BadDetection::Track(1 << 53)));
    }

    #[test]
    fn overlap_of_rectangles() {
        let a = Rect {
            x: 0.0,
            y: 0.0,
            width: 0.5,
            height: 0.5,
        };
        assert!((a.overlap(a) - 1.0).abs() < 1e-6);
        let beside = Rect { x: 0.5, ..a };
        assert!(a.overlap(beside).abs() < 1e-6);
        let half = Rect { x: 0.25, ..a };
        assert!((a.overlap(half) - 1.0 / 3.0).abs() < 1e-6);
    }

    proptest! {
        #[test]
        fn clipped_lies_within(x in -3f32..3.0, y in -3f32..3.0, width in -3f32..3.0, height in -3f32..3.0) {
            if let Some(r) = (Rect { x, y, width, height }).clipped() {
                prop_assert!(r.x >= 0.0 && r.y >= 0.0 && r.width > 0.0 && r.height > 0.0);
                prop_assert!(r.x + r.width <= 1.0001 && r.y + r.height <= 1.0001);
            }
        }
    }
}
