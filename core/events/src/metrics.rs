//! What is counted about events.

use std::collections::BTreeSet;
use std::sync::Mutex;

use taimat_base::metrics::{
    Error, Gauge, Histogram, IntCounter, IntCounterVec, IntGauge, Register, Registry,
};

/// Kinds that are counted by name at most; plugins choose them.
const MAX_KINDS: usize = 64;

/// All metrics of events.
#[derive(Debug)]
pub(crate) struct EventMetrics {
    opened: IntCounterVec,
    pub(crate) changes: IntCounter,
    pub(crate) held_back: IntCounterVec,
    pub(crate) not_kept: IntCounter,
    pub(crate) open: IntGauge,
    pub(crate) write_failing: IntGauge,
    pub(crate) commit: Histogram,
    pub(crate) delay: Histogram,
    pub(crate) without_picture: IntCounter,
    pub(crate) answers: IntCounterVec,
    pub(crate) rulings: IntCounterVec,
    pub(crate) ruling: Histogram,
    pub(crate) deliveries: IntCounterVec,
    pub(crate) first_attempt: Histogram,
    pub(crate) receipt: Histogram,
    pub(crate) outbox_depth: IntGauge,
    pub(crate) outbox_age: Gauge,
    kinds: Mutex<BTreeSet<String>>,
}

impl EventMetrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, Error> {
        let r = Register(registry);
        let times = [
            0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0,
        ];
        let long = [
            0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0,
        ];
        Ok(Self {
            opened: r.counters(
                "taimat_event_opened_total",
                "Events opened, by kind; beyond 64 kinds as `other`.",
                &["commune", "kind"],
            )?,
            changes: r.counter(
                "taimat_event_changes_total",
                "Events opened, updated and closed, as written down.",
            )?,
            held_back: r.counters(
                "taimat_event_detections_held_back_total",
                "Detections that are part of no event: `rest`, one of their kind is over only since \
                 a moment; `many`, too many are open or begin at once; `busy`, more came than could \
                 be looked at.",
                &["reason"],
            )?,
            not_kept: r.counter(
                "taimat_event_not_kept_total",
                "Events that could not be written down, and so were none.",
            )?,
            open: r.gauge("taimat_event_open", "Events that go on.")?,
            write_failing: r.gauge(
                "taimat_event_write_failing",
                "1 while events can not be written down.",
            )?,
            commit: r.histogram(
                "taimat_event_commit_seconds",
                "Time that writing down took, with the wait for the disk.",
                &times,
            )?,
            delay: r.histogram(
                "taimat_event_delay_seconds",
                "From the frame in which something was seen until its event was on the disk.",
                &times,
            )?,
            without_picture: r.counter(
                "taimat_event_without_picture_total",
                "Events of which no picture could be kept.",
            )?,
            answers: r.counters(
                "taimat_event_answers_total",
                "Events that somebody dealt with, by commune, plugin and whether it was a false alarm.",
                &["commune", "plugin", "false_alarm"],
            )?,
            rulings: r.counters(
                "taimat_event_rulings_total",
                "Rulings by who said them: `policy`, the commune's; `rules` of its file, where it has \
                 none; `instead`, the rules in place of a policy that failed.",
                &["by"],
            )?,
            ruling: r.histogram(
                "taimat_event_ruling_seconds",
                "From the question to a policy until its ruling was on the disk.",
                &times,
            )?,
            deliveries: r.counters(
                "taimat_alert_deliveries_total",
                "Deliveries to targets by result: `delivered`, `failed`, `gone`, `skipped` are their end, \
                 `again` is an attempt that is repeated.",
                &["commune", "result"],
            )?,
            first_attempt: r.histogram(
                "taimat_alert_first_attempt_seconds",
                "From the ruling until something was sent the first time.",
                &long,
            )?,
            receipt: r.histogram(
                "taimat_alert_receipt_seconds",
                "From the ruling until the target had it.",
                &long,
            )?,
            outbox_depth: r.gauge(
                "taimat_alert_outbox_deliveries",
                "Deliveries that are due and have not come to their end.",
            )?,
            outbox_age: r.gauge(
                "taimat_alert_outbox_age_seconds",
                "How long the oldest of them has been due.",
            )?,
            kinds: Mutex::default(),
        })
    }

    pub(crate) fn opened(&self, commune: &str, kind: &str) {
        let mut kinds = self.kinds.lock().unwrap_or_else(|e| e.into_inner());
        let known = kinds.contains(kind)
            || kinds.len() < MAX_KINDS && {
                kinds.insert(kind.to_owned());
                true
            };
        let kind = if known { kind } else { "other" };
        self.opened.with_label_values(&[commune, kind]).inc();
    }
}
