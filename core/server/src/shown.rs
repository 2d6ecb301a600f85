//! What is shown of the configuration: in the API, and in metrics.

use prometheus::{IntCounter, IntGauge, Registry};
use taimat_base::metrics::Register;

use crate::config::Commune;

/// How the folders are doing.
#[derive(Debug)]
pub(crate) struct ConfigMetrics {
    pub(crate) problems: IntGauge,
    pub(crate) reloads: IntCounter,
    pub(crate) refused: IntCounter,
    pub(crate) unwatched: IntGauge,
}

impl ConfigMetrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let r = Register(registry);
        Ok(Self {
            problems: r.gauge(
                "taimat_config_problems",
                "Problems in the configuration files as they are now; 0 when they are in force.",
            )?,
            reloads: r.counter(
                "taimat_config_reloads_total",
                "Changes of a commune's configuration that were taken over.",
            )?,
            refused: r.counter(
                "taimat_config_reloads_refused_total",
                "Readings of a commune's folder that were refused because of problems.",
            )?,
            unwatched: r.gauge(
                "taimat_config_unwatched_folders",
                "Folders that the system does not watch: their changes are seen with a delay.",
            )?,
        })
    }
}

/// A commune as the API lists it.
pub(crate) fn listed(commune: &Commune) -> taimat_api::Commune {
    let cameras = commune.cameras.iter().map(|camera| taimat_api::Camera {
        has_sub: camera.sources.len() > 1,
        on_demand: camera
            .sources
            .iter()
            .any(|s| s.mode != taimat_ingest::Mode::Always),
        id: camera.id.clone(),
        title: camera.title.clone(),
    });
    taimat_api::Commune {
        cameras: cameras.collect(),
        id: commune.id.clone(),
        name: commune.name.clone(),
        time_zone: commune.time_zone.clone(),
    }
}
