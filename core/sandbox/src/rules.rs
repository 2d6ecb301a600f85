//! What the sandbox has to know of a kind of plugin before one runs.

use taimat_contract::Kind;

use crate::load_error::LoadError;
use crate::surface::Surface;
use crate::version::ContractVersion;

/// The rules of a kind. They stand in the kind's own file, see `kinds`.
#[derive(Debug)]
pub(crate) struct KindRules {
    pub(crate) kind: Kind,
    /// The interface of `taimat:plugin` whose export makes a component one of the kind.
    pub(crate) export: &'static str,
    /// The world that its authors build for.
    pub(crate) world: &'static str,
    /// The first version of the contract that has the kind as it is served.
    pub(crate) since: ContractVersion,
    /// Interfaces of `taimat:plugin` that it may import. Those that are not granted answer so.
    pub(crate) imports: &'static [&'static str],
}

impl KindRules {
    /// Which version of the contract a component of the kind is for.
    pub(crate) fn version(&self, surface: &Surface) -> Result<ContractVersion, LoadError> {
        let Some(wanted) = surface.exported(self.export) else {
            return Err(LoadError::World {
                kind: self.kind,
                export: self.export,
                world: self.world,
            });
        };
        let version = ContractVersion::of(wanted).filter(|version| *version >= self.since);
        version.ok_or_else(|| LoadError::Version {
            wanted: wanted.to_owned(),
        })
    }
}
