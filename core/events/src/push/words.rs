//! Events in the words of the house's alerters (`sdk/rust/src/words.rs`; a test holds both together), for
//! those who are told without one.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use taimat_contract::commune::CommuneFacts;
use taimat_contract::event::{Answer, Event};
use taimat_contract::{Severity, UnixMicros};

use super::subscription::Language;
use crate::event::HOUSE;

/// Kinds that have a name: the kind, Vietnamese, English.
const KINDS: [(&str, &str, &str); 33] = [
    ("motion", "Chuyển động", "Motion"),
    ("change", "Thay đổi", "Change"),
    ("line-crossed", "Vượt vạch", "Line crossed"),
    ("intrusion", "Xâm nhập", "Intrusion"),
    ("loitering", "Lảng vảng", "Loitering"),
    ("person", "Có người", "Person"),
    ("vehicle", "Có xe", "Vehicle"),
    ("crowd", "Tụ tập đông người", "Crowd"),
    ("traffic", "Ùn tắc giao thông", "Traffic jam"),
    ("litter", "Đổ rác trái phép", "Waste dumping"),
    ("object-left", "Vật bị bỏ lại", "Object left behind"),
    ("fire", "Cháy", "Fire"),
    ("smoke", "Khói", "Smoke"),
    ("tamper-covered", "Camera bị che", "Camera covered"),
    ("tamper-moved", "Camera bị xoay", "Camera moved"),
    ("tamper-defocused", "Hình bị mờ", "Picture out of focus"),
    ("tamper-frozen", "Hình đứng yên", "Picture frozen"),
    ("camera-lost", "Mất kết nối camera", "Camera lost"),
    ("camera-back", "Camera hoạt động lại", "Camera back"),
    ("camera-frozen", "Camera mất hình", "No picture"),
    (
        "data-unusable",
        "Dữ liệu không được lưu lại",
        "Nothing is kept",
    ),
    ("disk-short", "Ổ đĩa sắp đầy", "Disk nearly full"),
    (
        "events-damaged",
        "Tệp sự kiện bị hỏng",
        "Events were damaged",
    ),
    ("space-short", "Sắp hết chỗ lưu", "Space nearly used up"),
    (
        "copy-failing",
        "Không sao lưu được bản ghi",
        "Copies of recordings fail",
    ),
    (
        "storage-failing",
        "Tiện ích lưu trữ không trả lời",
        "The storage plugin does not answer",
    ),
    (
        "alert-undelivered",
        "Không gửi được cảnh báo",
        "Alert not delivered",
    ),
    ("clock-stepped", "Đồng hồ máy chủ bị lệch", "Clock stepped"),
    // Alerters have these without their names, as they stand.
    ("plugin-refused", "Tiện ích bị từ chối", "Plugin refused"),
    (
        "plugin-change-refused",
        "Thay đổi tiện ích bị từ chối",
        "Change of a plugin refused",
    ),
    (
        "plugin-suspended",
        "Tiện ích bị tạm ngưng",
        "Plugin suspended",
    ),
    (
        "policy-failed",
        "Tiện ích quyết định gặp lỗi",
        "Policy fails",
    ),
    ("test", "Tin thử", "Test message"),
];

/// Words of one language, on one commune's clock.
#[derive(Debug)]
pub(super) struct Words<'a> {
    language: Language,
    facts: &'a CommuneFacts,
    zone: TimeZone,
    now: UnixMicros,
}

impl<'a> Words<'a> {
    /// A zone that is not known here is UTC: `commune.toml` was refused with it.
    pub(super) fn new(language: Language, facts: &'a CommuneFacts, now: UnixMicros) -> Self {
        Self {
            language,
            facts,
            zone: TimeZone::get(&facts.time_zone).unwrap_or(TimeZone::UTC),
            now,
        }
    }

    fn kind(&self, kind: &str) -> String {
        match KINDS.iter().find(|(known, ..)| *known == kind) {
            Some((_, vietnamese, english)) => self.language.choose(*vietnamese, *english).into(),
            None => kind.replace('-', " "),
        }
    }

    /// What and where: `Vật bị bỏ lại – Chợ, cổng 1`.
    pub(super) fn headline(&self, event: &Event) -> String {
        let kind = self.kind(&event.kind);
        let Some(name) = &event.camera else {
            return kind;
        };
        let camera = self.facts.cameras.iter().find(|c| c.name == *name);
        let title = camera
            .map(|c| c.title.as_str())
            .filter(|title| !title.is_empty());
        format!("{kind} – {}", title.unwrap_or(name.as_str()))
    }

    /// A headline for several: `3 sự kiện: Chuyển động, Vượt vạch`.
    pub(super) fn several(&self, events: &[&Event]) -> String {
        let mut kinds: Vec<String> = Vec::new();
        for event in events {
            let kind = self.kind(&event.kind);
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        let word = self.language.choose("sự kiện", "events");
        format!("{} {word}: {}", events.len(), kinds.join(", "))
    }

    /// When, how sure, and what the detector said: `22:38, độ tin cậy 90%. Bao đen cạnh cột điện`.
    pub(super) fn circumstances(&self, event: &Event) -> String {
        let mut text = self.clock(event.began);
        // What the house saw itself is sure.
        if event.plugin.as_str() != HOUSE {
            let percent = (event.best.confidence * 100.0).round();
            let sure = self.language.choose("độ tin cậy", "confidence");
            text.push_str(&format!(", {sure} {percent}%"));
        }
        if !event.best.text.is_empty() {
            text.push_str(". ");
            text.push_str(&event.best.text);
        }
        text
    }

    /// How it ended and who dealt with it, a line each; none while it is open and unanswered.
    pub(super) fn outcome(&self, event: &Event) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(ended) = event.ended {
            let (at, span) = (self.clock(ended), self.span(event.began, ended));
            lines.push(self.language.choose(
                format!("Đã kết thúc {at}, kéo dài {span}"),
                format!("Ended {at}, lasted {span}"),
            ));
        }
        if let Some(answer) = &event.answered {
            lines.push(self.answer(answer));
        }
        lines
    }

    fn answer(
        &self,
        Answer {
            who,
            at,
            false_alarm,
        }: &Answer,
    ) -> String {
        let at = self.clock(*at);
        let (vietnamese, english) = match false_alarm {
            true => (
                format!("{who}: báo nhầm, {at}"),
                format!("{who}: false alarm, {at}"),
            ),
            false => (
                format!("{who} đã xử lý, {at}"),
                format!("Handled by {who}, {at}"),
            ),
        };
        self.language.choose(vietnamese, english)
    }

    /// What the commune's clock shows then, with the day before it unless that is today.
    fn clock(&self, at: UnixMicros) -> String {
        let local = |at: UnixMicros| {
            let at = Timestamp::from_microsecond(at.0).unwrap_or(Timestamp::UNIX_EPOCH);
            at.to_zoned(self.zone.clone()).datetime()
        };
        let (then, today) = (local(at), local(self.now));
        let clock = format!("{:02}:{:02}", then.hour(), then.minute());
        match then.date() == today.date() {
            true => clock,
            false => format!("{:02}/{:02} {clock}", then.day(), then.month()),
        }
    }

    /// A span of time in its two largest units.
    fn span(&self, from: UnixMicros, to: UnixMicros) -> String {
        let seconds = to.since(from).as_secs();
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        let (vietnamese, english) = match (hours, minutes) {
            (0, 0) => (format!("{seconds} giây"), format!("{seconds} s")),
            (0, _) => (format!("{minutes} phút"), format!("{minutes} min")),
            (_, 0) => (format!("{hours} giờ"), format!("{hours} h")),
            _ => (
                format!("{hours} giờ {minutes} phút"),
                format!("{hours} h {minutes} min"),
            ),
        };
        self.language.choose(vietnamese, english)
    }
}

/// A sign before a headline.
pub(super) fn sign(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "ℹ️",
        Severity::Notice => "👀",
        Severity::Warning => "⚠️",
        Severity::Alarm => "🚨",
    }
}

/// At most so many characters, the last being `…` if some are left out.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.into();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The entries of the plugins' table, as its source has them.
    fn of_plugins() -> BTreeMap<String, (String, String)> {
        let source = include_str!("../../../../sdk/rust/src/words.rs");
        let (_, table) = source.split_once("const KINDS").unwrap();
        let (table, _) = table.split_once("];").unwrap();
        let texts: Vec<&str> = table.split('"').skip(1).step_by(2).collect();
        let entry = |texts: &[&str]| match texts {
            [kind, vi, en] => ((*kind).to_owned(), ((*vi).to_owned(), (*en).to_owned())),
            other => panic!("{other:?}"),
        };
        texts.chunks(3).map(entry).collect()
    }

    #[test]
    fn browsers_are_told_in_the_words_of_the_alerters() {
        let plugins = of_plugins();
        assert!(plugins.len() > 20, "{plugins:?}");
        for (kind, words) in plugins {
            let ours = KINDS.iter().find(|(known, ..)| *known == kind);
            let (_, vi, en) = ours.unwrap_or_else(|| panic!("no word for {kind}"));
            assert_eq!((vi.to_string(), en.to_string()), words, "{kind}");
        }
    }
}
