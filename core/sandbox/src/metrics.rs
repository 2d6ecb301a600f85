//! What is counted about plugins.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use prometheus::core::{AtomicF64, GenericCounter, GenericCounterVec};
use prometheus::{Histogram, HistogramVec};
use taimat_base::CommuneId;
use taimat_base::metrics::{
    Error, GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Register, Registry,
};
use taimat_contract::Cause;

use crate::status::RunState;

const LABELS: [&str; 2] = ["commune", "plugin"];
const NAMED: [&str; 4] = ["commune", "plugin", "camera", "name"];

/// All plugins' metrics.
#[derive(Debug)]
pub(crate) struct Metrics {
    calls: HistogramVec,
    cpu: GenericCounterVec<AtomicF64>,
    ended: IntCounterVec,
    said: IntCounterVec,
    detections: IntCounterVec,
    detections_dropped: IntCounterVec,
    frames_skipped: IntCounterVec,
    log_lines: IntCounterVec,
    log_dropped: IntCounterVec,
    values_ignored: IntCounterVec,
    loads: IntCounterVec,
    refusals: IntCounterVec,
    swaps: IntCounterVec,
    recycles: IntCounterVec,
    rollbacks: IntCounterVec,
    suspensions: IntCounterVec,
    instances: IntGaugeVec,
    memory: IntGaugeVec,
    generation: IntGaugeVec,
    up: IntGaugeVec,
    change_refused: IntGaugeVec,
    cameras: IntGaugeVec,
    counts: GenericCounterVec<AtomicF64>,
    values: GaugeVec,
    /// Whose series they are: a plugin that is dropped and comes back may be here twice for a moment.
    owners: Mutex<BTreeMap<(CommuneId, Arc<str>), u64>>,
    next: AtomicU64,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, Error> {
        let r = Register(registry);
        let buckets = [
            0.000_01, 0.000_03, 0.000_1, 0.000_3, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3,
        ];
        Ok(Self {
            calls: r.histograms("taimat_plugin_call_seconds", "Time of calls of plugins.", &LABELS, &buckets)?,
            cpu: r.counters("taimat_plugin_cpu_seconds_total", "CPU time of calls of plugins.", &LABELS)?,
            ended: r.counters("taimat_plugin_instances_ended_total", "Instances that a limit or their own fault ended, by cause.", &["commune", "plugin", "cause"])?,
            said: r.counters("taimat_plugin_errors_total", "Calls that a plugin answered with an error.", &LABELS)?,
            detections: r.counters("taimat_plugin_detections_total", "Detections taken over.", &LABELS)?,
            detections_dropped: r.counters("taimat_plugin_detections_dropped_total", "Detections beyond what a minute may have.", &LABELS)?,
            frames_skipped: r.counters("taimat_plugin_frames_skipped_total", "Frames not looked at: the plugin was busy, suspended, or had used up its CPU share.", &LABELS)?,
            log_lines: r.counters("taimat_plugin_log_lines_total", "Lines that plugins wrote.", &LABELS)?,
            log_dropped: r.counters("taimat_plugin_log_lines_dropped_total", "Lines beyond the granted rate.", &LABELS)?,
            values_ignored: r.counters("taimat_plugin_values_ignored_total", "Numbers with a wrong name, or one too many.", &LABELS)?,
            loads: r.counters("taimat_plugin_loads_total", "Components loaded.", &LABELS)?,
            refusals: r.counters("taimat_plugin_refusals_total", "Components refused.", &LABELS)?,
            swaps: r.counters("taimat_plugin_swaps_total", "Instances replaced by those of another generation.", &LABELS)?,
            recycles: r.counters("taimat_plugin_recycles_total", "Instances replaced because they had made as many calls as they may.", &LABELS)?,
            rollbacks: r.counters("taimat_plugin_rollbacks_total", "Generations taken back because they failed on probation.", &LABELS)?,
            suspensions: r.counters("taimat_plugin_suspensions_total", "Times a plugin was suspended at a camera after failing again and again.", &LABELS)?,
            instances: r.gauges("taimat_plugin_instances", "Instances.", &LABELS)?,
            memory: r.gauges("taimat_plugin_memory_bytes", "Linear memory of all instances.", &LABELS)?,
            generation: r.gauges("taimat_plugin_generation", "Which load of the plugin is running, counted from 1.", &LABELS)?,
            up: r.gauges("taimat_plugin_up", "1 while a component of the plugin runs.", &LABELS)?,
            change_refused: r.gauges("taimat_plugin_change_refused", "1 while what runs is not what file and settings say: that was refused, or failed on probation.", &LABELS)?,
            cameras: r.gauges("taimat_plugin_cameras", "Cameras of the plugin, by how it is doing there.", &["commune", "plugin", "state"])?,
            counts: r.counters("taimat_plugin_count_total", "What plugins count themselves.", &NAMED)?,
            values: r.gauges("taimat_plugin_value", "What plugins measure themselves.", &NAMED)?,
            owners: Mutex::default(),
            next: AtomicU64::new(0),
        })
    }

    pub(crate) fn of(self: &Arc<Self>, commune: &CommuneId, plugin: &str) -> PluginMetrics {
        let labels = [commune.as_str(), plugin];
        let name: Arc<str> = plugin.into();
        // Numbers are not given twice.
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut owners = self.owners.lock().unwrap_or_else(|e| e.into_inner());
        owners.insert((commune.clone(), Arc::clone(&name)), number);
        drop(owners);
        for cause in Cause::ALL {
            let _at_zero = self
                .ended
                .with_label_values(&[labels[0], labels[1], cause.as_str()]);
        }
        PluginMetrics {
            calls: self.calls.with_label_values(&labels),
            cpu: self.cpu.with_label_values(&labels),
            said: self.said.with_label_values(&labels),
            detections: self.detections.with_label_values(&labels),
            detections_dropped: self.detections_dropped.with_label_values(&labels),
            frames_skipped: self.frames_skipped.with_label_values(&labels),
            log_lines: self.log_lines.with_label_values(&labels),
            log_dropped: self.log_dropped.with_label_values(&labels),
            values_ignored: self.values_ignored.with_label_values(&labels),
            loads: self.loads.with_label_values(&labels),
            refusals: self.refusals.with_label_values(&labels),
            swaps: self.swaps.with_label_values(&labels),
            recycles: self.recycles.with_label_values(&labels),
            rollbacks: self.rollbacks.with_label_values(&labels),
            suspensions: self.suspensions.with_label_values(&labels),
            instances: self.instances.with_label_values(&labels),
            memory: self.memory.with_label_values(&labels),
            generation: self.generation.with_label_values(&labels),
            up: self.up.with_label_values(&labels),
            change_refused: self.change_refused.with_label_values(&labels),
            cameras: RunState::ALL.map(|state| {
                let labels = [labels[0], labels[1], state.as_str()];
                self.cameras.with_label_values(&labels)
            }),
            commune: commune.clone(),
            plugin: name,
            number,
            all: Arc::clone(self),
            own: Mutex::default(),
        }
    }
}

/// One plugin's.
#[derive(Debug)]
pub(crate) struct PluginMetrics {
    pub(crate) calls: Histogram,
    pub(crate) cpu: GenericCounter<AtomicF64>,
    pub(crate) said: IntCounter,
    pub(crate) detections: IntCounter,
    pub(crate) detections_dropped: IntCounter,
    pub(crate) frames_skipped: IntCounter,
    pub(crate) log_lines: IntCounter,
    pub(crate) log_dropped: IntCounter,
    pub(crate) values_ignored: IntCounter,
    pub(crate) loads: IntCounter,
    pub(crate) refusals: IntCounter,
    pub(crate) swaps: IntCounter,
    pub(crate) recycles: IntCounter,
    pub(crate) rollbacks: IntCounter,
    pub(crate) suspensions: IntCounter,
    pub(crate) instances: IntGauge,
    pub(crate) memory: IntGauge,
    pub(crate) generation: IntGauge,
    pub(crate) up: IntGauge,
    pub(crate) change_refused: IntGauge,
    /// In the order of [`RunState::ALL`].
    cameras: [IntGauge; RunState::ALL.len()],
    commune: CommuneId,
    plugin: Arc<str>,
    number: u64,
    all: Arc<Metrics>,
    /// Own counters and gauges that exist: camera and name.
    own: Mutex<BTreeSet<(String, String)>>,
}

impl Drop for PluginMetrics {
    /// The commune has the plugin no more: its series end.
    fn drop(&mut self) {
        let (all, labels) = (&self.all, self.labels());
        {
            let mut owners = all.owners.lock().unwrap_or_else(|e| e.into_inner());
            let key = (self.commune.clone(), Arc::clone(&self.plugin));
            if owners.get(&key) != Some(&self.number) {
                return;
            }
            owners.remove(&key);
        }
        // Nothing is lost if a series was never there.
        let _removed = all.calls.remove_label_values(&labels);
        let _removed = all.cpu.remove_label_values(&labels);
        for family in [
            &all.said,
            &all.detections,
            &all.detections_dropped,
            &all.frames_skipped,
            &all.log_lines,
            &all.log_dropped,
            &all.values_ignored,
            &all.loads,
            &all.refusals,
            &all.swaps,
            &all.recycles,
            &all.rollbacks,
            &all.suspensions,
        ] {
            let _removed = family.remove_label_values(&labels);
        }
        for family in [
            &all.instances,
            &all.memory,
            &all.generation,
            &all.up,
            &all.change_refused,
        ] {
            let _removed = family.remove_label_values(&labels);
        }
        let [commune, plugin] = labels;
        for state in RunState::ALL {
            let labels = [commune, plugin, state.as_str()];
            let _removed = all.cameras.remove_label_values(&labels);
        }
        for cause in Cause::ALL {
            let labels = [commune, plugin, cause.as_str()];
            let _removed = all.ended.remove_label_values(&labels);
        }
        for (camera, name) in self.own.lock().unwrap_or_else(|e| e.into_inner()).iter() {
            let labels = [commune, plugin, camera.as_str(), name.as_str()];
            let _removed = all.counts.remove_label_values(&labels);
            let _removed = all.values.remove_label_values(&labels);
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
        [self.commune.as_str(), &self.plugin]
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
        let metrics = Arc::new(Metrics::register(&registry).unwrap());
        let commune: CommuneId = "thu".parse().unwrap();
        let there = || {
            registry
                .gather()
                .iter()
                .any(|f| f.name() == "taimat_plugin_up")
        };
        let first = metrics.of(&commune, "a");
        let second = metrics.of(&commune, "a");
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
