//! Why a file is not a plugin, in words for whoever made it or was given it.

use super::key::PublicKey;

/// Why a file is not a plugin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// Something else.
    #[error("this is no WebAssembly: it begins with {0:02x?} instead of 00 61 73 6d")]
    NotWasm(Vec<u8>),
    /// A core module.
    #[error(
        "this is a core module and not a component; build for wasm32-wasip2, or run \
         `wasm-tools component new`"
    )]
    CoreModule,
    /// A binary format that is not known here.
    #[error("this is WebAssembly of an unknown format version {0:02x?}")]
    UnknownFormat([u8; 4]),
    /// Cut off or damaged.
    #[error("the file ends within the section that begins at byte {at}; it is cut off or damaged")]
    Truncated {
        /// Where the section begins.
        at: usize,
    },
    /// No manifest.
    #[error(
        "there is no manifest in it; `taimat plugin build` puts one there, or \
         `taimat plugin pack COMPONENT MANIFEST`"
    )]
    NoManifest,
    /// More than one of a kind.
    #[error("there is more than one section {0}")]
    Twice(&'static str),
    /// The manifest does not say what it should.
    #[error("the manifest is wrong: {0}")]
    Manifest(String),
    /// The signature is not one.
    #[error("the signature is not the last section, or is not 96 bytes")]
    MisplacedSignature,
    /// The file is not what was signed.
    #[error("the signature by {0} does not fit: the file was altered after it was signed")]
    Altered(PublicKey),
}
