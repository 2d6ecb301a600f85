//! Serves HTTP: who gets a connection, and how long it may take for what.
//!
//! Owner: the router. A connection needs a place in the budget; who gets none is told so (503). It may be
//! taken away again while nothing is asked by it. Each has its times for a request, a pause and an answer.
//! HTTP/1.1 only: browsers speak HTTP/2 by TLS alone, which a proxy does, and proxies speak 1.1 to what is
//! behind them. So a connection is one request at a time, and a limit of connections is one of requests.
//! Not here: what is answered (`api`).

mod connection;
mod life;
mod pulse;
mod refusal;

use std::net::IpAddr;
use std::time::Duration;

use taimat_api::PeerAddress;
use taimat_base::budget::Budget;
use taimat_base::peer::{IpRange, PeerNetwork};
use taimat_base::refusals::Refusals;
use taimat_base::tasks::{Stop, Tasks};
use taimat_base::{Seldom, clock};
use tokio::net::TcpListener;
use tracing::Span;

use connection::Connection;
pub(crate) use pulse::Patience;

/// Before the next connection is taken when none can be: descriptors have to become free first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How HTTP is served.
#[derive(Debug, Clone)]
pub(crate) struct HttpConfig {
    /// Places for connections.
    pub(crate) places: Budget,
    /// Proxies: their connections carry many clients, so each is counted by itself.
    pub(crate) proxies: Vec<IpRange>,
    /// How long connections may take.
    pub(crate) patience: Patience,
}

/// Serves until stopped. Connections are among `tasks`.
pub(crate) async fn serve(
    listener: TcpListener,
    app: axum::Router,
    config: HttpConfig,
    tasks: Tasks,
    stop: Stop,
) {
    let (mut full, mut failed) = (Seldom::default(), Seldom::default());
    let (refusals, mut carried) = (Refusals::new("http-refusal"), 0);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let (stream, peer) = match accepted {
            Ok((stream, peer)) => (stream, peer.ip().to_canonical()),
            Err(error) => {
                if let Some(unsaid) = failed.say(clock::now()) {
                    tracing::warn!(%error, unsaid, "accepting an HTTP connection");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let place = match config
            .places
            .enter(counted_as(peer, &config.proxies, &mut carried))
        {
            Ok(place) => place,
            Err(why) => {
                if let Some(unsaid) = full.say(clock::now()) {
                    let limit = config.places.limit();
                    tracing::warn!(%why, limit, unsaid, "too many HTTP connections");
                }
                refusal::refuse(&refusals, stream, why, &tasks);
                continue;
            }
        };
        let connection = Connection {
            stream,
            peer: PeerAddress(peer),
            place,
            patience: config.patience,
        };
        let app = app.clone();
        tasks.spawn("http-connection", Span::none(), |stop| async move {
            if let Err(error) = connection.serve(app, stop).await {
                tracing::debug!(%error, "HTTP connection ended");
            }
        });
    }
}

/// Whom a connection is counted as.
fn counted_as(peer: IpAddr, proxies: &[IpRange], carried: &mut u64) -> PeerNetwork {
    if proxies.iter().any(|range| range.contains(peer)) {
        *carried += 1;
        return PeerNetwork::Alone(*carried);
    }
    peer.into()
}

#[cfg(test)]
mod tests;
