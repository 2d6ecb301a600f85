//! What is known about the process itself, for metrics.

use prometheus::Registry;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge, IntGauge};
use taimat_base::clock;

/// Memory, CPU time, file descriptors and start time, under the names that everyone uses
/// (Prometheus' client libraries: "process metrics").
struct Process {
    resident: IntGauge,
    cpu: Counter,
    open_fds: IntGauge,
    start: Gauge,
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        let ints = [&self.resident, &self.open_fds]
            .into_iter()
            .flat_map(|g| g.desc());
        ints.chain(self.cpu.desc())
            .chain(self.start.desc())
            .collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        if let Some((cpu, resident)) = stat() {
            self.cpu.inc_by((cpu - self.cpu.get()).max(0.0));
            self.resident.set(resident);
        }
        if let Ok(list) = std::fs::read_dir("/proc/self/fd") {
            self.open_fds
                .set(i64::try_from(list.count()).unwrap_or(i64::MAX));
        }
        let ints = [&self.resident, &self.open_fds]
            .into_iter()
            .flat_map(|g| g.collect());
        ints.chain(self.cpu.collect())
            .chain(self.start.collect())
            .collect()
    }
}

/// CPU seconds and resident bytes from `/proc/self/stat` (proc(5)).
fn stat() -> Option<(f64, i64)> {
    /// Both are fixed on every Linux that this runs on.
    const TICKS_PER_SECOND: f64 = 100.0;
    const PAGE_BYTES: i64 = 4096;
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the name in parentheses, which may contain spaces.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<i64>().ok();
    let ticks = number(11)? + number(12)?;
    Some((ticks as f64 / TICKS_PER_SECOND, number(21)? * PAGE_BYTES))
}

pub(crate) fn register(registry: &Registry) -> Result<(), prometheus::Error> {
    let process = Process {
        resident: IntGauge::new(
            "process_resident_memory_bytes",
            "Resident memory size in bytes.",
        )?,
        cpu: Counter::new("process_cpu_seconds_total", "CPU time used, in seconds.")?,
        open_fds: IntGauge::new("process_open_fds", "Number of open file descriptors.")?,
        start: Gauge::new(
            "process_start_time_seconds",
            "When the process was started, in seconds since 1970.",
        )?,
    };
    process.start.set(clock::unix_seconds(clock::wall()));
    registry.register(Box::new(process))
}
