//! One connection: its socket, its requests, and when it is over.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use nix::sys::socket::{setsockopt, sockopt};
use taimat_api::PeerAddress;
use taimat_base::budget::Place;
use taimat_base::clock;
use taimat_base::tasks::Stop;
use tokio::net::TcpStream;

use super::life::{AnswerBody, Life, Watched};
use super::pulse::Patience;

/// How often it is looked whether a connection has taken too long.
const LOOK: Duration = Duration::from_secs(1);
/// What is being answered when a connection has to end may take so long.
const GRACE: Duration = Duration::from_millis(500);
/// The longest head of a request.
const HEAD_BYTES: usize = 32 << 10;
/// What is not acknowledged for so long, asked or sent, ends the connection: its machine or network is gone,
/// or it takes nothing at all. Not before [`Patience::USUAL`] does.
const UNANSWERED_MS: u32 = 60_000;
/// Silence after which the kernel asks whether the other side is there, and how often it asks.
const ASK_SECONDS: (u32, u32) = (20, 10);
/// What the kernel keeps for a client that takes nothing. Without a bound that is megabytes.
const SEND_BYTES: usize = 256 << 10;

/// A connection that has its place.
pub(super) struct Connection {
    /// Where it comes in.
    pub(super) stream: TcpStream,
    /// Its other end.
    pub(super) peer: PeerAddress,
    /// Free again when it is over.
    pub(super) place: Place,
    /// How long it may take.
    pub(super) patience: Patience,
}

impl Connection {
    /// Serves it to its end.
    pub(super) async fn serve(self, app: Router, stop: Stop) -> anyhow::Result<()> {
        notice_vanished(&self.stream)?;
        let life = Arc::new(Life::new(self.place, self.patience));
        let asked = Asked {
            app: TowerToHyperService::new(app),
            peer: self.peer,
            life: Arc::clone(&life),
        };
        let io = TokioIo::new(Watched::new(self.stream, Arc::clone(&life)));
        let mut http = http1::Builder::new();
        // The times are ours: those of the library do not tell a pause from a head that drips.
        http.header_read_timeout(None).max_buf_size(HEAD_BYTES);
        let mut served = pin!(http.serve_connection(io, asked));
        let mut look = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                served = served.as_mut() => return Ok(served?),
                () = life.displaced() => break,
                () = stop.cancelled() => break,
                _ = look.tick() => if life.is_overdue(clock::now()) {
                    return Ok(());
                },
            }
        }
        served.as_mut().graceful_shutdown();
        match tokio::time::timeout(GRACE, served).await {
            Ok(served) => Ok(served?),
            // A stream that has no end.
            Err(_elapsed) => Ok(()),
        }
    }
}

fn notice_vanished(stream: &TcpStream) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    setsockopt(stream, sockopt::KeepAlive, &true)?;
    setsockopt(stream, sockopt::TcpKeepIdle, &ASK_SECONDS.0)?;
    setsockopt(stream, sockopt::TcpKeepInterval, &ASK_SECONDS.1)?;
    setsockopt(stream, sockopt::TcpUserTimeout, &UNANSWERED_MS)?;
    setsockopt(stream, sockopt::SndBuf, &SEND_BYTES)?;
    Ok(())
}

/// Answers the requests of a connection.
struct Asked {
    app: TowerToHyperService<Router>,
    peer: PeerAddress,
    life: Arc<Life>,
}

type Answered = Result<Response<AnswerBody>, Infallible>;

impl Service<Request<Incoming>> for Asked {
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Answered> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let answering = self.life.asked();
        request.extensions_mut().insert(self.peer);
        let answer = self.app.call(request);
        Box::pin(async move {
            let response = answer.await?;
            Ok(response.map(|body| AnswerBody::new(body, answering)))
        })
    }
}
