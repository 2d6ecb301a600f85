//! HTTP over TLS: the commune's own authority, the router's own certificate, and both versions.

mod common;

use std::sync::Arc;

use common::{Bench, answered, authority, failed, http_channel, request, text};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use taimat_base::Secret;
use taimat_outbound::{HttpSpec, Identity, Trust};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Says in a header which version was spoken, and sends the body back.
async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let version = format!("{:?} {}", request.version(), request.uri().path());
    let body = request.into_body().collect().await?.to_bytes();
    let response = Response::builder().header("x-version", version);
    Ok(response.body(Full::new(body)).expect("a plain response"))
}

/// A server with a certificate for `localhost` that lets nobody in without one of the same authority.
async fn serve(made: &common::Authority, protocol: &'static [u8]) -> u16 {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(made.ca.as_bytes()).expect("PEM"))
        .expect("a CA");
    let clients =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(clients.build().expect("a verifier"))
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(made.certificate.as_bytes()).expect("PEM")],
            PrivateKeyDer::from_pem_slice(made.key.as_bytes()).expect("PEM"),
        )
        .expect("a certificate");
    config.alpn_protocols = vec![protocol.to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    #[expect(
        clippy::disallowed_methods,
        reason = "a server of a test, ended with its runtime"
    )]
    drop(tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else {
                continue;
            };
            let io = TokioIo::new(stream);
            if protocol == b"h2" {
                let http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let _ended = http2.serve_connection(io, service_fn(echo)).await;
            } else {
                let http1 = hyper::server::conn::http1::Builder::new();
                let _ended = http1.serve_connection(io, service_fn(echo)).await;
            }
        }
    }));
    port
}

#[tokio::test]
async fn both_versions_are_spoken_with_the_communes_authority_and_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let made = authority(folder.path());
    let bench = Bench::new();
    for (protocol, version) in [
        (&b"h2"[..], "HTTP/2.0 /hook/x"),
        (b"http/1.1", "HTTP/1.1 /hook/x"),
    ] {
        let port = serve(&made, protocol).await;
        let identity = Identity {
            certificates: made.certificate.clone().into(),
            key: Secret::new(made.key.clone()),
        };
        let channel = |host: &str, trust: Trust, identity: Option<Identity>| {
            let spec = HttpSpec {
                identity,
                ..HttpSpec::default()
            };
            let mut channel = http_channel("desk", &format!("https://{host}:{port}/hook"), spec);
            channel.trust = trust;
            channel
        };
        let own = Trust::Authorities(made.ca.clone().into());
        let send = || bench.send("k", request("desk", "/x", vec![text("hello")]));
        bench
            .configure(vec![channel(
                "localhost",
                own.clone(),
                Some(identity.clone()),
            )])
            .await;
        let answer = answered(send().await);
        let said = answer
            .headers
            .iter()
            .find(|h| h.key == "x-version")
            .unwrap();
        assert_eq!(
            (said.value.as_str(), answer.body.as_slice()),
            (version, &b"hello"[..])
        );
        // Another name, another authority, no certificate.
        bench
            .configure(vec![channel(
                "127.0.0.1",
                own.clone(),
                Some(identity.clone()),
            )])
            .await;
        assert!(failed(send().await).contains("certificate is not trusted"));
        bench
            .configure(vec![channel("localhost", Trust::System, Some(identity))])
            .await;
        assert!(failed(send().await).contains("certificate is not trusted"));
        bench.configure(vec![channel("localhost", own, None)]).await;
        failed(send().await);
    }
    let mut broken = http_channel("desk", "https://localhost:1/", HttpSpec::default());
    broken.trust = Trust::Authorities(b"nothing".to_vec());
    bench.configure(vec![broken]).await;
    let why = failed(bench.send("k", request("desk", "", Vec::new())).await);
    assert_eq!(why, "the CA file has no certificate");
}
