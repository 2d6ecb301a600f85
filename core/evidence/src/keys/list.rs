//! The list of keys that are retired, as it lies in its file.

use std::path::Path;

use der::Decode as _;
use x509_cert::crl::CertificateList;

use super::error::KeyError;
use crate::x509::{self, Retired, X509Error};

/// The keys in a list.
pub(super) fn read_list(file: &Path, list: &str) -> Result<Vec<Retired>, KeyError> {
    let block = pem::parse(list).map_err(|error| KeyError::content(file, error))?;
    let list = CertificateList::from_der(block.contents()).map_err(X509Error::from)?;
    Ok(x509::retired(&list))
}
