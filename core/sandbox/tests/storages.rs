//! Storage plugins in the sandbox: what they answer, what becomes of bad answers, what a change costs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a set-up that fails fails its test"
)]

mod common;

use std::sync::Arc;

use common::Bench;
use taimat_contract::storage::{ReviewCause, Segment, StorageTarget};
use taimat_contract::{
    Cause, Failure, PluginError, Review, Severity, Storage, Storages, Unanswered, UnixMicros,
};
use taimat_sandbox::{PluginSpec, PluginStatus, RunState};
use taimat_testkit::plugins;

const NOW: UnixMicros = UnixMicros(1_800_000_000_000_000);
const DAY: i64 = 86_400_000_000;

/// A question about so many minutes of a camera that ended that many days ago.
fn review(count: u64, days: i64) -> Review {
    let begin = NOW.0 - days * DAY - i64::try_from(count).unwrap() * 60_000_000;
    let segment = |id: u64| Segment {
        id,
        camera: "gate".into(),
        start: UnixMicros(begin + i64::try_from(id).unwrap() * 60_000_000),
        duration_ms: 60_000,
        size: 15_000_000,
        watched: true,
        kinds: vec!["litter".into()],
        highest: Some(Severity::Alarm),
        held: false,
        keep_until: None,
        copies: Vec::new(),
    };
    let target = |name: &str| StorageTarget {
        name: name.into(),
        used: 0,
        quota: Some(1 << 40),
        healthy: true,
    };
    Review {
        why: ReviewCause::Fresh,
        segments: (0..count).map(segment).collect(),
        targets: vec![target("local"), target("nas")],
        now: NOW,
    }
}

fn spec(bench: &Bench, settings: &str) -> PluginSpec {
    PluginSpec {
        settings: settings.into(),
        ..bench.spec("keep", 0)
    }
}

async fn runs(bench: &Bench, generation: u64) {
    let there = |s: &PluginStatus| {
        let own = s.commune.as_ref()?;
        let sits = own.state == RunState::Running || own.state == RunState::Probation;
        (sits && own.generation == generation).then_some(())
    };
    bench.until("keep", "in its commune", there).await;
}

async fn started(package: &str, settings: &str) -> (Bench, Arc<dyn Storage>) {
    let bench = Bench::start();
    bench.put("keep.wasm", &plugins::package(package).unwrap());
    bench.run(spec(&bench, settings));
    runs(&bench, 1).await;
    let (commune, name) = ("thu".parse().unwrap(), "keep".parse().unwrap());
    let storage = bench.sandbox.storage(&commune, &name).unwrap();
    (bench, storage)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_plugin_says_where_what_is_kept() {
    let settings = r#"{ "targets": ["nas"] }"#;
    let (bench, storage) = started("store-tiered", settings).await;
    let placed = storage.review(&review(256, 0)).await.unwrap();
    assert_eq!(placed.len(), 256);
    let copies = &placed[255].copies;
    let said: Vec<_> = copies.iter().map(|c| (&*c.target, c.worth)).collect();
    assert_eq!(said, [("local", 200), ("nas", 200)]);
    let old = storage.review(&review(1, 20)).await.unwrap();
    assert_eq!((old[0].copies.len(), &*old[0].copies[0].target), (1, "nas"));
    let over = storage.review(&review(1, 200)).await.unwrap();
    assert_eq!(over[0].copies, []);
    // A plugin of another kind is none, and this one is none of another.
    let (commune, name) = ("thu".parse().unwrap(), "keep".parse().unwrap());
    assert!(taimat_contract::Policies::policy(&bench.sandbox, &commune, &name).is_none());
    assert!(taimat_contract::Backends::backend(&bench.sandbox, &commune, &name).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_against_the_contract_is_not_asked_and_costs_no_instance() {
    let (bench, storage) = started("example-keeper", "{}").await;
    for count in [0, 257] {
        let refused = storage.review(&review(count, 0)).await.unwrap_err();
        assert!(matches!(refused, Unanswered::Unasked(_)), "{refused:?}");
    }
    assert_eq!(storage.review(&review(1, 0)).await.unwrap().len(), 1);
    assert!(bench.status("keep").last_error.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_against_the_contract_is_refused_with_its_reason() {
    for (does, why) in [
        ("elsewhere", "the target of a copy is not one that there is"),
        ("too-much", "copies of a segment: 9, at most 8"),
    ] {
        let (_bench, storage) =
            started("example-keeper", &format!(r#"{{ "does": "{does}" }}"#)).await;
        let Err(Unanswered::Failed(failure)) = storage.review(&review(2, 0)).await else {
            panic!("{does}");
        };
        assert_eq!(failure.cause(), Some(Cause::Contract));
        assert!(failure.to_string().contains(why), "{failure}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_or_not_now_lives_on() {
    let (bench, storage) = started("example-keeper", r#"{ "does": "silence" }"#).await;
    assert_eq!(storage.review(&review(3, 0)).await.unwrap(), []);
    bench.run(spec(&bench, r#"{ "does": "later" }"#));
    runs(&bench, 2).await;
    let later = storage.review(&review(3, 0)).await.unwrap_err();
    let said = Failure::Said(PluginError::Retry("not now".into()));
    assert_eq!(later, Unanswered::Failed(said));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_question_that_a_new_one_fails_on_is_answered_by_the_one_before() {
    let (bench, storage) = started("example-keeper", "{}").await;
    bench.run(spec(&bench, r#"{ "does": "panic" }"#));
    runs(&bench, 2).await;
    let placed = storage.review(&review(2, 0)).await.unwrap();
    assert_eq!(placed.len(), 2);
    bench
        .until("keep", "taken back", |s| {
            let own = s.commune.as_ref()?;
            (own.generation == 1 && s.change_refused).then_some(())
        })
        .await;
    let why = bench.status("keep").last_error.unwrap().text;
    assert!(why.contains("on purpose"), "{why}");
}
