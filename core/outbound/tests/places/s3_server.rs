//! An S3 server that we did not write (`s3s-fs`), in this process: it holds signatures and checksums
//! against what comes. It is here and not in the testkit because it takes minutes to compile.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::Context;
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::places::{ACCESS_KEY, SECRET_KEY};

/// A running one, with its objects in a folder.
#[derive(Debug)]
pub(crate) struct S3Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl S3Server {
    /// Starts with one bucket.
    pub(crate) async fn start(folder: &Path, bucket: &str) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder.join(bucket))?;
        let files = FileSystem::new(folder).map_err(|e| anyhow::anyhow!("{e:?}"))?;
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let service = builder.build();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr().context("no address")?;
        #[expect(
            clippy::disallowed_methods,
            reason = "a server of a test, ended with it"
        )]
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service.clone());
                tokio::spawn(connection);
            }
        });
        Ok(Self { address, task })
    }

    /// Where it is, for a place of S3 with the bucket in the path.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}
