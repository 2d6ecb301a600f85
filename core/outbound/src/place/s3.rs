//! A bucket of S3. What is large goes in parts; each part says its SHA-256, which the server holds against
//! what came.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http_body_util::StreamBody;
use hyper::body::Frame;
use object_store::aws::{AmazonS3, AmazonS3Builder, AwsCredential, Checksum};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, BackoffConfig, GetOptions, GetRange, MultipartUpload, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, RetryConfig,
};
use sha2::{Digest, Sha256};
use taimat_base::Redactor;
use taimat_contract::place::{
    BlobEntry, BlobPage, BlobStat, BlobStore, ByteStream, PlaceError, PlaceSpace, PutContent,
};
use url::Url;

use super::connector::{GuardedConnector, GuardedService, Locking, Told};
use super::incoming::Coming;
use super::spec::S3Spec;
use crate::exchange::Reach;
use crate::failure::Outcome;

/// A part, and what goes whole: the least that servers take as a part is 5 MiB, and the most parts 10,000.
const PART: usize = 8 << 20;
/// Entries of a page.
const PAGE: usize = 1000;

/// A bucket.
pub(crate) struct S3Place {
    client: AmazonS3,
    /// What keys begin with, with `/` at its end; or empty.
    prefix: String,
    redactor: Redactor,
}

impl std::fmt::Debug for S3Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Place").finish_non_exhaustive()
    }
}

impl S3Place {
    /// As the commune's file has it; or why it can not be.
    pub(crate) fn new(
        spec: &S3Spec,
        reach: Reach,
        tls: Arc<rustls::ClientConfig>,
    ) -> Result<Self, String> {
        let endpoint = Url::parse(&spec.endpoint).map_err(|e| format!("endpoint: {e}"))?;
        let plain = matches!(endpoint.path(), "" | "/")
            && endpoint.query().is_none()
            && endpoint.username().is_empty()
            && endpoint.password().is_none()
            && matches!(endpoint.scheme(), "http" | "https");
        let host = endpoint.host_str().filter(|_| plain);
        let host = host.ok_or("endpoint: https://HOST or http://HOST:PORT, and no more")?;
        let secret = spec.secret_key.reveal();
        let credential = AwsCredential {
            key_id: spec.access_key.clone(),
            secret_key: secret.to_owned(),
            token: None,
        };
        let lock = spec.lock.map(|lock| Locking {
            lock,
            credential,
            region: spec.region.clone(),
        });
        let service = GuardedService {
            reach,
            tls,
            host: host.to_owned(),
            lock,
        };
        let address = spec.endpoint.trim_end_matches('/');
        let address = match (spec.path_style, address.split_once("://")) {
            (false, Some((scheme, host))) => format!("{scheme}://{}.{host}", spec.bucket),
            _ => address.to_owned(),
        };
        let retry = RetryConfig {
            max_retries: 3,
            retry_timeout: Duration::from_secs(60),
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(250),
                max_backoff: Duration::from_secs(5),
                base: 2.0,
            },
        };
        let client = AmazonS3Builder::new()
            .with_endpoint(address)
            .with_allow_http(endpoint.scheme() == "http")
            .with_region(&spec.region)
            .with_bucket_name(&spec.bucket)
            .with_access_key_id(&spec.access_key)
            .with_secret_access_key(secret)
            .with_virtual_hosted_style_request(!spec.path_style)
            .with_checksum_algorithm(Checksum::SHA256)
            .with_disable_bulk_delete(true)
            .with_disable_tagging(true)
            .with_retry(retry)
            .with_http_connector(GuardedConnector(Arc::new(service)))
            .build();
        let mut redactor = Redactor::default();
        redactor.know(secret);
        let client = client.map_err(|error| redactor.text(&error.to_string()))?;
        let prefix = match spec.prefix.trim_matches('/') {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        };
        Ok(Self {
            client,
            prefix,
            redactor,
        })
    }

    fn path(&self, key: &str) -> Result<Path, PlaceError> {
        Path::parse(format!("{}{key}", self.prefix))
            .map_err(|error| PlaceError::Refused(error.to_string()))
    }

    /// What the client says, in our words.
    fn explain(&self, error: &object_store::Error) -> PlaceError {
        if let Some(told) = told(error) {
            let text = self.redactor.text(&told.0.text);
            return match told.0.outcome {
                Outcome::Garbage => PlaceError::Differs(text),
                Outcome::Unreachable | Outcome::Late | Outcome::Busy | Outcome::Broken => {
                    PlaceError::later(text)
                }
                _ => PlaceError::Refused(text),
            };
        }
        let text = taimat_base::text::line(&self.redactor.text(&error.to_string()), 300);
        match error {
            object_store::Error::NotFound { .. } => PlaceError::Missing,
            object_store::Error::PermissionDenied { .. }
            | object_store::Error::Unauthenticated { .. } => {
                PlaceError::Refused("the server does not let the router do that".into())
            }
            object_store::Error::NotSupported { .. }
            | object_store::Error::NotImplemented { .. } => PlaceError::Unsupported,
            object_store::Error::InvalidPath { .. }
            | object_store::Error::Precondition { .. }
            | object_store::Error::AlreadyExists { .. } => PlaceError::Refused(text),
            _ => PlaceError::later(text),
        }
    }

    async fn put_whole(&self, path: &Path, content: &PutContent) -> Result<(), PlaceError> {
        let mut parts = Parts::open(content).await?;
        let bytes = parts.next().await?.unwrap_or_default();
        let options = PutOptions {
            attributes: attributes(content),
            ..PutOptions::default()
        };
        let put = self
            .client
            .put_opts(path, PutPayload::from(bytes), options)
            .await;
        put.map(|_put| ()).map_err(|error| self.explain(&error))
    }

    async fn put_in_parts(&self, path: &Path, content: &PutContent) -> Result<(), PlaceError> {
        let mut parts = Parts::open(content).await?;
        let options = PutMultipartOptions {
            attributes: attributes(content),
            ..PutMultipartOptions::default()
        };
        let begun = self.client.put_multipart_opts(path, options).await;
        let mut upload = begun.map_err(|error| self.explain(&error))?;
        let sent = self.send_parts(upload.as_mut(), &mut parts).await;
        if sent.is_err() {
            // What was sent would be paid for without being of use. If this fails too, the bucket's own
            // rule for unfinished uploads is left.
            let _ended = upload.abort().await;
        }
        sent
    }

    async fn send_parts(
        &self,
        upload: &mut dyn MultipartUpload,
        parts: &mut Parts<'_>,
    ) -> Result<(), PlaceError> {
        // One at a time: memory for one, and the digest of all is known before the last is sent.
        while let Some(part) = parts.next().await? {
            let put = upload.put_part(PutPayload::from(part)).await;
            put.map_err(|error| self.explain(&error))?;
        }
        let complete = upload.complete().await;
        complete
            .map(|_put| ())
            .map_err(|error| self.explain(&error))
    }
}

fn told(error: &object_store::Error) -> Option<&Told> {
    let mut at: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = at {
        if let Some(told) = error.downcast_ref::<Told>() {
            return Some(told);
        }
        at = error.source();
    }
    None
}

fn attributes(content: &PutContent) -> Attributes {
    let mut attributes = Attributes::new();
    attributes.insert(Attribute::ContentType, content.content_type.clone().into());
    attributes
}

/// What is to be put, part by part. The last is given only if the digest of all is the one that was said.
struct Parts<'a> {
    content: &'a PutContent,
    bytes: ByteStream,
    digest: Sha256,
    waiting: BytesMut,
    left: u64,
}

impl<'a> Parts<'a> {
    async fn open(content: &'a PutContent) -> Result<Self, PlaceError> {
        let opened = content.source.open(0).await;
        Ok(Self {
            content,
            bytes: opened.map_err(|error| PlaceError::Source(error.to_string()))?,
            digest: Sha256::new(),
            waiting: BytesMut::new(),
            left: content.size,
        })
    }

    async fn next(&mut self) -> Result<Option<Bytes>, PlaceError> {
        let source = |why: String| PlaceError::Source(why);
        if self.left == 0 && self.waiting.is_empty() && self.content.size > 0 {
            return Ok(None);
        }
        while self.waiting.len() < PART && self.left > 0 {
            let part = self.bytes.next().await;
            let part = part.ok_or_else(|| source("it is shorter than it was".into()))?;
            let mut part = part.map_err(|error| source(error.to_string()))?;
            part.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
            self.left = self.left.saturating_sub(part.len() as u64);
            self.digest.update(&part);
            self.waiting.extend_from_slice(&part);
        }
        let length = self.waiting.len().min(PART);
        let part = self.waiting.split_to(length).freeze();
        if self.left == 0 && self.waiting.is_empty() {
            let digest: [u8; 32] = self.digest.clone().finalize().into();
            if digest != self.content.sha256 {
                return Err(source("it is not what it was: its digest differs".into()));
            }
        }
        Ok(Some(part))
    }
}

#[async_trait]
impl BlobStore for S3Place {
    async fn put(&self, key: &str, content: PutContent) -> Result<(), PlaceError> {
        let path = self.path(key)?;
        match content.size <= PART as u64 {
            true => Box::pin(self.put_whole(&path, &content)).await?,
            false => Box::pin(self.put_in_parts(&path, &content)).await?,
        }
        // What a server says it has is looked at.
        match self.stat(key).await? {
            Some(there) if there.size == content.size => Ok(()),
            Some(there) => {
                let (has, sent) = (there.size, content.size);
                Err(PlaceError::Differs(format!(
                    "{has} bytes are there of {sent}"
                )))
            }
            None => {
                let why = "the server said that it has it, and does not";
                Err(PlaceError::Differs(why.into()))
            }
        }
    }

    async fn stat(&self, key: &str) -> Result<Option<BlobStat>, PlaceError> {
        let path = self.path(key)?;
        match self.client.head(&path).await {
            Ok(found) => Ok(Some(BlobStat {
                size: found.size,
                sha256: None,
            })),
            Err(error) => match self.explain(&error) {
                PlaceError::Missing => Ok(None),
                error => Err(error),
            },
        }
    }

    async fn get(&self, key: &str, offset: u64, length: u64) -> Result<ByteStream, PlaceError> {
        let path = self.path(key)?;
        let range = GetRange::Bounded(offset..offset.saturating_add(length));
        let options = GetOptions {
            range: Some(range),
            ..GetOptions::default()
        };
        let got = self.client.get_opts(&path, options).await;
        let got = got.map_err(|error| self.explain(&error))?;
        if got.range.start != offset {
            return Err(PlaceError::Differs("it is another part of it".into()));
        }
        let frames = got.into_stream().map(|part| part.map(Frame::data));
        Ok(Coming::of(StreamBody::new(frames), 0, length).stream())
    }

    async fn delete(&self, key: &str) -> Result<(), PlaceError> {
        let path = self.path(key)?;
        match self.client.delete(&path).await {
            Ok(()) => Ok(()),
            Err(error) => match self.explain(&error) {
                PlaceError::Missing => Ok(()),
                error => Err(error),
            },
        }
    }

    async fn list(&self, prefix: &str, cursor: Option<&str>) -> Result<BlobPage, PlaceError> {
        // The client knows whole parts of a path only: what is more of a prefix is held against keys here.
        let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
        let at = format!("{}{folder}", self.prefix);
        let at = at.trim_end_matches('/');
        let parsed = Path::parse(at).map_err(|error| PlaceError::Refused(error.to_string()))?;
        let at = (!at.is_empty()).then_some(&parsed);
        let mut found = match cursor {
            Some(cursor) => self.client.list_with_offset(at, &self.path(cursor)?),
            None => self.client.list(at),
        };
        let mut page = BlobPage::default();
        let mut last = None;
        for _ in 0..PAGE {
            let Some(object) = found.next().await else {
                return Ok(page);
            };
            let object = object.map_err(|error| self.explain(&error))?;
            let key = object.location.as_ref().strip_prefix(&self.prefix);
            let Some(key) = key.map(str::to_owned) else {
                return Err(PlaceError::Differs("a list of something else".into()));
            };
            last = Some(key.clone());
            if key.starts_with(prefix) {
                let size = object.size;
                page.entries.push(BlobEntry { key, size });
            }
        }
        if last.as_deref() == cursor {
            return Err(PlaceError::Differs("a list that does not go on".into()));
        }
        page.cursor = last;
        Ok(page)
    }

    async fn space(&self) -> Result<Option<PlaceSpace>, PlaceError> {
        // A bucket does not say.
        Ok(None)
    }
}
