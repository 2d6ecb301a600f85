//! Tells people of events by text message, through a gateway that takes a form or JSON. What the gateway
//! calls its fields stands in the settings; its secret is the channel's.

mod length;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use taimat_sdk::alerter::{
    Alerter, Body, Chunk, Decision, Field, HttpRequest, Outgoing, Planned, Reply, RequestHead,
    Sent, Task, Verdict, alerter, said,
};
use taimat_sdk::words::{self, Language};
use taimat_sdk::{Attribute, Error};

/// How the gateway wants its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Format {
    Form,
    Json,
}

/// How the gateway says that it took a message: a field of its JSON, and what it is then.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Taken {
    field: String,
    values: Vec<String>,
}

/// What a commune may set.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    channel: String,
    path: String,
    format: Format,
    /// What the gateway calls things: `{to}`, `{text}` and `{secret NAME}` are filled in.
    fields: BTreeMap<String, String>,
    /// None is what HTTP says.
    taken: Option<Taken>,
    /// Letters go without their marks, which makes messages half as long.
    without_marks: bool,
    /// Parts of a message at most.
    parts: usize,
}

impl Default for Settings {
    fn default() -> Self {
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Self {
            channel: "sms".into(),
            path: String::new(),
            format: Format::Form,
            fields: BTreeMap::from([field("to", "{to}"), field("text", "{text}")]),
            taken: None,
            without_marks: true,
            parts: 2,
        }
    }
}

#[derive(Debug)]
struct Sms(Settings);

/// A field's value with what is filled in: literal texts and secrets.
fn filled(value: &str, to: &str, text: &str) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    let mut rest = value;
    while let Some((before, behind)) = rest.split_once('{') {
        chunks.push(Chunk::Text(before.into()));
        let Some((name, behind)) = behind.split_once('}') else {
            chunks.push(Chunk::Text("{".into()));
            rest = behind;
            continue;
        };
        chunks.push(match (name, name.strip_prefix("secret ")) {
            ("to", _) => Chunk::Text(to.into()),
            ("text", _) => Chunk::Text(text.into()),
            (_, Some(secret)) => Chunk::Secret(secret.trim().into()),
            _ => Chunk::Text(format!("{{{name}}}")),
        });
        rest = behind;
    }
    chunks.push(Chunk::Text(rest.into()));
    chunks.retain(|chunk| !matches!(chunk, Chunk::Text(text) if text.is_empty()));
    chunks
}

/// The inside of a JSON string.
fn escaped(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    let inside = quoted
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    inside.unwrap_or_default().to_owned()
}

impl Sms {
    fn text(&self, task: &Task) -> String {
        let language = Language::of_commune();
        let marks = |text: String| match self.0.without_marks {
            true => length::unmarked(&text),
            false => text,
        };
        let (what, link) = match task.items.as_slice() {
            [one] => {
                let event = &one.event;
                let mut parts = vec![
                    words::headline(event, language),
                    words::circumstances(event, task.now, language),
                ];
                // The end first: it is what is new.
                parts.splice(1..1, words::outcome(event, task.now, language));
                let link = one.answer_link.as_ref().unwrap_or(&one.link);
                (parts.join(". "), link.clone())
            }
            several => {
                let link = several.last().map(|item| item.link.clone());
                (words::several(several, language), link.unwrap_or_default())
            }
        };
        let line: String = what
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        length::fitted(&marks(line), &format!(" {link}"), self.0.parts.max(1))
    }

    fn request(&self, task: &Task, to: &str) -> HttpRequest {
        let text = self.text(task);
        let fields = &self.0.fields;
        let (body, headers) =
            match self.0.format {
                Format::Form => {
                    let field = |(name, value): (&String, &String)| Field {
                        name: name.clone(),
                        file_name: String::new(),
                        content_type: String::new(),
                        content: filled(value, to, &text),
                    };
                    (
                        Body::Urlencoded(fields.iter().map(field).collect()),
                        Vec::new(),
                    )
                }
                Format::Json => {
                    let mut chunks = Vec::new();
                    for (number, (name, value)) in fields.iter().enumerate() {
                        let comma = if number == 0 { '{' } else { ',' };
                        chunks.push(Chunk::Text(format!("{comma}\"{}\":\"", escaped(name))));
                        chunks.extend(filled(value, to, &text).into_iter().map(
                            |chunk| match chunk {
                                Chunk::Text(text) => Chunk::Text(escaped(&text)),
                                other => other,
                            },
                        ));
                        chunks.push(Chunk::Text("\"".into()));
                    }
                    chunks.push(Chunk::Text("}".into()));
                    let json = Attribute {
                        key: "content-type".into(),
                        value: "application/json".into(),
                    };
                    (Body::Content(chunks), vec![json])
                }
            };
        HttpRequest {
            channel: said(&task.address, "channel")
                .unwrap_or(&self.0.channel)
                .into(),
            head: RequestHead {
                method: "POST".into(),
                path: self.0.path.clone(),
                headers,
            },
            body,
        }
    }
}

impl Alerter for Sms {
    type Settings = Settings;
    const SETTINGS_SCHEMA: &'static str = include_str!("../settings.schema.json");

    fn new(settings: Settings) -> Result<Self, Error> {
        if settings.fields.len() > 20 {
            return Err(Error::Settings("fields: 20 at most".into()));
        }
        Ok(Self(settings))
    }

    fn compose(&mut self, task: &Task) -> Result<Decision, Error> {
        let Some(to) = said(&task.address, "to") else {
            return Ok(Decision::Skip(format!(
                "target {}: its address has no `to`",
                task.target
            )));
        };
        Ok(Decision::Send(vec![Planned {
            message: Outgoing::Http(self.request(task, to)),
            memo: String::new(),
        }]))
    }

    fn judge(&mut self, _task: &Task, _sent: &Sent, reply: &Reply) -> Result<Verdict, Error> {
        let (Some(taken), Reply::Http(response)) = (&self.0.taken, reply) else {
            return Ok(Verdict::Usual);
        };
        if !(200..300).contains(&response.status) {
            return Ok(Verdict::Usual);
        }
        let answer: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let said = match &answer[&taken.field] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Ok(match taken.values.contains(&said) {
            true => Verdict::Delivered(String::new()),
            false => Verdict::GiveUp(format!("the gateway says {} = {said}", taken.field)),
        })
    }
}

alerter!(Sms);

#[cfg(test)]
mod tests {
    use super::*;
    use taimat_sdk::testing::{self, answered};

    const NIGHT: i64 = 1_803_915_485_000_000;

    fn settings(json: &str) -> Sms {
        Sms::new(serde_json::from_str(json).unwrap()).unwrap()
    }

    fn body(sms: &mut Sms) -> Body {
        let event = testing::event("e1", "cho-1", "litter", NIGHT);
        let task = testing::task(&[("to", "84900000000")], event);
        match sms.compose(&task).unwrap() {
            Decision::Send(mut planned) => match planned.remove(0).message {
                Outgoing::Http(request) => request.body,
                other => panic!("{other:?}"),
            },
            Decision::Skip(why) => panic!("{why}"),
        }
    }

    #[test]
    fn fields_are_the_gateways_and_secrets_the_channels() {
        let fields = r#"{ "ApiKey": "{secret key}", "Content": "{text}", "Phone": "+{to}" }"#;
        let json = format!(r#"{{ "format": "json", "fields": {fields} }}"#);
        let Body::Content(chunks) = body(&mut settings(&json)) else {
            unreachable!()
        };
        let shown: Vec<String> = chunks
            .iter()
            .map(|chunk| match chunk {
                Chunk::Text(text) => text.clone(),
                Chunk::Secret(name) => format!("SECRET-{name}"),
                other => panic!("{other:?}"),
            })
            .collect();
        let body: Value = serde_json::from_str(&shown.concat()).unwrap();
        assert_eq!(body["ApiKey"], "SECRET-key");
        assert_eq!(body["Phone"], "+84900000000");
        let text = body["Content"].as_str().unwrap();
        let expected =
            "Do rac trai phep - cho-1. 22:38, do tin cay 90% https://taimat.example/#/events/e1";
        assert_eq!(text, expected);
        let Body::Urlencoded(form) = super::tests::body(&mut settings("{}")) else {
            unreachable!()
        };
        assert_eq!(form.len(), 2);
    }

    #[test]
    fn what_is_said_does_not_end_a_string_of_json() {
        for text in ["a\"", "\"", "\\", "a\nb"] {
            let back: String = serde_json::from_str(&format!("\"{}\"", escaped(text))).unwrap();
            assert_eq!(back, text);
        }
    }

    #[test]
    fn the_gateways_word_is_asked_for() {
        let mut sms = settings(r#"{ "taken": { "field": "CodeResult", "values": ["100"] } }"#);
        let task = testing::task(&[], testing::event("e1", "cho-1", "litter", NIGHT));
        let sent = Sent {
            step: 0,
            attempt: 1,
            at: NIGHT,
            memo: String::new(),
        };
        let mut judged = |status, body| sms.judge(&task, &sent, &answered(status, body)).unwrap();
        assert!(matches!(
            judged(200, r#"{"CodeResult":"100"}"#),
            Verdict::Delivered(_)
        ));
        assert!(matches!(
            judged(200, r#"{"CodeResult":99}"#),
            Verdict::GiveUp(_)
        ));
        assert!(matches!(judged(503, ""), Verdict::Usual));
    }
}
