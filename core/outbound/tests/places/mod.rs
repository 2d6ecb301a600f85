//! Places for copies, and what tests put there.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    reason = "each test file uses its own part of it"
)]

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use sha2::{Digest, Sha256};
use taimat_base::{CommuneId, PluginId, Secret};
use taimat_contract::place::{BlobStore, PlaceError, Places, PutContent};
use taimat_contract::{Backend, Backends};
use taimat_outbound::{CommunePlaces, PlaceSpec, PlaceWay, S3Spec, Trust};
use taimat_testkit::{ACCESS_KEY, SECRET_KEY};

use crate::common::{Bench, thu};

/// Nobody.
#[derive(Debug)]
pub struct NoBackends;

impl Backends for NoBackends {
    fn backend(&self, _commune: &CommuneId, _name: &PluginId) -> Option<Arc<dyn Backend>> {
        None
    }
}

/// One backend, whatever it is called.
#[derive(Debug)]
pub struct One(pub Arc<dyn Backend>);

impl Backends for One {
    fn backend(&self, _commune: &CommuneId, _name: &PluginId) -> Option<Arc<dyn Backend>> {
        Some(Arc::clone(&self.0))
    }
}

/// Makes one place, `copies`.
pub fn place(bench: &Bench, way: PlaceWay, backends: Arc<dyn Backends>) -> Arc<dyn BlobStore> {
    let spec = PlaceSpec {
        name: "copies".into(),
        missing: Vec::new(),
        way,
    };
    let places = CommunePlaces {
        commune: thu(),
        places: vec![spec],
    };
    bench.outbound.configure_places(vec![places], &backends);
    bench.outbound.place(&thu(), "copies").unwrap()
}

/// A place that is reached by the channel `nas`.
pub fn by_backend() -> PlaceWay {
    PlaceWay::Backend {
        plugin: "webdav".parse().unwrap(),
        channel: "nas".parse().unwrap(),
    }
}

pub fn s3(endpoint: &str) -> S3Spec {
    S3Spec {
        endpoint: endpoint.into(),
        region: "us-east-1".into(),
        bucket: "copies".into(),
        prefix: "taimat/thu".into(),
        access_key: ACCESS_KEY.into(),
        secret_key: Secret::new(SECRET_KEY),
        path_style: true,
        lock: None,
        trust: Trust::System,
    }
}

/// So many bytes that are not all the same.
pub fn bytes(length: usize) -> Bytes {
    let bytes: Vec<u8> = (0..length)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    bytes.into()
}

pub fn content(bytes: &Bytes) -> PutContent {
    PutContent {
        size: bytes.len() as u64,
        sha256: Sha256::digest(bytes).into(),
        content_type: "video/mp4".into(),
        source: Arc::new(bytes.clone()),
    }
}

pub async fn fetched(
    place: &dyn BlobStore,
    key: &str,
    offset: u64,
    length: u64,
) -> Result<Vec<u8>, PlaceError> {
    let mut stream = place.get(key, offset, length).await?;
    let mut all = Vec::new();
    while let Some(part) = stream.next().await {
        all.extend_from_slice(&part.map_err(|e| PlaceError::later(e.to_string()))?);
    }
    Ok(all)
}

/// All keys below a prefix, sorted.
pub async fn listed(place: &dyn BlobStore, prefix: &str) -> Vec<(String, u64)> {
    let (mut all, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let page = place.list(prefix, cursor.as_deref()).await.unwrap();
        all.extend(page.entries.into_iter().map(|e| (e.key, e.size)));
        cursor = page.cursor;
        if cursor.is_none() {
            all.sort();
            return all;
        }
    }
}

/// What every place has to do.
pub async fn behaves(place: &dyn BlobStore) {
    let minute = bytes(300_000);
    assert_eq!(place.stat("gate/1.mp4").await.unwrap(), None);
    assert_eq!(
        fetched(place, "gate/1.mp4", 0, 1).await,
        Err(PlaceError::Missing)
    );
    place.put("gate/1.mp4", content(&minute)).await.unwrap();
    assert_eq!(
        place.stat("gate/1.mp4").await.unwrap().unwrap().size,
        300_000
    );
    let part = fetched(place, "gate/1.mp4", 1234, 56_789).await.unwrap();
    assert_eq!(part, minute[1234..1234 + 56_789]);
    let digest = place.digest("gate/1.mp4", 300_000).await.unwrap();
    assert_eq!(digest, content(&minute).sha256);
    // In place of what was there.
    let other = bytes(1000);
    place.put("gate/1.mp4", content(&other)).await.unwrap();
    assert_eq!(fetched(place, "gate/1.mp4", 0, 1000).await.unwrap(), other);
    // More than there is.
    assert!(fetched(place, "gate/1.mp4", 0, 1001).await.is_err());
    assert!(fetched(place, "gate/1.mp4", 5000, 10).await.is_err());
    let empty = Bytes::new();
    place.put("gate/empty", content(&empty)).await.unwrap();
    for key in [
        "gate/day/a",
        "gate/day/b",
        "gate/night/c",
        "gatehouse/d",
        "deep/e/f/g/h",
    ] {
        place.put(key, content(&bytes(10))).await.unwrap();
    }
    let keys = |listed: Vec<(String, u64)>| -> Vec<String> {
        listed.into_iter().map(|(key, _)| key).collect()
    };
    let all = listed(place, "gate/").await;
    let expected = [
        "gate/1.mp4",
        "gate/day/a",
        "gate/day/b",
        "gate/empty",
        "gate/night/c",
    ];
    assert_eq!(all[0], ("gate/1.mp4".into(), 1000));
    assert_eq!(keys(all), expected);
    assert_eq!(
        keys(listed(place, "gate/d").await),
        ["gate/day/a", "gate/day/b"]
    );
    assert_eq!(keys(listed(place, "").await).len(), 7);
    assert_eq!(keys(listed(place, "nowhere/").await), [""; 0]);
    place.delete("gate/1.mp4").await.unwrap();
    place.delete("gate/1.mp4").await.unwrap();
    assert_eq!(place.stat("gate/1.mp4").await.unwrap(), None);
    // What has changed since it was hashed is our own fault, and does not take its place.
    let mut changed = content(&minute);
    changed.sha256 = [7; 32];
    let error = place.put("gate/2.mp4", changed).await.unwrap_err();
    assert!(matches!(error, PlaceError::Source(_)), "{error:?}");
    assert_eq!(place.stat("gate/2.mp4").await.unwrap(), None);
    for bad in ["", "../x", "/x", "x/", "X"] {
        assert!(
            matches!(place.stat(bad).await, Err(PlaceError::Refused(_))),
            "{bad}"
        );
    }
}
