//! From a plugin's file, or from what is kept of it, to a component that can run.

use std::sync::Arc;

use taimat_base::{CommuneId, clock};
use taimat_contract::package::{PackageDigest, PublicKey};
use taimat_contract::{Package, SettingsSchema};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::budget::Budget;
use crate::compile::Source;
use crate::host::InstanceContext;
use crate::instance::Instance;
use crate::kinds;
use crate::load::{self, Loaded, Stamp};
use crate::load_error::LoadError;
use crate::place::Place;
use crate::services::Services;
use crate::spec::PluginSpec;
use crate::surface::Surface;
use crate::tail::{Level, line};
use crate::version::ContractVersion;

/// A file that was read and checked.
pub(crate) struct Checked {
    bytes: Arc<Vec<u8>>,
    package: Package,
    surface: Surface,
    version: ContractVersion,
}

impl Checked {
    /// Of what somebody trusted signed, if anybody has to.
    pub(crate) fn new(bytes: &Arc<Vec<u8>>, trusted: &[PublicKey]) -> Result<Self, LoadError> {
        let package = load::check(bytes, trusted)?;
        let rules = &kinds::served(package.manifest.kind)?.rules;
        let (surface, version) = load::admit(bytes, rules)?;
        Ok(Self {
            bytes: Arc::clone(bytes),
            package,
            surface,
            version,
        })
    }

    /// With what came of compiling it.
    pub(crate) fn link(self, engine: &Engine, component: &Component) -> Result<Loaded, LoadError> {
        let Self {
            bytes,
            package,
            surface,
            version,
        } = self;
        let prepared = load::link(engine, component, &surface, version)?;
        Ok(Loaded {
            surface,
            schema: None,
            digest: package.digest,
            package: Arc::new(package),
            prepared,
            bytes: bytes.len(),
        })
    }

    pub(crate) fn digest(&self) -> PackageDigest {
        self.package.digest
    }
}

/// What the file of a plugin is like now. A disk that hangs holds up this plugin and no thread of the others.
pub(crate) async fn stamp(spec: &Arc<PluginSpec>) -> Option<Stamp> {
    let spec = Arc::clone(spec);
    let look = tokio::task::spawn_blocking(move || Stamp::now(&spec.component));
    look.await.ok().flatten()
}

/// Reads and checks the file of a plugin. With an error, which file it was, if it could be read.
pub(crate) async fn read(
    spec: &Arc<PluginSpec>,
) -> Result<(Checked, Stamp), (LoadError, Option<PackageDigest>)> {
    let spec = Arc::clone(spec);
    let read = move || {
        let (bytes, stamp) = load::read(&spec.component).map_err(|error| (error, None))?;
        let bytes = Arc::new(bytes);
        let checked = Checked::new(&bytes, &spec.trusted_keys).map_err(|error| match error {
            // The rest may be on its way.
            LoadError::Package(_) if stamp.is_fresh(clock::wall()) => {
                (LoadError::BeingWritten, None)
            }
            error => (error, Some(PackageDigest::of(&bytes))),
        })?;
        Ok((checked, stamp))
    };
    let read = tokio::task::spawn_blocking(read).await;
    read.unwrap_or(Err((LoadError::BeingWritten, None)))
}

/// What proved itself last, if that is not what the plugin's file holds.
pub(crate) async fn proven(
    services: &Arc<Services>,
    spec: &Arc<PluginSpec>,
) -> Option<Result<Checked, LoadError>> {
    let (services, spec) = (Arc::clone(services), Arc::clone(spec));
    let read = move || {
        let bytes = Arc::new(services.proven.as_ref()?.other(&spec)?);
        Some(Checked::new(&bytes, &spec.trusted_keys))
    };
    tokio::task::spawn_blocking(read).await.ok().flatten()
}

/// Compiles and links.
pub(crate) async fn compile(
    services: &Services,
    commune: &CommuneId,
    checked: Checked,
) -> Result<Loaded, LoadError> {
    let digest = checked.digest();
    tracing::info!(
        digest = digest.short(),
        version = checked.package.manifest.version,
        "loading"
    );
    let begin = clock::now();
    let compiler = &services.compiler;
    let (component, source) = compiler.compile(commune, &checked.bytes, digest).await?;
    tracing::info!(
        digest = digest.short(),
        seconds = (clock::now() - begin).as_secs_f64(),
        cached = source == Source::Cached,
        "compiled"
    );
    checked.link(&services.engine, &component)
}

/// Asks a component once what it says of itself: what its settings may be is kept with it. One that
/// does not answer runs all the same, if it can: its places will see.
pub(crate) async fn describe(
    mut loaded: Loaded,
    context: &InstanceContext,
    commune: &CommuneId,
) -> Loaded {
    let place = Place::Commune(commune.clone());
    let budget = Arc::new(Budget::default());
    budget.limit(&context.limits);
    let about = async {
        let at = (&place, &budget);
        let started = Instance::start(&loaded.prepared, context, at, |_, _| Ok(()));
        let (mut instance, ()) = started.await?;
        instance.describe().await
    };
    let read = match about.await {
        Ok(about) => SettingsSchema::read(&about.settings_schema).map_err(|e| e.to_string()),
        Err(failure) => Err(format!(
            "it does not say what its settings may be: {failure}"
        )),
    };
    match read {
        Ok(schema) => loaded.schema = Some(Arc::new(schema)),
        Err(why) => {
            let why = line(&why);
            tracing::warn!("{why}");
            context.common.tail.push(Level::Warn, "", why);
        }
    }
    loaded
}
