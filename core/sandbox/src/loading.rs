//! From a plugin's file, or from what is kept of it, to a component that can run.

use std::sync::Arc;

use taimat_base::{CommuneId, clock};
use taimat_contract::package::PackageDigest;
use taimat_contract::{Package, SettingsSchema};

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
    fn new(bytes: Vec<u8>, spec: &PluginSpec) -> Result<Self, (Vec<u8>, LoadError)> {
        let checked = load::check(&bytes, &spec.trusted_keys).and_then(|package| {
            let rules = &kinds::served(package.manifest.kind)?.rules;
            let (surface, version) = load::admit(&bytes, rules)?;
            Ok((package, surface, version))
        });
        match checked {
            Ok((package, surface, version)) => Ok(Self {
                bytes: Arc::new(bytes),
                package,
                surface,
                version,
            }),
            Err(error) => Err((bytes, error)),
        }
    }

    pub(crate) fn digest(&self) -> PackageDigest {
        self.package.digest
    }
}

/// Reads and checks the file of a plugin. With an error, which file it was, if it could be read.
pub(crate) async fn read(
    spec: &Arc<PluginSpec>,
) -> Result<(Checked, Stamp), (LoadError, Option<PackageDigest>)> {
    let spec = Arc::clone(spec);
    let read = move || {
        let (bytes, stamp) = load::read(&spec.component).map_err(|error| (error, None))?;
        let checked = Checked::new(bytes, &spec).map_err(|(bytes, error)| match error {
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
        let bytes = services.proven.as_ref()?.other(&spec)?;
        Some(Checked::new(bytes, &spec).map_err(|(_, error)| error))
    };
    tokio::task::spawn_blocking(read).await.ok().flatten()
}

/// Compiles and links.
pub(crate) async fn compile(
    services: &Services,
    commune: &CommuneId,
    checked: Checked,
) -> Result<Loaded, LoadError> {
    let Checked {
        bytes,
        package,
        surface,
        version,
    } = checked;
    let digest = package.digest;
    tracing::info!(
        digest = digest.short(),
        version = package.manifest.version,
        "loading"
    );
    let begin = clock::now();
    let compiled = services.compiler.compile(commune, &bytes, digest).await;
    let (component, source) = compiled?;
    tracing::info!(
        digest = digest.short(),
        seconds = (clock::now() - begin).as_secs_f64(),
        cached = source == Source::Cached,
        "compiled"
    );
    let prepared = load::link(&services.engine, &component, &surface, version)?;
    Ok(Loaded {
        surface,
        schema: None,
        package: Arc::new(package),
        prepared,
        digest,
        bytes: bytes.len(),
    })
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
            context.tail.push(Level::Warn, "", why);
        }
    }
    loaded
}

/// Whether what was loaded may still run as far as trust goes.
pub(crate) fn trusted(spec: &PluginSpec, loaded: &Loaded) -> Result<(), LoadError> {
    let signer = loaded.package.signer;
    let keys = &spec.trusted_keys;
    if !keys.is_empty() && !signer.is_some_and(|key| keys.contains(&key)) {
        return Err(LoadError::Untrusted(signer));
    }
    Ok(())
}
