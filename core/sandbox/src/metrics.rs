//! What is counted about plugins.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use taimat_base::metrics::{
    CounterVec, Error, GaugeVec, IntCounterVec, IntGauge, IntGaugeVec, Register, Registry,
};
use taimat_base::{CommuneId, PluginId};
use taimat_contract::Cause;

use crate::states::RunState;

const NAMED: [&str; 4] = ["commune", "plugin", "camera", "name"];
taimat_base::series! {
    /// Metrics with a series for each plugin.
    families PerPlugin;
    /// One plugin's series.
    series PluginSeries;
    labels ["commune", "plugin"];
    calls: histogram [0.000_01, 0.000_03, 0.000_1, 0.000_3, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3]
        "taimat_plugin_call_seconds" "Time of calls of plugins.",
    cpu: seconds "taimat_plugin_cpu_seconds_total" "CPU time of calls of plugins.",
    said: counter "taimat_plugin_errors_total" "Calls that a plugin answered with an error.",
    detections: counter "taimat_plugin_detections_total" "Detections taken over.",
    detections_dropped: counter "taimat_plugin_detections_dropped_total"
        "Detections beyond what a minute may have.",
    detections_bad: counter "taimat_plugin_detections_bad_total"
        "Detections dropped because they are against the contract.",
    frames_skipped: counter "taimat_plugin_frames_skipped_total"
        "Frames not looked at: the plugin was busy, suspended, or had used up its CPU share.",
    log_lines: counter "taimat_plugin_log_lines_total" "Lines that plugins wrote.",
    log_dropped: counter "taimat_plugin_log_lines_dropped_total" "Lines beyond the granted rate.",
    values_ignored: counter "taimat_plugin_values_ignored_total"
        "Numbers with a wrong name, or one too many.",
    loads: counter "taimat_plugin_loads_total" "Components loaded.",
    refusals: counter "taimat_plugin_refusals_total" "Components refused.",
    swaps: counter "taimat_plugin_swaps_total"
        "Instances replaced by those of another generation.",
    recycles: counter "taimat_plugin_recycles_total"
        "Instances replaced because they had made as many calls as they may.",
    rollbacks: counter "taimat_plugin_rollbacks_total"
        "Generations taken back because they failed on probation.",
    suspensions: counter "taimat_plugin_suspensions_total"
        "Times a plugin was suspended at a camera after failing again and again.",
    instances: gauge "taimat_plugin_instances" "Instances.",
    memory: gauge "taimat_plugin_memory_bytes" "Linear memory of all instances.",
    generation: gauge "taimat_plugin_generation"
        "Which load of the plugin is running, counted from 1.",
    up: gauge "taimat_plugin_up" "1 while a component of the plugin runs.",
    change_refused: gauge "taimat_plugin_change_refused"
        "1 while what runs is not what file and settings say: that was refused, or failed on probation.",
}

/// All plugins' metrics.
#[derive(Debug)]
pub(crate) struct PluginFamilies {
    per_plugin: PerPlugin,
    ended: IntCounterVec,
    cameras: IntGaugeVec,
    counts: CounterVec,
    values: GaugeVec,
    /// Whose series they are: a plugin that is dropped and comes back may be here twice for a moment.
    owners: Mutex<BTreeMap<(CommuneId, PluginId), u64>>,
    next: AtomicU64,
}

impl PluginFamilies {
    pub(crate) fn register(registry: &Registry) -> Result<Self, Error> {
        let r = Register(registry);
        Ok(Self {
            per_plugin: PerPlugin::register(r)?,
            ended: r.counters(
                "taimat_plugin_instances_ended_total",
                "Instances that a limit or their own fault ended, by cause.",
                &["commune", "plugin", "cause"],
            )?,
            cameras: r.gauges(
                "taimat_plugin_cameras",
                "Cameras of the plugin, by how it is doing there.",
                &["commune", "plugin", "state"],
            )?,
            counts: r.counters(
                "taimat_plugin_count_total",
                "What plugins count themselves.",
                &NAMED,
            )?,
            values: r.gauges(
                "taimat_plugin_value",
                "What plugins measure themselves.",
                &NAMED,
            )?,
            owners: Mutex::default(),
            next: AtomicU64::new(0),
        })
    }

    pub(crate) fn of(self: &Arc<Self>, commune: &CommuneId, plugin: &PluginId) -> PluginMetrics {
        // Numbers are not given twice.
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut owners = self.owners.lock().unwrap_or_else(|e| e.into_inner());
        owners.insert((commune.clone(), plugin.clone()), number);
        let [commune_label, plugin_label] = [commune.as_str(), plugin.as_str()];
        for cause in Cause::ALL {
            let labels = [commune_label, plugin_label, cause.as_str()];
            let _at_zero = self.ended.with_label_values(&labels);
        }
        let metrics = PluginMetrics {
            series: self.per_plugin.of([commune_label, plugin_label]),
            cameras: RunState::ALL.map(|state| {
                let labels = [commune_label, plugin_label, state.as_str()];
                self.cameras.with_label_values(&labels)
            }),
            commune: commune.clone(),
            plugin: plugin.clone(),
            number,
            all: Arc::clone(self),
            own: Mutex::default(),
        };
        // Until here: what is left of a former one does not remove series between two of these look-ups.
        drop(owners);
        metrics
    }
}

/// One plugin's: its series, until it is dropped.
#[derive(Debug)]
pub(crate) struct PluginMetrics {
    series: PluginSeries,
    /// In the order of [`RunState::ALL`].
    cameras: [IntGauge; RunState::ALL.len()],
    commune: CommuneId,
    plugin: PluginId,
    number: u64,
    all: Arc<PluginFamilies>,
    /// Own counters and gauges that exist: camera and name.
    own: Mutex<BTreeSet<(String, String)>>,
}

impl std::ops::Deref for PluginMetrics {
    type Target = PluginSeries;

    fn deref(&self) -> &PluginSeries {
        &self.series
    }
}

impl Drop for PluginMetrics {
    /// The commune has the plugin no more: its series end.
    fn drop(&mut self) {
        let own = std::mem::take(self.own.get_mut().unwrap_or_else(|e| e.into_inner()));
        let (all, labels) = (&self.all, self.labels());
        // Held to the end: one that comes back meanwhile would lose the series that it has just looked up.
        let mut owners = all.owners.lock().unwrap_or_else(|e| e.into_inner());
        let key = (self.commune.clone(), self.plugin.clone());
        if owners.get(&key) != Some(&self.number) {
            return;
        }
        owners.remove(&key);
        all.per_plugin.remove(labels);
        let [commune, plugin] = labels;
        for state in RunState::ALL {
            drop(
                all.cameras
                    .remove_label_values(&[commune, plugin, state.as_str()]),
            );
        }
        for cause in Cause::ALL {
            drop(
                all.ended
                    .remove_label_values(&[commune, plugin, cause.as_str()]),
            );
        }
        for (camera, name) in &own {
            let labels = [commune, plugin, camera.as_str(), name.as_str()];
            drop(all.counts.remove_label_values(&labels));
            drop(all.values.remove_label_values(&labels));
        }
    }
}

impl PluginMetrics {
    /// A counter or gauge of its own is there from now on.
    pub(crate) fn remember(&self, camera: &str, name: &str) {
        let mut own = self.own.lock().unwrap_or_else(|e| e.into_inner());
        own.insert((camera.to_owned(), name.to_owned()));
    }

    fn labels(&self) -> [&str; 2] {
        [self.commune.as_str(), self.plugin.as_str()]
    }

    /// Cameras at which it is doing so.
    pub(crate) fn cameras(&self, state: RunState) -> &IntGauge {
        &self.cameras[state as usize]
    }

    pub(crate) fn ended(&self, cause: Cause) {
        let [commune, plugin] = self.labels();
        self.all
            .ended
            .with_label_values(&[commune, plugin, cause.as_str()])
            .inc();
    }

    pub(crate) fn ended_count(&self, cause: Cause) -> u64 {
        let [commune, plugin] = self.labels();
        self.all
            .ended
            .with_label_values(&[commune, plugin, cause.as_str()])
            .get()
    }

    pub(crate) fn count(&self, camera: &str, name: &str, delta: f64) {
        let [commune, plugin] = self.labels();
        self.all
            .counts
            .with_label_values(&[commune, plugin, camera, name])
            .inc_by(delta);
    }

    pub(crate) fn value(&self, camera: &str, name: &str, value: f64) {
        let [commune, plugin] = self.labels();
        self.all
            .values
            .with_label_values(&[commune, plugin, camera, name])
            .set(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_end_with_their_last_owner() {
        let registry = Registry::new();
        let metrics = Arc::new(PluginFamilies::register(&registry).unwrap());
        let commune: CommuneId = "thu".parse().unwrap();
        let plugin: PluginId = "a".parse().unwrap();
        let there = || {
            registry
                .gather()
                .iter()
                .any(|f| f.name() == "taimat_plugin_up")
        };
        let first = metrics.of(&commune, &plugin);
        let second = metrics.of(&commune, &plugin);
        drop(first);
        assert!(there());
        second.up.set(1);
        drop(second);
        let left: Vec<String> = registry
            .gather()
            .iter()
            .map(|f| f.name().to_owned())
            .collect();
        assert_eq!(left, [""; 0]);
    }
}
