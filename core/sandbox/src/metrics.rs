//! What is counted about plugins.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use taimat_base::metrics::{
    CounterVec, Error, GaugeVec, IntCounterVec, IntGauge, IntGaugeVec, Owner, Owners, Register,
    Registry,
};
use taimat_base::{CommuneId, PluginId};
use taimat_contract::Cause;

use crate::place::Place;
use crate::states::RunState;

/// Names of a plugin's own metrics at a place.
const MAX_NAMES: usize = 32;
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
    owners: Owners<PluginKey>,
    /// Of what plugins count themselves at their places.
    own: Owners<(PluginKey, String)>,
}

type PluginKey = (CommuneId, PluginId);

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
            owners: Owners::default(),
            own: Owners::default(),
        })
    }

    pub(crate) fn of(self: &Arc<Self>, commune: &CommuneId, plugin: &PluginId) -> PluginMetrics {
        let labels = [commune.as_str(), plugin.as_str()];
        let [commune_label, plugin_label] = labels;
        let make = || {
            for cause in Cause::ALL {
                let labels = [commune_label, plugin_label, cause.as_str()];
                let _at_zero = self.ended.with_label_values(&labels);
            }
            let cameras = RunState::ALL.map(|state| {
                let labels = [commune_label, plugin_label, state.as_str()];
                self.cameras.with_label_values(&labels)
            });
            (self.per_plugin.of(labels), cameras)
        };
        let key = (commune.clone(), plugin.clone());
        let (owner, (series, cameras)) = self.owners.begin(key, make);
        PluginMetrics {
            series,
            cameras,
            owner,
            all: Arc::clone(self),
        }
    }

    fn remove(&self, (commune, plugin): &PluginKey) {
        let labels = [commune.as_str(), plugin.as_str()];
        self.per_plugin.remove(labels);
        let [commune, plugin] = labels;
        for state in RunState::ALL {
            let labels = [commune, plugin, state.as_str()];
            drop(self.cameras.remove_label_values(&labels));
        }
        for cause in Cause::ALL {
            let labels = [commune, plugin, cause.as_str()];
            drop(self.ended.remove_label_values(&labels));
        }
    }
}

/// One plugin's: its series, until it is dropped.
#[derive(Debug)]
pub(crate) struct PluginMetrics {
    series: PluginSeries,
    /// In the order of [`RunState::ALL`].
    cameras: [IntGauge; RunState::ALL.len()],
    owner: Owner<PluginKey>,
    all: Arc<PluginFamilies>,
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
        self.owner.end(|key| self.all.remove(key));
    }
}

impl PluginMetrics {
    /// Cameras at which it is doing so.
    pub(crate) fn cameras(&self, state: RunState) -> &IntGauge {
        &self.cameras[state as usize]
    }

    pub(crate) fn ended(&self, cause: Cause) {
        self.owner.with(|(commune, plugin)| {
            let labels = [commune.as_str(), plugin.as_str(), cause.as_str()];
            self.all.ended.with_label_values(&labels).inc();
        });
    }

    pub(crate) fn ended_count(&self, cause: Cause) -> u64 {
        let count = self.owner.with(|(commune, plugin)| {
            let labels = [commune.as_str(), plugin.as_str(), cause.as_str()];
            self.all.ended.with_label_values(&labels).get()
        });
        count.unwrap_or(0)
    }

    /// What it counts itself at a place, from now on.
    pub(crate) fn own(&self, place: &Place) -> OwnMetrics {
        let key = (self.owner.key().clone(), place.label().to_owned());
        let (owner, ()) = self.all.own.begin(key, || ());
        OwnMetrics {
            owner,
            all: Arc::clone(&self.all),
            names: Mutex::default(),
        }
    }
}

/// What a plugin counts itself at one place: these series, until it is there no more.
#[derive(Debug)]
pub(crate) struct OwnMetrics {
    owner: Owner<(PluginKey, String)>,
    all: Arc<PluginFamilies>,
    names: Mutex<BTreeSet<String>>,
}

impl Drop for OwnMetrics {
    fn drop(&mut self) {
        let names = std::mem::take(self.names.get_mut().unwrap_or_else(|e| e.into_inner()));
        self.owner.end(|((commune, plugin), camera)| {
            for name in &names {
                let labels = [commune.as_str(), plugin.as_str(), camera, name];
                drop(self.all.counts.remove_label_values(&labels));
                drop(self.all.values.remove_label_values(&labels));
            }
        });
    }
}

impl OwnMetrics {
    /// Adds to a counter; whether it may have one of this name.
    pub(crate) fn add(&self, name: &str, delta: f64) -> bool {
        self.write(name, |labels| {
            self.all.counts.with_label_values(labels).inc_by(delta);
        })
    }

    /// Sets a gauge; whether it may have one of this name.
    pub(crate) fn set(&self, name: &str, value: f64) -> bool {
        self.write(name, |labels| {
            self.all.values.with_label_values(labels).set(value);
        })
    }

    fn write(&self, name: &str, write: impl FnOnce(&[&str; 4])) -> bool {
        let known = self.knows(name);
        if known {
            self.owner.with(|((commune, plugin), camera)| {
                write(&[commune.as_str(), plugin.as_str(), camera, name]);
            });
        }
        known
    }

    fn knows(&self, name: &str) -> bool {
        let mut names = self.names.lock().unwrap_or_else(|e| e.into_inner());
        if names.contains(name) {
            return true;
        }
        let fits = names.len() < MAX_NAMES;
        if fits {
            names.insert(name.to_owned());
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taimat_base::CameraKey;

    struct Bench {
        registry: Registry,
        families: Arc<PluginFamilies>,
    }

    impl Bench {
        fn new() -> Self {
            let registry = Registry::new();
            let families = Arc::new(PluginFamilies::register(&registry).unwrap());
            Self { registry, families }
        }

        fn plugin(&self) -> PluginMetrics {
            let (commune, plugin) = ("thu".parse().unwrap(), "a".parse().unwrap());
            self.families.of(&commune, &plugin)
        }

        /// Names of what is there.
        fn names(&self) -> Vec<String> {
            let families = self.registry.gather();
            families.iter().map(|f| f.name().to_owned()).collect()
        }

        /// What the plugin counts itself: camera and value.
        fn own(&self) -> Vec<(String, f64)> {
            let families = self.registry.gather();
            let family = families
                .iter()
                .find(|f| f.name() == "taimat_plugin_count_total");
            let metrics = family.map_or(&[][..], |f| f.get_metric());
            let each = metrics.iter().map(|m| {
                let camera = m.get_label().iter().find(|l| l.name() == "camera").unwrap();
                (camera.value().to_owned(), m.get_counter().get_value())
            });
            each.collect()
        }
    }

    fn at(camera: &str) -> Place {
        Place::Camera(CameraKey::new(
            "thu".parse().unwrap(),
            camera.parse().unwrap(),
        ))
    }

    #[test]
    fn series_end_with_their_last_owner() {
        let bench = Bench::new();
        let first = bench.plugin();
        let second = bench.plugin();
        drop(first);
        assert!(bench.names().iter().any(|name| name == "taimat_plugin_up"));
        second.up.set(1);
        second.ended(Cause::Trap);
        assert_eq!(second.ended_count(Cause::Trap), 1);
        drop(second);
        assert_eq!(bench.names(), [""; 0]);
    }

    #[test]
    fn what_a_plugin_counts_at_a_camera_ends_there() {
        let bench = Bench::new();
        let plugin = bench.plugin();
        let (c0, c1) = (plugin.own(&at("c0")), plugin.own(&at("c1")));
        assert!(c0.add("seen", 1.0) && c1.add("seen", 2.0) && c1.set("now", 3.0));
        drop(c1);
        assert_eq!(bench.own(), [("c0".into(), 1.0)]);
        assert!(!bench.names().iter().any(|n| n == "taimat_plugin_value"));
        // It comes back there before what is left of the former one has ended.
        let again = plugin.own(&at("c0"));
        again.add("seen", 4.0);
        c0.add("seen", 100.0);
        drop(c0);
        assert_eq!(bench.own(), [("c0".into(), 5.0)]);
        drop((again, plugin));
        assert_eq!(bench.names(), [""; 0]);
    }

    #[test]
    fn names_are_counted_once() {
        let bench = Bench::new();
        let own = bench.plugin().own(&at("c0"));
        let new = (0..100).filter(|n| own.add(&format!("n{n}"), 1.0)).count();
        assert_eq!(new, MAX_NAMES);
        assert!(own.set("n3", 1.0));
    }
}
