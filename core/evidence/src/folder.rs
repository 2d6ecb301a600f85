//! Clips of several cameras in one folder: BagIt, a signature that OpenSSL checks, a record to print.
//!
//! ```text
//! data/*.mp4 timeline.json audit.jsonl bien-ban.html
//! manifest-sha256.txt tagmanifest-sha256.txt tagmanifest-sha256.txt.p7s
//! bagit.txt bag-info.txt commune-root.pem HUONG-DAN.txt
//! ```
//! The signature is over the list of lists, so it is over every file.

mod check;
mod cms;
mod facts;
mod guide;
mod list;
mod names;
mod record;
mod report;
mod sink;
#[cfg(test)]
mod tests;
mod timeline;
mod write;
mod zip;

pub use check::verify_folder;
pub use cms::CmsError;
pub use facts::FolderFacts;
pub use report::{ClipReport, FolderFinding, FolderReport};
pub use sink::{DirectorySink, Sink};
pub use write::{Clip, FolderError, FolderSizes, WrittenFolder, folder_sizes, write_folder};
pub use zip::{ZipSink, zip_bytes};
