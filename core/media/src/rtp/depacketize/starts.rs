//! Which pictures count as places to start at.
//!
//! The best that a source offers is taken: while it sends IDR pictures or recovery points, what
//! lies between them is not cut up into smaller groups that fewer decoders can start with.

use crate::start::Start;
use crate::{Quirk, Quirks};

/// What a whole picture says about itself.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Signs {
    /// What the type of its slices says.
    pub(super) by_type: Option<Start>,
    /// From the recovery point before it: after how many frames it is complete.
    pub(super) recovery: Option<u32>,
    /// All slices do without other pictures.
    pub(super) intra: bool,
    /// There is room for one reference only: what comes after an intra picture can not refer to
    /// anything before it.
    pub(super) single_reference: bool,
}

/// So many pictures after the last IDR picture or recovery point, something lesser will do: four
/// seconds at the usual 25 a second, which is longer than most intervals and shorter than what
/// people wait.
const PATIENCE: u32 = 100;

#[derive(Debug, Default)]
pub(super) struct Starts {
    since_idr: Option<u32>,
    since_point: Option<u32>,
    /// Intra pictures since then.
    plain: u32,
}

impl Starts {
    /// Judges the next picture in decoding order; to be asked for every one.
    pub(super) fn judge(&mut self, signs: Signs, quirks: &mut Quirks) -> Option<Start> {
        for since in [&mut self.since_idr, &mut self.since_point] {
            *since = since.map(|n| n.saturating_add(1)).filter(|n| *n < PATIENCE);
        }
        let start = self.best(signs)?;
        match start {
            Start::Idr => self.since_idr = Some(0),
            _ if self.since_idr.is_none() => quirks.note(Quirk::NoIdr),
            _ => {}
        }
        match start {
            Start::Idr | Start::Recovery => (self.since_point, self.plain) = (Some(0), 0),
            Start::Refresh { .. } => quirks.note(Quirk::GradualRefresh),
            Start::Intra => {}
        }
        Some(start)
    }

    fn best(&mut self, signs: Signs) -> Option<Start> {
        if signs.by_type.is_some() {
            return signs.by_type;
        }
        match signs.recovery {
            Some(0) => return Some(Start::Recovery),
            Some(frames) if self.since_point.is_none() && !signs.intra => {
                return Some(Start::Refresh { frames });
            }
            _ => {}
        }
        if !signs.intra {
            return None;
        }
        // Where later pictures could refer to what was before this one, a first intra picture may be
        // a cut in the scene; the second in a row without anything better is this source's way.
        self.plain = self.plain.saturating_add(1);
        let safe = signs.single_reference || self.plain > 1;
        (safe && self.since_point.is_none()).then_some(Start::Intra)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intra(single_reference: bool) -> Signs {
        Signs {
            intra: true,
            single_reference,
            ..Signs::default()
        }
    }

    fn typed(start: Start) -> Signs {
        Signs {
            by_type: Some(start),
            ..intra(true)
        }
    }

    fn point(frames: u32) -> Signs {
        Signs {
            recovery: Some(frames),
            ..Signs::default()
        }
    }

    fn judge(starts: &mut Starts, signs: Signs) -> (Option<Start>, u32, u32) {
        let mut quirks = Quirks::default();
        let start = starts.judge(signs, &mut quirks);
        let count = |quirk| quirks.count(quirk);
        (start, count(Quirk::NoIdr), count(Quirk::GradualRefresh))
    }

    #[test]
    fn takes_what_there_is() {
        assert_eq!(
            judge(&mut Starts::default(), intra(true)),
            (Some(Start::Intra), 1, 0)
        );
        assert_eq!(
            judge(&mut Starts::default(), point(0)),
            (Some(Start::Recovery), 1, 0)
        );
        let refresh = Some(Start::Refresh { frames: 9 });
        assert_eq!(judge(&mut Starts::default(), point(9)), (refresh, 1, 1));
        assert_eq!(
            judge(&mut Starts::default(), Signs::default()),
            (None, 0, 0)
        );
    }

    #[test]
    fn a_source_with_idr_pictures_is_not_cut_up() {
        let mut starts = Starts::default();
        assert_eq!(
            judge(&mut starts, typed(Start::Idr)),
            (Some(Start::Idr), 0, 0)
        );
        assert_eq!(judge(&mut starts, intra(true)).0, None);
        assert_eq!(judge(&mut starts, point(9)).0, None);
        assert_eq!(judge(&mut starts, point(0)), (Some(Start::Recovery), 0, 0));
        for _ in 0..PATIENCE {
            judge(&mut starts, Signs::default());
        }
        assert_eq!(judge(&mut starts, intra(true)), (Some(Start::Intra), 1, 0));
    }

    #[test]
    fn a_cut_in_the_scene_is_no_start_where_more_can_be_referred_to() {
        let mut starts = Starts::default();
        assert_eq!(judge(&mut starts, intra(false)).0, None);
        judge(&mut starts, Signs::default());
        assert_eq!(judge(&mut starts, intra(false)).0, Some(Start::Intra));
    }
}
