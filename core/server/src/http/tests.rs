use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::get;
use taimat_base::budget::BudgetMetrics;
use taimat_base::metrics::{Encoder, Registry, TextEncoder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::*;

const LIMIT: Duration = Duration::from_secs(20);
const GET: &str = "GET /quick HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// As the usual one, in tenths of seconds.
const SHORT: Patience = Patience {
    request: Duration::from_millis(300),
    idle: Duration::from_millis(600),
    answer: Duration::from_millis(600),
    answer_bytes: 16 << 10,
};

struct Stand {
    at: SocketAddr,
    tasks: Tasks,
    registry: Registry,
    /// What slow answers wait for.
    slow: Arc<Semaphore>,
}

impl Stand {
    async fn start(places: usize, patience: Patience) -> Self {
        let registry = Registry::new();
        let metrics = BudgetMetrics::register(&registry).unwrap();
        let config = HttpConfig {
            places: Budget::new(metrics.allot("http", places)),
            proxies: vec!["127.0.0.99".parse().unwrap()],
            patience,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let slow = Arc::new(Semaphore::new(0));
        let (tasks, app) = (Tasks::new(), app(&slow));
        let connections = tasks.clone();
        tasks.spawn("http", Span::none(), |stop| {
            serve(listener, app, config, connections, stop)
        });
        Self {
            at,
            tasks,
            registry,
            slow,
        }
    }

    /// A connection from that address of this machine.
    async fn connect(&self, from: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        // What a client takes is not to be hidden by what its kernel keeps.
        socket.set_recv_buffer_size(4096).unwrap();
        socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
        socket.connect(self.at).await.unwrap()
    }

    /// A connection that has asked this, and the first of what was answered.
    async fn ask(&self, from: &str, request: &str) -> (TcpStream, String) {
        let mut stream = self.connect(from).await;
        let answer = again(&mut stream, request).await;
        (stream, answer)
    }

    fn counts(&self, line: &str) -> bool {
        let mut text = Vec::new();
        let encoder = TextEncoder::new();
        encoder.encode(&self.registry.gather(), &mut text).unwrap();
        String::from_utf8(text).unwrap().lines().any(|l| l == line)
    }
}

fn app(slow: &Arc<Semaphore>) -> Router {
    let slow = Arc::clone(slow);
    let wait = move || async move {
        drop(slow.acquire().await);
        "slow"
    };
    let endless = futures::stream::repeat(Ok::<_, Infallible>(Bytes::from(vec![7; 16 << 10])));
    let silent = futures::stream::pending::<Result<Bytes, Infallible>>();
    Router::new()
        .route("/quick", get(|| async { "quick" }))
        .route("/slow", get(wait))
        .route(
            "/endless",
            get(move || async { Body::from_stream(endless) }),
        )
        .route("/silent", get(move || async { Body::from_stream(silent) }))
}

async fn again(stream: &mut TcpStream, request: &str) -> String {
    // It may be refused before it has said anything.
    drop(stream.write_all(request.as_bytes()).await);
    let mut answer = vec![0; 4096];
    let read = timeout(LIMIT, stream.read(&mut answer)).await.unwrap();
    answer.truncate(read.unwrap_or(0));
    String::from_utf8_lossy(&answer).into_owned()
}

/// Waits until the other side has closed the connection.
async fn until_closed(stream: &mut TcpStream) {
    let closed = async { while stream.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {} };
    timeout(LIMIT, closed).await.unwrap();
}

#[tokio::test]
async fn who_drips_a_head_or_asks_nothing_more_is_cut_off_and_who_waits_for_an_answer_is_not() {
    let stand = Stand::start(100, SHORT).await;
    let (mut idle, answer) = stand.ask("127.0.0.2", GET).await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("quick"),
        "{answer}"
    );
    let mut waiting = stand.connect("127.0.0.3").await;
    let slow = GET.replace("quick", "slow");
    waiting.write_all(slow.as_bytes()).await.unwrap();
    let mut dripping = stand.connect("127.0.0.2").await;
    let drip = async {
        // The rhythm is what is tested: each byte comes well before the one before it is too old.
        while dripping.write_all(b"G").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(LIMIT, drip).await.unwrap();
    until_closed(&mut idle).await;
    let cut =
        |reason| format!("taimat_connections_cut_total{{kind=\"http\",reason=\"{reason}\"}} 1");
    assert!(stand.counts(&cut("slow_request")) && stand.counts(&cut("idle")));
    stand.slow.add_permits(1);
    let answer = again(&mut waiting, "").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    stand.tasks.stop(LIMIT).await;
}

#[tokio::test]
async fn who_takes_a_byte_of_its_answer_now_and_then_is_cut_off() {
    let stand = Stand::start(100, SHORT).await;
    let (mut greedy, _) = stand
        .ask("127.0.0.2", &GET.replace("quick", "endless"))
        .await;
    let (mut patient, _) = stand
        .ask("127.0.0.3", &GET.replace("quick", "silent"))
        .await;
    let counted = "taimat_connections_cut_total{kind=\"http\",reason=\"slow_answer\"} 1";
    let cut = async {
        while !stand.counts(counted) {
            drop(greedy.read(&mut [0]).await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LIMIT, cut).await.unwrap();
    // A stream that has nothing to say is not slow.
    let silent = timeout(Duration::from_millis(50), patient.read(&mut [0; 64])).await;
    assert!(silent.is_err(), "{silent:?}");
    assert!(stand.counts("taimat_connections{kind=\"http\"} 1"));
    stand.tasks.stop(LIMIT).await;
}

#[tokio::test]
async fn who_gets_no_place_is_told_so_and_an_idle_connection_gives_its_place_to_another_address() {
    let stand = Stand::start(8, Patience::USUAL).await;
    let mut idle = Vec::new();
    for _ in 0..3 {
        idle.push(stand.ask("127.0.0.2", GET).await.0);
    }
    let mut waiting = stand.connect("127.0.0.2").await;
    let slow = GET.replace("quick", "slow");
    waiting.write_all(slow.as_bytes()).await.unwrap();
    let held = async {
        while !stand.counts("taimat_connections{kind=\"http\"} 4") {
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, held).await.unwrap();
    let (_refused, answer) = stand.ask("127.0.0.2", GET).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(
        head.starts_with("HTTP/1.1 503") && head.contains("Retry-After: 10"),
        "{head}"
    );
    assert!(head.contains("application/problem+json"), "{head}");
    let problem: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(
        (&problem["type"], &problem["status"]),
        (&"/problems/share".into(), &503.into())
    );
    // Others fill what is left, and one more comes.
    let mut others = Vec::new();
    for number in 10..15 {
        let (stream, answer) = stand.ask(&format!("127.0.0.{number}"), GET).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{number}: {answer}");
        others.push(stream);
    }
    until_closed(&mut idle[2]).await;
    let still = again(&mut idle[1], GET).await;
    assert!(still.starts_with("HTTP/1.1 200"), "{still}");
    stand.slow.add_permits(1);
    let answer = again(&mut waiting, "").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    stand.tasks.stop(LIMIT).await;
}

#[tokio::test]
async fn a_proxys_connections_are_each_counted_by_themselves() {
    let stand = Stand::start(8, Patience::USUAL).await;
    let mut held = Vec::new();
    for _ in 0..8 {
        let (stream, answer) = stand.ask("127.0.0.99", GET).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        held.push(stream);
    }
    let (_refused, answer) = stand.ask("127.0.0.99", GET).await;
    assert!(answer.contains("/problems/full"), "{answer}");
    stand.tasks.stop(LIMIT).await;
}

#[tokio::test]
async fn http_2_is_not_offered_and_costs_a_client_its_connection_only() {
    let stand = Stand::start(8, Patience::USUAL).await;
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0";
    let (mut stream, _) = stand.ask("127.0.0.2", preface).await;
    until_closed(&mut stream).await;
    let (_, answer) = stand.ask("127.0.0.2", GET).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    stand.tasks.stop(LIMIT).await;
}

#[tokio::test]
async fn what_is_being_answered_when_it_stops_is_answered_and_streams_end() {
    let stand = Stand::start(8, Patience::USUAL).await;
    let mut waiting = stand.connect("127.0.0.2").await;
    let slow = GET.replace("quick", "slow");
    waiting.write_all(slow.as_bytes()).await.unwrap();
    let (mut stream, _) = stand
        .ask("127.0.0.3", &GET.replace("quick", "silent"))
        .await;
    let (mut idle, _) = stand.ask("127.0.0.4", GET).await;
    let answer = async {
        until_closed(&mut idle).await;
        stand.slow.add_permits(1);
        again(&mut waiting, "").await
    };
    let (stopped, answer) = tokio::join!(stand.tasks.stop(LIMIT), answer);
    assert!(stopped && answer.starts_with("HTTP/1.1 200"), "{answer}");
    until_closed(&mut stream).await;
    assert!(TcpStream::connect(stand.at).await.is_err());
}
