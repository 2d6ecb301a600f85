//! Keys: a root that is kept in a safe, and one that signs for a year.
//!
//! The root is made once and signs the certificates of those that sign exports. Its key is written
//! encrypted to a place that somebody names, a stick, and never to the router. Who checks an export
//! compares the root's fingerprint with the one on paper.
//!
//! The folder has `root.pem`, `signing.pem` (key and certificate together, so that the one is never
//! there without the other; 0600), `certificates/*.pem` of all years, and `retired.crl`.

mod error;
mod init;
mod list;
mod names;
mod retire;
mod signing;
mod stick;
#[cfg(test)]
mod tests;

pub use error::KeyError;
pub use init::{Made, NewRoot, init};
pub use retire::{Because, Retirement, retire};
pub use signing::SigningKey;
