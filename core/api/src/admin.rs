//! Who writes configuration: the server, which knows the files.

use std::fmt::Debug;
use std::io;
use std::path::Path;

use taimat_base::{CommuneId, PluginId};

/// Changes configuration files. Calls wait for the disk.
pub trait Admin: Send + Sync + Debug {
    /// Switches a plugin on or off in its commune's file, and leaves the rest of it as it is.
    fn enable_plugin(
        &self,
        commune: &CommuneId,
        plugin: &PluginId,
        enabled: bool,
    ) -> Result<(), AdminError>;

    /// Writes a component into its file, where links lead within the commune's folder, and leaves owner and mode as
    /// they are.
    fn write_component(&self, commune: &CommuneId, file: &Path, bytes: &[u8]) -> io::Result<()>;
}

/// Why a file was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// The file has no such section.
    #[error("there is no such thing in the configuration")]
    Unknown,
    /// The file can not be read or written, or is wrong as it is.
    #[error("{0}")]
    Refused(String),
}
