//! Messages in lines for people: what is sent where. Media and secrets stand as what they are, never as
//! bytes.

use taimat_contract::alerter::Verdict;
use taimat_contract::message::{Body, Chunk, Field, Media, MediaKind, Outgoing, Reply};

/// A message, the first line being where it goes.
pub(crate) fn message(message: &Outgoing) -> Vec<String> {
    let mut lines = Vec::new();
    match message {
        Outgoing::Http(request) => {
            let head = &request.head;
            lines.push(format!("{} {}:{}", head.method, request.channel, head.path));
            let header = |a: &taimat_contract::Attribute| format!("{}: {}", a.key, a.value);
            lines.extend(head.headers.iter().map(header));
            match &request.body {
                Body::Content(chunks) => lines.extend(text(&content(chunks))),
                Body::Form(fields) => lines.extend(fields.iter().flat_map(field)),
                Body::Urlencoded(fields) => {
                    lines.push("(urlencoded)".into());
                    lines.extend(fields.iter().flat_map(field));
                }
            }
        }
        Outgoing::Mqtt(publish) => {
            let retained = if publish.retain { " (retained)" } else { "" };
            lines.push(format!(
                "PUBLISH {}:{}{retained}",
                publish.channel, publish.topic
            ));
            lines.extend(text(&content(&publish.payload)));
        }
        Outgoing::Mail(mail) => {
            lines.push(format!("MAIL {}: to {}", mail.channel, mail.to.join(", ")));
            lines.push(format!("subject: {}", mail.subject));
            if !mail.thread.is_empty() {
                lines.push(format!("thread: {}", mail.thread));
            }
            lines.extend(text(&mail.text));
            if !mail.html.is_empty() {
                lines.push("(html)".into());
                lines.extend(text(&mail.html));
            }
            for (number, media) in mail.attached.iter().enumerate() {
                lines.push(format!("cid:{} {}", number + 1, self::media(media, "")));
            }
        }
        Outgoing::Wire(wire) => {
            let answer = wire.answer_bytes;
            let bytes: Vec<String> = wire.bytes.iter().map(|b| format!("{b:02x}")).collect();
            lines.push(format!("WIRE {}: waits for {answer} bytes", wire.channel));
            lines.push(bytes.join(" "));
        }
    }
    lines
}

fn field(field: &Field) -> Vec<String> {
    let file = match field.file_name.as_str() {
        "" => String::new(),
        name => format!(" (file {name})"),
    };
    let mut lines = text(&content(&field.content));
    match lines.first_mut() {
        Some(first) => *first = format!("{}{file} = {first}", field.name),
        None => lines.push(format!("{}{file} =", field.name)),
    }
    lines
}

fn text(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

fn content(chunks: &[Chunk]) -> String {
    let chunk = |chunk: &Chunk| match chunk {
        Chunk::Text(text) => text.clone(),
        Chunk::Bytes(bytes) => format!("[{} bytes]", bytes.len()),
        Chunk::Media(put) => media(put, ""),
        Chunk::MediaBase64(put) => media(put, " in Base64"),
        Chunk::Secret(name) => format!("[secret {name}]"),
    };
    chunks.iter().map(chunk).collect()
}

fn media(media: &Media, how: &str) -> String {
    let kind = match media.kind {
        MediaKind::Picture => "picture",
        MediaKind::Clip => "clip",
    };
    let width = match media.width {
        0 => String::new(),
        width => format!(", {width} wide"),
    };
    let marked = if media.marked { ", marked" } else { "" };
    format!("[{kind} of {}{width}{marked}{how}]", media.event)
}

/// What came back, as far as a file has said it.
pub(crate) fn reply(reply: &Reply) -> String {
    match reply {
        Reply::Http(answer) => {
            let body = String::from_utf8_lossy(&answer.body);
            format!("{} {}", answer.status, body.replace('\n', " "))
        }
        Reply::Accepted(said) => format!("accepted {said}"),
        Reply::Bytes(bytes) => format!("{} bytes", bytes.len()),
        Reply::Failed(why) => format!("failed: {why}"),
        Reply::Refused(why) => format!("refused: {why}"),
    }
    .trim_end()
    .to_owned()
}

/// What an alerter makes of it.
pub(crate) fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Usual => "as usual".into(),
        Verdict::Delivered(receipt) if receipt.is_empty() => "delivered".into(),
        Verdict::Delivered(receipt) => format!("delivered, receipt {receipt:?}"),
        Verdict::Again(0) => "again".into(),
        Verdict::Again(seconds) => format!("again in {seconds} s"),
        Verdict::GiveUp(why) => format!("give up: {why}"),
        Verdict::Gone(why) => format!("gone: {why}"),
        Verdict::Instead(planned) => format!("instead: {} messages", planned.len()),
    }
}
