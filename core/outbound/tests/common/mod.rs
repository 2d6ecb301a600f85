//! A commune with channels, and other sides that are real, or bad.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    reason = "each test file uses its own part of it"
)]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use taimat_base::metrics::{Encoder, Registry, TextEncoder};
use taimat_base::tasks::Stop;
use taimat_base::{CommuneId, Secret};
use taimat_contract::channel::{Channels, Dispatch, MediaSource};
use taimat_contract::detection::Attribute;
use taimat_contract::message::{
    Body, Chunk, HttpRequest, HttpResponse, Media, MediaKind, Outgoing, Reply, RequestHead,
};
use taimat_outbound::{
    ChannelSpec, ChannelStatus, CommuneChannels, HttpSpec, Outbound, OutboundConfig, Rate, Trust,
    Way,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What a camera's picture is here.
pub const JPEG: &[u8] = b"\xff\xd8 a picture \xff\xd9";

#[derive(Debug)]
pub struct Pictures;

#[async_trait]
impl MediaSource for Pictures {
    async fn media(&self, media: &Media) -> Option<Vec<u8>> {
        (media.event != "gone").then(|| JPEG.to_vec())
    }
}

pub fn picture(event: &str) -> Media {
    Media {
        kind: MediaKind::Picture,
        event: event.into(),
        width: 640,
        marked: true,
    }
}

/// A room with one commune, `thu`.
pub struct Bench {
    pub outbound: Outbound,
    pub registry: Registry,
    pub folder: TempDir,
    pub stop: Stop,
}

impl Bench {
    /// Channels may reach this machine.
    pub fn new() -> Self {
        Self::with(OutboundConfig {
            allowed: vec!["127.0.0.0/8".parse().unwrap()],
            ..OutboundConfig::default()
        })
    }

    pub fn with(config: OutboundConfig) -> Self {
        Self::in_folder(config, tempfile::tempdir().unwrap())
    }

    pub fn in_folder(config: OutboundConfig, folder: TempDir) -> Self {
        let registry = Registry::new();
        let stop = Stop::new();
        let outbound = Outbound::new(config, folder.path(), &registry, &stop).unwrap();
        Self {
            outbound,
            registry,
            folder,
            stop,
        }
    }

    pub async fn configure(&self, channels: Vec<ChannelSpec>) {
        let commune = CommuneChannels {
            commune: thu(),
            channels,
            cameras: Vec::new(),
        };
        self.outbound.configure(vec![commune]).await;
    }

    pub async fn send(&self, key: &str, message: Outgoing) -> Reply {
        message.checked().unwrap();
        let dispatch = Dispatch {
            commune: &thu(),
            key,
            message: &message,
        };
        self.outbound.send(dispatch, &Pictures).await
    }

    pub fn status(&self, channel: &str) -> ChannelStatus {
        let mut statuses = self.outbound.statuses(&thu()).into_iter();
        statuses
            .find(|status| status.name.as_str() == channel)
            .unwrap()
    }

    pub fn metrics(&self) -> String {
        let mut text = Vec::new();
        TextEncoder::new()
            .encode(&self.registry.gather(), &mut text)
            .unwrap();
        String::from_utf8(text).unwrap()
    }

    pub fn sent(&self, channel: &str, result: &str) -> u64 {
        let start = format!(
            "taimat_channel_sent_total{{channel=\"{channel}\",commune=\"thu\",result=\"{result}\"}} "
        );
        let metrics = self.metrics();
        let mut lines = metrics
            .lines()
            .filter_map(|line| line.strip_prefix(start.as_str()));
        lines.next().unwrap().parse().unwrap()
    }
}

pub fn thu() -> CommuneId {
    "thu".parse().unwrap()
}

/// A channel that has nothing but an address and a way.
pub fn channel(name: &str, url: &str, way: Way) -> ChannelSpec {
    ChannelSpec {
        id: name.parse().unwrap(),
        address: url.parse().unwrap(),
        secrets: BTreeMap::new(),
        missing: Vec::new(),
        rate: Rate {
            per_minute: 6000.0,
            burst: 1000.0,
        },
        trust: Trust::System,
        way,
    }
}

pub fn http_channel(name: &str, url: &str, spec: HttpSpec) -> ChannelSpec {
    channel(name, url, Way::Http(Box::new(spec)))
}

pub fn secrets(list: &[(&str, &str)]) -> BTreeMap<String, Secret> {
    let owned = |(name, secret): &(&str, &str)| ((*name).to_owned(), Secret::new(*secret));
    list.iter().map(owned).collect()
}

pub fn request(channel: &str, path: &str, body: Vec<Chunk>) -> Outgoing {
    with_headers(channel, path, &[], body)
}

pub fn with_headers(
    channel: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<Chunk>,
) -> Outgoing {
    let header = |(key, value): &(&str, &str)| Attribute {
        key: (*key).into(),
        value: (*value).into(),
    };
    Outgoing::Http(HttpRequest {
        channel: channel.into(),
        head: RequestHead {
            method: "POST".into(),
            path: path.into(),
            headers: headers.iter().map(header).collect(),
        },
        body: Body::Content(body),
    })
}

pub fn text(text: &str) -> Chunk {
    Chunk::Text(text.into())
}

pub fn answered(reply: Reply) -> HttpResponse {
    match reply {
        Reply::Http(response) => response,
        other => panic!("no answer: {other:?}"),
    }
}

pub fn failed(reply: Reply) -> String {
    match reply {
        Reply::Failed(why) => why,
        other => panic!("did not fail: {other:?}"),
    }
}

/// What will never be taken; the outbox gives it up.
pub fn refused(reply: Reply) -> String {
    match reply {
        Reply::Refused(why) => why,
        other => panic!("was not refused: {other:?}"),
    }
}

/// Time passes when nothing else happens, instead of being waited for, as long as this is held.
pub struct TimePasses(());

impl Drop for TimePasses {
    fn drop(&mut self) {
        tokio::time::resume();
    }
}

/// All that is on its way is there: who reads it reads it before any time passes.
pub fn nothing_more_comes() -> TimePasses {
    tokio::time::pause();
    TimePasses(())
}

/// A channel of each test's own, at a server that it has made.
pub async fn desk(url: &str) -> Bench {
    let bench = Bench::new();
    let desk = http_channel("desk", url, HttpSpec::default());
    bench.configure(vec![desk]).await;
    bench
}

/// Somebody who listens, and has not answered yet.
pub async fn listener(scheme: &str) -> (TcpListener, String) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("{scheme}://{}", listener.local_addr().unwrap());
    (listener, url)
}

/// Waits on a condition.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(
        tokio::time::timeout(Duration::from_secs(20), waiting)
            .await
            .is_ok(),
        "{what}"
    );
}

/// A server that answers each connection with some bytes, and keeps what it was asked.
pub struct Scripted {
    pub address: SocketAddr,
    pub asked: Arc<Mutex<Vec<Vec<u8>>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Scripted {
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked
            .iter()
            .map(|raw| String::from_utf8_lossy(raw).into_owned())
            .collect()
    }
}

/// A server that answers with what a function makes of the number and the text of a request.
pub async fn scripted(answer: impl Fn(usize, &str) -> Vec<u8> + Send + Sync + 'static) -> Scripted {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let kept = Arc::clone(&asked);
    let answer = Arc::new(answer);
    #[expect(
        clippy::disallowed_methods,
        reason = "a server of a test, ended with it"
    )]
    let task = tokio::spawn(async move {
        loop {
            let Ok((mut stream, _)) = listener.accept().await else {
                return;
            };
            let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
            tokio::spawn(async move {
                let request = read_request(&mut stream).await;
                let number = {
                    let mut kept = kept.lock().unwrap();
                    kept.push(request.clone());
                    kept.len()
                };
                let bytes = answer(number, &String::from_utf8_lossy(&request));
                let _gone = stream.write_all(&bytes).await;
                let _gone = stream.shutdown().await;
            });
        }
    });
    Scripted {
        address,
        asked,
        task,
    }
}

/// A head, and a body of the length that it says.
pub async fn read_request(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let length = text.to_lowercase();
            let length = length
                .split("content-length: ")
                .nth(1)
                .and_then(|l| l.lines().next());
            let length: usize = length.and_then(|l| l.trim().parse().ok()).unwrap_or(0);
            if bytes.len() >= end + 4 + length {
                return bytes;
            }
        }
        let mut part = [0; 4096];
        match stream.read(&mut part).await {
            Ok(0) | Err(_) => return bytes,
            Ok(read) => bytes.extend_from_slice(&part[..read]),
        }
    }
}

/// An answer by HTTP/1.1.
pub fn response(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n{body}").into_bytes()
}

/// A program that ends with the test.
pub struct Program(pub Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

pub fn start(command: &mut Command) -> Program {
    let started = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    Program(started.unwrap_or_else(|error| panic!("{command:?}: {error}")))
}

/// A port where nobody listens now.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

pub async fn listening(port: u16) {
    let waiting = async {
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .await
            .is_err()
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting)
        .await
        .unwrap();
}

/// An authority, and a certificate of it for `localhost`: files in a folder.
pub struct Authority {
    pub ca: String,
    pub certificate: String,
    pub key: String,
}

pub fn authority(folder: &Path) -> Authority {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let ca_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(params, ca_key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let pem = |tag: &str, der: Vec<u8>| pem::encode(&pem::Pem::new(tag, der));
    let made = Authority {
        ca: pem("CERTIFICATE", ca.der().to_vec()),
        certificate: pem("CERTIFICATE", certificate.der().to_vec()),
        key: pem("PRIVATE KEY", key.serialize_der()),
    };
    std::fs::write(folder.join("ca.pem"), &made.ca).unwrap();
    std::fs::write(folder.join("cert.pem"), &made.certificate).unwrap();
    std::fs::write(folder.join("key.pem"), &made.key).unwrap();
    made
}
