//! What a plugin may use: the router's defaults, what its author wishes, what the commune says.

use std::time::Duration;

use taimat_contract::{Kind, Manifest};
use wasmtime::ResourceLimiter;

use crate::engine::MAX_MEMORY_BYTES;

/// Limits in force for one plugin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Linear memory of an instance.
    pub memory_bytes: usize,
    /// CPU time of one call.
    pub cpu: Duration,
    /// Time of one call, waiting included.
    pub wall: Duration,
    /// CPU time of instantiating, and of configuring.
    pub start_cpu: Duration,
    /// Time of instantiating, and of configuring, waiting included.
    pub start_wall: Duration,
    /// Part of one core, averaged over ten seconds, all cameras together.
    pub cpu_share: f64,
    /// Bytes that one call may hand to the host.
    pub volume_bytes: usize,
    /// Log lines a second; bursts of five times as many.
    pub log_lines: u32,
    /// Detections a minute and camera; further ones are dropped.
    pub detections: u32,
    /// Calls after which an instance is replaced, its state handed over; 0 for never.
    pub recycle: u64,
}

/// What a commune may set; what it does not set is the author's wish, or the default.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LimitSettings {
    /// Linear memory of an instance.
    pub memory_bytes: Option<u64>,
    /// CPU time of one call.
    pub cpu: Option<Duration>,
    /// Time of one call, waiting included.
    pub wall: Option<Duration>,
    /// Part of one core.
    pub cpu_share: Option<f64>,
    /// Log lines a second.
    pub log_lines: Option<u32>,
    /// Detections a minute and camera.
    pub detections: Option<u32>,
    /// Calls after which an instance is replaced.
    pub recycle: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 32 << 20,
            cpu: Duration::from_millis(20),
            // On a busy machine a call waits for its turn through no fault of its own.
            wall: Duration::from_millis(500),
            start_cpu: Duration::from_secs(1),
            start_wall: Duration::from_secs(5),
            cpu_share: 0.25,
            volume_bytes: 1 << 20,
            log_lines: 20,
            detections: 600,
            recycle: 0,
        }
    }
}

impl Limits {
    /// What a kind has if nobody says otherwise. A policy answers from a page of text; an alerter
    /// words up to 32 events at once; storage looks at 256 segments; a backend reads a list of up to 1 MiB.
    pub fn of(kind: Kind) -> Self {
        let usual = Self::default();
        match kind {
            Kind::Policy => Self {
                memory_bytes: 16 << 20,
                ..usual
            },
            Kind::Alerter => Self {
                cpu: Duration::from_millis(50),
                volume_bytes: 2 << 20,
                ..usual
            },
            // Nothing that is live waits for these two.
            Kind::Storage => Self {
                cpu: Duration::from_millis(50),
                wall: Duration::from_secs(5),
                ..usual
            },
            Kind::Backend => Self {
                cpu: Duration::from_millis(100),
                wall: Duration::from_secs(5),
                volume_bytes: 4 << 20,
                ..usual
            },
            Kind::Detector => usual,
        }
    }

    /// Detections of one call at most.
    pub const DETECTIONS_PER_CALL: usize = 64;
    /// Calls that an instance lives for at least, unless the commune says otherwise.
    pub const RECYCLE_AT_LEAST: u64 = 1000;

    /// What is in force: the commune's word, else the author's wish up to four times the default,
    /// else the default.
    pub fn resolve(manifest: &Manifest, settings: &LimitSettings) -> Self {
        let default = Self::of(manifest.kind);
        let wish = &manifest.limits;
        let bytes = |b: u64| usize::try_from(b).unwrap_or(usize::MAX);
        let wished_memory = wish
            .memory
            .map(|m| bytes(m.0).min(4 * default.memory_bytes));
        let wished = |span: Option<taimat_base::units::Span>, default: Duration| {
            span.map_or(default, |s| s.0.min(4 * default))
        };
        // Making an instance costs more than most calls: an author may not have it at every frame.
        let wished_recycle = wish.recycle.map(|calls| match calls {
            0 => 0,
            calls => calls.max(Self::RECYCLE_AT_LEAST),
        });
        Self {
            memory_bytes: settings
                .memory_bytes
                .map(bytes)
                .or(wished_memory)
                .unwrap_or(default.memory_bytes)
                .min(MAX_MEMORY_BYTES),
            cpu: settings.cpu.unwrap_or(wished(wish.call, default.cpu)),
            wall: settings.wall.unwrap_or(wished(wish.wall, default.wall)),
            cpu_share: settings.cpu_share.unwrap_or(default.cpu_share),
            log_lines: settings.log_lines.unwrap_or(default.log_lines),
            detections: settings.detections.unwrap_or(default.detections),
            recycle: settings
                .recycle
                .or(wished_recycle)
                .unwrap_or(default.recycle),
            ..default
        }
    }
}

/// Keeps an instance within its memory, and remembers that it wanted more.
#[derive(Debug)]
pub(crate) struct MemoryLimit {
    bytes: usize,
    pub(crate) refused: bool,
    pub(crate) used: usize,
}

impl MemoryLimit {
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            bytes,
            refused: false,
            used: 0,
        }
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // A component may have several memories; together they stay within.
        let total = self.used.saturating_sub(current).saturating_add(desired);
        if total > self.bytes {
            self.refused = true;
            return Ok(false);
        }
        self.used = total;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= 60_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "[plugin]\nname = \"a\"\nversion = \"1.0.0\"\nkind = \"detector\"\n\
        [limits]\nmemory = \"1GiB\"\ncall = \"30ms\"\n";

    #[test]
    fn the_commune_comes_before_the_author() {
        let manifest = MANIFEST.parse().unwrap();
        let limits = Limits::resolve(&manifest, &LimitSettings::default());
        // A wish is not granted without bounds.
        assert_eq!(limits.memory_bytes, 128 << 20);
        assert_eq!(limits.cpu, Duration::from_millis(30));
        let settings = LimitSettings {
            memory_bytes: Some(512 << 20),
            cpu: Some(Duration::from_millis(5)),
            ..LimitSettings::default()
        };
        let limits = Limits::resolve(&manifest, &settings);
        assert_eq!(
            (limits.memory_bytes, limits.cpu),
            (512 << 20, Duration::from_millis(5))
        );
    }

    #[test]
    fn memories_count_together() {
        let mut limit = MemoryLimit::new(1000);
        assert!(limit.memory_growing(0, 600, None).unwrap());
        assert!(!limit.memory_growing(0, 600, None).unwrap());
        assert!(limit.refused);
        assert!(limit.memory_growing(600, 1000, None).unwrap());
    }
}
