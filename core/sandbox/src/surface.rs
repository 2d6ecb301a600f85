//! What a component imports and exports.

use wasmtime::Engine;
use wasmtime::component::Component;

/// What a component imports and exports, as names.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Surface {
    /// Interfaces it imports.
    pub imports: Vec<String>,
    /// Interfaces it exports.
    pub exports: Vec<String>,
}

impl Surface {
    pub(crate) fn of(engine: &Engine, component: &Component) -> Self {
        let types = component.component_type();
        Self {
            imports: types
                .imports(engine)
                .map(|(name, _)| name.to_owned())
                .collect(),
            exports: types
                .exports(engine)
                .map(|(name, _)| name.to_owned())
                .collect(),
        }
    }

    /// The version in which it exports an interface of `taimat:plugin`.
    pub(crate) fn exported(&self, interface: &str) -> Option<&str> {
        self.exports.iter().find_map(|export| {
            let name = export.strip_prefix("taimat:plugin/")?;
            name.strip_prefix(interface)?.strip_prefix('@')
        })
    }
}
