//! Backends in the sandbox: which requests they want, by which channel, and what becomes of bad answers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a set-up that fails fails its test"
)]

mod common;

use std::sync::Arc;

use common::Bench;
use taimat_contract::backend::{Content, Errand, ObjectFacts, Operation, Progress, Source, Span};
use taimat_contract::message::HttpResponse;
use taimat_contract::{Attribute, Backend, Backends, Cause, Failure, PluginError, Unanswered};
use taimat_sandbox::{Grant, PluginSpec, PluginStatus, RunState};
use taimat_testkit::plugins;

fn errand(key: &str, operation: Operation) -> Errand {
    Errand {
        channel: "nas".into(),
        key: key.into(),
        operation,
    }
}

fn put() -> Errand {
    let content = Content {
        size: 10,
        sha256: [7; 32],
        content_type: "video/mp4".into(),
    };
    errand("gate/2027-03-01.mp4", Operation::Put(content))
}

fn answered(status: u16, body: &[u8]) -> HttpResponse {
    HttpResponse {
        status,
        headers: vec![Attribute {
            key: "content-length".into(),
            value: "10".into(),
        }],
        body: body.into(),
    }
}

fn spec(bench: &Bench, settings: &str, channels: &[&str]) -> PluginSpec {
    PluginSpec {
        settings: settings.into(),
        grant: Grant {
            channels: channels.iter().map(|name| (*name).to_owned()).collect(),
            ..Grant::default()
        },
        ..bench.spec("dav", 0)
    }
}

async fn runs(bench: &Bench, generation: u64) {
    let there = |s: &PluginStatus| {
        let own = s.commune.as_ref()?;
        let sits = own.state == RunState::Running || own.state == RunState::Probation;
        (sits && own.generation == generation).then_some(())
    };
    bench.until("dav", "in its commune", there).await;
}

async fn started(package: &str, settings: &str, channels: &[&str]) -> (Bench, Arc<dyn Backend>) {
    let bench = Bench::start();
    bench.put("dav.wasm", &plugins::package(package).unwrap());
    bench.run(spec(&bench, settings, channels));
    runs(&bench, 1).await;
    let (commune, name) = ("thu".parse().unwrap(), "dav".parse().unwrap());
    let backend = bench.sandbox.backend(&commune, &name).unwrap();
    (bench, backend)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_says_which_requests_an_operation_takes() {
    let settings = r#"{ "folder": "hoa-lac" }"#;
    let (_bench, backend) = started("backend-webdav", settings, &["nas"]).await;
    let Progress::Step(step) = backend.begin(&put()).await.unwrap() else {
        panic!("no step");
    };
    assert_eq!(
        (&*step.head.method, &*step.head.path),
        ("PUT", "/hoa-lac/gate/2027-03-01.mp4")
    );
    let whole = Span {
        offset: 0,
        length: 10,
    };
    assert_eq!(step.body, Source::Object(whole));
    let no_folder = backend.next(&put(), &step.memo, &answered(409, b"")).await;
    let Progress::Step(step) = no_folder.unwrap() else {
        panic!("no step");
    };
    assert_eq!(
        (&*step.head.method, &*step.head.path),
        ("MKCOL", "/hoa-lac/gate/")
    );
    // A list of a megabyte is read within the limits.
    let one = "<response><href>/dav/hoa-lac/gate/NAME.mp4</href><propstat><prop>\
        <getcontentlength>9</getcontentlength></prop></propstat></response>";
    let own = "<response><href>/dav/hoa-lac/gate/</href><propstat><prop><resourcetype>\
        <collection/></resourcetype></prop></propstat></response>";
    let all: String = (0..7000)
        .map(|n| one.replace("NAME", &format!("{n:05}")))
        .collect();
    let body = format!("<multistatus xmlns=\"DAV:\">{own}{all}</multistatus>");
    assert!((900_000..1 << 20).contains(&body.len()), "{}", body.len());
    let entries = errand(
        "",
        Operation::Entries(taimat_contract::backend::Page {
            prefix: "gate/".into(),
            cursor: String::new(),
        }),
    );
    let Progress::Step(step) = backend.begin(&entries).await.unwrap() else {
        panic!("no step");
    };
    let began = taimat_base::clock::now();
    let listed = backend
        .next(&entries, &step.memo, &answered(207, body.as_bytes()))
        .await;
    println!("a list of {} bytes took {:?}", body.len(), began.elapsed());
    let Progress::Listed(listing) = listed.unwrap() else {
        panic!("no list");
    };
    assert_eq!(
        (listing.entries.len(), listing.cursor.is_empty()),
        (1000, false)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_is_not_granted_is_not_used() {
    for channels in [&[][..], &["other"]] {
        let (_bench, backend) = started("backend-webdav", "{}", channels).await;
        let refused = backend.begin(&put()).await.unwrap_err();
        let Unanswered::Failed(Failure::Said(PluginError::Settings(why))) = refused else {
            panic!("{refused:?}");
        };
        let line = "add to [plugin.dav]: grant = { channels = [\"nas\"] }";
        assert!(why.contains(line), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_against_the_contract_is_not_asked() {
    let (bench, backend) = started("example-mover", "{}", &["nas"]).await;
    for key in ["", "../etc/passwd", "a//b", "A"] {
        let refused = backend.begin(&errand(key, Operation::Stat)).await;
        assert!(matches!(refused, Err(Unanswered::Unasked(_))), "{key}");
    }
    let there = errand("a", Operation::Stat);
    let found = backend.next(&there, "", &answered(200, b"")).await.unwrap();
    let facts = ObjectFacts {
        size: 10,
        sha256: None,
    };
    assert_eq!(found, Progress::Found(facts));
    assert!(bench.status("dav").last_error.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_against_the_contract_is_refused_and_a_change_that_traps_is_taken_back() {
    for (does, why) in [
        ("sign-in", "a header is not the plugin's to set"),
        ("other", "found is not asked for"),
    ] {
        let settings = format!(r#"{{ "does": "{does}" }}"#);
        let (_bench, backend) = started("example-mover", &settings, &["nas"]).await;
        let Err(Unanswered::Failed(failure)) = backend.begin(&put()).await else {
            panic!("{does}");
        };
        assert_eq!(failure.cause(), Some(Cause::Contract));
        assert!(failure.to_string().contains(why), "{failure}");
    }
    let (bench, backend) = started("example-mover", "{}", &["nas"]).await;
    bench.run(spec(&bench, r#"{ "does": "panic" }"#, &["nas"]));
    runs(&bench, 2).await;
    let step = backend.begin(&put()).await.unwrap();
    assert!(matches!(step, Progress::Step(_)));
    let taken_back = |s: &PluginStatus| {
        let own = s.commune.as_ref()?;
        (own.generation == 1 && s.change_refused).then_some(())
    };
    bench.until("dav", "taken back", taken_back).await;
}
