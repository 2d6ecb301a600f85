//! A place as the archive has it: with a bound on what is done at once, and counted.

use async_trait::async_trait;
use taimat_base::clock;
use taimat_contract::backend::is_key;
use taimat_contract::place::{
    BlobPage, BlobStat, BlobStore, ByteStream, PlaceError, PlaceSpace, PutContent,
};
use tokio::sync::Semaphore;

use super::metrics::{Doing, OfAPlace};

/// Operations at a place at once. Further ones wait: whoever calls has bounded how many there are.
const AT_ONCE: usize = 4;

/// Such a place.
#[derive(Debug)]
pub(crate) struct Counted {
    inner: Box<dyn BlobStore>,
    turns: Semaphore,
    pub(crate) metrics: OfAPlace,
}

impl Counted {
    pub(crate) fn new(inner: Box<dyn BlobStore>, metrics: OfAPlace) -> Self {
        Self {
            inner,
            turns: Semaphore::new(AT_ONCE),
            metrics,
        }
    }

    async fn counted<T>(
        &self,
        doing: Doing,
        work: impl Future<Output = Result<T, PlaceError>>,
    ) -> Result<T, PlaceError> {
        // It is never closed.
        let _turn = self.turns.acquire().await;
        let began = clock::now();
        let ended = Box::pin(work).await;
        let took = clock::now().saturating_duration_since(began);
        self.metrics.ended(doing, &ended, took);
        ended
    }
}

/// A key that is none was made by whoever calls: nothing is asked.
fn keyed(key: &str) -> Result<(), PlaceError> {
    match is_key(key) {
        true => Ok(()),
        false => Err(PlaceError::Refused("it is no key of an object".into())),
    }
}

#[async_trait]
impl BlobStore for Counted {
    async fn put(&self, key: &str, content: PutContent) -> Result<(), PlaceError> {
        keyed(key)?;
        let size = content.size;
        let put = self.counted(Doing::Put, self.inner.put(key, content));
        put.await?;
        self.metrics.moved(Doing::Put, size);
        Ok(())
    }

    async fn stat(&self, key: &str) -> Result<Option<BlobStat>, PlaceError> {
        keyed(key)?;
        self.counted(Doing::Stat, self.inner.stat(key)).await
    }

    async fn get(&self, key: &str, offset: u64, length: u64) -> Result<ByteStream, PlaceError> {
        keyed(key)?;
        if length == 0 {
            return Err(PlaceError::Refused("nothing is asked for".into()));
        }
        let get = self.counted(Doing::Get, self.inner.get(key, offset, length));
        let bytes = get.await?;
        self.metrics.moved(Doing::Get, length);
        Ok(bytes)
    }

    async fn delete(&self, key: &str) -> Result<(), PlaceError> {
        keyed(key)?;
        self.counted(Doing::Delete, self.inner.delete(key)).await
    }

    async fn list(&self, prefix: &str, cursor: Option<&str>) -> Result<BlobPage, PlaceError> {
        self.counted(Doing::List, self.inner.list(prefix, cursor))
            .await
    }

    async fn space(&self) -> Result<Option<PlaceSpace>, PlaceError> {
        self.counted(Doing::Space, self.inner.space()).await
    }
}
