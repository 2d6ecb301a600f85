//! Events in words for people, in Vietnamese and in English: what, where, when, how sure, and how it
//! ended. For alerters; each of them puts the lines where its channel wants them.

use crate::alerter::{Event, Item};
use crate::bindings::taimat::plugin::types::Severity;
use crate::host::commune;

/// Kinds that have a name: the kind, Vietnamese, English.
const KINDS: [(&str, &str, &str); 26] = [
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
    ("space-short", "Sắp hết chỗ lưu", "Space nearly used up"),
    (
        "alert-undelivered",
        "Không gửi được cảnh báo",
        "Alert not delivered",
    ),
    (
        "events-damaged",
        "Tệp sự kiện bị hỏng",
        "Events were damaged",
    ),
    ("clock-stepped", "Đồng hồ máy chủ bị lệch", "Clock stepped"),
];

/// A language that plugins of the house speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Tiếng Việt.
    Vietnamese,
    /// English.
    English,
}

impl Language {
    /// That of a BCP 47 tag: English for `en` and what begins so, else Vietnamese.
    pub fn of(tag: &str) -> Self {
        let english = tag == "en" || tag.starts_with("en-");
        if english {
            Self::English
        } else {
            Self::Vietnamese
        }
    }

    /// The commune's.
    pub fn of_commune() -> Self {
        Self::of(&commune::language())
    }

    /// The first of the two in Vietnamese, the second in English.
    pub fn choose<T>(self, vietnamese: T, english: T) -> T {
        match self {
            Self::Vietnamese => vietnamese,
            Self::English => english,
        }
    }

    /// A kind's name; one that has none is shown with spaces for its hyphens.
    pub fn kind(self, kind: &str) -> String {
        match KINDS.iter().find(|(known, _, _)| *known == kind) {
            Some((_, vietnamese, english)) => self.choose(*vietnamese, *english).into(),
            None => kind.replace('-', " "),
        }
    }

    /// How much attention something deserves.
    pub fn severity(self, severity: Severity) -> &'static str {
        match severity {
            Severity::Info => self.choose("Thông tin", "Info"),
            Severity::Notice => self.choose("Lưu ý", "Notice"),
            Severity::Warning => self.choose("Cảnh báo", "Warning"),
            Severity::Alarm => self.choose("Báo động", "Alarm"),
        }
    }

    /// A span of time in its two largest units.
    pub fn span(self, micros: i64) -> String {
        let seconds = micros.max(0) / 1_000_000;
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        match (hours, minutes) {
            (0, 0) => self.choose(format!("{seconds} giây"), format!("{seconds} s")),
            (0, minutes) => self.choose(format!("{minutes} phút"), format!("{minutes} min")),
            (hours, 0) => self.choose(format!("{hours} giờ"), format!("{hours} h")),
            _ => self.choose(
                format!("{hours} giờ {minutes} phút"),
                format!("{hours} h {minutes} min"),
            ),
        }
    }
}

/// The severity's word in JSON and topics.
pub fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Notice => "notice",
        Severity::Warning => "warning",
        Severity::Alarm => "alarm",
    }
}

/// A sign before a headline.
pub fn severity_sign(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "ℹ️",
        Severity::Notice => "👀",
        Severity::Warning => "⚠️",
        Severity::Alarm => "🚨",
    }
}

/// What the commune's clock shows then: `22:38`.
pub fn clock(at: i64) -> String {
    let local = commune::local(at);
    format!("{:02}:{:02}", local.hour, local.minute)
}

/// The same with the day before it, unless that is the one of `now`: `01/03 22:38`.
pub fn day_and_clock(at: i64, now: i64) -> String {
    let (then, today) = (commune::local(at), commune::local(now));
    let same = (then.year, then.month, then.day) == (today.year, today.month, today.day);
    let day = if same {
        String::new()
    } else {
        format!("{:02}/{:02} ", then.day, then.month)
    };
    format!("{day}{}", clock(at))
}

/// A moment as RFC 3339 has it, on the commune's clock: `2027-03-01T22:38:05+07:00`.
pub fn rfc3339(at: i64) -> String {
    let local = commune::local(at);
    let sign = if local.utc_offset < 0 { '-' } else { '+' };
    let offset = local.utc_offset.unsigned_abs();
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{sign}{:02}:{:02}",
        local.year,
        local.month,
        local.day,
        local.hour,
        local.minute,
        local.second,
        offset / 60,
        offset % 60
    )
}

/// What and where: `Vật bị bỏ lại – Chợ, cổng 1`.
pub fn headline(event: &Event, language: Language) -> String {
    let kind = language.kind(&event.kind);
    if event.camera.is_empty() {
        return kind;
    }
    format!("{kind} – {}", commune::camera_title(&event.camera))
}

/// When, how sure, and what the detector said: `22:38, độ tin cậy 90%. Bao đen cạnh cột điện`.
pub fn circumstances(event: &Event, now: i64, language: Language) -> String {
    let mut text = day_and_clock(event.began, now);
    // What the house saw itself is sure.
    if event.plugin != "taimat" {
        let percent = (event.best.confidence * 100.0).round();
        let sure = language.choose("độ tin cậy", "confidence");
        text.push_str(&format!(", {sure} {percent}%"));
    }
    if !event.best.text.is_empty() {
        text.push_str(". ");
        text.push_str(&event.best.text);
    }
    text
}

/// How it ended and who dealt with it, a line each; none while it is open and unanswered.
pub fn outcome(event: &Event, now: i64, language: Language) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(ended) = event.ended {
        let at = day_and_clock(ended, now);
        let span = language.span(ended - event.began);
        lines.push(language.choose(
            format!("Đã kết thúc {at}, kéo dài {span}"),
            format!("Ended {at}, lasted {span}"),
        ));
    }
    if let Some(answer) = &event.answered {
        let (who, at) = (&answer.who, day_and_clock(answer.at, now));
        lines.push(match answer.false_alarm {
            true => language.choose(
                format!("{who}: báo nhầm, {at}"),
                format!("{who}: false alarm, {at}"),
            ),
            false => language.choose(
                format!("{who} đã xử lý, {at}"),
                format!("Handled by {who}, {at}"),
            ),
        });
    }
    lines
}

/// All of it but the link, a line each.
pub fn lines(event: &Event, now: i64, language: Language) -> Vec<String> {
    let mut lines = vec![
        headline(event, language),
        circumstances(event, now, language),
    ];
    lines.extend(outcome(event, now, language));
    lines
}

/// A headline for several: `3 sự kiện: Chuyển động, Vượt vạch`.
pub fn several(items: &[Item], language: Language) -> String {
    let mut kinds: Vec<String> = Vec::new();
    for item in items {
        let kind = language.kind(&item.event.kind);
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    let events = language.choose("sự kiện", "events");
    format!("{} {events}: {}", items.len(), kinds.join(", "))
}

/// At most so many characters, the last being `…` if some are left out.
pub fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.into();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// As it stands in HTML, in attributes too.
pub fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerter::Answer;
    use crate::testing::{self, Commune};

    const NIGHT: i64 = 1_803_915_485_000_000;

    #[test]
    fn an_event_in_two_languages() {
        testing::commune(Commune {
            cameras: vec![testing::camera("cho-1", "Chợ, cổng 1", &[])],
            ..Commune::default()
        });
        let mut event = testing::event("e1", "cho-1", "object-left", NIGHT);
        event.ended = Some(NIGHT + 180_000_000);
        event.answered = Some(Answer {
            who: "An".into(),
            at: NIGHT + 500_000_000,
            false_alarm: false,
        });
        let vietnamese = [
            "Vật bị bỏ lại – Chợ, cổng 1",
            "22:38, độ tin cậy 90%",
            "Đã kết thúc 22:41, kéo dài 3 phút",
            "An đã xử lý, 22:46",
        ];
        assert_eq!(lines(&event, NIGHT, Language::Vietnamese), vietnamese);
        let english = lines(&event, NIGHT + 86_400_000_000, Language::of("en-GB"));
        assert_eq!(english[1], "01/03 22:38, confidence 90%");
        assert_eq!(english[2], "Ended 01/03 22:41, lasted 3 min");
        assert_eq!(rfc3339(NIGHT), "2027-03-01T22:38:05+07:00");
    }

    #[test]
    fn texts_are_cut_at_characters_and_escaped() {
        assert_eq!(cut("Chợ Hòa Lạc", 5), "Chợ…");
        assert_eq!(cut("Chợ", 3), "Chợ");
        assert_eq!(html("<a & \"b\">"), "&lt;a &amp; &quot;b&quot;&gt;");
        assert_eq!(Language::English.span(3_720_000_000), "1 h 2 min");
    }
}
