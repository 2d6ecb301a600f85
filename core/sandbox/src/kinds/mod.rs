//! The kinds of plugins that are run: one folder each, and a line here.

pub(crate) mod alerter;
pub(crate) mod backend;
pub(crate) mod detector;
pub(crate) mod policy;
pub(crate) mod storage;

use taimat_contract::Kind;

use crate::kind::ServedKind;
use crate::load_error::LoadError;

static SERVED: [ServedKind; 5] = [
    detector::KIND,
    policy::KIND,
    alerter::KIND,
    storage::KIND,
    backend::KIND,
];

/// A kind, if it is run.
pub(crate) fn served(kind: Kind) -> Result<&'static ServedKind, LoadError> {
    let found = SERVED.iter().find(|served| served.rules.kind == kind);
    found.ok_or(LoadError::Kind(kind))
}

/// All kinds that are run.
pub(crate) fn all() -> &'static [ServedKind] {
    &SERVED
}
