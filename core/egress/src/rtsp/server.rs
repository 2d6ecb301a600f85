//! Listens, and gives each connection a task of its own.
//!
//! Owner: `server` makes one. At most `max_connections` are served; further ones are closed at once, so
//! that nobody waits in a queue.
//! Not here: what a client asks for, what it is sent.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use taimat_base::tasks::{Stop, Tasks};
use taimat_base::{Seldom, clock};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::connection;
use super::shared::{Mounts, RtspShared};
use crate::metrics::EgressMetrics;
use crate::track::Tracks;

/// Before the next connection is taken when none can be: descriptors have to become free first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How RTSP is served.
#[derive(Debug, Clone)]
pub struct RtspConfig {
    /// TCP address to listen at.
    pub bind: SocketAddr,
    /// Connections at most; further ones are closed at once.
    pub max_connections: usize,
}

/// The server.
#[derive(Debug)]
pub struct RtspServer {
    local: SocketAddr,
    tasks: Tasks,
    /// Counts up to tell all connections of a path to end.
    kick: watch::Sender<(u64, String)>,
}

impl RtspServer {
    /// Listens and serves until stopped.
    pub async fn start(
        config: &RtspConfig,
        mounts: Arc<dyn Mounts>,
        tracks: Arc<Tracks>,
        metrics: Arc<EgressMetrics>,
        stop: &Stop,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(config.bind).await.map_err(|e| {
            io::Error::new(e.kind(), format!("binding RTSP to {}: {e}", config.bind))
        })?;
        let local = listener.local_addr()?;
        let tasks = Tasks::under(stop);
        let (kick, kicked) = watch::channel((0, String::new()));
        let shared = Arc::new(RtspShared {
            mounts,
            tracks,
            metrics,
            kick: kicked,
        });
        let connections = tasks.clone();
        let limit = config.max_connections;
        tasks.spawn("rtsp-accept", tracing::Span::none(), |stop| {
            accept(listener, shared, connections, limit, stop)
        });
        Ok(Self { local, tasks, kick })
    }

    /// The address it listens at.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Breaks all connections that play `path`, without a word, as a power cut would.
    pub fn drop_clients(&self, path: &str) {
        self.kick.send_modify(|(count, which)| {
            *count += 1;
            path.clone_into(which);
        });
    }

    /// Ends all connections.
    pub async fn stop(&self, deadline: std::time::Duration) {
        self.tasks.stop(deadline).await;
    }
}

async fn accept(
    listener: TcpListener,
    shared: Arc<RtspShared>,
    tasks: Tasks,
    limit: usize,
    stop: Stop,
) {
    let open = Arc::new(AtomicUsize::new(0));
    let (mut full, mut refused) = (Seldom::default(), Seldom::default());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, typically: wait for some to be free again.
                if let Some(unsaid) = refused.say(clock::now()) {
                    tracing::warn!(%error, unsaid, "accepting an RTSP connection");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if open.fetch_add(1, Ordering::Relaxed) >= limit {
            open.fetch_sub(1, Ordering::Relaxed);
            if let Some(unsaid) = full.say(clock::now()) {
                tracing::warn!(limit, unsaid, "too many RTSP connections");
            }
            continue;
        }
        let (shared, open) = (Arc::clone(&shared), Arc::clone(&open));
        let span = tracing::info_span!("rtsp", connection = connection::next_number());
        tasks.spawn("rtsp-connection", span, |stop| async move {
            let ended = tokio::select! {
                ended = connection::serve(stream, peer, shared) => ended,
                () = stop.cancelled() => Ok(()),
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "RTSP connection ended");
            }
            open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}
