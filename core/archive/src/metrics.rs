//! What ops see of recordings.

use taimat_base::metrics::{
    Error, Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Register, Registry,
};
use taimat_hub::ChannelKey;

use crate::reason::GapReason;
use crate::volume::VolumeMetrics;

/// What is counted about recordings.
#[derive(Debug, Clone)]
pub(crate) struct ArchiveMetrics {
    pub(crate) volume: VolumeMetrics,
    lost: IntCounterVec,
    pub(crate) removed: IntCounterVec,
    pub(crate) removed_bytes: IntCounterVec,
    pub(crate) used: IntGaugeVec,
    pub(crate) oldest: IntGaugeVec,
    pub(crate) held: IntGaugeVec,
    pub(crate) recording: IntGaugeVec,
    pub(crate) free: IntGauge,
    pub(crate) short: Gauge,
    pub(crate) queue: IntGauge,
    pub(crate) behind: Gauge,
    pub(crate) copies: IntGaugeVec,
    pub(crate) copied_bytes: IntCounterVec,
    pub(crate) copy_failures: IntCounterVec,
    pub(crate) copy_checks: IntCounterVec,
    pub(crate) fetched: IntCounterVec,
    pub(crate) mended: IntCounterVec,
    pub(crate) damaged: IntCounter,
}

impl ArchiveMetrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, Error> {
        let r = Register(registry);
        let times = [
            0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0,
        ];
        Ok(Self {
            volume: VolumeMetrics {
                bytes: r.counter(
                    "taimat_segment_written_bytes_total",
                    "Bytes written to recordings.",
                )?,
                parts: r.counter("taimat_segment_parts_total", "Parts written to recordings.")?,
                sync_seconds: r.histogram(
                    "taimat_segment_sync_seconds",
                    "Time that bringing recordings and their index to the disk took.",
                    &times,
                )?,
                errors: r.counter(
                    "taimat_segment_write_errors_total",
                    "Times that the disk refused a recording or its index.",
                )?,
            },
            lost: r.counters(
                "taimat_segment_parts_lost_total",
                "Parts that came from a camera and could not be kept, by the reason.",
                &["commune", "camera", "profile", "reason"],
            )?,
            removed: r.counters(
                "taimat_segment_removed_total",
                "Segments removed, by the reason: aged, evicted, removed.",
                &["commune", "reason"],
            )?,
            removed_bytes: r.counters(
                "taimat_segment_removed_bytes_total",
                "Bytes of segments removed, by the reason.",
                &["commune", "reason"],
            )?,
            used: r.gauges(
                "taimat_segment_used_bytes",
                "Bytes of recordings here.",
                &["commune", "camera"],
            )?,
            oldest: r.gauges(
                "taimat_segment_oldest_timestamp_seconds",
                "When the oldest recording of a camera here begins.",
                &["commune", "camera"],
            )?,
            held: r.gauges(
                "taimat_segment_held_bytes",
                "Bytes that somebody holds: nothing removes them.",
                &["commune"],
            )?,
            recording: r.gauges(
                "taimat_segment_recording",
                "1 while a camera is recorded.",
                &["commune", "camera", "profile"],
            )?,
            free: r.gauge(
                "taimat_archive_free_bytes",
                "Free bytes on the disk that is recorded to.",
            )?,
            short: r.gauge(
                "taimat_archive_space_short_seconds",
                "Seconds until room is short, at the rate of the last week; +Inf if it never is.",
            )?,
            queue: r.gauge(
                "taimat_archive_queue_bytes",
                "Bytes that wait for the disk that is recorded to.",
            )?,
            behind: r.gauge(
                "taimat_archive_behind_seconds",
                "How long ago all that was recorded was on the disk.",
            )?,
            copies: r.gauges(
                "taimat_copy_waiting",
                "Copies that are to be made or let go, by the place.",
                &["commune", "store"],
            )?,
            copied_bytes: r.counters(
                "taimat_copy_bytes_total",
                "Bytes copied to a place.",
                &["commune", "store"],
            )?,
            copy_failures: r.counters(
                "taimat_copy_failures_total",
                "Times that a copy could not be made, checked or let go.",
                &["commune", "store"],
            )?,
            copy_checks: r.counters(
                "taimat_copy_checks_total",
                "Times that a copy was held against its hash again, by what was found: good, gone, differs.",
                &["commune", "store", "result"],
            )?,
            fetched: r.counters(
                "taimat_copy_fetched_total",
                "Segments that somebody wanted to see and were kept elsewhere only, by the result: done, failed.",
                &["result"],
            )?,
            mended: r.counters(
                "taimat_segment_mended_total",
                "Files that were not what was recorded, and were replaced by a copy.",
                &["commune"],
            )?,
            damaged: r.counter(
                "taimat_archive_damaged_total",
                "Files that were found to be missing, short or altered.",
            )?,
        })
    }

    /// Parts of a stream were lost.
    pub(crate) fn lost(&self, key: &ChannelKey, reason: GapReason, parts: u64) {
        let [commune, camera, profile] = key.label_values();
        let labels = [commune, camera, profile, reason.as_str()];
        self.lost.with_label_values(&labels).inc_by(parts);
    }
}
