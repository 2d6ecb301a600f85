//! What every component exports, whatever its kind and version: `lifecycle`, and `handover` if it has
//! it. wasmtime compares types by their structure, and these have it in all versions.

use taimat_contract::{About, Failure, PluginError};
use wasmtime::Store;
use wasmtime::component::{ComponentType, Instance, Lift, TypedFunc};

use crate::host::HostState;
use crate::tail::line;
use crate::version::ContractVersion;

/// `lifecycle.about`.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct WireAbout {
    name: String,
    version: String,
    #[component(name = "settings-schema")]
    settings_schema: String,
}

impl From<WireAbout> for About {
    fn from(about: WireAbout) -> Self {
        Self {
            name: about.name,
            version: about.version,
            settings_schema: about.settings_schema,
        }
    }
}

/// `types.error`.
#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum WireError {
    #[component(name = "settings")]
    Settings(String),
    #[component(name = "retry")]
    Retry(String),
    #[component(name = "fatal")]
    Fatal(String),
}

impl From<WireError> for Failure {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Settings(why) => PluginError::Settings(line(&why)),
            WireError::Retry(why) => PluginError::Retry(line(&why)),
            WireError::Fatal(why) => PluginError::Fatal(line(&why)),
        }
        .into()
    }
}

pub(crate) type Describe = TypedFunc<(), (WireAbout,)>;
pub(crate) type Configure = TypedFunc<(String,), (Result<(), WireError>,)>;
pub(crate) type Save = TypedFunc<(), (Vec<u8>,)>;
pub(crate) type Load = TypedFunc<(String, Vec<u8>), (Result<(), String>,)>;

/// What every component exports.
#[derive(Clone, Copy)]
pub(crate) struct Lifecycle {
    pub(crate) describe: Describe,
    pub(crate) configure: Configure,
    pub(crate) handover: Option<(Save, Load)>,
}

impl Lifecycle {
    /// Finds the exports of an instance.
    pub(crate) fn find(
        store: &mut Store<HostState>,
        instance: &Instance,
        version: ContractVersion,
    ) -> wasmtime::Result<Self> {
        let mut function = |interface: &str, name: &str| {
            let interface = format!("taimat:plugin/{interface}@{}", version.package());
            let interface = instance.get_export_index(&mut *store, None, &interface)?;
            instance.get_export_index(&mut *store, Some(&interface), name)
        };
        let (describe, configure) = (
            function("lifecycle", "describe"),
            function("lifecycle", "configure"),
        );
        let (save, load) = (function("handover", "save"), function("handover", "load"));
        let (Some(describe), Some(configure)) = (describe, configure) else {
            return Err(wasmtime::Error::msg(
                "it exports no taimat:plugin/lifecycle",
            ));
        };
        let handover = match save.zip(load) {
            None => None,
            Some((save, load)) => Some((
                instance.get_typed_func(&mut *store, save)?,
                instance.get_typed_func(&mut *store, load)?,
            )),
        };
        Ok(Self {
            describe: instance.get_typed_func(&mut *store, describe)?,
            configure: instance.get_typed_func(&mut *store, configure)?,
            handover,
        })
    }
}
