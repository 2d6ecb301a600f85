//! Checking exports: offline, on any machine, without the router.
//!
//! It has its own reading of the manifest, strict to the byte, and knows nothing of the library that
//! signs: a fault there is not repeated here, hostile files meet little code, and dates are arguments.

mod binding;
mod cbor;
mod cose;
mod file;
mod jumbf;
mod layout;
mod manifest;
mod report;
#[cfg(test)]
mod tests;
mod text;
mod trust;

pub use file::verify_file;
pub use report::{FileReport, Finding, SignedBy, Verdict};
pub use trust::{BadTrust, Trust};

pub(crate) use trust::{Wrong, key};
