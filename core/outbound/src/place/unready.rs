//! A place that can not be used until somebody changes something.

use async_trait::async_trait;
use taimat_contract::place::{
    BlobPage, BlobStat, BlobStore, ByteStream, PlaceError, PlaceSpace, PutContent,
};

/// Such a place, with the reason.
#[derive(Debug)]
pub(crate) struct Unready(pub(crate) String);

impl Unready {
    fn refuse<T>(&self) -> Result<T, PlaceError> {
        Err(PlaceError::Refused(self.0.clone()))
    }
}

#[async_trait]
impl BlobStore for Unready {
    async fn put(&self, _key: &str, _content: PutContent) -> Result<(), PlaceError> {
        self.refuse()
    }
    async fn stat(&self, _key: &str) -> Result<Option<BlobStat>, PlaceError> {
        self.refuse()
    }
    async fn get(&self, _key: &str, _offset: u64, _length: u64) -> Result<ByteStream, PlaceError> {
        self.refuse()
    }
    async fn delete(&self, _key: &str) -> Result<(), PlaceError> {
        self.refuse()
    }
    async fn list(&self, _prefix: &str, _cursor: Option<&str>) -> Result<BlobPage, PlaceError> {
        self.refuse()
    }
    async fn space(&self) -> Result<Option<PlaceSpace>, PlaceError> {
        self.refuse()
    }
}
