//! Tells people of events through a Zalo official account: the picture is uploaded, then the message
//! names it. Outside of the time in which an account may write freely, and for who is known by a
//! telephone number only, an approved template (ZNS) is sent. The channel holds and renews the token.

use serde::Deserialize;
use serde_json::{Value, json};
use taimat_sdk::Error;
use taimat_sdk::alerter::{
    Alerter, Body, Chunk, Decision, Field, HttpRequest, Media, MediaKind, Outgoing, Planned, Reply,
    RequestHead, Sent, Task, Verdict, alerter, post_json, said,
};
use taimat_sdk::host::commune;
use taimat_sdk::words::{self, Language};

/// Characters of a message, as Zalo has it.
const TEXT: usize = 2000;
/// Characters of a template's value.
const VALUE: usize = 90;
/// Seconds to wait when the token is being renewed or the account has sent too much.
const SOON: u32 = 60;
/// Attempts at a picture before the text goes without it.
const PICTURE_ATTEMPTS: u32 = 3;

/// What a commune may set.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    channel: String,
    picture_width: u32,
    /// Where templates are sent: another host, which the channel has to list.
    template_address: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            channel: "zalo".into(),
            picture_width: 960,
            template_address: "https://business.openapi.zalo.me/message/template".into(),
        }
    }
}

#[derive(Debug)]
struct Zalo(Settings);

/// What Zalo's numbers mean for who is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Delivered,
    /// The token is renewed, or too much was sent.
    Later,
    /// Not within the time in which the account may write freely.
    OutOfTime,
    /// Nobody who follows the account, or no account of Zalo.
    Nobody,
    /// Anything else.
    Refused,
}

const fn meaning(error: i64) -> Meaning {
    match error {
        0 => Meaning::Delivered,
        -32 | -124 | -216 => Meaning::Later,
        -230 => Meaning::OutOfTime,
        -118 | -213 => Meaning::Nobody,
        _ => Meaning::Refused,
    }
}

fn text(task: &Task) -> String {
    let language = Language::of_commune();
    let share = TEXT / task.items.len().max(1);
    let line = |item: &taimat_sdk::alerter::Item| {
        let link = item.answer_link.as_ref().unwrap_or(&item.link);
        let lines = words::lines(&item.event, task.now, language).join("\n");
        let room = share.saturating_sub(link.chars().count() + 3);
        format!("{}\n{link}", words::cut(&lines, room))
    };
    let texts: Vec<String> = task.items.iter().map(line).collect();
    texts.join("\n\n")
}

impl Zalo {
    fn channel<'a>(&'a self, task: &'a Task) -> &'a str {
        said(&task.address, "channel").unwrap_or(&self.0.channel)
    }

    fn upload(&self, task: &Task, event: &str) -> Planned {
        let file = Field {
            name: "file".into(),
            file_name: "event.jpg".into(),
            content_type: "image/jpeg".into(),
            content: vec![Chunk::Media(Media {
                kind: MediaKind::Picture,
                event: event.into(),
                width: self.0.picture_width,
                marked: true,
            })],
        };
        let request = HttpRequest {
            channel: self.channel(task).into(),
            head: RequestHead {
                method: "POST".into(),
                path: "/v2.0/oa/upload/image".into(),
                headers: Vec::new(),
            },
            body: Body::Form(vec![file]),
        };
        Planned {
            message: Outgoing::Http(request),
            memo: "upload".into(),
        }
    }

    fn message(&self, task: &Task, user: &str, picture: Option<&str>) -> Planned {
        let mut message = json!({ "text": text(task) });
        if let Some(id) = picture {
            message["attachment"] = json!({
                "type": "template",
                "payload": {
                    "template_type": "media",
                    "elements": [{ "media_type": "image", "attachment_id": id }],
                },
            });
        }
        let body = json!({ "recipient": { "user_id": user }, "message": message });
        post_json(self.channel(task), "/v3.0/oa/message/cs", &body, "message")
    }

    /// None if the address names no template.
    fn template(&self, task: &Task) -> Option<Planned> {
        let template = said(&task.address, "template")?;
        let phone = said(&task.address, "phone")?;
        let item = task.items.last()?;
        let (event, language) = (&item.event, Language::of_commune());
        let value = |text: &str| words::cut(text, VALUE);
        let body = json!({
            "phone": phone,
            "template_id": template,
            "template_data": {
                "commune": value(&commune::title()),
                "kind": value(&language.kind(&event.kind)),
                "camera": value(&commune::camera_title(&event.camera)),
                "time": words::day_and_clock(event.began, 0),
                "status": value(&match words::outcome(event, task.now, language).pop() {
                    Some(outcome) => outcome,
                    None => language.choose("Đang diễn ra", "Going on").into(),
                }),
                "event": event.id,
            },
            "tracking_id": task.key,
        });
        let address = &self.0.template_address;
        Some(post_json(self.channel(task), address, &body, "template"))
    }

    fn without_picture(&self, task: &Task) -> Verdict {
        let user = said(&task.address, "user").unwrap_or_default();
        Verdict::Instead(vec![self.message(task, user, None)])
    }
}

impl Alerter for Zalo {
    type Settings = Settings;
    const SETTINGS_SCHEMA: &'static str = include_str!("../settings.schema.json");

    fn new(settings: Settings) -> Result<Self, Error> {
        Ok(Self(settings))
    }

    fn compose(&mut self, task: &Task) -> Result<Decision, Error> {
        let Some(user) = said(&task.address, "user") else {
            return Ok(match self.template(task) {
                Some(template) => Decision::Send(vec![template]),
                None => Decision::Skip(format!(
                    "target {}: its address has neither `user` nor `phone` with `template`",
                    task.target
                )),
            });
        };
        // Who was told before does not need the picture again.
        let planned = match task.items.as_slice() {
            [one] if one.event.picture && one.earlier.is_empty() => {
                self.upload(task, &one.event.id)
            }
            _ => self.message(task, user, None),
        };
        Ok(Decision::Send(vec![planned]))
    }

    fn judge(&mut self, task: &Task, sent: &Sent, reply: &Reply) -> Result<Verdict, Error> {
        let upload = sent.memo == "upload";
        let response = match reply {
            Reply::Failed(_) if upload && sent.attempt >= PICTURE_ATTEMPTS => {
                return Ok(self.without_picture(task));
            }
            Reply::Http(response) => response,
            _ => return Ok(Verdict::Usual),
        };
        let Ok(said) = serde_json::from_slice::<Value>(&response.body) else {
            return Ok(Verdict::Usual);
        };
        // Zalo answers with 200 whatever has happened.
        let Some(error) = said["error"].as_i64() else {
            return Ok(Verdict::Usual);
        };
        let why = format!("{error}: {}", said["message"].as_str().unwrap_or_default());
        let meaning = meaning(error);
        if upload {
            let user = taimat_sdk::alerter::said(&task.address, "user").unwrap_or_default();
            return Ok(match (meaning, said["data"]["attachment_id"].as_str()) {
                (Meaning::Delivered, Some(id)) => {
                    Verdict::Instead(vec![self.message(task, user, Some(id))])
                }
                (Meaning::Later, _) => Verdict::Again(SOON),
                _ => self.without_picture(task),
            });
        }
        Ok(match meaning {
            Meaning::Delivered => {
                let id = &said["data"]["message_id"];
                let id = id.as_str().map_or_else(|| sent.memo.clone(), str::to_owned);
                Verdict::Delivered(id)
            }
            Meaning::Later => Verdict::Again(SOON),
            Meaning::Nobody => Verdict::Gone(why),
            Meaning::OutOfTime if sent.memo != "template" => match self.template(task) {
                Some(template) => Verdict::Instead(vec![template]),
                None => Verdict::GiveUp(why),
            },
            Meaning::OutOfTime | Meaning::Refused => Verdict::GiveUp(why),
        })
    }
}

alerter!(Zalo);

#[cfg(test)]
mod tests {
    use super::*;
    use taimat_sdk::testing::{self, answered};

    const NIGHT: i64 = 1_803_915_485_000_000;
    const BOTH: [(&str, &str); 3] = [("user", "77"), ("phone", "84900000000"), ("template", "5")];

    fn task(address: &[(&str, &str)]) -> Task {
        testing::task(address, testing::event("e1", "cho-1", "litter", NIGHT))
    }

    fn memo(decision: Decision) -> String {
        match decision {
            Decision::Send(planned) => planned[0].memo.clone(),
            Decision::Skip(why) => why,
        }
    }

    fn judged(memo: &str, address: &[(&str, &str)], body: &str) -> Verdict {
        let sent = Sent {
            step: 0,
            attempt: 1,
            at: NIGHT,
            memo: memo.into(),
        };
        let mut zalo = Zalo(Settings::default());
        zalo.judge(&task(address), &sent, &answered(200, body))
            .unwrap()
    }

    #[test]
    fn a_picture_is_uploaded_first_and_a_number_gets_a_template() {
        let mut zalo = Zalo(Settings::default());
        assert_eq!(memo(zalo.compose(&task(&BOTH)).unwrap()), "upload");
        assert_eq!(memo(zalo.compose(&task(&BOTH[1..])).unwrap()), "template");
        assert!(memo(zalo.compose(&task(&[])).unwrap()).contains("neither"));
    }

    #[test]
    fn answers_are_read_from_the_body() {
        let uploaded = r#"{"error":0,"data":{"attachment_id":"abc"}}"#;
        let Verdict::Instead(next) = judged("upload", &BOTH, uploaded) else {
            panic!("the message follows")
        };
        let Outgoing::Http(request) = &next[0].message else {
            unreachable!()
        };
        let Body::Content(chunks) = &request.body else {
            unreachable!()
        };
        assert!(matches!(&chunks[0], Chunk::Text(text) if text.contains("abc")));
        let error = |number: i64| format!(r#"{{"error":{number},"message":"no"}}"#);
        assert!(matches!(
            judged("upload", &BOTH, &error(-210)),
            Verdict::Instead(_)
        ));
        assert!(matches!(
            judged("message", &BOTH, &error(-216)),
            Verdict::Again(SOON)
        ));
        assert!(matches!(
            judged("message", &BOTH, &error(-213)),
            Verdict::Gone(_)
        ));
        assert!(matches!(
            judged("message", &BOTH, &error(-230)),
            Verdict::Instead(_)
        ));
        assert!(matches!(
            judged("message", &BOTH[..1], &error(-230)),
            Verdict::GiveUp(_)
        ));
        assert!(matches!(
            judged("template", &BOTH, &error(-230)),
            Verdict::GiveUp(_)
        ));
        let ok = r#"{"error":0,"data":{"message_id":"m1"}}"#;
        assert!(matches!(judged("message", &BOTH, ok), Verdict::Delivered(id) if id == "m1"));
    }
}
