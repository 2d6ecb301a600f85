//! A running camera of the field: its port, its connections, its end.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::CertifiedKey;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::case::{Case, Transport};
use super::connection;
use super::requests::{Request, Requests};
use super::shared::PreparedCase;
use super::wire::{Incoming, Outgoing, Stream};

/// A camera; stopped when dropped.
#[derive(Debug)]
pub struct FieldCamera {
    local: SocketAddr,
    case: Arc<Case>,
    fingerprint: Option<String>,
    task: JoinHandle<()>,
}

impl FieldCamera {
    /// Starts a camera of a kind on a port that the system chooses.
    pub async fn start(case: &Case) -> anyhow::Result<Self> {
        let address = match case.rtsp.ipv6 {
            true => SocketAddr::from((Ipv6Addr::LOCALHOST, 0)),
            false => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        };
        let listener = TcpListener::bind(address).await?;
        let local = listener.local_addr()?;
        let case = Arc::new(case.clone());
        let (acceptor, fingerprint) = match case.rtsp.tls {
            true => {
                let (acceptor, fingerprint) = certified()?;
                (Some(acceptor), Some(fingerprint))
            }
            false => (None, None),
        };
        // Another group for each camera: groups are the whole machine's.
        let multicast = case.rtsp.transports.contains(&Transport::Multicast);
        let group = multicast.then(|| (Ipv4Addr::new(239, 255, 77, 1), local.port() & !1));
        // Encoding and decoding may take seconds the first time.
        let prepared = Arc::clone(&case);
        let shared =
            tokio::task::spawn_blocking(move || PreparedCase::prepare(prepared, local, group))
                .await
                .context("preparing footage")??;
        let shared = Arc::new(shared);
        let tunnels = Arc::new(Tunnels::default());
        #[expect(clippy::disallowed_methods, reason = "ended by the camera's drop")]
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    return;
                };
                let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
                let tunnels = Arc::clone(&tunnels);
                connections.spawn(async move {
                    // A connection's end, however it comes, is no news to the camera.
                    drop(accepted(stream, acceptor, shared, tunnels).await);
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self {
            local,
            case,
            fingerprint,
            task,
        })
    }

    /// What it is.
    pub fn case(&self) -> &Case {
        &self.case
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.local.port()
    }

    /// Its address as it stands in `commune.toml`.
    pub fn url(&self) -> String {
        self.address("")
    }

    /// Its address as players want it: with user and password.
    pub fn player_url(&self) -> String {
        // Tunnels are another transport to them, not another scheme.
        let plain = |url: String| url.replace("+http", "").replace(' ', "%20");
        let Some(rules) = &self.case.sign_in else {
            return plain(self.url());
        };
        let escape = |text: &str| -> String {
            text.bytes()
                .map(|b| match b {
                    b if b.is_ascii_alphanumeric() => char::from(b).to_string(),
                    b => format!("%{b:02X}"),
                })
                .collect()
        };
        let user = format!("{}:{}@", escape(&rules.user), escape(&rules.password));
        plain(self.address(&user))
    }

    fn address(&self, user: &str) -> String {
        let scheme = match (self.case.rtsp.tls, self.case.rtsp.tunnel) {
            (false, false) => "rtsp",
            (true, false) => "rtsps",
            (false, true) => "rtsp+http",
            (true, true) => "rtsp+https",
        };
        format!("{scheme}://{user}{}/{}", self.local, self.case.path())
    }

    /// The SHA-256 of its certificate, in hexadecimal digits; nothing without TLS.
    pub fn fingerprint(&self) -> Option<&str> {
        self.fingerprint.as_deref()
    }

    /// The lines of its section in `commune.toml`. Its password, which may not stand there, is
    /// written into the folder.
    pub fn section(&self, folder: &std::path::Path) -> anyhow::Result<String> {
        let mut table = self.case.expect.camera.clone();
        table.insert("main".into(), self.url().into());
        if let Some(toml::Value::String(password)) = table.remove("password") {
            let file = format!("{}.password", self.case.name);
            std::fs::create_dir_all(folder)?;
            std::fs::write(folder.join(&file), format!("{password}\n"))?;
            let place = toml::Table::from_iter([("file".to_owned(), toml::Value::from(file))]);
            table.insert("password".into(), place.into());
        }
        let fingerprint = self.fingerprint.as_deref().unwrap_or_default();
        let mut text = String::new();
        for (name, value) in &table {
            let value = value.to_string().replace("{fingerprint}", fingerprint);
            text.push_str(&format!("{name} = {value}\n"));
        }
        Ok(text)
    }
}

impl Drop for FieldCamera {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A certificate that the camera signed itself, and its SHA-256.
fn certified() -> anyhow::Result<(TlsAcceptor, String)> {
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["camera.invalid".to_owned()])?;
    let der = cert.der().clone();
    let fingerprint = Sha256::digest(&der)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![der], key)?;
    Ok((TlsAcceptor::from(Arc::new(config)), fingerprint))
}

async fn accepted(
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    shared: Arc<PreparedCase>,
    tunnels: Arc<Tunnels>,
) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let local = stream.local_addr()?;
    let peer = stream.peer_addr()?;
    let stream: Box<dyn Stream> = match acceptor {
        Some(acceptor) => Box::new(acceptor.accept(stream).await?),
        None => Box::new(stream),
    };
    let (incoming, outgoing) = tokio::io::split(stream);
    let mut requests = Requests::new(Box::pin(incoming));
    let outgoing: Outgoing = Box::pin(outgoing);
    if !shared.case().rtsp.tunnel {
        return connection::serve(shared, requests, outgoing, local, peer).await;
    }
    let Some(request) = requests.next().await? else {
        return Ok(());
    };
    tunnels
        .enter(&request, requests, outgoing, shared, local, peer)
        .await
}

/// RTSP within HTTP as QuickTime began it: a GET whose answer never ends carries what the camera
/// says; a POST whose body never ends carries, in base64, what the client says.
#[derive(Default)]
struct Tunnels {
    waiting: Mutex<HashMap<String, (Outgoing, Arc<Notify>)>>,
}

impl Tunnels {
    async fn enter(
        &self,
        request: &Request,
        requests: Requests,
        mut outgoing: Outgoing,
        shared: Arc<PreparedCase>,
        local: SocketAddr,
        peer: SocketAddr,
    ) -> anyhow::Result<()> {
        let cookie = request.header("x-sessioncookie").to_owned();
        match request.method.as_str() {
            "GET" if request.header("accept").contains("rtsp-tunnelled") && !cookie.is_empty() => {
                outgoing
                    .write_all(
                        b"HTTP/1.0 200 OK\r\nConnection: close\r\nCache-Control: no-store\r\n\
                          Pragma: no-cache\r\nContent-Type: application/x-rtsp-tunnelled\r\n\r\n",
                    )
                    .await?;
                outgoing.flush().await?;
                let over = Arc::new(Notify::new());
                let waiting = (outgoing, Arc::clone(&over));
                self.waiting
                    .lock()
                    .unwrap_or_else(|e| e.into_inner())
                    .insert(cookie, waiting);
                over.notified().await;
                Ok(())
            }
            "POST" if request.header("content-type").contains("rtsp-tunnelled") => {
                let waiting = self
                    .waiting
                    .lock()
                    .unwrap_or_else(|e| e.into_inner())
                    .remove(&cookie);
                let (outgoing, over) = waiting.context("a POST without its GET")?;
                let (near, mut far) = tokio::io::duplex(64 << 10);
                let (buffered, incoming) = requests.into_parts();
                let decoded = async {
                    drop(decode(buffered, incoming, &mut far).await);
                    drop(far);
                };
                let requests = Requests::new(Box::pin(near));
                let served = connection::serve(shared, requests, outgoing, local, peer);
                tokio::join!(decoded, async {
                    let result = served.await;
                    over.notify_one();
                    result
                })
                .1
            }
            _ => {
                outgoing
                    .write_all(b"HTTP/1.0 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                    .await?;
                Ok(())
            }
        }
    }
}

/// Base64 in whole groups of four; each request may have its own padding.
async fn decode(
    mut text: Vec<u8>,
    mut incoming: Incoming,
    to: &mut tokio::io::DuplexStream,
) -> anyhow::Result<()> {
    use tokio::io::AsyncReadExt;
    loop {
        text.retain(|b| !b.is_ascii_whitespace());
        let whole = text.len() / 4 * 4;
        for group in text[..whole].chunks(4) {
            to.write_all(&STANDARD.decode(group)?).await?;
        }
        text.drain(..whole);
        if incoming.read_buf(&mut text).await? == 0 {
            return Ok(());
        }
    }
}
