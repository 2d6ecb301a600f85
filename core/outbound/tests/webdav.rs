//! `backend-webdav` as a component, its requests sent by a channel: to a server that we did not write, and
//! to one that means harm. And backends that mean harm.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a set-up that fails fails its test"
)]

mod common;
mod places;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use common::{Bench, Program, free_port, http_channel, listening, start};
use places::{One, behaves, by_backend, bytes, content, fetched, place};
use taimat_base::metrics::Registry;
use taimat_base::tasks::Stop;
use taimat_base::{CameraKey, Secret};
use taimat_contract::backend::{Backend, Errand, Operation, Progress, Source, Span, Step};
use taimat_contract::message::{HttpResponse, RequestHead};
use taimat_contract::place::{BlobStore, PlaceError};
use taimat_contract::{
    Backends, Detected, DetectionSink, FrameReader, FrameSource, Unanswered, Want,
};
use taimat_outbound::{HttpSpec, SignIn};
use taimat_sandbox::compile::Where;
use taimat_sandbox::limits::LimitSettings;
use taimat_sandbox::{Grant, PluginSpec, RunState, Sandbox, SandboxConfig};
use taimat_testkit::{BadStore, Badness, eventually, plugins, python};

#[derive(Debug)]
struct Nobody;

impl DetectionSink for Nobody {
    fn publish(&self, _detected: &Detected<'_>) {}
}

impl FrameSource for Nobody {
    fn watch(&self, _camera: &CameraKey, _want: &Want) -> Box<dyn FrameReader> {
        panic!("a backend sees no frames")
    }
}

/// The component in the real sandbox.
async fn component(folder: &Path) -> Arc<Sandbox> {
    let file = folder.join("webdav.wasm");
    std::fs::write(&file, plugins::package("backend-webdav").unwrap()).unwrap();
    let config = SandboxConfig {
        threads: 2,
        instances: 10,
        compile: Where::Here,
        data: None,
    };
    let stop = Stop::new();
    let registry = Registry::new();
    let sandbox = Sandbox::start(config, Arc::new(Nobody), Arc::new(Nobody), &registry, &stop);
    let sandbox = Arc::new(sandbox.unwrap());
    sandbox.reconcile(vec![PluginSpec {
        commune: common::thu(),
        name: "webdav".parse().unwrap(),
        component: file,
        enabled: true,
        cameras: Vec::new(),
        settings: r#"{ "folder": "hoa-lac" }"#.into(),
        facts: Arc::default(),
        camera_settings: BTreeMap::new(),
        grant: Grant {
            channels: ["nas".to_owned()].into(),
            ..Grant::default()
        },
        limits: LimitSettings::default(),
        trusted_keys: Vec::new(),
    }]);
    eventually("it runs", Duration::from_secs(60), async || {
        let (status, _) = sandbox.get(&common::thu(), &"webdav".parse().unwrap())?;
        let own = status.commune?;
        matches!(own.state, RunState::Running | RunState::Probation).then_some(())
    })
    .await;
    sandbox
}

/// A WebDAV server with a password.
async fn wsgidav(folder: &Path) -> (Program, String) {
    let port = free_port();
    let root = folder.join("files");
    std::fs::create_dir_all(&root).unwrap();
    let config = folder.join("wsgidav.json");
    let text = format!(
        r#"{{ "host": "127.0.0.1", "port": {port}, "server": "cheroot",
            "provider_mapping": {{ "/dav": {{ "root": {root:?} }} }},
            "http_authenticator": {{ "accept_basic": true, "accept_digest": false, "default_to_digest": false }},
            "simple_dc": {{ "user_mapping": {{ "*": {{ "router": {{ "password": "a password" }} }} }} }},
            "lock_storage": false, "verbose": 1 }}"#
    );
    std::fs::write(&config, text).unwrap();
    let program = python::programs().unwrap().join("wsgidav");
    let server = start(Command::new(program).arg("--config").arg(&config));
    listening(port).await;
    (server, format!("http://127.0.0.1:{port}/dav"))
}

async fn nas(bench: &Bench, url: &str, password: &str) {
    let spec = HttpSpec {
        sign_in: vec![SignIn::Basic {
            user: "router".into(),
            password: Secret::new(password),
        }],
        ..HttpSpec::default()
    };
    bench.configure(vec![http_channel("nas", url, spec)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webdav_server_keeps_what_is_put() {
    let (bench, folder) = (Bench::new(), tempfile::tempdir().unwrap());
    let (_server, url) = wsgidav(folder.path()).await;
    nas(&bench, &url, "a password").await;
    let sandbox = component(folder.path()).await;
    let store = place(
        &bench,
        by_backend(),
        Arc::clone(&sandbox) as Arc<dyn Backends>,
    );
    behaves(&*store).await;
    // Each file where its key says.
    let there = folder.path().join("files/hoa-lac/deep/e/f/g/h");
    assert_eq!(std::fs::read(there).unwrap(), bytes(10));
    let space = store.space().await.unwrap();
    println!("room: {space:?}");
    assert!(space.is_none_or(|space| space.free.is_some()));
    let large = bytes(20 << 20);
    store.put("gate/large.mp4", content(&large)).await.unwrap();
    assert_eq!(
        store.digest("gate/large.mp4", 20 << 20).await.unwrap(),
        content(&large).sha256
    );
    nas(&bench, &url, "another password").await;
    let refused = store.stat("gate/large.mp4").await.unwrap_err();
    assert_eq!(
        refused,
        PlaceError::Refused("the server answers 401".into())
    );
    bench.configure(Vec::new()).await;
    let gone = store.stat("gate/large.mp4").await.unwrap_err();
    assert_eq!(gone, PlaceError::Refused("there is no channel nas".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lies_or_breaks_is_seen_through() {
    let (bench, folder) = (Bench::new(), tempfile::tempdir().unwrap());
    let server = BadStore::start(Badness::None).await.unwrap();
    nas(&bench, &server.url(), "a password").await;
    let sandbox = component(folder.path()).await;
    let store = place(&bench, by_backend(), sandbox as Arc<dyn Backends>);
    store.put("good", content(&bytes(1000))).await.unwrap();
    let put = async |badness| {
        server.does(badness);
        store.put("bad", content(&bytes(1000))).await.unwrap_err()
    };
    let forgotten = put(Badness::Forgets).await;
    assert!(matches!(forgotten, PlaceError::Differs(_)), "{forgotten:?}");
    let half = put(Badness::KeepsHalf).await;
    assert_eq!(
        half,
        PlaceError::Differs("500 bytes are there of 1000".into())
    );
    let broken = put(Badness::Broken).await;
    assert_eq!(broken, PlaceError::later("the server answers 500"));
    let garbage = put(Badness::Garbage).await;
    assert!(garbage.passes(), "{garbage:?}");
    let redirected = put(Badness::Redirects).await;
    assert_eq!(
        redirected,
        PlaceError::Refused("the server answers 302".into())
    );
    server.does(Badness::KeepsOther);
    store.put("other", content(&bytes(1000))).await.unwrap();
    assert_ne!(
        store.digest("other", 1000).await.unwrap(),
        content(&bytes(1000)).sha256
    );
    server.does(Badness::Truncates);
    assert!(
        fetched(&*store, "good", 0, 1000)
            .await
            .unwrap_err()
            .passes()
    );
    server.does(Badness::OtherPart);
    let other = fetched(&*store, "good", 500, 100).await.unwrap_err();
    assert!(matches!(other, PlaceError::Differs(_)), "{other:?}");
    server.does(Badness::Endless);
    let endless = store.list("", None).await.unwrap_err();
    assert!(
        endless.to_string().contains("longer than 1 MiB"),
        "{endless}"
    );
    server.does(Badness::None);
    assert_eq!(
        fetched(&*store, "good", 500, 100).await.unwrap(),
        bytes(1000)[500..600]
    );
}

/// A backend that answers what a function says.
#[derive(Debug)]
struct Scripted(fn(&Errand, Option<&HttpResponse>) -> Progress);

#[async_trait]
impl Backend for Scripted {
    async fn begin(&self, errand: &Errand) -> Result<Progress, Unanswered> {
        Ok((self.0)(errand, None))
    }

    async fn next(
        &self,
        errand: &Errand,
        _memo: &str,
        response: &HttpResponse,
    ) -> Result<Progress, Unanswered> {
        Ok((self.0)(errand, Some(response)))
    }
}

fn step(method: &str, body: Source) -> Progress {
    Progress::Step(Step {
        head: RequestHead {
            method: method.into(),
            path: "/a".into(),
            headers: Vec::new(),
        },
        body,
        memo: String::new(),
    })
}

fn nothing() -> Source {
    Source::Bytes(Vec::new())
}

async fn scripted(
    answers: fn(&Errand, Option<&HttpResponse>) -> Progress,
) -> (Bench, BadStore, Arc<dyn BlobStore>) {
    let bench = Bench::new();
    let server = BadStore::start(Badness::None).await.unwrap();
    nas(&bench, &server.url(), "a password").await;
    let backend: Arc<dyn Backend> = Arc::new(Scripted(answers));
    let store = place(&bench, by_backend(), Arc::new(One(backend)));
    (bench, server, store)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_never_ends_is_ended_and_named() {
    let (_bench, server, store) = scripted(|_, _| step("GET", nothing())).await;
    let error = store.stat("a").await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("the backend webdav wants more than 200 requests"),
        "{text}"
    );
    assert_eq!(server.asked().len(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_answers_something_else_is_named() {
    let named = async |answers, what: &str| {
        let (_bench, _server, store) = scripted(answers).await;
        let error = store.stat("a").await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(what), "{what}: {text}");
    };
    named(
        |_, _| Progress::Usual,
        "the backend webdav begins without a request",
    )
    .await;
    named(|_, _| Progress::Again(1), "begins without a request").await;
    named(|_, _| Progress::Done, "does not say how large it is").await;
    let whole = |_: &Errand, _: Option<&HttpResponse>| {
        let span = Span {
            offset: 0,
            length: 10,
        };
        step("PUT", Source::Object(span))
    };
    named(whole, "sends an object where there is none").await;
    named(
        |_, _| step("CONNECT", nothing()),
        "the method CONNECT is not sent",
    )
    .await;
}

/// It says that it has put what it never sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_puts_nothing_is_seen_through() {
    let (_bench, _server, store) =
        scripted(
            |errand, response| match (&errand.operation, response.map(|r| r.status)) {
                (Operation::Put(_), _) => Progress::Done,
                (_, None) => step("HEAD", nothing()),
                (_, Some(_)) => Progress::Usual,
            },
        )
        .await;
    let error = store.put("a", content(&bytes(10))).await.unwrap_err();
    assert!(matches!(error, PlaceError::Differs(_)), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_may_send_parts_and_wait_in_between() {
    let (_bench, server, store) = scripted(|errand, response| {
        let part = |offset, length| step("PUT", Source::Object(Span { offset, length }));
        match (&errand.operation, response.map(|r| r.status)) {
            (Operation::Put(_), None) => part(0, 400),
            (Operation::Put(content), Some(500)) if content.size == 1000 => Progress::Again(1),
            (Operation::Put(_), Some(_)) => Progress::Done,
            _ => Progress::Unsupported,
        }
    })
    .await;
    server.does(Badness::BrokenAtFirst(2));
    store.put("a", content(&bytes(1000))).await.unwrap();
    assert_eq!(server.asked().len(), 3);
    assert_eq!(server.kept("/a").unwrap(), bytes(1000)[..400]);
    // Who has waited often enough is tried again as a whole.
    server.does(Badness::Broken);
    let error = store.put("a", content(&bytes(1000))).await.unwrap_err();
    assert!(error.passes(), "{error:?}");
}
