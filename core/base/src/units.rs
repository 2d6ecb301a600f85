//! Sizes and durations as people write them: `"1MiB"`, `"20ms"`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

/// Why a text is not a quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// The number part does not parse.
    #[error("{0:?} does not start with a number")]
    Number(String),
    /// The unit is not one of those listed.
    #[error("{found:?} is not a unit here; use one of {allowed}")]
    Unit {
        /// What was written.
        found: String,
        /// What would be right.
        allowed: &'static str,
    },
    /// The value does not fit.
    #[error("{0:?} is too large")]
    TooLarge(String),
}

fn split(text: &str) -> Result<(u64, &str), UnitError> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    if number.is_empty() {
        return Err(UnitError::Number(text.to_owned()));
    }
    let number = number
        .parse()
        .map_err(|_overflow| UnitError::TooLarge(text.to_owned()))?;
    Ok((number, unit.trim()))
}

/// A duration written with its unit: `250ms`, `5s`, `2min`, `1h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, unit) = split(text)?;
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "min" => 60_000,
            "h" => 3_600_000,
            other => {
                return Err(UnitError::Unit {
                    found: other.into(),
                    allowed: "ms, s, min, h",
                });
            }
        };
        number
            .checked_mul(millis)
            .map(|ms| Self(Duration::from_millis(ms)))
            .ok_or_else(|| UnitError::TooLarge(text.to_owned()))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        match ms {
            ms if ms % 1000 != 0 => write!(f, "{ms}ms"),
            ms if ms % 60_000 != 0 || ms == 0 => write!(f, "{}s", ms / 1000),
            ms => write!(f, "{}min", ms / 60_000),
        }
    }
}

/// A size in bytes written with its unit: `64KiB`, `8MiB`, `1GiB`, or plain bytes `B`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ByteSize(pub u64);

impl FromStr for ByteSize {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, unit) = split(text)?;
        let scale = match unit {
            "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            other => {
                return Err(UnitError::Unit {
                    found: other.into(),
                    allowed: "B, KiB, MiB, GiB",
                });
            }
        };
        let bytes = number.checked_mul(scale);
        bytes
            .map(Self)
            .ok_or_else(|| UnitError::TooLarge(text.to_owned()))
    }
}

macro_rules! from_text {
    ($name:ident) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
from_text!(Span);
from_text!(ByteSize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_durations_and_sizes() {
        assert_eq!("250ms".parse(), Ok(Span(Duration::from_millis(250))));
        assert_eq!("2min".parse(), Ok(Span(Duration::from_secs(120))));
        assert_eq!("8MiB".parse(), Ok(ByteSize(8 << 20)));
        assert_eq!("7 B".parse(), Ok(ByteSize(7)));
    }

    #[test]
    fn says_what_would_be_right() {
        let error = "5 minutes".parse::<Span>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"minutes\" is not a unit here; use one of ms, s, min, h"
        );
        assert!("s".parse::<Span>().is_err());
        assert!("99999999999999999999GiB".parse::<ByteSize>().is_err());
        assert!("99999999999999GiB".parse::<ByteSize>().is_err());
    }

    #[test]
    fn writes_what_it_reads() {
        for text in ["250ms", "5s", "2min", "0s"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
    }
}
