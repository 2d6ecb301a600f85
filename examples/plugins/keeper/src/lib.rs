//! The smallest storage plugin: keeps everything for a week at one place. With `does` in its settings it
//! answers as storage plugins must not.

use serde::Deserialize;
use taimat_sdk::Error;
use taimat_sdk::storage::{DAY, Placed, Review, Segment, Storage, storage};

/// What it does instead of answering well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
enum Deed {
    /// It answers well.
    #[default]
    Nothing,
    /// It panics.
    Panic,
    /// It names a place that there is not.
    Elsewhere,
    /// It wants more copies than there may be.
    TooMuch,
    /// It leaves everything as it is.
    Silence,
    /// It can not answer now.
    Later,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    target: String,
    does: Deed,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            target: "local".into(),
            does: Deed::Nothing,
        }
    }
}

struct Keeper(Settings);

impl Storage for Keeper {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, Error> {
        Ok(Self(settings))
    }

    #[expect(clippy::panic, reason = "that is the point")]
    fn place(
        &mut self,
        segment: &Segment,
        review: &Review<'_>,
    ) -> Result<Option<Vec<Placed>>, Error> {
        let until = segment.start + 7 * DAY;
        let copy = |target: &str| Placed::at(target, until, 1);
        Ok(match self.0.does {
            Deed::Panic => panic!("on purpose"),
            Deed::Later => return Err(Error::Retry("not now".into())),
            Deed::Silence => None,
            Deed::Elsewhere => Some(vec![copy("the-moon")]),
            Deed::TooMuch => Some(vec![copy(&self.0.target); 9]),
            Deed::Nothing if until > review.now => Some(vec![copy(&self.0.target)]),
            Deed::Nothing => Some(Vec::new()),
        })
    }
}

storage!(Keeper);
