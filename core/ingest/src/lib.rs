//! Keeps every camera connected.
//!
//! Owner: `server` makes one [`Ingest`] and tells it with [`Ingest::reconcile`] which sources are to
//! run. Cost: one task per source, one copy of the media bytes (packets into an access unit).
//! Each source fails alone: what goes wrong is named by a [`FaultCause`], counted, shown as the
//! channel's status, and followed by another attempt after a jittered backoff.
//! Not here: reading configuration files, serving viewers, decoding.

mod fault;
mod metrics;
mod pipeline;
mod probe;
mod retry;
mod rtsp;
mod share;
mod source;
mod supervisor;
mod tls;
mod udp;
mod wire;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use taimat_base::metrics::Registry;
use taimat_base::tasks::{Stop, Tasks};
use taimat_base::{CameraKey, clock};
use taimat_hub::{Channel, ChannelKey, FaultCause, Hub};

pub use probe::{Finding, probe};
pub use source::{AfterRefusal, Credentials, Mode, SourceSpec, Transport, Trust};
pub use taimat_media::capture::ClockTrust;
pub use taimat_rtsp::keepalive::{KeepAliveBy, KeepAliveSpec};
pub use tls::hex;

use metrics::{SourceFamilies, SourceMetrics};
use share::CameraShare;
use supervisor::Supervisor;

/// How long sources get to say goodbye to their cameras, all at the same time.
const STOP_DEADLINE: Duration = Duration::from_secs(3);

struct RunningSource {
    spec: SourceSpec,
    tasks: Tasks,
    share: CameraShare,
    channel: Arc<Channel>,
    metrics: SourceMetrics,
}

/// All sources that run.
pub struct Ingest {
    hub: Arc<Hub>,
    stop: Stop,
    /// Held while what runs is made equal to what is wanted: the last wish is the one that counts.
    reconciling: tokio::sync::Mutex<()>,
    running: Mutex<HashMap<ChannelKey, RunningSource>>,
    metrics: Arc<SourceFamilies>,
}

impl std::fmt::Debug for Ingest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ingest").finish_non_exhaustive()
    }
}

impl Ingest {
    /// Starts with no sources.
    pub fn new(hub: Arc<Hub>, registry: &Registry) -> Result<Self, taimat_base::metrics::Error> {
        Ok(Self {
            hub,
            stop: Stop::new(),
            reconciling: tokio::sync::Mutex::default(),
            running: Mutex::default(),
            metrics: Arc::new(SourceFamilies::register(registry)?),
        })
    }

    /// Makes what runs equal to `desired`: stops what is not in it, starts what is new, restarts
    /// what has changed, and does not touch the rest.
    pub async fn reconcile(&self, desired: Vec<SourceSpec>) {
        let _turn = self.reconciling.lock().await;
        let mut wanted: HashMap<ChannelKey, SourceSpec> = desired
            .into_iter()
            .map(|spec| (spec.key.clone(), spec))
            .collect();
        let mut leaving = Vec::new();
        {
            let mut running = self.running();
            let obsolete: Vec<ChannelKey> = running
                .iter()
                .filter(|(key, r)| wanted.get(*key) != Some(&r.spec))
                .map(|(key, _)| key.clone())
                .collect();
            leaving.extend(obsolete.into_iter().filter_map(|key| running.remove(&key)));
            wanted.retain(|key, _| !running.contains_key(key));
        }
        end_together(leaving.iter().map(|old| &old.tasks), STOP_DEADLINE).await;
        for old in leaving {
            if !wanted.contains_key(&old.spec.key) {
                self.hub.remove(&old.spec.key);
                old.metrics.forget();
            }
        }
        let mut running = self.running();
        let mut shares: HashMap<CameraKey, CameraShare> = running
            .values()
            .map(|source| (source.spec.key.camera.clone(), source.share.clone()))
            .collect();
        for (key, spec) in wanted {
            let share = shares
                .entry(key.camera.clone())
                .or_insert_with(|| CameraShare::new(clock::now()));
            running.insert(key, self.start(spec, share.clone()));
        }
    }

    fn start(&self, spec: SourceSpec, share: CameraShare) -> RunningSource {
        let former = self.hub.get(&spec.key);
        if former.is_some_and(|channel| channel.limits() != spec.limits) {
            // A ring has the size that it was made with; its readers come back to the new one.
            self.hub.remove(&spec.key);
        }
        let channel = self.hub.ensure(&spec.key, spec.limits);
        let tasks = Tasks::under(&self.stop);
        let span = tracing::info_span!(
            "camera",
            commune = %spec.key.camera.commune,
            id = %spec.key.camera.camera,
            profile = %spec.key.profile
        );
        let metrics = self.metrics.of(&spec.key);
        let supervisor = Supervisor::new(
            spec.clone(),
            Arc::clone(&channel),
            metrics.clone(),
            share.clone(),
        );
        tasks.spawn("source", span, |stop| supervisor.run(stop));
        RunningSource {
            spec,
            tasks,
            share,
            channel,
            metrics,
        }
    }

    /// Brings the gauges that follow from the channels' state up to date; called before metrics are
    /// read.
    pub fn scrape(&self, now: Instant) {
        // Collected first: channels have locks of their own.
        let sources: Vec<(Arc<Channel>, SourceMetrics)> = self
            .running()
            .values()
            .map(|source| (Arc::clone(&source.channel), source.metrics.clone()))
            .collect();
        for (channel, metrics) in sources {
            metrics.scrape(&channel, now);
        }
    }

    /// Ends all sources.
    pub async fn stop(&self, deadline: Duration) {
        self.stop.cancel();
        let all: Vec<RunningSource> = self.running().drain().map(|(_, r)| r).collect();
        end_together(all.iter().map(|source| &source.tasks), deadline).await;
    }

    fn running(&self) -> MutexGuard<'_, HashMap<ChannelKey, RunningSource>> {
        self.running.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// How often each cause has led to a reconnection of that source.
    pub fn faults(&self, key: &ChannelKey) -> Vec<(FaultCause, u64)> {
        let metrics = self.running().get(key).map(|source| source.metrics.clone());
        metrics.map_or_else(Vec::new, |metrics| metrics.faults())
    }
}

/// Tells all of them to end before it waits for the first: together they get `deadline`.
async fn end_together(all: impl Iterator<Item = &Tasks> + Clone, deadline: Duration) {
    all.clone().for_each(|tasks| tasks.stop_signal().cancel());
    let until = clock::now() + deadline;
    for tasks in all {
        let left = until.saturating_duration_since(clock::now());
        tasks.stop(left).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn those_who_do_not_end_have_one_deadline_together() {
        let all: Vec<Tasks> = (0..10).map(|_| Tasks::new()).collect();
        for tasks in &all {
            tasks.spawn("stuck", tracing::Span::none(), |_stop| {
                std::future::pending::<()>()
            });
        }
        let begun = clock::now();
        end_together(all.iter(), STOP_DEADLINE).await;
        let took = clock::now() - begun;
        assert!(took < STOP_DEADLINE * 2, "{took:?}");
    }

    #[tokio::test]
    async fn the_last_wish_counts_though_an_earlier_one_is_under_way() {
        let ingest = Ingest::new(Arc::default(), &Registry::new()).unwrap();
        let spec = retry::tests::spec(Transport::Tcp, AfterRefusal::Wait);
        let mut changed = spec.clone();
        changed.audio = true;
        ingest.reconcile(vec![spec]).await;
        tokio::join!(
            ingest.reconcile(vec![changed]),
            ingest.reconcile(Vec::new())
        );
        assert!(ingest.running().is_empty());
        ingest.stop(STOP_DEADLINE).await;
    }
}
