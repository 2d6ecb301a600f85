//! A bucket as a place for copies: an S3 server that we did not write, and one that means harm.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a set-up that fails fails its test"
)]

mod common;
mod places;
#[path = "places/s3_server.rs"]
mod s3_server;

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use common::{Bench, free_port, listening, start};
use places::{NoBackends, behaves, bytes, content, fetched, listed, place, s3};
use s3_server::S3Server;
use taimat_contract::place::{BlobStore, PlaceError};
use taimat_outbound::{LockMode, ObjectLock, OutboundConfig, PlaceWay, S3Spec};
use taimat_testkit::{BadStore, Badness, python};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn bucket(bench: &Bench, spec: S3Spec) -> Arc<dyn BlobStore> {
    place(bench, PlaceWay::S3(Box::new(spec)), Arc::new(NoBackends))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_keeps_what_is_put() {
    let (bench, folder) = (Bench::new(), tempfile::tempdir().unwrap());
    let server = S3Server::start(folder.path(), "copies").await.unwrap();
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
    let (bench, folder) = (Bench::new(), tempfile::tempdir().unwrap());
    let server = S3Server::start(folder.path(), "copies").await.unwrap();
    let below = folder.path().join("copies/taimat/thu/many");
    std::fs::create_dir_all(&below).unwrap();
    for n in 0..2300 {
        std::fs::write(below.join(format!("{n:05}")), b"x").unwrap();
    }
    let place = bucket(&bench, s3(&server.endpoint()));
    let first = place.list("many/", None).await.unwrap();
    assert_eq!((first.entries.len(), first.cursor.is_some()), (1000, true));
    let all = listed(&*place, "many/").await;
    assert_eq!(all.len(), 2300);
    assert_eq!(all[2299].0, "many/02299");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_sign_rightly_is_told_so_and_no_secret_is_seen() {
    let (bench, folder) = (Bench::new(), tempfile::tempdir().unwrap());
    let server = S3Server::start(folder.path(), "copies").await.unwrap();
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
    // A server that holds the signature against the request takes it.
    let folder = tempfile::tempdir().unwrap();
    let real = S3Server::start(folder.path(), "copies").await.unwrap();
    let mut spec = s3(&real.endpoint());
    spec.lock = Some(ObjectLock {
        mode: LockMode::Governance,
        keep: Duration::from_secs(86_400),
    });
    let place = bucket(&bench, spec);
    place.put("a", content(&bytes(10))).await.unwrap();
    place.put("large", content(&bytes(9 << 20))).await.unwrap();
}

/// One request, signed by nobody, and what comes back.
async fn plain(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
        .await
        .unwrap();
    // It looks whether there is a signature, and not what it is.
    let signed = "authorization: AWS4-HMAC-SHA256 \
        Credential=a/20261126/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
    let head = format!("{request}host: 127.0.0.1:{port}\r\n{signed}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// A server that knows locks, and no signatures.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_locked_is_locked_there() {
    let (bench, port) = (Bench::new(), free_port());
    let program = python::programs().unwrap().join("moto_server");
    let _server = start(Command::new(program).args(["-p", &port.to_string()]));
    listening(port).await;
    let bucket_made = plain(
        port,
        "PUT /copies HTTP/1.1\r\ncontent-length: 0\r\nx-amz-bucket-object-lock-enabled: true\r\n",
    );
    let bucket_made = bucket_made.await;
    assert!(bucket_made.starts_with("HTTP/1.1 200"), "{bucket_made}");
    let mut spec = s3(&format!("http://127.0.0.1:{port}"));
    spec.lock = Some(ObjectLock {
        mode: LockMode::Compliance,
        keep: Duration::from_secs(86_400),
    });
    let place = bucket(&bench, spec);
    // Of what comes in parts it keeps no lock, whoever asks for one.
    place.put("small", content(&bytes(1000))).await.unwrap();
    let kept = plain(port, "HEAD /copies/taimat/thu/small HTTP/1.1\r\n").await;
    for said in ["mode: COMPLIANCE", "retain-until-date: 2"] {
        let said = format!("x-amz-object-lock-{said}");
        assert!(kept.contains(&said), "{kept}");
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
