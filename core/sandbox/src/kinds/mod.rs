//! The kinds of plugins that are run: one folder each, and a line here.

pub(crate) mod detector;

use taimat_contract::Kind;

use crate::kind::ServedKind;
use crate::load_error::LoadError;

static SERVED: [ServedKind; 1] = [detector::KIND];

/// A kind, if it is run.
pub(crate) fn served(kind: Kind) -> Result<&'static ServedKind, LoadError> {
    let found = SERVED.iter().find(|served| served.rules.kind == kind);
    found.ok_or(LoadError::Kind(kind))
}

/// All kinds that are run.
pub(crate) fn all() -> &'static [ServedKind] {
    &SERVED
}
