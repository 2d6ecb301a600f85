//! Rulings in words, for who reads what a policy did with a day.

use taimat_contract::policy::{Alert, Why};
use taimat_contract::{Ruling, UnixMicros};

use crate::commune_file::WallClock;

/// Why a policy is asked.
pub(crate) const fn why(why: Why) -> &'static str {
    match why {
        Why::Opened => "opened",
        Why::Updated => "updated",
        Why::Closed => "closed",
        Why::Answered => "answered",
        Why::Timer => "timer",
        Why::Undelivered => "undelivered",
    }
}

/// What a ruling says; `known` knows the targets.
pub(crate) fn ruling(
    ruling: &Ruling,
    now: UnixMicros,
    clock: &WallClock,
    known: impl Fn(&str) -> bool,
) -> String {
    let mut words = Vec::new();
    if let Some(severity) = ruling.severity {
        words.push(format!("severity {}", severity.as_str()));
    }
    if let Some(reason) = &ruling.suppress {
        words.push(format!("tell nobody: {reason}"));
    }
    for alert in &ruling.alerts {
        words.push(told(alert, now, clock, &known));
    }
    for take in &ruling.takes {
        let keep = match take.keep_days {
            0 => String::new(),
            days => format!(", keep {days} days"),
        };
        words.push(format!(
            "record {} -{} s to +{} s{keep}",
            take.camera, take.before, take.after
        ));
    }
    for note in &ruling.notes {
        words.push(format!("note {} = {}", note.key, note.value));
    }
    if ruling.ask_again != 0 {
        words.push(format!("ask again in {}", span(ruling.ask_again)));
    }
    if !ruling.memo.is_empty() {
        words.push(format!("memo {:?}", ruling.memo));
    }
    if words.is_empty() {
        return "nothing".into();
    }
    words.join("; ")
}

fn told(
    alert: &Alert,
    now: UnixMicros,
    clock: &WallClock,
    known: &impl Fn(&str) -> bool,
) -> String {
    let mut text = format!("tell {}", alert.target);
    if !known(&alert.target) {
        text.push_str(" (there is no such target)");
    }
    if alert.not_before > now {
        text.push_str(&format!(" not before {}", clock.shows(alert.not_before)));
    }
    if !alert.group.is_empty() {
        text.push_str(&format!(" with group {:?}", alert.group));
    }
    if alert.follow {
        text.push_str(", following");
    }
    text
}

/// Seconds as people say them.
fn span(seconds: u32) -> String {
    match seconds {
        s if s % 3600 == 0 => format!("{} h", s / 3600),
        s if s % 60 == 0 => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}
