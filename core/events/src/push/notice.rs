//! A notification as the console's service worker reads it.

use serde::Serialize;
use taimat_contract::alerter::Task;
use taimat_contract::commune::CommuneFacts;
use taimat_contract::event::Event;
use taimat_contract::push::{Push, Urgency};
use taimat_contract::{Severity, UnixMicros};

use super::subscription::Language;
use super::words::{self, Words};

/// Characters of the headline and of what stands below it: no screen shows more.
const TITLE: usize = 120;
const BODY: usize = 480;
/// Events that are named one by one.
const LINES: usize = 6;

/// What a browser is told. Small, and whole: a phone shows it before it has asked the router anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Notice {
    /// Of this form.
    version: u8,
    commune: String,
    /// One shown takes the place of the one with the same tag.
    tag: String,
    title: String,
    body: String,
    /// BCP 47.
    language: &'static str,
    severity: &'static str,
    /// Takes back, or goes on about, what has been told: no sound, no vibration.
    quiet: bool,
    /// When it began, in milliseconds since 1970.
    at: i64,
    /// The page that a click leads to, on the origin that the browser knows.
    link: String,
    /// Where its picture is, on that origin.
    picture: Option<String>,
}

impl Notice {
    /// Words a task, as it was when it was first to be sent.
    pub(crate) fn new(
        commune: &str,
        task: &Task,
        facts: &CommuneFacts,
        language: Language,
    ) -> Self {
        let words = Words::new(language, facts, task.now);
        let events: Vec<&Event> = task.items.iter().map(|item| &item.event).collect();
        let severity = events.iter().map(|event| event.severity).max();
        let severity = severity.unwrap_or(Severity::Info);
        let over = |event: &&Event| event.ended.is_some() || event.answered.is_some();
        let told = |event: &&Event| event.revision > 1;
        let (title, mut lines, tag, link, picture) = match events[..] {
            [event] => {
                let mut lines = vec![words.circumstances(event)];
                lines.extend(words.outcome(event));
                let id = &event.id;
                let picture = format!("/api/v1/communes/{commune}/events/{id}/picture?marked=true");
                (
                    words.headline(event),
                    lines,
                    id.clone(),
                    format!("/#/event/{commune}/{id}"),
                    event.picture.then_some(picture),
                )
            }
            _ => {
                let newest = events.iter().rev().take(LINES);
                let line = |event: &&Event| {
                    format!("{}, {}", words.headline(event), words.circumstances(event))
                };
                (
                    words.several(&events),
                    newest.map(line).collect(),
                    task.key.clone(),
                    format!("/#/events/{commune}"),
                    None,
                )
            }
        };
        // Somebody may be told by several communes.
        lines.extend((!facts.title.is_empty()).then(|| facts.title.clone()));
        let quiet = !events.is_empty() && events.iter().all(|event| over(event) && told(event));
        let sign = if quiet { "✅" } else { words::sign(severity) };
        Self {
            version: 1,
            commune: commune.to_owned(),
            tag,
            title: words::cut(&plain(&format!("{sign} {title}")), TITLE),
            body: words::cut(&plain(&lines.join("\n")), BODY),
            language: language.tag(),
            severity: severity.as_str(),
            quiet,
            at: events
                .iter()
                .map(|event| event.began)
                .min()
                .unwrap_or(UnixMicros(0))
                .0
                / 1000,
            link,
            picture,
        }
    }

    /// What has not arrived of the same topic gives way to it. At most 32 of 0-9 and a-z: the names of
    /// events and deliveries are.
    pub(crate) fn topic(&self) -> &str {
        &self.tag
    }

    /// Whether a sleeping phone is woken for it.
    pub(crate) fn urgency(&self) -> Urgency {
        match self.severity {
            _ if self.quiet => Urgency::Normal,
            "alarm" | "warning" => Urgency::High,
            "notice" => Urgency::Normal,
            _ => Urgency::Low,
        }
    }

    /// As it is sent: no more than [`Push::MAX_BYTES`].
    pub(crate) fn payload(&self) -> serde_json::Result<Vec<u8>> {
        let whole = serde_json::to_vec(self)?;
        if whole.len() <= Push::MAX_BYTES {
            return Ok(whole);
        }
        // Texts are the largest part, and every character may be six bytes of JSON.
        serde_json::to_vec(&Self {
            title: words::cut(&self.title, TITLE / 2),
            body: words::cut(&self.body, BODY / 4),
            ..self.clone()
        })
    }
}

/// Without what could forge a line or take six bytes for one.
fn plain(text: &str) -> String {
    text.replace(|c: char| c.is_control() && c != '\n', " ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use taimat_contract::Detection;
    use taimat_contract::alerter::Item;
    use taimat_contract::commune::CameraFacts;
    use taimat_contract::event::{Answer, Phase};

    use super::*;

    /// 22:38 in Hà Nội, on the 1st of March.
    const NIGHT: UnixMicros = UnixMicros(1_803_915_485_000_000);

    fn event(text: &str) -> Event {
        Event {
            id: "01jqxyz0000000000000000000".into(),
            revision: 1,
            phase: Phase::Opened,
            camera: Some("cho-1".parse().unwrap()),
            kind: "litter".into(),
            severity: Severity::Warning,
            began: NIGHT,
            ended: None,
            best: Detection {
                kind: "litter".into(),
                at: NIGHT,
                confidence: 0.9,
                regions: vec![],
                track: None,
                text: text.into(),
                extra: vec![],
            },
            detections: 1,
            plugin: "eye".parse().unwrap(),
            picture: true,
            clip: false,
            answered: None,
            extra: vec![],
        }
    }

    fn task(events: Vec<Event>, now: UnixMicros) -> Task {
        let item = |event: Event| Item {
            event,
            link: String::new(),
            picture_link: None,
            clip_link: None,
            answer_link: None,
            earlier: vec![],
        };
        Task {
            key: "01jqkey0000000000000000000".into(),
            target: "browsers/1".into(),
            address: vec![],
            items: events.into_iter().map(item).collect(),
            now,
        }
    }

    fn facts() -> CommuneFacts {
        CommuneFacts {
            title: "Phường Hòa Lạc".into(),
            cameras: vec![CameraFacts {
                name: "cho-1".parse().unwrap(),
                title: "Chợ, cổng 1".into(),
                tags: vec![],
                owner: String::new(),
                zones: vec![],
            }],
            ..CommuneFacts::default()
        }
    }

    fn notice(events: Vec<Event>, language: Language) -> Notice {
        Notice::new("hoa-lac", &task(events, NIGHT), &facts(), language)
    }

    #[test]
    fn one_says_what_where_and_when_in_the_readers_language() {
        let told = notice(vec![event("Bao đen cạnh cột điện")], Language::Vietnamese);
        assert_eq!(told.title, "⚠️ Đổ rác trái phép – Chợ, cổng 1");
        assert_eq!(
            told.body,
            "22:38, độ tin cậy 90%. Bao đen cạnh cột điện\nPhường Hòa Lạc"
        );
        assert_eq!(told.link, "/#/event/hoa-lac/01jqxyz0000000000000000000");
        assert_eq!(told.topic(), "01jqxyz0000000000000000000");
        assert_eq!((told.quiet, told.urgency()), (false, Urgency::High));
        assert_eq!(told.at, NIGHT.0 / 1000);
        let english = notice(vec![event("")], Language::English);
        assert_eq!(english.title, "⚠️ Waste dumping – Chợ, cổng 1");
    }

    #[test]
    fn its_end_takes_the_place_of_what_was_told_without_a_sound() {
        let open = notice(vec![event("")], Language::English);
        let over = notice(
            vec![Event {
                revision: 3,
                phase: Phase::Closed,
                ended: Some(NIGHT.after(std::time::Duration::from_secs(180))),
                answered: Some(Answer {
                    who: "An".into(),
                    at: NIGHT.after(std::time::Duration::from_secs(500)),
                    false_alarm: false,
                }),
                ..event("")
            }],
            Language::English,
        );
        assert_eq!((over.topic(), over.quiet), (open.topic(), true));
        assert_eq!(over.title, "✅ Waste dumping – Chợ, cổng 1");
        assert!(
            over.body
                .contains("Ended 22:41, lasted 3 min\nHandled by An, 22:46"),
            "{}",
            over.body
        );
        // Over before anybody was told, it is news all the same.
        let short = Event {
            phase: Phase::Closed,
            ended: Some(NIGHT),
            ..event("")
        };
        assert!(!notice(vec![short], Language::English).quiet);
    }

    #[test]
    fn several_are_one_notification_that_leads_to_the_list() {
        let mut second = event("");
        second.kind = "motion".into();
        second.severity = Severity::Alarm;
        let several = notice(vec![event(""), second], Language::Vietnamese);
        assert_eq!(several.title, "🚨 2 sự kiện: Đổ rác trái phép, Chuyển động");
        assert_eq!(
            (several.link.as_str(), several.picture.as_ref()),
            ("/#/events/hoa-lac", None)
        );
        assert_eq!(several.topic(), "01jqkey0000000000000000000");
    }

    proptest! {
        #[test]
        fn whatever_a_detector_says_it_fits_and_is_read_back(
            text in "[\\s\\S]{0,1024}", title in "[\\s\\S]{0,300}", count in 1_usize..33,
        ) {
            let mut facts = facts();
            facts.cameras[0].title = title;
            let task = task(vec![event(&text); count], NIGHT);
            let payload = Notice::new("hoa-lac", &task, &facts, Language::Vietnamese).payload().unwrap();
            prop_assert!(payload.len() <= Push::MAX_BYTES);
            let read: serde_json::Value = serde_json::from_slice(&payload).unwrap();
            prop_assert!(read["tag"].as_str().unwrap().len() <= 32);
        }
    }
}
