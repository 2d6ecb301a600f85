//! Connections, with TLS or without: to an address that the guard has judged, under the name that stands
//! in the file.

use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, Error, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::failure::{Failure, Outcome};
use crate::spec::{Identity, Trust};

/// Whom the machine trusts, read when somebody asks first.
#[derive(Debug, Default)]
pub(crate) struct Roots(OnceLock<Arc<RootCertStore>>);

impl Roots {
    fn system(&self) -> Arc<RootCertStore> {
        let read = || {
            let mut roots = RootCertStore::empty();
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
            Arc::new(roots)
        };
        Arc::clone(self.0.get_or_init(read))
    }

    /// How a channel speaks TLS, or why it can not. `protocols` are offered by ALPN.
    pub(crate) fn config(
        &self,
        trust: &Trust,
        identity: Option<&Identity>,
        protocols: &[&[u8]],
    ) -> Result<Arc<ClientConfig>, String> {
        let roots = match trust {
            Trust::System => self.system(),
            Trust::Authorities(pem) => Arc::new(authorities(pem)?),
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let certificates = CertificateDer::pem_slice_iter(&identity.certificates);
                let certificates = certificates.collect::<Result<Vec<_>, _>>();
                let certificates = certificates.map_err(|e| format!("the certificate: {e}"))?;
                let key = PrivateKeyDer::from_pem_slice(identity.key.reveal().as_bytes());
                // What the library says of a key may have parts of it.
                let key = key.map_err(|_secret| "the certificate's key is none".to_owned())?;
                let builder = builder.with_client_auth_cert(certificates, key);
                builder.map_err(|error| format!("the certificate: {error}"))?
            }
        };
        config.alpn_protocols = protocols.iter().map(|p| p.to_vec()).collect();
        Ok(Arc::new(config))
    }
}

fn authorities(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|e| format!("the CA file: {e}"))?;
        let added = roots.add(certificate);
        added.map_err(|e| format!("the CA file: {e}"))?;
    }
    match roots.is_empty() {
        true => Err("the CA file has no certificate".into()),
        false => Ok(roots),
    }
}

trait Bytes: AsyncRead + AsyncWrite + Send + Sync + Unpin + Debug {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin + Debug> Bytes for T {}

/// A connection to the other side.
#[derive(Debug)]
pub(crate) struct Connection {
    bytes: Box<dyn Bytes>,
    peer: SocketAddr,
    /// Both sides speak HTTP/2.
    pub(crate) is_http2: bool,
    /// Bytes that may still come.
    left: usize,
}

impl Connection {
    /// Without TLS.
    pub(crate) fn plain(stream: TcpStream) -> Result<Self, Failure> {
        let ended = |error: io::Error| Failure::new(Outcome::Unreachable, error.kind().to_string());
        // Messages are small, and nobody waits for more.
        stream.set_nodelay(true).map_err(ended)?;
        Ok(Self {
            peer: stream.peer_addr().map_err(ended)?,
            bytes: Box::new(stream),
            is_http2: false,
            left: usize::MAX,
        })
    }

    /// Ends it when more than so many bytes come: for libraries that read as long as somebody sends.
    pub(crate) fn at_most(mut self, bytes: usize) -> Self {
        self.left = bytes;
        self
    }

    /// With TLS, for the name `host`.
    pub(crate) async fn secured(
        stream: TcpStream,
        host: &str,
        config: Arc<ClientConfig>,
    ) -> Result<Self, Failure> {
        let plain = Self::plain(stream)?;
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|_no| {
            Failure::new(
                Outcome::Untrusted,
                "the host's name can not stand in a certificate",
            )
        })?;
        let peer = plain.peer;
        let stream = TlsConnector::from(config).connect(name, plain).await;
        let stream = stream.map_err(|error| explain(&error))?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok(Self {
            bytes: Box::new(stream),
            peer,
            is_http2,
            left: usize::MAX,
        })
    }
}

fn explain(error: &io::Error) -> Failure {
    let inner = error.get_ref().and_then(|e| e.downcast_ref::<Error>());
    match inner {
        Some(Error::InvalidCertificate(why)) => Failure::new(
            Outcome::Untrusted,
            format!("the server's certificate is not trusted: {why:?}"),
        ),
        Some(Error::InvalidMessage(_)) => {
            Failure::new(Outcome::Untrusted, "no TLS at this port of the server")
        }
        Some(other) => Failure::new(Outcome::Untrusted, format!("TLS: {other}")),
        None => Failure::new(Outcome::Unreachable, format!("TLS: {}", error.kind())),
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.bytes).poll_read(context, buffer);
        let came = buffer.filled().len().saturating_sub(before);
        match self.left.checked_sub(came) {
            Some(left) => self.left = left,
            None => return Poll::Ready(Err(io::ErrorKind::FileTooLarge.into())),
        }
        polled
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.bytes).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.bytes).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.bytes).poll_shutdown(context)
    }
}

impl lettre::transport::smtp::client::AsyncTokioStream for Connection {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}
