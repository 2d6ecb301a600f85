//! A bucket as a place for copies: an S3 server that we did not write, and one that means harm.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a set-up that fails fails its test"
)]

mod common;
mod places;

use std::sync::Arc;
use std::time::Duration;

use common::Bench;
use places::{NoBackends, behaves, bytes, content, fetched, listed, place, s3};
use taimat_contract::place::{BlobStore, PlaceError};
use taimat_outbound::{LockMode, ObjectLock, OutboundConfig, PlaceWay, S3Spec};
use taimat_testkit::{BadStore, Badness, S3Options, S3Server};

fn bucket(bench: &Bench, spec: S3Spec) -> Arc<dyn BlobStore> {
    place(bench, PlaceWay::S3(Box::new(spec)), Arc::new(NoBackends))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_keeps_what_is_put() {
    let bench = Bench::new();
    let server = S3Server::start("copies", S3Options::default()).unwrap();
    let place = bucket(&bench, s3(&server.endpoint()));
    behaves(&*place).await;
    assert_eq!(place.space().await, Ok(None));
    // 20 MiB go in three parts.
    let large = bytes(20 << 20);
    place.put("gate/large.mp4", content(&large)).await.unwrap();
    assert_eq!(
        place.digest("gate/large.mp4", 20 << 20).await.unwrap(),
        content(&large).sha256
    );
    let end = fetched(&*place, "gate/large.mp4", (20 << 20) - 5, 5)
        .await
        .unwrap();
    assert_eq!(end, large[(20 << 20) - 5..]);
    // What has changed since is not completed.
    let mut changed = content(&large);
    changed.sha256 = [7; 32];
    let error = place.put("gate/changed.mp4", changed).await.unwrap_err();
    assert!(matches!(error, PlaceError::Source(_)), "{error:?}");
    assert_eq!(place.stat("gate/changed.mp4").await.unwrap(), None);
    let put = "taimat_place_operations_total{commune=\"thu\",operation=\"put\",place=\"copies\"";
    let line = |result: &str| format!("{put},result=\"{result}\"}} ");
    let metrics = bench.metrics();
    assert!(
        metrics.contains(&format!("{}2\n", line("source"))),
        "{metrics}"
    );
    assert!(
        !metrics.contains(&format!("{}0\n", line("done"))),
        "{metrics}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_comes_in_pages() {
    let bench = Bench::new();
    let many = S3Options {
        filled: Some(("taimat/thu/many/", 2300)),
        ..S3Options::default()
    };
    let server = S3Server::start("copies", many).unwrap();
    let place = bucket(&bench, s3(&server.endpoint()));
    let first = place.list("many/", None).await.unwrap();
    assert_eq!((first.entries.len(), first.cursor.is_some()), (1000, true));
    let all = listed(&*place, "many/").await;
    assert_eq!(all.len(), 2300);
    assert_eq!(all[2299].0, "many/02299");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_sign_rightly_is_told_so_and_no_secret_is_seen() {
    let bench = Bench::new();
    let server = S3Server::start("copies", S3Options::default()).unwrap();
    let mut spec = s3(&server.endpoint());
    spec.secret_key = taimat_base::Secret::new("not-the-one-that-it-knows");
    let place = bucket(&bench, spec);
    let error = place.put("a", content(&bytes(10))).await.unwrap_err();
    assert!(matches!(error, PlaceError::Refused(_)), "{error:?}");
    assert!(
        !format!("{error} {place:?}").contains("not-the-one"),
        "{error} {place:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_where_channels_may_not_lead_is_not_reached() {
    let bench = Bench::with(OutboundConfig::default());
    let server = BadStore::start(Badness::None).await.unwrap();
    let place = bucket(&bench, s3(&server.url()));
    let error = place.put("a", content(&bytes(10))).await.unwrap_err();
    assert!(matches!(error, PlaceError::Refused(_)), "{error:?}");
    assert!(error.to_string().contains("this machine"), "{error}");
    assert_eq!(server.asked(), [""; 0]);
    let mut spec = s3("ftp://example.org");
    spec.secret_key = taimat_base::Secret::new("x");
    assert!(
        bucket(&bench, spec)
            .stat("a")
            .await
            .unwrap_err()
            .to_string()
            .contains("endpoint")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_locked_says_until_when_in_what_is_signed() {
    let bench = Bench::new();
    let server = BadStore::start(Badness::None).await.unwrap();
    let mut spec = s3(&server.url());
    spec.lock = Some(ObjectLock {
        mode: LockMode::Compliance,
        keep: Duration::from_secs(86_400),
    });
    let place = bucket(&bench, spec);
    place.put("a", content(&bytes(10))).await.unwrap();
    let asked = server.asked();
    let put = asked.iter().find(|head| head.starts_with("PUT ")).unwrap();
    assert!(put.contains("x-amz-object-lock-mode: COMPLIANCE"), "{put}");
    assert!(
        put.contains("x-amz-object-lock-retain-until-date: 2"),
        "{put}"
    );
    assert!(put.contains("x-amz-checksum-sha256: "), "{put}");
    let signed = put
        .lines()
        .find(|line| line.starts_with("authorization: "))
        .unwrap();
    assert!(
        signed.contains("x-amz-object-lock-mode;x-amz-object-lock-retain-until-date"),
        "{signed}"
    );
    let head = asked.iter().find(|head| head.starts_with("HEAD ")).unwrap();
    assert!(!head.contains("object-lock"), "{head}");
}

/// A server that knows locks, and holds the signature against the request.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_locked_is_locked_there() {
    let bench = Bench::new();
    let locks = S3Options {
        lock: true,
        ..S3Options::default()
    };
    let server = S3Server::start("copies", locks).unwrap();
    for (mode, word) in [
        (LockMode::Compliance, "COMPLIANCE 2"),
        (LockMode::Governance, "GOVERNANCE 2"),
    ] {
        let mut spec = s3(&server.endpoint());
        spec.lock = Some(ObjectLock {
            mode,
            keep: Duration::from_secs(86_400),
        });
        let place = bucket(&bench, spec);
        let small = format!("{}/small", mode_name(mode));
        place.put(&small, content(&bytes(1000))).await.unwrap();
        let locked = server.locked(&format!("taimat/thu/{small}")).unwrap();
        assert!(locked.starts_with(word), "{locked}");
        // Of what comes in parts this server keeps no lock, whoever asks for one: but it takes what is signed.
        let large = format!("{}/large", mode_name(mode));
        place.put(&large, content(&bytes(9 << 20))).await.unwrap();
    }
}

fn mode_name(mode: LockMode) -> &'static str {
    match mode {
        LockMode::Compliance => "compliance",
        LockMode::Governance => "governance",
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_fails_for_a_moment_is_tried_again() {
    let bench = Bench::new();
    let server = BadStore::start(Badness::BrokenAtFirst(2)).await.unwrap();
    let place = bucket(&bench, s3(&server.url()));
    place.put("a", content(&bytes(1000))).await.unwrap();
    assert_eq!(server.kept("/a").unwrap(), bytes(1000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lies_or_breaks_is_seen_through() {
    let bench = Bench::new();
    let server = BadStore::start(Badness::None).await.unwrap();
    let place = bucket(&bench, s3(&server.url()));
    place.put("good", content(&bytes(1000))).await.unwrap();
    let put = async |badness| {
        server.does(badness);
        place.put("bad", content(&bytes(1000))).await.unwrap_err()
    };
    let forgotten = put(Badness::Forgets).await;
    assert!(matches!(forgotten, PlaceError::Differs(_)), "{forgotten:?}");
    let half = put(Badness::KeepsHalf).await;
    assert_eq!(
        half,
        PlaceError::Differs("500 bytes are there of 1000".into())
    );
    let broken = put(Badness::Broken).await;
    assert!(broken.passes(), "{broken:?}");
    let redirected = put(Badness::Redirects).await;
    assert!(
        !matches!(redirected, PlaceError::Source(_)),
        "{redirected:?}"
    );
    let garbage = put(Badness::Garbage).await;
    assert!(
        matches!(garbage, PlaceError::Differs(_) | PlaceError::Later { .. }),
        "{garbage:?}"
    );
    // Of the same length: only who reads it again can know.
    server.does(Badness::KeepsOther);
    place.put("other", content(&bytes(1000))).await.unwrap();
    assert_ne!(
        place.digest("other", 1000).await.unwrap(),
        content(&bytes(1000)).sha256
    );
    server.does(Badness::Truncates);
    let truncated = fetched(&*place, "good", 0, 1000).await.unwrap_err();
    assert!(truncated.passes(), "{truncated:?}");
    server.does(Badness::OtherPart);
    assert!(fetched(&*place, "good", 500, 100).await.is_err());
    server.does(Badness::None);
    assert_eq!(
        fetched(&*place, "good", 500, 100).await.unwrap(),
        bytes(1000)[500..600]
    );
}
