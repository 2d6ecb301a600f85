//! A router in this process, on ports of its own.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "a set-up that fails fails its test")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use taimat_server::{Options, Router};
use taimat_testkit::gstreamer::write_commune;
use taimat_testkit::{ClientOptions, WhepClient, eventually};

pub(crate) struct Bench {
    pub(crate) router: Arc<Router>,
    pub(crate) folder: PathBuf,
    _temporary: tempfile::TempDir,
}

pub(crate) const LIMIT: Duration = Duration::from_secs(40);

impl Bench {
    /// A router that serves one commune `thu` with these cameras: name and the lines of its section.
    pub(crate) async fn start(cameras: &[(&str, String)]) -> Self {
        Self::start_with(cameras, |options| options).await
    }

    /// The same, with other options.
    pub(crate) async fn start_with(
        cameras: &[(&str, String)],
        change: impl FnOnce(Options) -> Options,
    ) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("thu");
        write_commune(&folder, cameras).unwrap();
        let options = change(Options::on_loopback(vec![folder.clone()]));
        let router = Router::start(options).await.unwrap();
        Self {
            router,
            folder,
            _temporary: temporary,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.router.http_addr())
    }

    /// A viewer of a camera that gets its picture.
    pub(crate) async fn watch(&self, camera: &str) -> WhepClient {
        let mut client = self.connect(camera, &ClientOptions::default()).await;
        client.packet().await.unwrap();
        client
    }

    /// A viewer of a camera.
    pub(crate) async fn connect(&self, camera: &str, options: &ClientOptions) -> WhepClient {
        let endpoint = format!("/thu/{camera}/whep");
        WhepClient::connect(self.router.http_addr(), &endpoint, options)
            .await
            .unwrap()
    }

    /// Waits until there are no viewer sessions.
    pub(crate) async fn until_nobody_watches(&self, limit: Duration) {
        eventually("the sessions are gone", limit, async || {
            let sessions = self.get("/api/v1/sessions").await;
            sessions.as_array().is_some_and(Vec::is_empty).then_some(())
        })
        .await;
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let text = reqwest::get(self.url(path))
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    pub(crate) async fn metrics(&self) -> String {
        reqwest::get(self.url("/metrics"))
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    }

    /// The sum of a metric's samples whose labels contain `labels`.
    pub(crate) async fn metric(&self, name: &str, labels: &str) -> f64 {
        let text = self.metrics().await;
        text.lines()
            .filter(|l| l.starts_with(name) && l.contains(labels))
            .filter(|l| matches!(l.as_bytes().get(name.len()), Some(b'{' | b' ')))
            .filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// What the API says of a camera's profile.
    pub(crate) async fn profile(&self, camera: &str, profile: &str) -> Value {
        let view = self
            .get(&format!("/api/v1/communes/thu/cameras/{camera}"))
            .await;
        let profiles = view["profiles"].as_array().cloned().unwrap_or_default();
        profiles
            .into_iter()
            .find(|p| p["profile"] == profile)
            .unwrap_or(Value::Null)
    }

    /// Waits until the camera's main profile is in a state, with a cause if one is given.
    pub(crate) async fn until(&self, camera: &str, state: &str, cause: Option<&str>) -> Value {
        let what = format!("{camera} {state} {cause:?}");
        eventually(&what, LIMIT, async || {
            let profile = self.profile(camera, "main").await;
            let fits = profile["state"] == state && cause.is_none_or(|c| profile["cause"] == c);
            fits.then_some(profile)
        })
        .await
    }
}

/// The lines of a camera's section.
pub(crate) fn main_only(url: &str) -> String {
    format!("main = \"{url}\"\nstall-timeout = \"1500ms\"\nconnect-timeout = \"1500ms\"")
}

/// The sequence numbers of what a viewer has received have no gap.
pub(crate) async fn missed_nothing(client: &mut WhepClient) {
    /// As many tell something.
    const ENOUGH: usize = 50;
    let mut numbers = Vec::new();
    while numbers.len() <= 20_000 {
        // What has come is all there, once there is enough of it and nothing more comes for a while.
        let patience = match numbers.len() > ENOUGH {
            true => Duration::from_millis(50),
            false => LIMIT,
        };
        match tokio::time::timeout(patience, client.packet()).await {
            Ok(Some(packet)) => numbers.push(packet.header.sequence_number),
            Ok(None) | Err(_) => break,
        }
    }
    assert!(numbers.len() > ENOUGH, "{}", numbers.len());
    assert!(numbers.windows(2).all(|w| w[1] == w[0].wrapping_add(1)));
}
