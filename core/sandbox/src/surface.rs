//! What a component imports and exports, read from its bytes: before it is compiled.

use wasmparser::{Parser, Payload};

use crate::compile::CompileError;
use crate::load_error::LoadError;

/// Imports, and exports, of a component at most; the largest runtime of a language has forty.
const MAX_NAMES: usize = 1000;

/// What a component imports and exports, as names.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Surface {
    /// Interfaces it imports.
    pub imports: Vec<String>,
    /// Interfaces it exports.
    pub exports: Vec<String>,
}

impl Surface {
    /// Of a component's bytes. Whether the rest of it is valid shows when it is compiled.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, LoadError> {
        let mut surface = Self {
            imports: Vec::new(),
            exports: Vec::new(),
        };
        let fails = |e: wasmparser::BinaryReaderError| {
            LoadError::Compile(CompileError::Invalid(e.message().to_owned()))
        };
        // What is within belongs to the modules and components that this one is made of.
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.map_err(fails)? {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 0 => {
                    for import in section {
                        add(&mut surface.imports, import.map_err(fails)?.name.name)?;
                    }
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section {
                        add(&mut surface.exports, export.map_err(fails)?.name.name)?;
                    }
                }
                _ => {}
            }
        }
        Ok(surface)
    }

    /// Whether it imports an interface of `taimat:plugin`.
    pub(crate) fn imports_interface(&self, interface: &str) -> bool {
        self.imports.iter().any(|import| {
            let name = import.strip_prefix("taimat:plugin/");
            name.and_then(|name| name.strip_prefix(interface))
                .is_some_and(|rest| rest.starts_with('@'))
        })
    }

    /// The version in which it exports an interface of `taimat:plugin`.
    pub(crate) fn exported(&self, interface: &str) -> Option<&str> {
        self.exports.iter().find_map(|export| {
            let name = export.strip_prefix("taimat:plugin/")?;
            name.strip_prefix(interface)?.strip_prefix('@')
        })
    }
}

fn add(names: &mut Vec<String>, name: &str) -> Result<(), LoadError> {
    if names.len() >= MAX_NAMES {
        let why = format!("it imports or exports more than {MAX_NAMES} names");
        return Err(LoadError::Compile(CompileError::Invalid(why)));
    }
    names.push(name.to_owned());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A component that a test of another version keeps.
    const KEPT: &[u8] = include_bytes!("../tests/data/detector-0.1.wasm");

    #[test]
    fn reads_what_the_component_itself_has() {
        let surface = Surface::read(KEPT).unwrap();
        assert_eq!(surface.exported("detector"), Some("0.1.0"));
        assert_eq!(surface.exported("policy"), None);
        let frames = "taimat:plugin/frames@0.1.0".to_owned();
        assert!(surface.imports.contains(&frames), "{surface:?}");
        // Names of the modules within are not its own.
        assert!(
            !surface.imports.iter().any(|name| name == "env"),
            "{surface:?}"
        );
        let shortest = Surface::read(b"\0asm\x0d\0\x01\0").unwrap();
        assert_eq!(shortest.imports.len() + shortest.exports.len(), 0);
    }

    proptest! {
        #[test]
        fn never_panics(at in 8usize..4000, byte: u8, cut in 8usize..20_000) {
            let mut bytes = KEPT.to_vec();
            let at = at.min(bytes.len() - 1);
            bytes[at] = byte;
            drop(Surface::read(&bytes));
            bytes.truncate(cut);
            drop(Surface::read(&bytes));
        }
    }
}
