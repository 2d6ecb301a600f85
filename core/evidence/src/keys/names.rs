//! The files in the folder of keys.

/// The root's certificate.
pub(super) const ROOT: &str = "root.pem";
/// The list of serials.
pub(super) const RETIRED: &str = "retired.crl";
pub(super) const SIGNING: &str = "signing.pem";
pub(super) const CERTIFICATES: &str = "certificates";
