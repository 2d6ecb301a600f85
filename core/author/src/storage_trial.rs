//! `taimat plugin test MONTH.toml`: a storage plugin on a written month, in the real sandbox. What would be
//! kept where is said for the end of each day, and by worth for the end.

use std::sync::Arc;
use std::time::Duration;

use taimat_base::clock;
use taimat_contract::UnixMicros;
use taimat_contract::storage::{ReviewCause, Segment};
use taimat_sandbox::StorageTrial;
use taimat_sandbox::limits::LimitSettings;

use crate::commune_file::WallClock;
use crate::month::WrittenMonth;
use crate::report::Report;
use crate::virtual_archive::{OfAWorth, VirtualArchive};

/// Lets a packed storage plugin keep a month. A call that fails ends it.
pub(crate) async fn run(
    plugin: &[u8],
    settings: &str,
    limits: &LimitSettings,
    month: &WrittenMonth,
) -> anyhow::Result<Report> {
    let facts = Arc::new(month.commune.facts.clone());
    let clock = &month.commune.clock;
    let trial = StorageTrial::start(plugin, settings, &facts, limits).await?;
    let mut keeping = Keeping {
        trial,
        clock,
        calls: Vec::new(),
        asked: 0,
    };
    let mut archive = VirtualArchive::new(month);
    let mut report = Report::default();
    while let Some(fresh) = archive.hour() {
        keeping
            .ask(&mut archive, ReviewCause::Fresh, &fresh)
            .await?;
        let due = archive.due();
        keeping.ask(&mut archive, ReviewCause::Due, &due).await?;
        archive.evict();
        if clock.shows(archive.now()).ends_with(" 00:00:00") {
            report.rows.push(day(month, &archive));
        }
    }
    report.rows.push(String::new());
    report.rows.extend(end(month, &archive));
    anyhow::ensure!(archive.held_gone == 0, "something was let go that is held");
    let Keeping {
        trial,
        mut calls,
        asked,
        ..
    } = keeping;
    report.log = trial.lines().into_iter().map(|line| line.text).collect();
    let summary = report.summed(
        trial.version(),
        "questions",
        &mut calls,
        trial.memory_bytes(),
    );
    let whole: Duration = calls.iter().sum();
    report.summary = format!(
        "{summary}; {asked} segments asked about in {:.1} s",
        whole.as_secs_f64()
    );
    Ok(report)
}

/// A plugin, and what it took.
struct Keeping<'a> {
    trial: StorageTrial,
    clock: &'a WallClock,
    calls: Vec<Duration>,
    asked: usize,
}

impl Keeping<'_> {
    async fn ask(
        &mut self,
        archive: &mut VirtualArchive<'_>,
        why: ReviewCause,
        numbers: &[usize],
    ) -> anyhow::Result<()> {
        for numbers in numbers.chunks(Segment::MAX_ASKED) {
            let review = archive.review(why, numbers);
            let begin = clock::thread_now();
            let answered = self.trial.review(&review).await;
            self.calls.push(clock::thread_now() - begin);
            self.asked += numbers.len();
            let when = self.clock.shows(review.now);
            let answer = answered.map_err(|failure| {
                let lines = self.trial.lines();
                let log: Vec<String> = lines.iter().map(|l| format!("  {}", l.text)).collect();
                anyhow::anyhow!("{when}, {why:?}: {failure}\n{}", log.join("\n"))
            })?;
            archive.place(numbers, answer);
        }
        Ok(())
    }
}

/// Bytes as people read them.
fn size(bytes: u64) -> String {
    let tenths = |unit: u64| {
        let tenths = u128::from(bytes) * 10 / u128::from(unit);
        format!("{}.{}", tenths / 10, tenths % 10)
    };
    match bytes {
        0..0x4000_0000 => format!("{} MiB", tenths(1 << 20)),
        0x4000_0000..0x100_0000_0000 => format!("{} GiB", tenths(1 << 30)),
        _ => format!("{} TiB", tenths(1 << 40)),
    }
}

/// A place at the end of a day.
fn day(month: &WrittenMonth, archive: &VirtualArchive<'_>) -> String {
    let before = UnixMicros(archive.now().0 - 1);
    let shown = month.commune.clock.shows(before);
    let date = shown.split(' ').next().unwrap_or("").to_owned();
    let places = month.places.iter().zip(&archive.places).enumerate();
    let places: Vec<String> = places
        .map(|(index, (place, at))| {
            let evicted = match at.evicted {
                0 => String::new(),
                evicted => format!(", {evicted} evicted so far"),
            };
            let count = archive.count(index);
            format!(
                "{} {count} segments, {}{evicted}",
                place.name,
                size(at.used)
            )
        })
        .collect();
    format!("{date}  {}; {} let go", places.join("; "), archive.gone)
}

/// What is where at the end, by worth.
fn end(month: &WrittenMonth, archive: &VirtualArchive<'_>) -> Vec<String> {
    let clock = &month.commune.clock;
    let mut rows = Vec::new();
    for (index, place) in month.places.iter().enumerate() {
        let used = archive.places.get(index).map_or(0, |at| at.used);
        let of = place
            .quota
            .map_or(String::new(), |quota| format!(" of {}", size(quota)));
        rows.push(format!("{}: {}{of}", place.name, size(used)));
        for (worth, of) in archive.by_worth(index).into_iter().rev() {
            let OfAWorth {
                segments,
                bytes,
                oldest,
            } = of;
            let oldest = oldest.map_or(String::new(), |oldest| clock.shows(oldest));
            let bytes = size(bytes);
            rows.push(format!(
                "  worth {worth:<3}  {segments:>8} segments  {bytes:>10}, the oldest of {oldest}"
            ));
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_easily() {
        assert_eq!(size(0), "0.0 MiB");
        assert_eq!(size(15 << 20), "15.0 MiB");
        assert_eq!(size(3 << 29), "1.5 GiB");
        assert_eq!(size(1 << 41), "2.0 TiB");
    }
}
