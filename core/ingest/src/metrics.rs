//! What is counted about sources.

use std::time::{Duration, Instant};

use taimat_base::clock;
use taimat_base::metrics::{
    Counter, CounterVec, Error, Gauge, GaugeVec, IntCounter, IntCounterVec, IntGaugeVec, Register,
    Registry,
};
use taimat_hub::{Channel, ChannelKey, FaultCause, SourceState};
use taimat_media::Quirk;

const LABELS: [&str; 3] = ["commune", "camera", "profile"];

fn values(key: &ChannelKey) -> [&str; 3] {
    [
        key.camera.commune.as_str(),
        key.camera.camera.as_str(),
        key.profile.as_str(),
    ]
}

#[derive(Debug)]
pub(crate) struct Metrics {
    up: IntGaugeVec,
    state: IntGaugeVec,
    last_frame: GaugeVec,
    bitrate: GaugeVec,
    frame_rate: GaugeVec,
    keyframe_interval: GaugeVec,
    gop_bytes: IntGaugeVec,
    ring_bytes: IntGaugeVec,
    readers: IntGaugeVec,
    frames: IntCounterVec,
    keyframes: IntCounterVec,
    bytes: IntCounterVec,
    cpu: CounterVec,
    lost: IntCounterVec,
    damaged: IntCounterVec,
    quirks: IntCounterVec,
    bad_packets: IntCounterVec,
    jumps: IntCounterVec,
    new_params: IntCounterVec,
    b_frames: IntGaugeVec,
    faults: IntCounterVec,
}

/// One source's part of the metrics, looked up once.
#[derive(Debug, Clone)]
pub(crate) struct SourceMetrics {
    pub(crate) last_frame: Gauge,
    pub(crate) frames: IntCounter,
    pub(crate) keyframes: IntCounter,
    pub(crate) bytes: IntCounter,
    pub(crate) cpu: Counter,
    pub(crate) lost: IntCounter,
    pub(crate) damaged: IntCounter,
    pub(crate) bad_packets: IntCounter,
    pub(crate) jumps: IntCounter,
    pub(crate) new_params: IntCounter,
    pub(crate) b_frames: taimat_base::metrics::IntGauge,
    faults: Vec<(FaultCause, IntCounter)>,
    /// Made when one is seen: most cameras have few.
    quirks: IntCounterVec,
    key: ChannelKey,
}

impl SourceMetrics {
    pub(crate) fn quirk(&self, quirk: Quirk, times: u32) {
        let [commune, camera, profile] = values(&self.key);
        self.quirks
            .with_label_values(&[commune, camera, profile, quirk.as_str()])
            .inc_by(u64::from(times));
    }

    pub(crate) fn fault(&self, cause: FaultCause) {
        if let Some((_, counter)) = self.faults.iter().find(|(c, _)| *c == cause) {
            counter.inc();
        }
    }
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, Error> {
        let r = Register(registry);
        let with_state = ["commune", "camera", "profile", "state"];
        let with_cause = ["commune", "camera", "profile", "cause"];
        Ok(Self {
            up: r.gauges(
                "taimat_camera_up",
                "1 while pictures arrive, or while nobody asks a camera that runs on demand.",
                &LABELS,
            )?,
            state: r.gauges(
                "taimat_camera_state",
                "1 for the state that the source is in.",
                &with_state,
            )?,
            last_frame: r.gauges(
                "taimat_camera_last_frame_timestamp_seconds",
                "When the last picture arrived, in seconds since 1970; 0 before the first.",
                &LABELS,
            )?,
            bitrate: r.gauges(
                "taimat_camera_receive_bytes_per_second",
                "Media bytes a second over the last seconds.",
                &LABELS,
            )?,
            frame_rate: r.gauges(
                "taimat_camera_frame_rate_hertz",
                "Pictures a second over the last seconds.",
                &LABELS,
            )?,
            keyframe_interval: r.gauges(
                "taimat_camera_keyframe_interval_seconds",
                "Time between the last two key frames; 0 before the second.",
                &LABELS,
            )?,
            gop_bytes: r.gauges(
                "taimat_camera_gop_bytes",
                "Bytes from the newest key frame on: what a new viewer is sent first.",
                &LABELS,
            )?,
            ring_bytes: r.gauges(
                "taimat_camera_ring_bytes",
                "Bytes kept in memory for readers.",
                &LABELS,
            )?,
            readers: r.gauges(
                "taimat_camera_readers",
                "Readers of the channel, viewers counted once per camera.",
                &LABELS,
            )?,
            frames: r.counters("taimat_camera_frames_total", "Pictures received.", &LABELS)?,
            keyframes: r.counters(
                "taimat_camera_keyframes_total",
                "Key frames received.",
                &LABELS,
            )?,
            bytes: r.counters(
                "taimat_camera_received_bytes_total",
                "Media bytes received, all tracks.",
                &LABELS,
            )?,
            cpu: r.counters(
                "taimat_camera_cpu_seconds_total",
                "CPU time spent on taking the camera's stream in. A camera that wants more than a \
                 sixteenth of a core is read more slowly.",
                &LABELS,
            )?,
            lost: r.counters(
                "taimat_camera_packets_lost_total",
                "RTP packets that did not arrive.",
                &LABELS,
            )?,
            damaged: r.counters(
                "taimat_camera_damaged_frames_total",
                "Pictures of which a part did not arrive.",
                &LABELS,
            )?,
            quirks: r.counters(
                "taimat_camera_quirks_total",
                "What the camera does that no standard says and that is put up with, by kind.",
                &["commune", "camera", "profile", "quirk"],
            )?,
            bad_packets: r.counters(
                "taimat_camera_bad_packets_total",
                "RTP packets that were not understood.",
                &LABELS,
            )?,
            jumps: r.counters(
                "taimat_camera_timestamp_jumps_total",
                "Jumps of the camera's clock that were stepped over.",
                &LABELS,
            )?,
            new_params: r.counters(
                "taimat_camera_parameter_changes_total",
                "Changes of the parameter sets while the stream ran.",
                &LABELS,
            )?,
            b_frames: r.gauges(
                "taimat_camera_bidirectional_frames",
                "1 if the camera sends B-frames, which browsers do not show live.",
                &LABELS,
            )?,
            faults: r.counters(
                "taimat_camera_reconnects_total",
                "Reconnections by cause.",
                &with_cause,
            )?,
        })
    }

    pub(crate) fn of(&self, key: &ChannelKey) -> SourceMetrics {
        let l = values(key);
        let cause = |c: FaultCause| {
            self.faults
                .with_label_values(&[l[0], l[1], l[2], c.as_str()])
        };
        SourceMetrics {
            last_frame: self.last_frame.with_label_values(&l),
            frames: self.frames.with_label_values(&l),
            keyframes: self.keyframes.with_label_values(&l),
            bytes: self.bytes.with_label_values(&l),
            cpu: self.cpu.with_label_values(&l),
            lost: self.lost.with_label_values(&l),
            damaged: self.damaged.with_label_values(&l),
            bad_packets: self.bad_packets.with_label_values(&l),
            jumps: self.jumps.with_label_values(&l),
            new_params: self.new_params.with_label_values(&l),
            b_frames: self.b_frames.with_label_values(&l),
            faults: FaultCause::ALL.map(|c| (c, cause(c))).to_vec(),
            quirks: self.quirks.clone(),
            key: key.clone(),
        }
    }

    pub(crate) fn faults(&self, key: &ChannelKey) -> Vec<(FaultCause, u64)> {
        let metrics = self.of(key);
        metrics
            .faults
            .iter()
            .map(|(c, n)| (*c, n.get()))
            .filter(|(_, n)| *n > 0)
            .collect()
    }

    pub(crate) fn scrape(&self, channel: &Channel, now: Instant) {
        let l = values(channel.key());
        let state = channel.status().state;
        for candidate in SourceState::ALL {
            let gauge = self
                .state
                .with_label_values(&[l[0], l[1], l[2], candidate.as_str()]);
            gauge.set(i64::from(candidate == state));
        }
        let up = matches!(state, SourceState::Live | SourceState::Idle);
        self.up.with_label_values(&l).set(i64::from(up));
        let rates = channel.rates(now);
        self.bitrate
            .with_label_values(&l)
            .set(rates.bits_per_second / 8.0);
        self.frame_rate
            .with_label_values(&l)
            .set(rates.frames_per_second);
        let interval = rates.keyframe_interval_seconds.unwrap_or(0.0);
        self.keyframe_interval.with_label_values(&l).set(interval);
        let (ring, gop) = channel.bytes();
        self.ring_bytes
            .with_label_values(&l)
            .set(i64::try_from(ring).unwrap_or(i64::MAX));
        self.gop_bytes
            .with_label_values(&l)
            .set(i64::try_from(gop).unwrap_or(i64::MAX));
        let readers = i64::try_from(channel.readers()).unwrap_or(i64::MAX);
        self.readers.with_label_values(&l).set(readers);
        if let Some(received) = channel.last_picture() {
            let age = now.saturating_duration_since(received);
            let at = clock::wall().checked_sub(age).unwrap_or(clock::wall());
            self.last_frame
                .with_label_values(&l)
                .set(clock::unix_seconds(at));
        }
    }

    /// Removes a source that is not configured any more.
    pub(crate) fn forget(&self, key: &ChannelKey) {
        let l = values(key);
        for gauges in [
            &self.up,
            &self.gop_bytes,
            &self.ring_bytes,
            &self.readers,
            &self.b_frames,
        ] {
            drop(gauges.remove_label_values(&l));
        }
        for gauges in [
            &self.last_frame,
            &self.bitrate,
            &self.frame_rate,
            &self.keyframe_interval,
        ] {
            drop(gauges.remove_label_values(&l));
        }
        for counters in [
            &self.frames,
            &self.keyframes,
            &self.bytes,
            &self.lost,
            &self.damaged,
            &self.bad_packets,
            &self.jumps,
            &self.new_params,
        ] {
            drop(counters.remove_label_values(&l));
        }
        drop(self.cpu.remove_label_values(&l));
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
