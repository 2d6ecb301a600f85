//! Alerters in the sandbox: what they word, by which channels, and what an answer means.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a set-up that fails fails its test"
)]

mod common;

use std::sync::Arc;

use common::Bench;
use taimat_contract::alerter::{Decision, Item, Sent, Task, Verdict};
use taimat_contract::event::Phase;
use taimat_contract::message::{HttpResponse, Outgoing, Reply};
use taimat_contract::{
    Alerter, Alerters, Detection, Event, Failure, PluginError, Severity, Unanswered, UnixMicros,
};
use taimat_sandbox::{Grant, PluginSpec, PluginStatus, RunState};
use taimat_testkit::plugins;

const NOW: UnixMicros = UnixMicros(1_800_000_000_000_000);

fn task() -> Task {
    let event = Event {
        id: "e1".into(),
        revision: 3,
        phase: Phase::Opened,
        camera: Some("c0".parse().unwrap()),
        kind: "litter".into(),
        severity: Severity::Warning,
        began: NOW,
        ended: None,
        best: Detection {
            kind: "litter".into(),
            at: NOW,
            confidence: 0.9,
            regions: Vec::new(),
            track: None,
            text: String::new(),
            extra: Vec::new(),
        },
        detections: 1,
        plugin: "litter".parse().unwrap(),
        picture: false,
        clip: false,
        answered: None,
        extra: Vec::new(),
    };
    Task {
        key: "key".into(),
        target: "desk".into(),
        address: Vec::new(),
        items: vec![Item {
            event,
            link: "http://router/#/event/thu/e1".into(),
            picture_link: None,
            clip_link: None,
            answer_link: None,
            earlier: Vec::new(),
        }],
        now: NOW,
    }
}

/// The webhook alerter, granted these channels.
async fn started(channels: &[&str]) -> (Bench, Arc<dyn Alerter>) {
    let bench = Bench::start();
    bench.put("hook.wasm", &plugins::package("alert-webhook").unwrap());
    bench.run(PluginSpec {
        cameras: Vec::new(),
        grant: Grant {
            channels: channels.iter().map(|name| (*name).to_owned()).collect(),
            ..Grant::default()
        },
        ..bench.spec("hook", 1)
    });
    let there = |s: &PluginStatus| {
        let own = s.commune.as_ref()?;
        let sits = own.state == RunState::Running || own.state == RunState::Probation;
        sits.then_some(())
    };
    bench.until("hook", "in its commune", there).await;
    let (commune, name) = ("thu".parse().unwrap(), "hook".parse().unwrap());
    let alerter = bench.sandbox.alerter(&commune, &name).unwrap();
    (bench, alerter)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alerter_words_events_and_reads_answers() {
    let (bench, alerter) = started(&["webhook"]).await;
    let Decision::Send(planned) = alerter.compose(&task()).await.unwrap() else {
        panic!("there is something to say");
    };
    let Outgoing::Http(request) = &planned[0].message else {
        panic!("{planned:?}");
    };
    assert_eq!(request.channel, "webhook");
    let sent = Sent {
        step: 0,
        attempt: 1,
        at: NOW,
        memo: planned[0].memo.clone(),
    };
    let answered = |status| {
        Reply::Http(HttpResponse {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        })
    };
    let busy = alerter.judge(&task(), &sent, &answered(503)).await;
    assert_eq!(busy, Ok(Verdict::Usual));
    // It has nothing that stands without events.
    let tends = alerter.tend("desk", &[], &[], NOW).await.unwrap();
    assert!(tends.is_none_or(|chores| chores.messages.is_empty()));
    drop(bench);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_is_not_granted_carries_nothing() {
    for channels in [&[][..], &["other"]] {
        let (_bench, alerter) = started(channels).await;
        let refused = alerter.compose(&task()).await.unwrap_err();
        let Unanswered::Failed(Failure::Said(PluginError::Settings(why))) = refused else {
            panic!("{refused:?}");
        };
        let line = "add to [plugin.hook]: grant = { channels = [\"webhook\"] }";
        assert!(why.contains(line), "{why}");
    }
}
