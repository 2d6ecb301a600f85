//! What a trial of a policy or an alerter leaves behind.

use std::time::Duration;

/// Lines for people, the same each time.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) rows: Vec<String>,
    /// What the plugin wrote to its log.
    pub(crate) log: Vec<String>,
    /// Version, calls and memory: what differs from machine to machine.
    pub(crate) summary: String,
}

impl Report {
    /// The summary; `calls` is the time that each took.
    pub(crate) fn summed(
        &self,
        version: &str,
        what: &str,
        calls: &mut [Duration],
        memory_bytes: u64,
    ) -> String {
        calls.sort_unstable();
        let us = |of_hundred: usize| {
            let at = calls.len().saturating_sub(1) * of_hundred / 100;
            calls.get(at).copied().unwrap_or_default().as_secs_f64() * 1e6
        };
        format!(
            "version {version}: {} {what}, {} lines; a call takes {:.0} µs (p50), {:.0} µs (p99); {} KiB of memory",
            calls.len(),
            self.rows.len(),
            us(50),
            us(99),
            memory_bytes / 1024,
        )
    }
}
