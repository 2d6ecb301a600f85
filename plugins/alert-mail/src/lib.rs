//! Tells people of events by mail: text and HTML with the picture in it, one conversation an event.

use serde::Deserialize;
use taimat_sdk::Error;
use taimat_sdk::alerter::{
    Alerter, Decision, Item, Mail, Media, MediaKind, Outgoing, Planned, Task, alerter, said,
};
use taimat_sdk::host::commune;
use taimat_sdk::words::{self, Language};

/// Pictures in one mail at most.
const MOST_PICTURES: usize = 8;

/// What a commune may set.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    channel: String,
    /// Pixels that pictures are wide.
    picture_width: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            channel: "mail".into(),
            picture_width: 960,
        }
    }
}

#[derive(Debug)]
struct ByMail(Settings);

/// `[Hòa Lạc] Cảnh báo: Vật bị bỏ lại – Chợ`
fn subject(task: &Task, language: Language) -> String {
    let what = match task.items.as_slice() {
        [one] => {
            let severity = language.severity(one.event.severity);
            format!("{severity}: {}", words::headline(&one.event, language))
        }
        several => words::several(several, language),
    };
    let title = commune::title();
    let whole = if title.is_empty() {
        what
    } else {
        format!("[{title}] {what}")
    };
    // One line, whatever a title or a detector says.
    let line: String = whole
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    words::cut(&line, 200)
}

fn text(item: &Item, now: i64, language: Language) -> String {
    let mut lines = words::lines(&item.event, now, language);
    lines.push(item.link.clone());
    if let Some(answer) = &item.answer_link {
        let label = language.choose("Đã xem, trả lời", "Answer");
        lines.push(format!("{label}: {answer}"));
    }
    lines.join("\n")
}

fn html(item: &Item, picture: Option<usize>, now: i64, language: Language) -> String {
    let mut lines = words::lines(&item.event, now, language).into_iter();
    let headline = lines.next().unwrap_or_default();
    let mut html = format!("<h3>{}</h3>\n", words::html(&headline));
    for line in lines {
        html.push_str(&format!("<p>{}</p>\n", words::html(&line)));
    }
    let link = words::html(&item.link);
    if let Some(number) = picture {
        html.push_str(&format!(
            "<p><a href=\"{link}\"><img src=\"cid:{number}\" alt=\"{}\" style=\"max-width:100%\"></a></p>\n",
            words::html(&headline)
        ));
    }
    let open = language.choose("Mở sự kiện", "Open the event");
    html.push_str(&format!("<p><a href=\"{link}\">{open}</a>"));
    if let Some(answer) = &item.answer_link {
        let label = language.choose("Trả lời", "Answer");
        html.push_str(&format!(
            " · <a href=\"{}\">{label}</a>",
            words::html(answer)
        ));
    }
    html.push_str("</p>\n");
    html
}

impl Alerter for ByMail {
    type Settings = Settings;
    const SETTINGS_SCHEMA: &'static str = include_str!("../settings.schema.json");

    fn new(settings: Settings) -> Result<Self, Error> {
        Ok(Self(settings))
    }

    fn compose(&mut self, task: &Task) -> Result<Decision, Error> {
        let Some(to) = said(&task.address, "to") else {
            return Ok(Decision::Skip(format!(
                "target {}: its address has no `to`",
                task.target
            )));
        };
        let language = Language::of_commune();
        let (mut texts, mut htmls, mut attached) = (Vec::new(), Vec::new(), Vec::new());
        for item in &task.items {
            let shown = item.event.picture && attached.len() < MOST_PICTURES;
            if shown {
                attached.push(Media {
                    kind: MediaKind::Picture,
                    event: item.event.id.clone(),
                    width: self.0.picture_width,
                    marked: true,
                });
            }
            texts.push(text(item, task.now, language));
            htmls.push(html(
                item,
                shown.then_some(attached.len()),
                task.now,
                language,
            ));
        }
        let thread = match task.items.as_slice() {
            [one] => one.event.id.clone(),
            _ => String::new(),
        };
        let mail = Mail {
            channel: said(&task.address, "channel")
                .unwrap_or(&self.0.channel)
                .into(),
            to: to
                .split(',')
                .map(|to| to.trim().to_owned())
                .filter(|to| !to.is_empty())
                .collect(),
            subject: subject(task, language),
            text: texts.join("\n\n"),
            html: htmls.join("<hr>\n"),
            attached,
            thread,
        };
        Ok(Decision::Send(vec![Planned {
            message: Outgoing::Mail(mail),
            memo: String::new(),
        }]))
    }
}

alerter!(ByMail);

#[cfg(test)]
mod tests {
    use super::*;
    use taimat_sdk::testing;

    const NIGHT: i64 = 1_803_915_485_000_000;

    fn mail(task: &Task) -> Mail {
        let decision = ByMail(Settings::default()).compose(task).unwrap();
        match decision {
            Decision::Send(mut planned) => match planned.remove(0).message {
                Outgoing::Mail(mail) => mail,
                other => panic!("{other:?}"),
            },
            Decision::Skip(why) => panic!("{why}"),
        }
    }

    #[test]
    fn a_mail_has_its_pictures_inside_and_one_conversation() {
        let address = [("to", "an@example.org, binh@example.org")];
        let mut task = testing::task(&address, testing::event("e1", "cho-1", "litter", NIGHT));
        task.items[0].event.best.text = "bags & boxes".into();
        let one = mail(&task);
        assert_eq!(one.to.len(), 2);
        assert_eq!(one.subject, "Cảnh báo: Đổ rác trái phép – cho-1");
        assert_eq!((one.thread.as_str(), one.attached.len()), ("e1", 1));
        assert!(one.html.contains("cid:1") && one.html.contains("bags &amp; boxes"));
        assert!(one.text.contains("bags & boxes") && one.text.ends_with("/e1"));
        task.items = vec![task.items[0].clone(); 10];
        let many = mail(&task);
        assert_eq!((many.attached.len(), many.thread.as_str()), (8, ""));
        assert!(many.html.contains("cid:8") && !many.html.contains("cid:9"));
    }

    #[test]
    fn who_has_no_address_is_skipped() {
        let task = testing::task(&[], testing::event("e1", "cho-1", "litter", NIGHT));
        let decision = ByMail(Settings::default()).compose(&task).unwrap();
        assert!(matches!(decision, Decision::Skip(why) if why.contains("`to`")));
    }
}
