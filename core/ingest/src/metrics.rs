//! What is counted about sources.

use std::sync::Arc;
use std::time::{Duration, Instant};

use taimat_base::clock;
use taimat_base::metrics::{
    Error, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Owner, Owners, Register, Registry,
};
use taimat_hub::{Channel, ChannelKey, FaultCause, SourceState};
use taimat_media::Quirk;

taimat_base::series! {
    /// Metrics with a series for each source.
    families PerSource;
    /// One source's series.
    series SourceSeries;
    labels ["commune", "camera", "profile"];
    up: gauge "taimat_camera_up"
        "1 while pictures arrive, or while nobody asks a camera that runs on demand.",
    last_frame: measure "taimat_camera_last_frame_timestamp_seconds"
        "When the last picture arrived, in seconds since 1970; 0 before the first.",
    bitrate: measure "taimat_camera_receive_bytes_per_second"
        "Media bytes a second over the last seconds.",
    frame_rate: measure "taimat_camera_frame_rate_hertz"
        "Pictures a second over the last seconds.",
    keyframe_interval: measure "taimat_camera_keyframe_interval_seconds"
        "Time between the last two key frames; 0 before the second.",
    gop_bytes: gauge "taimat_camera_gop_bytes"
        "Bytes from the newest key frame on: what a new viewer is sent first.",
    ring_bytes: gauge "taimat_camera_ring_bytes"
        "Bytes kept in memory for readers.",
    readers: gauge "taimat_camera_readers"
        "Readers of the channel, viewers counted once per camera.",
    frames: counter "taimat_camera_frames_total"
        "Pictures received.",
    keyframes: counter "taimat_camera_keyframes_total"
        "Key frames received.",
    bytes: counter "taimat_camera_received_bytes_total"
        "Media bytes received, all tracks.",
    cpu: seconds "taimat_camera_cpu_seconds_total"
        "CPU time spent on taking the camera's stream in. A camera that wants more than a \
                 sixteenth of a core is read more slowly.",
    lost: counter "taimat_camera_packets_lost_total"
        "RTP packets that did not arrive.",
    damaged: counter "taimat_camera_damaged_frames_total"
        "Pictures of which a part did not arrive.",
    bad_packets: counter "taimat_camera_bad_packets_total"
        "RTP packets that were not understood.",
    jumps: counter "taimat_camera_timestamp_jumps_total"
        "Jumps of the camera's clock that were stepped over.",
    new_params: counter "taimat_camera_parameter_changes_total"
        "Changes of the parameter sets while the stream ran.",
    b_frames: gauge "taimat_camera_bidirectional_frames"
        "1 if the camera sends B-frames, which browsers do not show live.",
}

/// All sources' metrics.
#[derive(Debug)]
pub(crate) struct SourceFamilies {
    per_source: PerSource,
    state: IntGaugeVec,
    quirks: IntCounterVec,
    faults: IntCounterVec,
    owners: Owners<ChannelKey>,
}

/// One source's part of the metrics, looked up once.
#[derive(Debug, Clone)]
pub(crate) struct SourceMetrics {
    series: SourceSeries,
    states: [(SourceState, IntGauge); SourceState::ALL.len()],
    faults: [(FaultCause, IntCounter); FaultCause::ALL.len()],
    all: Arc<SourceFamilies>,
    owner: Arc<Owner<ChannelKey>>,
}

impl std::ops::Deref for SourceMetrics {
    type Target = SourceSeries;

    fn deref(&self) -> &SourceSeries {
        &self.series
    }
}

impl SourceMetrics {
    /// Made when one is seen: most cameras have few.
    pub(crate) fn quirk(&self, quirk: Quirk, times: u32) {
        self.owner.with(|key| {
            let l = key.label_values();
            let labels = [l[0], l[1], l[2], quirk.as_str()];
            let counter = self.all.quirks.with_label_values(&labels);
            counter.inc_by(u64::from(times));
        });
    }

    pub(crate) fn fault(&self, cause: FaultCause) {
        if let Some((_, counter)) = self.faults.iter().find(|(c, _)| *c == cause) {
            counter.inc();
        }
    }

    /// How often each cause has led to a reconnection.
    pub(crate) fn faults(&self) -> Vec<(FaultCause, u64)> {
        self.faults
            .iter()
            .map(|(c, n)| (*c, n.get()))
            .filter(|(_, n)| *n > 0)
            .collect()
    }

    /// Brings the gauges that follow from the channel's state up to date.
    pub(crate) fn scrape(&self, channel: &Channel, now: Instant) {
        let series = &self.series;
        let state = channel.status().state;
        for (candidate, gauge) in &self.states {
            gauge.set(i64::from(*candidate == state));
        }
        let up = matches!(state, SourceState::Live | SourceState::Idle);
        series.up.set(i64::from(up));
        let rates = channel.rates(now);
        series.bitrate.set(rates.bits_per_second / 8.0);
        series.frame_rate.set(rates.frames_per_second);
        let interval = rates.keyframe_interval_seconds.unwrap_or(0.0);
        series.keyframe_interval.set(interval);
        let (ring, gop) = channel.bytes();
        let whole = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        series.ring_bytes.set(whole(ring));
        series.gop_bytes.set(whole(gop));
        series.readers.set(whole(channel.readers()));
        if let Some(received) = channel.last_picture() {
            let age = now.saturating_duration_since(received);
            let at = clock::wall().checked_sub(age).unwrap_or(clock::wall());
            series.last_frame.set(clock::unix_seconds(at));
        }
    }

    /// The source is not configured any more: its series end.
    pub(crate) fn forget(&self) {
        self.owner.end(|key| self.all.remove(key));
    }
}

impl SourceFamilies {
    pub(crate) fn register(registry: &Registry) -> Result<Self, Error> {
        let r = Register(registry);
        Ok(Self {
            per_source: PerSource::register(r)?,
            state: r.gauges(
                "taimat_camera_state",
                "1 for the state that the source is in.",
                &["commune", "camera", "profile", "state"],
            )?,
            quirks: r.counters(
                "taimat_camera_quirks_total",
                "What the camera does that no standard says and that is put up with, by kind.",
                &["commune", "camera", "profile", "quirk"],
            )?,
            faults: r.counters(
                "taimat_camera_reconnects_total",
                "Reconnections by cause.",
                &["commune", "camera", "profile", "cause"],
            )?,
            owners: Owners::default(),
        })
    }

    /// A source's metrics, until they are forgotten or the source is started anew.
    pub(crate) fn of(self: &Arc<Self>, key: &ChannelKey) -> SourceMetrics {
        let l = key.label_values();
        let state = |s: SourceState| {
            self.state
                .with_label_values(&[l[0], l[1], l[2], s.as_str()])
        };
        let cause = |c: FaultCause| {
            self.faults
                .with_label_values(&[l[0], l[1], l[2], c.as_str()])
        };
        let (owner, (series, states, faults)) = self.owners.begin(key.clone(), || {
            (
                self.per_source.of(l),
                SourceState::ALL.map(|s| (s, state(s))),
                FaultCause::ALL.map(|c| (c, cause(c))),
            )
        });
        SourceMetrics {
            series,
            states,
            faults,
            all: Arc::clone(self),
            owner: Arc::new(owner),
        }
    }

    fn remove(&self, key: &ChannelKey) {
        let l = key.label_values();
        self.per_source.remove(l);
        for state in SourceState::ALL {
            drop(
                self.state
                    .remove_label_values(&[l[0], l[1], l[2], state.as_str()]),
            );
        }
        for quirk in Quirk::ALL {
            drop(
                self.quirks
                    .remove_label_values(&[l[0], l[1], l[2], quirk.as_str()]),
            );
        }
        for cause in FaultCause::ALL {
            drop(
                self.faults
                    .remove_label_values(&[l[0], l[1], l[2], cause.as_str()]),
            );
        }
    }
}

/// How long ago that was, for log lines.
pub(crate) fn rounded(age: Duration) -> Duration {
    Duration::from_millis(u64::try_from(age.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use taimat_base::{CameraKey, Profile};
    use taimat_hub::{Hub, Limits};

    use super::*;

    fn stand() -> (Registry, Arc<SourceFamilies>, ChannelKey) {
        let registry = Registry::new();
        let families = Arc::new(SourceFamilies::register(&registry).unwrap());
        let camera = CameraKey::new("thu".parse().unwrap(), "cho".parse().unwrap());
        (registry, families, ChannelKey::new(camera, Profile::Main))
    }

    #[test]
    fn a_source_that_is_gone_gets_no_series_by_what_is_left_of_it() {
        let (registry, families, key) = stand();
        let channel = Hub::new().ensure(&key, Limits::default());
        let metrics = families.of(&key);
        metrics.scrape(&channel, clock::now());
        metrics.quirk(Quirk::Floods, 1);
        assert!(!registry.gather().is_empty());
        metrics.forget();
        metrics.scrape(&channel, clock::now());
        metrics.quirk(Quirk::Floods, 1);
        metrics.fault(FaultCause::Ended);
        assert_eq!(metrics.faults(), [(FaultCause::Ended, 1)]);
        assert!(registry.gather().is_empty());
    }

    #[test]
    fn a_source_that_is_started_anew_goes_on_counting() {
        let (_registry, families, key) = stand();
        let old = families.of(&key);
        old.fault(FaultCause::Ended);
        let new = families.of(&key);
        old.forget();
        new.fault(FaultCause::Ended);
        assert_eq!(families.of(&key).faults(), [(FaultCause::Ended, 2)]);
    }
}
