//! Tasks on their way to a component, and messages on their way from one.

use taimat_contract as c;
use taimat_contract::alerter::{CameraState, Chores, Decision, Planned, Sent, Task, Verdict};
use taimat_contract::message::{
    Body, Chunk, Field, HttpRequest, Mail, Media, MediaKind, MqttPublish, Outgoing, Reply,
    RequestHead, Wire,
};

use crate::bindings::v0_3::exports::taimat::plugin::{alerter as wire, upkeep};
use crate::bindings::v0_3::taimat::plugin::{http, message};
use crate::events::{attribute, event, own_attribute};

pub(super) fn task(task: &Task) -> wire::Task {
    let receipt = |receipt: &c::alerter::Receipt| wire::Receipt {
        revision: receipt.revision,
        at: receipt.at.0,
        text: receipt.text.clone(),
    };
    let item = |item: &c::alerter::Item| wire::Item {
        event: event(&item.event),
        link: item.link.clone(),
        picture_link: item.picture_link.clone(),
        clip_link: item.clip_link.clone(),
        answer_link: item.answer_link.clone(),
        earlier: item.earlier.iter().map(receipt).collect(),
    };
    wire::Task {
        key: task.key.clone(),
        target: task.target.clone(),
        address: task.address.iter().map(attribute).collect(),
        items: task.items.iter().map(item).collect(),
        now: task.now.0,
    }
}

pub(super) fn sent(sent: &Sent) -> wire::Sent {
    wire::Sent {
        step: sent.step,
        attempt: sent.attempt,
        at: sent.at.0,
        memo: sent.memo.clone(),
    }
}

pub(super) fn reply(reply: &Reply) -> message::Reply {
    match reply {
        Reply::Http(response) => message::Reply::Http(http::Response {
            status: response.status,
            headers: response.headers.iter().map(attribute).collect(),
            body: response.body.clone(),
        }),
        Reply::Accepted(said) => message::Reply::Accepted(said.clone()),
        Reply::Bytes(bytes) => message::Reply::Bytes(bytes.clone()),
        Reply::Failed(why) | Reply::Refused(why) => message::Reply::Failed(why.clone()),
    }
}

pub(super) fn camera_state(state: &CameraState) -> upkeep::CameraState {
    upkeep::CameraState {
        name: state.name.to_string(),
        online: state.online,
        since: state.since.0,
        kinds: state.kinds.clone(),
        open: state.open.clone(),
    }
}

fn media(media: message::Media) -> Media {
    Media {
        kind: match media.kind {
            message::MediaKind::Picture => MediaKind::Picture,
            message::MediaKind::Clip => MediaKind::Clip,
        },
        event: media.event,
        width: media.width,
        marked: media.marked,
    }
}

fn chunks(chunks: Vec<message::Chunk>) -> Vec<Chunk> {
    let chunk = |chunk| match chunk {
        message::Chunk::Text(text) => Chunk::Text(text),
        message::Chunk::Bytes(bytes) => Chunk::Bytes(bytes),
        message::Chunk::Media(put) => Chunk::Media(media(put)),
        message::Chunk::MediaBase64(put) => Chunk::MediaBase64(media(put)),
        message::Chunk::Secret(name) => Chunk::Secret(name),
    };
    chunks.into_iter().map(chunk).collect()
}

fn fields(fields: Vec<message::Field>) -> Vec<Field> {
    let field = |field: message::Field| Field {
        name: field.name,
        file_name: field.file_name,
        content_type: field.content_type,
        content: chunks(field.content),
    };
    fields.into_iter().map(field).collect()
}

fn outgoing(outgoing: message::Outgoing) -> Outgoing {
    match outgoing {
        message::Outgoing::Http(request) => Outgoing::Http(HttpRequest {
            channel: request.channel,
            head: RequestHead {
                method: request.head.method,
                path: request.head.path,
                headers: request
                    .head
                    .headers
                    .into_iter()
                    .map(own_attribute)
                    .collect(),
            },
            body: match request.body {
                message::Body::Content(content) => Body::Content(chunks(content)),
                message::Body::Form(form) => Body::Form(fields(form)),
                message::Body::Urlencoded(form) => Body::Urlencoded(fields(form)),
            },
        }),
        message::Outgoing::Mqtt(publish) => Outgoing::Mqtt(MqttPublish {
            channel: publish.channel,
            topic: publish.topic,
            payload: chunks(publish.payload),
            retain: publish.retain,
        }),
        message::Outgoing::Mail(mail) => Outgoing::Mail(Mail {
            channel: mail.channel,
            to: mail.to,
            subject: mail.subject,
            text: mail.text,
            html: mail.html,
            attached: mail.attached.into_iter().map(media).collect(),
            thread: mail.thread,
        }),
        message::Outgoing::Wire(wire) => Outgoing::Wire(Wire {
            channel: wire.channel,
            bytes: wire.bytes,
            answer_bytes: wire.answer_bytes,
        }),
    }
}

fn planned(messages: Vec<wire::Planned>) -> Vec<Planned> {
    let one = |planned: wire::Planned| Planned {
        message: outgoing(planned.message),
        memo: planned.memo,
    };
    messages.into_iter().map(one).collect()
}

pub(super) fn decision(decision: wire::Decision) -> Decision {
    match decision {
        wire::Decision::Send(messages) => Decision::Send(planned(messages)),
        wire::Decision::Skip(why) => Decision::Skip(why),
    }
}

pub(super) fn verdict(verdict: wire::Verdict) -> Verdict {
    match verdict {
        wire::Verdict::Usual => Verdict::Usual,
        wire::Verdict::Delivered(receipt) => Verdict::Delivered(receipt),
        wire::Verdict::Again(seconds) => Verdict::Again(seconds),
        wire::Verdict::GiveUp(why) => Verdict::GiveUp(why),
        wire::Verdict::Gone(why) => Verdict::Gone(why),
        wire::Verdict::Instead(messages) => Verdict::Instead(planned(messages)),
    }
}

pub(super) fn chores(chores: upkeep::Chores) -> Chores {
    Chores {
        messages: chores.messages.into_iter().map(outgoing).collect(),
        ask_again: chores.ask_again,
    }
}
