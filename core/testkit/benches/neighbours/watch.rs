//! Viewers, and what they lose.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use taimat_testkit::{ClientOptions, WhepClient};

/// How long is waited for a picture, or for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What one viewer saw since it was last asked.
#[derive(Debug, Default)]
struct Seen {
    /// The first and the newest sequence number, without the end that they wrap at.
    numbers: Option<(i64, i64)>,
    count: i64,
    last: Option<Instant>,
    longest: Duration,
    counting: bool,
}

impl Seen {
    fn packet(&mut self, number: u16, now: Instant) {
        if !self.counting {
            return;
        }
        if let Some(last) = self.last.replace(now) {
            self.longest = self.longest.max(now - last);
        }
        self.count += 1;
        let number = i64::from(number);
        self.numbers = Some(match self.numbers {
            None => (number, number),
            Some((first, newest)) => {
                let step = (number - newest).rem_euclid(1 << 16);
                // What is behind came again.
                let step = if step > 1 << 15 { 0 } else { step };
                (first, newest + step)
            }
        });
    }

    fn lost(&self) -> i64 {
        let sent = self.numbers.map_or(0, |(first, newest)| newest - first + 1);
        (sent - self.count).max(0)
    }
}

/// Viewers of all cameras.
pub(crate) struct Watchers(Vec<Arc<Mutex<Seen>>>);

impl Watchers {
    pub(crate) async fn connect(http: SocketAddr, cameras: usize) -> Self {
        let mut all = Vec::new();
        for camera in 0..cameras {
            let endpoint = format!("/bench/{}/whep", super::name(camera));
            let client = WhepClient::connect(http, &endpoint, &ClientOptions::default()).await;
            let mut client = client.unwrap();
            let seen: Arc<Mutex<Seen>> = Arc::default();
            all.push(Arc::clone(&seen));
            tokio::spawn(async move {
                while let Some(packet) = client.packet().await {
                    let now = Instant::now();
                    seen.lock()
                        .unwrap()
                        .packet(packet.header.sequence_number, now);
                }
            });
        }
        Self(all)
    }

    pub(crate) fn begin(&self) {
        for seen in &self.0 {
            *seen.lock().unwrap() = Seen {
                counting: true,
                ..Seen::default()
            };
        }
    }

    /// A viewer that gets nothing any more has a gap too.
    pub(crate) fn end(&self) {
        for seen in &self.0 {
            let mut seen = seen.lock().unwrap();
            if let Some(last) = seen.last {
                seen.longest = seen.longest.max(last.elapsed());
            }
            seen.counting = false;
        }
    }

    /// Packets that are missing, of all viewers, and the longest time that one got none.
    pub(crate) fn told(&self) -> (i64, Duration) {
        let seen = self.0.iter().map(|seen| seen.lock().unwrap());
        seen.fold((0, Duration::ZERO), |(lost, longest), seen| {
            (lost + seen.lost(), longest.max(seen.longest))
        })
    }
}

/// How long it takes from asking to the first packet.
pub(crate) async fn first_picture(http: SocketAddr, camera: &str) -> Option<Duration> {
    let begin = Instant::now();
    let watch = async {
        let endpoint = format!("/bench/{camera}/whep");
        let options = ClientOptions::default();
        let client = WhepClient::connect(http, &endpoint, &options).await;
        let mut client = client.ok()?;
        client.packet().await?;
        let took = begin.elapsed();
        drop(client.close().await);
        Some(took)
    };
    tokio::time::timeout(PATIENCE, watch).await.ok().flatten()
}

/// How long an answer of the API takes.
pub(crate) async fn ask(http: SocketAddr) -> Option<Duration> {
    let begin = Instant::now();
    // A connection of its own each time, as somebody who comes has.
    let client = reqwest::Client::builder().pool_max_idle_per_host(0);
    let client = client.timeout(PATIENCE).build().unwrap();
    let asked = client.get(format!("http://{http}/api/v1/overview")).send();
    let answer = asked.await.ok()?;
    answer.status().is_success().then_some(())?;
    answer.bytes().await.ok()?;
    Some(begin.elapsed())
}
