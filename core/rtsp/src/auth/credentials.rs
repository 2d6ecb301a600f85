//! Who we are at a camera. Shown to nobody who prints it.

use std::fmt;

use taimat_base::Secret;

/// Who we are at a camera.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// May have any characters in it.
    pub user: String,
    /// Likewise.
    pub password: Secret,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(***)")
    }
}
