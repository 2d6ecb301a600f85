//! Tells a Telegram chat of events: the picture with a caption and buttons. When an event ends or is
//! answered, its message is changed. The channel's address has the bot's token in it.

use serde::Deserialize;
use serde_json::{Value, json};
use taimat_sdk::Error;
use taimat_sdk::alerter::{
    Alerter, Body, Chunk, Decision, Field, HttpRequest, Item, Media, MediaKind, Outgoing, Planned,
    Reply, RequestHead, Sent, Task, Verdict, alerter, post_json, said,
};
use taimat_sdk::words::{self, Language};

/// Characters of a caption, and of a text, as Telegram has it.
const CAPTION: usize = 1024;
const TEXT: usize = 4096;
/// Attempts at a picture before the text goes without it.
const PICTURE_ATTEMPTS: u32 = 3;

/// What a commune may set.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    channel: String,
    picture_width: u32,
    /// Below warnings no sound is made.
    quiet_below_warning: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            channel: "telegram".into(),
            picture_width: 1280,
            quiet_below_warning: true,
        }
    }
}

#[derive(Debug)]
struct Telegram(Settings);

/// What a message was, and its number: a receipt, and what is written on an edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stands<'a> {
    photo: bool,
    message: &'a str,
}

impl<'a> Stands<'a> {
    fn read(receipt: &'a str) -> Option<Self> {
        let (kind, message) = receipt.split_once(' ')?;
        Some(Self {
            photo: kind == "photo",
            message,
        })
    }
}

fn item_text(item: &Item, now: i64, language: Language, most: usize) -> String {
    let event = &item.event;
    let mut lines = words::lines(event, now, language).into_iter();
    let headline = lines.next().unwrap_or_default();
    // Cut before it is escaped, so that no tag is cut in two.
    let rest = words::cut(&lines.collect::<Vec<_>>().join("\n"), most / 2);
    format!(
        "{} <b>{}</b>\n{}",
        words::severity_sign(event.severity),
        words::html(&words::cut(&headline, most / 4)),
        words::html(&rest)
    )
}

fn buttons(item: &Item, language: Language) -> Value {
    let mut row = vec![json!({ "text": language.choose("▶ Xem", "▶ View"), "url": item.link })];
    if let Some(answer) = &item.answer_link {
        row.push(json!({ "text": language.choose("✅ Trả lời", "✅ Answer"), "url": answer }));
    }
    json!({ "inline_keyboard": [row] })
}

impl Telegram {
    fn channel<'a>(&'a self, task: &'a Task) -> &'a str {
        said(&task.address, "channel").unwrap_or(&self.0.channel)
    }

    fn silent(&self, task: &Task) -> bool {
        use taimat_sdk::policy::Severity;
        let loud = |item: &Item| item.event.severity >= Severity::Warning;
        self.0.quiet_below_warning && !task.items.iter().any(loud)
    }

    fn photo(&self, task: &Task, item: &Item, chat: &str) -> Planned {
        let language = Language::of_commune();
        let field = |name: &str, file_name: &str, chunk: Chunk| Field {
            name: name.into(),
            file_name: file_name.into(),
            content_type: String::new(),
            content: vec![chunk],
        };
        let text = |name: &str, text: String| field(name, "", Chunk::Text(text));
        let picture = Chunk::Media(Media {
            kind: MediaKind::Picture,
            event: item.event.id.clone(),
            width: self.0.picture_width,
            marked: true,
        });
        let mut form = vec![
            text("chat_id", chat.into()),
            text("caption", item_text(item, task.now, language, CAPTION)),
            text("parse_mode", "HTML".into()),
            text("reply_markup", buttons(item, language).to_string()),
            text("disable_notification", self.silent(task).to_string()),
        ];
        if let Some(topic) = said(&task.address, "topic") {
            form.push(text("message_thread_id", topic.into()));
        }
        form.push(field("photo", "event.jpg", picture));
        let request = HttpRequest {
            channel: self.channel(task).into(),
            head: RequestHead {
                method: "POST".into(),
                path: "/sendPhoto".into(),
                headers: Vec::new(),
            },
            body: Body::Form(form),
        };
        Planned {
            message: Outgoing::Http(request),
            memo: "photo".into(),
        }
    }

    fn text(&self, task: &Task, chat: &str) -> Planned {
        let language = Language::of_commune();
        let share = TEXT / task.items.len().max(1);
        let line = |item: &Item| {
            let text = item_text(item, task.now, language, share.min(CAPTION));
            match task.items.len() {
                1 => text,
                _ => format!("{text}\n<a href=\"{}\">▶</a>", words::html(&item.link)),
            }
        };
        let texts: Vec<String> = task.items.iter().map(line).collect();
        let mut body = json!({
            "chat_id": chat,
            "text": texts.join("\n\n"),
            "parse_mode": "HTML",
            "link_preview_options": { "is_disabled": true },
            "disable_notification": self.silent(task),
        });
        if let [one] = task.items.as_slice() {
            body["reply_markup"] = buttons(one, language);
        }
        if let Some(topic) = said(&task.address, "topic") {
            body["message_thread_id"] = topic.parse::<i64>().map_or(topic.into(), Value::from);
        }
        post_json(self.channel(task), "/sendMessage", &body, "text")
    }

    fn edit(&self, task: &Task, item: &Item, chat: &str, stands: Stands<'_>) -> Planned {
        let language = Language::of_commune();
        let (method, field, most) = match stands.photo {
            true => ("/editMessageCaption", "caption", CAPTION),
            false => ("/editMessageText", "text", TEXT),
        };
        let number = stands.message.parse::<i64>();
        let mut body = json!({
            "chat_id": chat,
            "message_id": number.map_or(stands.message.into(), Value::from),
            "parse_mode": "HTML",
            "reply_markup": buttons(item, language),
        });
        body[field] = item_text(item, task.now, language, most.min(CAPTION)).into();
        let kind = if stands.photo { "photo" } else { "text" };
        let memo = format!("edit {kind} {}", stands.message);
        post_json(self.channel(task), method, &body, &memo)
    }

    /// A new message in place of one that can not be changed, or of a picture that is refused.
    fn again_as_text(&self, task: &Task) -> Verdict {
        let chat = said(&task.address, "chat").unwrap_or_default();
        Verdict::Instead(vec![self.text(task, chat)])
    }
}

impl Alerter for Telegram {
    type Settings = Settings;
    const SETTINGS_SCHEMA: &'static str = include_str!("../settings.schema.json");

    fn new(settings: Settings) -> Result<Self, Error> {
        Ok(Self(settings))
    }

    fn compose(&mut self, task: &Task) -> Result<Decision, Error> {
        let Some(chat) = said(&task.address, "chat") else {
            return Ok(Decision::Skip(format!(
                "target {}: its address has no `chat`",
                task.target
            )));
        };
        let [item] = task.items.as_slice() else {
            return Ok(Decision::Send(vec![self.text(task, chat)]));
        };
        let stands = item.earlier.iter().find_map(|r| Stands::read(&r.text));
        let planned = match stands {
            Some(stands) => self.edit(task, item, chat, stands),
            None if item.event.picture => self.photo(task, item, chat),
            None => self.text(task, chat),
        };
        Ok(Decision::Send(vec![planned]))
    }

    fn judge(&mut self, task: &Task, sent: &Sent, reply: &Reply) -> Result<Verdict, Error> {
        let edited = sent.memo.strip_prefix("edit ");
        let response = match reply {
            // The picture may be gone; the event is not.
            Reply::Failed(_) if sent.memo == "photo" && sent.attempt >= PICTURE_ATTEMPTS => {
                return Ok(self.again_as_text(task));
            }
            Reply::Http(response) => response,
            _ => return Ok(Verdict::Usual),
        };
        let Ok(said) = serde_json::from_slice::<Value>(&response.body) else {
            return Ok(Verdict::Usual);
        };
        if said["ok"] == true {
            let receipt = match (
                edited,
                said["result"]["message_id"].as_i64(),
                &task.items[..],
            ) {
                (Some(before), _, _) => before.to_owned(),
                // Only a message that is about one event can be changed with it.
                (None, Some(number), [_one]) => format!("{} {number}", sent.memo),
                _ => String::new(),
            };
            return Ok(Verdict::Delivered(receipt));
        }
        let why = said["description"].as_str().unwrap_or_default();
        if let Some(seconds) = said["parameters"]["retry_after"].as_u64() {
            let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
            return Ok(Verdict::Again(seconds.clamp(1, 86_400)));
        }
        let lower = why.to_lowercase();
        Ok(match (response.status, edited) {
            (400, Some(before)) if lower.contains("not modified") => {
                Verdict::Delivered(before.to_owned())
            }
            (400, _) if lower.contains("chat not found") => Verdict::Gone(why.to_owned()),
            (403, _) => Verdict::Gone(why.to_owned()),
            // Deleted, or too old.
            (400, Some(_)) => self.again_as_text(task),
            (400 | 413, None) if sent.memo == "photo" => self.again_as_text(task),
            (400, None) => Verdict::GiveUp(why.to_owned()),
            _ => Verdict::Usual,
        })
    }
}

alerter!(Telegram);

#[cfg(test)]
mod tests {
    use super::*;
    use taimat_sdk::alerter::Receipt;
    use taimat_sdk::testing::{self, answered};

    const NIGHT: i64 = 1_803_915_485_000_000;

    fn task() -> Task {
        testing::task(
            &[("chat", "-100")],
            testing::event("e1", "cho-1", "litter", NIGHT),
        )
    }

    fn path(planned: &Planned) -> (&str, &str) {
        match &planned.message {
            Outgoing::Http(request) => (&request.head.path, &planned.memo),
            other => panic!("{other:?}"),
        }
    }

    fn composed(task: &Task) -> Planned {
        match Telegram(Settings::default()).compose(task).unwrap() {
            Decision::Send(mut planned) => planned.remove(0),
            Decision::Skip(why) => panic!("{why}"),
        }
    }

    fn judged(memo: &str, attempt: u32, reply: &Reply) -> Verdict {
        let sent = Sent {
            step: 0,
            attempt,
            at: NIGHT,
            memo: memo.into(),
        };
        Telegram(Settings::default())
            .judge(&task(), &sent, reply)
            .unwrap()
    }

    #[test]
    fn a_picture_first_then_its_caption_is_changed() {
        let mut task = task();
        assert_eq!(path(&composed(&task)), ("/sendPhoto", "photo"));
        task.items[0].earlier.push(Receipt {
            revision: 1,
            at: NIGHT,
            text: "photo 12".into(),
        });
        let edit = composed(&task);
        assert_eq!(path(&edit), ("/editMessageCaption", "edit photo 12"));
        task.items.push(task.items[0].clone());
        assert_eq!(path(&composed(&task)).0, "/sendMessage");
        let nowhere = testing::task(&[], task.items[0].event.clone());
        let decision = Telegram(Settings::default()).compose(&nowhere).unwrap();
        assert!(matches!(decision, Decision::Skip(_)));
    }

    #[test]
    fn answers_are_read() {
        let ok = answered(200, r#"{"ok":true,"result":{"message_id":12}}"#);
        assert!(matches!(judged("photo", 1, &ok), Verdict::Delivered(r) if r == "photo 12"));
        assert!(matches!(judged("edit text 9", 1, &ok), Verdict::Delivered(r) if r == "text 9"));
        let busy = r#"{"ok":false,"error_code":429,"parameters":{"retry_after":17}}"#;
        assert!(matches!(
            judged("photo", 1, &answered(429, busy)),
            Verdict::Again(17)
        ));
        let wrong = |why: &str| format!(r#"{{"ok":false,"description":"{why}"}}"#);
        let refused = answered(400, &wrong("Bad Request: PHOTO_INVALID_DIMENSIONS"));
        assert!(matches!(judged("photo", 1, &refused), Verdict::Instead(_)));
        assert!(matches!(judged("text", 1, &refused), Verdict::GiveUp(_)));
        let same = answered(400, &wrong("Bad Request: message is not modified"));
        assert!(matches!(
            judged("edit photo 12", 1, &same),
            Verdict::Delivered(_)
        ));
        let blocked = answered(403, &wrong("Forbidden: bot was blocked by the user"));
        assert!(matches!(judged("photo", 1, &blocked), Verdict::Gone(_)));
        let lost = Reply::Failed("no picture".into());
        assert!(matches!(judged("photo", 1, &lost), Verdict::Usual));
        assert!(matches!(judged("photo", 3, &lost), Verdict::Instead(_)));
    }
}
