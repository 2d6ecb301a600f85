//! Written tasks: what an alerter is to tell whom, and what the other side answers, in a file.

use std::collections::BTreeMap;

use anyhow::Context;
use serde::Deserialize;
use taimat_contract::alerter::{CameraState, Item, Receipt, Task};
use taimat_contract::event::{Answer, Phase};
use taimat_contract::message::{HttpResponse, Reply};
use taimat_contract::{Attribute, Detection, Event, Severity, UnixMicros};

use crate::commune_file::{CameraText, CommuneText, TargetText, WrittenCommune};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TasksText {
    date: String,
    #[serde(default)]
    commune: CommuneText,
    #[serde(default)]
    camera: Vec<CameraText>,
    #[serde(default)]
    target: Vec<TargetText>,
    #[serde(default)]
    links: Links,
    #[serde(default)]
    event: Vec<EventText>,
    #[serde(default)]
    task: Vec<TaskText>,
    #[serde(default)]
    upkeep: Vec<UpkeepText>,
}

/// `[links]`: `{event}` is the event's id.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Links {
    page: String,
    picture: Option<String>,
    clip: Option<String>,
    answer: Option<String>,
}

impl Default for Links {
    fn default() -> Self {
        Self {
            page: "https://taimat.example/#/events/{event}".into(),
            picture: None,
            clip: None,
            answer: None,
        }
    }
}

/// `[[event]]`, as it is when it begins.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventText {
    id: String,
    began: String,
    #[serde(default)]
    camera: String,
    kind: String,
    #[serde(default = "warning")]
    severity: Severity,
    #[serde(default = "sure")]
    confidence: f32,
    #[serde(default)]
    text: String,
    #[serde(default = "plugin")]
    plugin: String,
    #[serde(default = "yes")]
    picture: bool,
    #[serde(default)]
    clip: bool,
    #[serde(default)]
    extra: BTreeMap<String, String>,
}

fn warning() -> Severity {
    Severity::Warning
}
fn sure() -> f32 {
    0.9
}
fn plugin() -> String {
    "detector".into()
}
fn yes() -> bool {
    true
}

/// `[[task]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TaskText {
    at: String,
    target: String,
    item: Vec<ItemText>,
    #[serde(default)]
    reply: Vec<ReplyText>,
    /// Nothing is tried after so long.
    #[serde(default = "hour")]
    deadline: String,
}

fn hour() -> String {
    "1h".into()
}

/// `[[task.item]]`: an event, and what has become of it since it began.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ItemText {
    event: String,
    #[serde(default = "first")]
    revision: u32,
    severity: Option<Severity>,
    text: Option<String>,
    closed: Option<String>,
    answered: Option<AnswerText>,
    /// Receipts of revisions that this file does not tell.
    #[serde(default)]
    earlier: Vec<ReceiptText>,
}

fn first() -> u32 {
    1
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct AnswerText {
    at: String,
    who: String,
    #[serde(default)]
    false_alarm: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceiptText {
    revision: u32,
    at: String,
    text: String,
}

/// `[[task.reply]]`: one of `status`, `accepted`, `bytes`, `failed` and `refused`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplyText {
    #[serde(default)]
    step: u32,
    #[serde(default = "first")]
    attempt: u32,
    status: Option<u16>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    accepted: Option<String>,
    bytes: Option<Vec<u8>>,
    failed: Option<String>,
    refused: Option<String>,
}

/// `[[upkeep]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct UpkeepText {
    at: String,
    target: String,
    camera: Vec<CameraStateText>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CameraStateText {
    name: String,
    #[serde(default = "yes")]
    online: bool,
    since: String,
    #[serde(default)]
    kinds: Vec<String>,
    #[serde(default)]
    open: Vec<String>,
}

/// A task with what the other side answers: by step and attempt.
#[derive(Debug)]
pub(crate) struct WrittenTask {
    pub(crate) task: Task,
    pub(crate) replies: BTreeMap<(u32, u32), Reply>,
    pub(crate) deadline: UnixMicros,
}

/// What is to stand without events.
#[derive(Debug)]
pub(crate) struct WrittenUpkeep {
    pub(crate) at: UnixMicros,
    pub(crate) target: String,
    pub(crate) address: Vec<Attribute>,
    pub(crate) cameras: Vec<CameraState>,
}

/// A file of tasks, read and found good.
#[derive(Debug)]
pub(crate) struct WrittenTasks {
    pub(crate) commune: WrittenCommune,
    pub(crate) tasks: Vec<WrittenTask>,
    pub(crate) upkeep: Vec<WrittenUpkeep>,
}

impl WrittenTasks {
    /// Reads it.
    pub(crate) fn read(text: &str) -> anyhow::Result<Self> {
        let file: TasksText = toml::from_str(text)?;
        let commune = WrittenCommune::read(&file.date, file.commune, file.camera, file.target)?;
        let mut tasks = Vec::new();
        for (number, text) in file.task.iter().enumerate() {
            let read = task(&commune, &file.links, &file.event, number, text);
            tasks.push(read.with_context(|| format!("task {}", number + 1))?);
        }
        let upkeep = file.upkeep.iter().map(|text| upkeep(&commune, text));
        let upkeep = upkeep.collect::<anyhow::Result<_>>()?;
        Ok(Self {
            commune,
            tasks,
            upkeep,
        })
    }
}

fn task(
    commune: &WrittenCommune,
    links: &Links,
    events: &[EventText],
    number: usize,
    text: &TaskText,
) -> anyhow::Result<WrittenTask> {
    let now = commune.clock.moment(&text.at)?;
    let most = Task::MAX_ITEMS;
    anyhow::ensure!(
        (1..=most).contains(&text.item.len()),
        "a task has 1 to {most} items"
    );
    let item = |item: &ItemText| {
        let event = events.iter().find(|e| e.id == item.event);
        let event = event.with_context(|| format!("there is no [[event]] {:?}", item.event))?;
        written_item(commune, links, event, item)
    };
    let items: anyhow::Result<Vec<Item>> = text.item.iter().map(item).collect();
    let replies = text
        .reply
        .iter()
        .map(|r| Ok(((r.step, r.attempt), reply(r)?)));
    let taimat_base::units::Span(deadline) = text.deadline.parse()?;
    Ok(WrittenTask {
        task: Task {
            key: format!("task-{}", number + 1),
            target: text.target.clone(),
            address: commune.address(&text.target)?.clone(),
            items: items?,
            now,
        },
        replies: replies.collect::<anyhow::Result<_>>()?,
        deadline: now.after(deadline),
    })
}

fn written_item(
    commune: &WrittenCommune,
    links: &Links,
    event: &EventText,
    text: &ItemText,
) -> anyhow::Result<Item> {
    let clock = &commune.clock;
    let began = clock.moment(&event.began)?;
    let ended = text
        .closed
        .as_ref()
        .map(|at| clock.moment(at))
        .transpose()?;
    let answered = text.answered.as_ref().map(|answer| {
        Ok::<_, anyhow::Error>(Answer {
            who: answer.who.clone(),
            at: clock.moment(&answer.at)?,
            false_alarm: answer.false_alarm,
        })
    });
    let phase = match (ended, text.revision) {
        (Some(_), _) => Phase::Closed,
        (None, 1) => Phase::Opened,
        (None, _) => Phase::Updated,
    };
    let camera = match event.camera.as_str() {
        "" => None,
        name => Some(commune.camera(name)?.name.clone()),
    };
    let extra = event.extra.iter().map(|(key, value)| Attribute {
        key: key.clone(),
        value: value.clone(),
    });
    let earlier = text.earlier.iter().map(|receipt| {
        Ok::<_, anyhow::Error>(Receipt {
            revision: receipt.revision,
            at: clock.moment(&receipt.at)?,
            text: receipt.text.clone(),
        })
    });
    let link = |text: &String| text.replace("{event}", &event.id);
    Ok(Item {
        event: Event {
            id: event.id.clone(),
            revision: text.revision,
            phase,
            camera,
            kind: event.kind.clone(),
            severity: text.severity.unwrap_or(event.severity),
            began,
            ended,
            best: Detection {
                kind: event.kind.clone(),
                at: began,
                confidence: event.confidence,
                regions: Vec::new(),
                track: None,
                text: text.text.clone().unwrap_or_else(|| event.text.clone()),
                extra: Vec::new(),
            },
            detections: text.revision,
            plugin: event.plugin.parse()?,
            picture: event.picture,
            clip: event.clip,
            answered: answered.transpose()?,
            extra: extra.collect(),
        },
        link: link(&links.page),
        picture_link: links.picture.as_ref().filter(|_| event.picture).map(link),
        clip_link: links.clip.as_ref().filter(|_| event.clip).map(link),
        answer_link: links.answer.as_ref().map(link),
        earlier: earlier.collect::<anyhow::Result<_>>()?,
    })
}

fn reply(text: &ReplyText) -> anyhow::Result<Reply> {
    let headers = text.headers.iter().map(|(key, value)| Attribute {
        key: key.clone(),
        value: value.clone(),
    });
    let words = (&text.failed, &text.refused);
    match (text.status, &text.accepted, &text.bytes, words) {
        (Some(status), None, None, (None, None)) => Ok(Reply::Http(HttpResponse {
            status,
            headers: headers.collect(),
            body: text.body.clone().into_bytes(),
        })),
        (None, Some(said), None, (None, None)) => Ok(Reply::Accepted(said.clone())),
        (None, None, Some(bytes), (None, None)) => Ok(Reply::Bytes(bytes.clone())),
        (None, None, None, (Some(why), None)) => Ok(Reply::Failed(why.clone())),
        (None, None, None, (None, Some(why))) => Ok(Reply::Refused(why.clone())),
        _ => anyhow::bail!("a reply has one of status, accepted, bytes, failed and refused"),
    }
}

fn upkeep(commune: &WrittenCommune, text: &UpkeepText) -> anyhow::Result<WrittenUpkeep> {
    let state = |state: &CameraStateText| {
        Ok(CameraState {
            name: state.name.parse()?,
            online: state.online,
            since: commune.clock.moment(&state.since)?,
            kinds: state.kinds.clone(),
            open: state.open.clone(),
        })
    };
    let cameras: anyhow::Result<_> = text.camera.iter().map(state).collect();
    Ok(WrittenUpkeep {
        at: commune.clock.moment(&text.at)?,
        target: text.target.clone(),
        address: commune.address(&text.target)?.clone(),
        cameras: cameras?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASKS: &str = r#"
        date = "2027-03-01"
        [[camera]]
        name = "cho-1"
        [[target]]
        name = "an"
        address = { chat = "-100" }
        [[event]]
        id = "e1"
        began = "22:38"
        camera = "cho-1"
        kind = "motion"
        [[task]]
        at = "22:41"
        target = "an"
        item = [{ event = "e1", revision = 2, closed = "22:41" }]
        reply = [{ status = 200, body = "{}" }, { step = 1, failed = "no answer" }, { step = 2, refused = "no" }]
    "#;

    #[test]
    fn a_task_has_its_event_as_it_is_then() {
        let tasks = WrittenTasks::read(TASKS).unwrap();
        let task = &tasks.tasks[0];
        let item = &task.task.items[0];
        assert_eq!((item.event.phase, item.event.revision), (Phase::Closed, 2));
        assert_eq!(item.link, "https://taimat.example/#/events/e1");
        assert_eq!(task.task.address[0].value, "-100");
        assert_eq!(task.replies[&(1, 1)], Reply::Failed("no answer".into()));
        assert_eq!(task.replies[&(2, 1)], Reply::Refused("no".into()));
        let wrong = TASKS.replace("target = \"an\"", "target = \"binh\"");
        let wrong = WrittenTasks::read(&wrong).unwrap_err();
        assert!(format!("{wrong:#}").contains("binh"), "{wrong:#}");
    }
}
