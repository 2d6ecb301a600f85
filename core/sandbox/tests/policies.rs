//! Policies in the sandbox: what they answer, what becomes of bad answers, what a change costs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a set-up that fails fails its test"
)]

mod common;

use std::sync::Arc;

use common::Bench;
use taimat_contract::event::Phase;
use taimat_contract::policy::{RecordingMode, Why};
use taimat_contract::{
    Cause, CommuneFacts, Detection, Event, Package, Policies, Policy, Severity, Situation,
    Unanswered, UnixMicros,
};
use taimat_sandbox::{PluginSpec, PluginStatus, RunState};
use taimat_testkit::plugins;

/// 2027-01-15 08:00 UTC: the afternoon in Hà Nội.
const NOW: UnixMicros = UnixMicros(1_800_000_000_000_000);

fn event(severity: Severity) -> Event {
    Event {
        id: "e1".into(),
        revision: 1,
        phase: Phase::Opened,
        camera: Some("c0".parse().unwrap()),
        kind: "motion".into(),
        severity,
        began: NOW,
        ended: None,
        best: Detection {
            kind: "motion".into(),
            at: NOW,
            confidence: 1.0,
            regions: Vec::new(),
            track: None,
            text: String::new(),
            extra: Vec::new(),
        },
        detections: 1,
        plugin: "motion".parse().unwrap(),
        picture: false,
        clip: false,
        answered: None,
        extra: Vec::new(),
    }
}

fn situation() -> Situation {
    Situation {
        why: Why::Opened,
        now: NOW,
        asked: 0,
        memo: String::new(),
        told: Vec::new(),
        others: Vec::new(),
        same_last_hour: 1,
    }
}

fn spec(bench: &Bench, settings: &str) -> PluginSpec {
    let facts = CommuneFacts {
        title: "Thu".into(),
        ..CommuneFacts::default()
    };
    PluginSpec {
        settings: settings.into(),
        facts: Arc::new(facts),
        ..bench.spec("rules", 0)
    }
}

async fn runs(bench: &Bench, generation: u64) {
    let there = |s: &PluginStatus| {
        let own = s.commune.as_ref()?;
        let sits = own.state == RunState::Running || own.state == RunState::Probation;
        (sits && own.generation == generation).then_some(())
    };
    bench.until("rules", "in its commune", there).await;
}

fn named(bench: &Bench, name: &str) -> Option<Arc<dyn Policy>> {
    let (commune, name) = ("thu".parse().unwrap(), name.parse().unwrap());
    bench.sandbox.policy(&commune, &name)
}

async fn started(settings: &str) -> (Bench, Arc<dyn Policy>) {
    let bench = Bench::start();
    assert!(named(&bench, "rules").is_none());
    bench.put("rules.wasm", &plugins::package("example-ruler").unwrap());
    bench.run(spec(&bench, settings));
    runs(&bench, 1).await;
    let rules = named(&bench, "rules").unwrap();
    (bench, rules)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_rules_and_remembers() {
    let (bench, policy) = started("{}").await;
    let quiet = policy.on_event(&event(Severity::Info), &situation()).await;
    assert_eq!(quiet.unwrap().alerts, []);
    let ruled = policy.on_event(&event(Severity::Alarm), &situation()).await;
    let ruled = ruled.unwrap();
    assert_eq!(ruled.alerts[0].target, "duty-desk");
    assert_eq!(
        (ruled.notes[0].value.as_str(), ruled.memo.as_str()),
        ("2", "Thu")
    );
    let camera = "c0".parse().unwrap();
    let day = policy.recording(&camera, NOW).await;
    assert_eq!(day, Ok(RecordingMode::Usual));
    let night = UnixMicros(NOW.0 + 12 * 3_600_000_000);
    assert_eq!(
        policy.recording(&camera, night).await,
        Ok(RecordingMode::Continuous)
    );
    // A plugin that is no policy is not asked.
    bench.put("count.wasm", &plugins::package("example-smallest").unwrap());
    bench.run(bench.spec("count", 1));
    let loaded = |s: &PluginStatus| s.component.as_ref().map(|_| ());
    bench.until("count", "is loaded", loaded).await;
    assert!(named(&bench, "count").is_none());
}

/// As it was built when 0.3.0 was the newest.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_was_built_for_the_patch_version_before_runs_on() {
    let bench = Bench::start();
    let manifest = plugins::manifest("example-ruler").unwrap();
    let kept = include_bytes!("data/policy-0.3.0.wasm");
    bench.put("rules.wasm", &Package::pack(kept, &manifest).unwrap());
    bench.run(spec(&bench, "{}"));
    runs(&bench, 1).await;
    let policy = named(&bench, "rules").unwrap();
    let ruled = policy.on_event(&event(Severity::Alarm), &situation()).await;
    let ruled = ruled.unwrap();
    assert_eq!((ruled.alerts.len(), ruled.memo.as_str()), (1, "Thu"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_answer_with_an_error_wrote_was_never_written() {
    let (bench, policy) = started(r#"{ "does": "regret" }"#).await;
    for _ in 0..3 {
        let said = policy.on_event(&event(Severity::Info), &situation()).await;
        assert!(said.unwrap_err().to_string().contains("not now"));
    }
    bench.run(spec(&bench, "{}"));
    runs(&bench, 2).await;
    let ruled = policy.on_event(&event(Severity::Info), &situation()).await;
    assert_eq!(ruled.unwrap().notes[0].value, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_over_a_bound_is_refused_with_its_reason() {
    let (_bench, policy) = started(r#"{ "does": "too-much" }"#).await;
    let refused = policy.on_event(&event(Severity::Info), &situation()).await;
    let Err(Unanswered::Failed(failure)) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(failure.cause(), Some(Cause::Contract));
    assert!(
        failure.to_string().contains("alerts: 33, at most 32"),
        "{failure}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_question_that_a_new_one_fails_on_is_answered_by_the_one_before() {
    let (bench, policy) = started("{}").await;
    bench.run(spec(&bench, r#"{ "does": "panic" }"#));
    runs(&bench, 2).await;
    let ruled = policy.on_event(&event(Severity::Alarm), &situation()).await;
    assert_eq!(ruled.unwrap().alerts.len(), 1);
    bench
        .until("rules", "taken back", |s| {
            let own = s.commune.as_ref()?;
            (own.generation == 1 && s.change_refused).then_some(())
        })
        .await;
    let why = bench.status("rules").last_error.unwrap().text;
    assert!(why.contains("on purpose"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_fails_again_and_again_does_not_run_and_says_so() {
    let (bench, policy) = started(r#"{ "does": "panic" }"#).await;
    let ask = async || policy.on_event(&event(Severity::Info), &situation()).await;
    for _ in 0..3 {
        assert!(matches!(ask().await, Err(Unanswered::Failed(_))));
    }
    assert_eq!(ask().await, Err(Unanswered::NotRunning));
    bench.run(PluginSpec {
        enabled: false,
        ..spec(&bench, "{}")
    });
    taimat_testkit::eventually("nobody is there", common::LIMIT, async || {
        named(&bench, "rules").is_none().then_some(())
    })
    .await;
    assert_eq!(ask().await, Err(Unanswered::NotRunning));
}
