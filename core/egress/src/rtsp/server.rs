//! Listens, and gives each connection a task of its own.
//!
//! Owner: `server` makes one. A connection needs a place in the budget; who gets none is told so at once
//! (503), so that nobody waits in a queue.
//! Not here: what a client asks for, what it is sent.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use taimat_base::budget::Budget;
use taimat_base::refusals::Refusals;
use taimat_base::tasks::{Stop, Tasks};
use taimat_base::{Seldom, clock};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::connection;
use super::mounts::{Mounts, RtspShared};
use super::refusal;
use crate::metrics::EgressMetrics;
use crate::track::Tracks;

/// Before the next connection is taken when none can be: descriptors have to become free first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How RTSP is served.
#[derive(Debug, Clone)]
pub struct RtspConfig {
    /// TCP address to listen at.
    pub bind: SocketAddr,
    /// Places for connections. A client that has not set up a session may lose its place to one of an
    /// address that has fewer.
    pub places: Budget,
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
        let places = config.places.clone();
        tasks.spawn("rtsp-accept", tracing::Span::none(), |stop| {
            accept(listener, shared, connections, places, stop)
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
    places: Budget,
    stop: Stop,
) {
    let refusals = Refusals::new("rtsp-refusal");
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
        let place = match places.enter(peer.ip().into()) {
            Ok(place) => place,
            Err(why) => {
                if let Some(unsaid) = full.say(clock::now()) {
                    let limit = places.limit();
                    tracing::warn!(%why, limit, unsaid, "too many RTSP connections");
                }
                refusal::refuse(&refusals, stream, &tasks);
                continue;
            }
        };
        let shared = Arc::clone(&shared);
        let span = tracing::info_span!("rtsp", connection = connection::next_number());
        tasks.spawn("rtsp-connection", span, |stop| async move {
            // The place is free again however the task ends.
            let ended = tokio::select! {
                ended = connection::serve(stream, peer, shared, &place) => ended,
                () = place.displaced() => Ok(()),
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

    use super::super::testing::{one_camera, places};
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

    /// A server with so many places, and what it serves.
    async fn start(mounts: Arc<dyn Mounts>, limit: usize) -> (RtspServer, Stop) {
        let config = RtspConfig {
            bind: SocketAddr::from(([127, 0, 0, 1], 0)),
            places: places(limit),
        };
        let stop = Stop::new();
        let tracks = Arc::new(Tracks::new(&stop, Limits::default()));
        let registry = taimat_base::metrics::Registry::new();
        let metrics = Arc::new(EgressMetrics::register(&registry).unwrap());
        let server = RtspServer::start(&config, mounts, tracks, metrics, &stop);
        (server.await.unwrap(), stop)
    }

    /// A connection from that address of this machine, and what its request is answered.
    async fn from(address: &str, server: SocketAddr, request: &str) -> (TcpStream, String) {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket
            .bind(format!("{address}:0").parse().unwrap())
            .unwrap();
        let mut stream = socket.connect(server).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 4096];
        let read = stream.read(&mut answer).await.unwrap_or(0);
        answer.truncate(read);
        (stream, String::from_utf8(answer).unwrap())
    }

    const OPTIONS: &str = "OPTIONS * RTSP/1.0\r\nCSeq: 7\r\n\r\n";
    const SETUP: &str = "SETUP rtsp://127.0.0.1/thu/cho RTSP/1.0\r\nCSeq: 8\r\n\
        Transport: RTP/AVP/TCP;interleaved=0-1\r\n\r\n";

    #[tokio::test]
    async fn who_is_refused_is_told_so_and_others_take_the_places_of_who_set_nothing_up() {
        let (shared, _channel, _kick) = one_camera();
        let (server, _stop) = start(Arc::clone(&shared.mounts), 4).await;
        let at = server.local_addr();
        let (_watches, answer) = from("127.0.0.2", at, SETUP).await;
        assert!(answer.starts_with("RTSP/1.0 200"), "{answer}");
        let (mut idles, answer) = from("127.0.0.2", at, OPTIONS).await;
        assert!(answer.starts_with("RTSP/1.0 200"), "{answer}");
        let (_refused, answer) = from("127.0.0.2", at, OPTIONS).await;
        assert!(answer.starts_with("RTSP/1.0 503"), "{answer}");
        assert!(
            answer.contains("CSeq: 7") && answer.contains("Retry-After: "),
            "{answer}"
        );
        let mut others = Vec::new();
        for address in ["127.0.0.3", "127.0.0.4", "127.0.0.5"] {
            let (stream, answer) = from(address, at, OPTIONS).await;
            assert!(answer.starts_with("RTSP/1.0 200"), "{address}: {answer}");
            others.push(stream);
        }
        // The last of them got the place of the one that had set up nothing.
        assert_eq!(idles.read(&mut [0; 16]).await.unwrap_or(0), 0);
        let (_refused, answer) = from("127.0.0.6", at, OPTIONS).await;
        assert!(answer.starts_with("RTSP/1.0 503"), "{answer}");
        server.stop(Duration::from_secs(10)).await;
    }

    #[tokio::test]
    async fn a_connection_whose_task_panicked_takes_no_place() {
        let (server, _stop) = start(Arc::new(Panics), 1).await;
        assert_eq!(ask(server.local_addr(), "DESCRIBE").await, "");
        let served = async {
            // The place is free a moment after the connection has ended.
            let good = "RTSP/1.0 200";
            while !ask(server.local_addr(), "OPTIONS").await.starts_with(good) {
                tokio::task::yield_now().await;
            }
        };
        let limit = Duration::from_secs(10);
        assert!(tokio::time::timeout(limit, served).await.is_ok());
        server.stop(limit).await;
    }
}
