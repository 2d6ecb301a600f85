//! A generation that is to run, with what others get to know of it.

use std::sync::Arc;

use taimat_contract::Package;
use taimat_contract::package::PackageDigest;

use crate::generation::Generation;
use crate::limits::Limits;
use crate::load::Loaded;
use crate::spec::PluginSpec;
use crate::status::ComponentStatus;

/// A generation that is to run.
#[derive(Clone)]
pub(super) struct LiveGeneration {
    pub(super) generation: Arc<Generation>,
    pub(super) component: ComponentStatus,
}

impl LiveGeneration {
    pub(super) fn new(generation: Generation) -> Self {
        Self {
            component: component(&generation.loaded, &generation.context.limits),
            generation: Arc::new(generation),
        }
    }

    pub(super) fn digest(&self) -> PackageDigest {
        self.generation.loaded.digest
    }

    pub(super) fn package(&self) -> &Package {
        &self.generation.loaded.package
    }

    pub(super) fn spec(&self) -> &PluginSpec {
        &self.generation.spec
    }
}

/// What others get to know of a component.
fn component(loaded: &Loaded, limits: &Limits) -> ComponentStatus {
    let manifest = &loaded.package.manifest;
    ComponentStatus {
        name: manifest.name.clone(),
        version: manifest.version.clone(),
        kind: manifest.kind,
        digest: loaded.digest.to_string(),
        signer: loaded.package.signer.map(|key| key.to_string()),
        bytes: loaded.bytes,
        contract: loaded.prepared.version,
        surface: loaded.surface.clone(),
        memory_limit_bytes: limits.memory_bytes,
        call_limit_ms: limits.cpu.as_secs_f64() * 1000.0,
        cpu_share: limits.cpu_share,
    }
}
