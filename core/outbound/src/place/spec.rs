//! What a commune's file says of the places where copies are kept, read and checked: nothing here opens a
//! file, looks up a name or connects.

use std::time::Duration;

use taimat_base::{ChannelId, CommuneId, PluginId, Secret};

use crate::spec::Trust;

/// The places of a commune.
#[derive(Debug, Clone, PartialEq)]
pub struct CommunePlaces {
    /// Whose they are.
    pub commune: CommuneId,
    /// Each once.
    pub places: Vec<PlaceSpec>,
}

/// A place.
#[derive(Debug, Clone, PartialEq)]
pub struct PlaceSpec {
    /// Its name, up to 64 bytes.
    pub name: String,
    /// Why it can not be used: secrets and files that are not there.
    pub missing: Vec<String>,
    /// How it is reached.
    pub way: PlaceWay,
}

/// How a place is reached.
#[derive(Debug, Clone, PartialEq)]
pub enum PlaceWay {
    /// In the words of a backend, by a channel that it is granted.
    Backend {
        /// The plugin.
        plugin: PluginId,
        /// The channel: HTTP.
        channel: ChannelId,
    },
    /// S3, as Amazon and many others speak it.
    S3(Box<S3Spec>),
}

/// A bucket.
#[derive(Debug, Clone, PartialEq)]
pub struct S3Spec {
    /// `https://s3.example.org`, or `http://` for a server in the house. Without a path.
    pub endpoint: String,
    /// For example `us-east-1`; servers of one's own take any.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// What keys begin with, for example `taimat/hoa-lac`; may be empty.
    pub prefix: String,
    /// Who signs.
    pub access_key: String,
    /// With what.
    pub secret_key: Secret,
    /// The bucket stands in the path and not in the host's name.
    pub path_style: bool,
    /// Nobody can let an object go before so long, not even the router: needs a bucket with object lock.
    pub lock: Option<ObjectLock>,
    /// Who says that the server is the right one.
    pub trust: Trust,
}

/// How objects are locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectLock {
    /// Whether nobody at all can unlock it.
    pub mode: LockMode,
    /// From when it is put.
    pub keep: Duration,
}

/// Who can unlock an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockMode {
    /// Whom the bucket's owner lets.
    Governance,
    /// Nobody.
    Compliance,
}

impl LockMode {
    /// As S3 has it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Governance => "GOVERNANCE",
            Self::Compliance => "COMPLIANCE",
        }
    }
}
