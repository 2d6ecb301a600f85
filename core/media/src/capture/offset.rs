//! How far arrival is behind media time, and how fast that changes: the packets that were delayed
//! least tell, because nothing is delayed by less than nothing.

use std::collections::VecDeque;

/// The least delayed unit of each window is kept.
const WINDOW: i64 = 5_000_000_000;
/// A minute of them: long enough to know a clock's pace to some 50 ppm through 3 ms of jitter, short
/// enough to follow what temperature does.
const WINDOWS: usize = 12;
/// Fewer say nothing about the pace.
const FEW: usize = 6;
/// The route is as quick now as it was in the last so many windows.
const RECENT: usize = 3;
/// Slopes that disagree by more than this say that the route has changed, not the clock.
const DISAGREEMENT_PPM: i64 = 300;

#[derive(Debug, Clone, Copy)]
struct Least {
    media: i64,
    offset: i64,
}

/// Nanoseconds between media time and arrival.
#[derive(Debug, Default)]
pub(super) struct Offset {
    windows: VecDeque<Least>,
    /// The window at hand, and when it began.
    open: Option<(i64, Least)>,
    pace: Option<i64>,
}

impl Offset {
    /// A unit arrived.
    pub(super) fn arrived(&mut self, media: i64, arrived: i64) {
        let this = Least {
            media,
            offset: arrived.saturating_sub(media),
        };
        match &mut self.open {
            Some((begun, least)) if arrived.saturating_sub(*begun) < WINDOW => {
                if this.offset < least.offset {
                    *least = this;
                }
            }
            open => {
                if let Some((_, least)) = open.replace((arrived, this)) {
                    self.windows.push_back(least);
                    if self.windows.len() > WINDOWS {
                        self.windows.pop_front();
                    }
                    self.pace = self.slope();
                }
            }
        }
    }

    /// The least there was of late.
    pub(super) fn lowest(&self) -> Option<i64> {
        let recent = self.windows.iter().rev().take(RECENT);
        let open = self.open.iter().map(|(_, least)| least);
        recent.chain(open).map(|least| least.offset).min()
    }

    /// By how many millionths the camera's clock is faster than ours, once that is known.
    pub(super) fn pace_ppm(&self) -> Option<i64> {
        self.pace
    }

    /// By how many millionths that may be wrong.
    pub(super) fn doubt_ppm(&self) -> i64 {
        if self.windows.len() < WINDOWS {
            250
        } else {
            100
        }
    }

    fn slope(&self) -> Option<i64> {
        if self.windows.len() < FEW {
            return None;
        }
        let slope = |a: &Least, b: &Least| {
            let run = i128::from(b.media - a.media);
            let rise = i128::from(a.offset - b.offset);
            (run > 0).then(|| i64::try_from(rise * 1_000_000 / run).unwrap_or(i64::MAX))
        };
        let neighbours = self.windows.iter().zip(self.windows.iter().skip(1));
        let near = median(neighbours.filter_map(|(a, b)| slope(a, b)).collect())?;
        let each = self.windows.iter().enumerate();
        let pairs = each.flat_map(|(i, a)| self.windows.iter().skip(i + 1).map(move |b| (a, b)));
        // Theil and Sen: one window in four may be off without harm.
        let all = median(pairs.filter_map(|(a, b)| slope(a, b)).collect())?;
        (near.saturating_sub(all).saturating_abs() <= DISAGREEMENT_PPM).then_some(all)
    }
}

fn median(mut values: Vec<i64>) -> Option<i64> {
    let middle = values.len() / 2;
    values.sort_unstable();
    values.get(middle).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    fn run(offset: &mut Offset, seconds: i64, ppm: i64, delay: impl Fn(i64) -> i64) {
        for n in 0..seconds * 25 {
            let real = n * 40 * MS;
            let media = real + real * ppm / 1_000_000;
            offset.arrived(media, real + delay(n) * MS);
        }
    }

    #[test]
    fn finds_the_pace_through_jitter() {
        for ppm in [-500, -50, 0, 200, 500, 10_000] {
            let mut offset = Offset::default();
            run(&mut offset, 90, ppm, |n| 5 + n * 7919 % 31);
            let found = offset.pace_ppm().unwrap();
            assert!((found - ppm).abs() < 50 + ppm.abs() / 50, "{ppm}: {found}");
        }
    }

    #[test]
    fn a_longer_way_is_not_another_pace() {
        let mut offset = Offset::default();
        run(&mut offset, 65, 0, |n| if n < 500 { 5 } else { 205 });
        assert!(offset.pace_ppm().is_none_or(|ppm| ppm.abs() < 100));
        assert_eq!(offset.lowest(), Some(205 * MS));
    }

    #[test]
    fn says_nothing_too_early() {
        let mut offset = Offset::default();
        assert_eq!(offset.lowest(), None);
        run(&mut offset, 10, 0, |_| 5);
        assert_eq!((offset.pace_ppm(), offset.lowest()), (None, Some(5 * MS)));
    }
}
