//! Listens, and gives each connection a task of its own.
//!
//! Owner: `server` makes one. At most `max_connections` are served; further ones are closed at once, so
//! that nobody waits in a queue.
//! Not here: what a client asks for, what it is sent.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use taimat_base::tasks::{Stop, Tasks};
use taimat_base::{Seldom, clock};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use super::connection;
use super::mounts::{Mounts, RtspShared};
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
    let places = Arc::new(Semaphore::new(limit));
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
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            if let Some(unsaid) = full.say(clock::now()) {
                tracing::warn!(limit, unsaid, "too many RTSP connections");
            }
            continue;
        };
        let shared = Arc::clone(&shared);
        let span = tracing::info_span!("rtsp", connection = connection::next_number());
        tasks.spawn("rtsp-connection", span, |stop| async move {
            // Free again however the task ends.
            let _place = place;
            let ended = tokio::select! {
                ended = connection::serve(stream, peer, shared) => ended,
                () = stop.cancelled() => Ok(()),
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "RTSP connection ended");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use taimat_hub::{Channel, Limits};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    struct Panics;

    impl Mounts for Panics {
        fn find(&self, _path: &str, _query: Option<&str>) -> Option<Arc<Channel>> {
            panic!("on purpose");
        }
    }

    /// What is answered until the connection ends.
    async fn ask(server: SocketAddr, method: &str) -> String {
        let mut stream = TcpStream::connect(server).await.unwrap();
        let request = format!("{method} rtsp://127.0.0.1/thu/cho RTSP/1.0\r\nCSeq: 1\r\n\r\n");
        // It may be refused before it has said anything.
        drop(stream.write_all(request.as_bytes()).await);
        drop(stream.shutdown().await);
        let mut answer = String::new();
        drop(stream.read_to_string(&mut answer).await);
        answer
    }

    #[tokio::test]
    async fn a_connection_whose_task_panicked_takes_no_place() {
        let config = RtspConfig {
            bind: SocketAddr::from(([127, 0, 0, 1], 0)),
            max_connections: 1,
        };
        let stop = Stop::new();
        let tracks = Arc::new(Tracks::new(&stop, Limits::default()));
        let registry = taimat_base::metrics::Registry::new();
        let metrics = Arc::new(EgressMetrics::register(&registry).unwrap());
        let server = RtspServer::start(&config, Arc::new(Panics), tracks, metrics, &stop)
            .await
            .unwrap();
        assert_eq!(ask(server.local_addr(), "DESCRIBE").await, "");
        let served = async {
            // The place is free a moment after the connection has ended.
            while ask(server.local_addr(), "OPTIONS").await.is_empty() {
                tokio::task::yield_now().await;
            }
        };
        let limit = Duration::from_secs(10);
        assert!(tokio::time::timeout(limit, served).await.is_ok());
        server.stop(limit).await;
    }
}
