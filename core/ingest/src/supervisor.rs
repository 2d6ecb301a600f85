//! Keeps one source running: waits for demand, receives, names what went wrong, waits, again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use taimat_base::backoff::Backoff;
use taimat_base::tasks::Stop;
use taimat_base::{Seldom, clock};
use taimat_hub::{Channel, FaultCause, SourceState, Status};

use crate::fault::Fault;
use crate::metrics::{SourceMetrics, rounded};
use crate::pipeline::{Event, Timelines};
use crate::rtsp::{self, Sink};
use crate::source::{Mode, SourceSpec, Transport};

const FIRST_RETRY: Duration = Duration::from_millis(500);
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// A wrong password does not become right by itself, and cameras lock accounts.
const RETRY_AFTER_REFUSAL: Duration = Duration::from_secs(15);
/// After this long without trouble the next failure is a first one again.
const GOOD_RUN: Duration = Duration::from_secs(10);

pub(crate) struct Supervisor {
    spec: SourceSpec,
    channel: Arc<Channel>,
    metrics: SourceMetrics,
    timelines: Timelines,
    backoff: Backoff,
    transport: Transport,
    /// The other transport was already tried for this failure.
    switched: bool,
}

/// Publishes what arrives and keeps the books.
struct Publish<'a> {
    channel: &'a Channel,
    metrics: &'a SourceMetrics,
    live_since: Option<Instant>,
    /// What a camera can repeat as often as it likes.
    bad_packet: Seldom,
    jump: Seldom,
    new_params: Seldom,
}

impl Sink for Publish<'_> {
    fn event(&mut self, event: Event) {
        match event {
            Event::Info(info) => self.channel.set_info(info),
            Event::Unit(unit) => {
                if self.live_since.is_none() {
                    self.live_since = Some(unit.received);
                    self.channel
                        .set_status(Status::new(SourceState::Live, clock::wall()));
                    tracing::info!("live");
                }
                if unit.track == taimat_media::TrackKind::Video {
                    self.metrics.frames.inc();
                    self.metrics
                        .last_frame
                        .set(clock::unix_seconds(clock::wall()));
                }
                if unit.starts_video() {
                    self.metrics.keyframes.inc();
                }
                self.metrics.bytes.inc_by(unit.data.len() as u64);
                self.metrics.lost.inc_by(u64::from(unit.lost_packets));
                self.channel.publish(*unit);
            }
            Event::BadPacket(why) => {
                self.metrics.bad_packets.inc();
                if let Some(unsaid) = self.bad_packet.say(clock::now()) {
                    tracing::warn!(%why, unsaid, "packet not understood");
                }
            }
            Event::Jump => {
                self.metrics.jumps.inc();
                if let Some(unsaid) = self.jump.say(clock::now()) {
                    tracing::warn!(
                        unsaid,
                        "the camera's clock jumped; the time line goes on without the jump"
                    );
                }
            }
            Event::BFrames => {
                self.metrics.b_frames.set(1);
                tracing::warn!(
                    "the camera sends B-frames, which browsers do not show live; \
                     choose the Baseline profile or switch B-frames off in the camera"
                );
            }
            Event::NewParams { from, to } => {
                self.metrics.new_params.inc();
                if let Some(unsaid) = self.new_params.say(clock::now()) {
                    tracing::info!(?from, ?to, unsaid, "parameter sets changed");
                }
            }
        }
    }
}

impl Supervisor {
    pub(crate) fn new(spec: SourceSpec, channel: Arc<Channel>, metrics: SourceMetrics) -> Self {
        let seed = spec
            .key
            .to_string()
            .bytes()
            .fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
            });
        let transport = spec.transport;
        Self {
            spec,
            channel,
            metrics,
            timelines: Timelines::new(),
            backoff: Backoff::new(FIRST_RETRY, LONGEST_RETRY, seed),
            transport,
            switched: false,
        }
    }

    pub(crate) async fn run(mut self, stop: Stop) {
        while !stop.is_cancelled() {
            if self.wait_for_demand(&stop).await.is_err() {
                break;
            }
            let (result, live_since) = self.receive(&stop).await;
            if let Err(fault) = result {
                self.after_fault(fault, live_since, &stop).await;
            } else if !stop.is_cancelled() {
                self.backoff.succeed();
                tracing::info!("nobody watches; disconnected");
            }
        }
    }

    /// A source on demand waits here for its first reader. `Err` means stop.
    async fn wait_for_demand(&self, stop: &Stop) -> Result<(), ()> {
        if let Mode::OnDemand { .. } = self.spec.mode {
            let mut readers = self.channel.watch_readers();
            if *readers.borrow() == 0 {
                self.channel
                    .set_status(Status::new(SourceState::Idle, clock::wall()));
            }
            tokio::select! {
                waited = readers.wait_for(|n| *n > 0) => waited.map(drop).map_err(drop)?,
                () = stop.cancelled() => return Err(()),
            }
        }
        if self.backoff.failures() == 0 {
            self.channel
                .set_status(Status::new(SourceState::Connecting, clock::wall()));
        }
        Ok(())
    }

    /// One attempt. Also says since when pictures came.
    async fn receive(&mut self, stop: &Stop) -> (Result<(), Fault>, Option<Instant>) {
        let mut sink = Publish {
            channel: &self.channel,
            metrics: &self.metrics,
            live_since: None,
            bad_packet: Seldom::default(),
            jump: Seldom::default(),
            new_params: Seldom::default(),
        };
        let until = async {
            tokio::select! {
                () = stop.cancelled() => {}
                () = nobody_left(self.spec.mode, &self.channel) => {}
            }
        };
        let (spec, timelines) = (&self.spec, &mut self.timelines);
        let result = rtsp::receive(spec, self.transport, timelines, &mut sink, until).await;
        (result, sink.live_since)
    }

    async fn after_fault(&mut self, fault: Fault, live_since: Option<Instant>, stop: &Stop) {
        self.metrics.fault(fault.cause);
        let ran = rtsp::ran_for(live_since, clock::now());
        if ran >= GOOD_RUN {
            self.backoff.succeed();
            self.switched = false;
        }
        let switch = fault.transport_refused && !std::mem::replace(&mut self.switched, true);
        if switch {
            self.transport = self.transport.other();
        }
        let wait = match fault.cause {
            _ if switch => Duration::ZERO,
            FaultCause::Unauthorized => self.backoff.fail().max(RETRY_AFTER_REFUSAL),
            _ => self.backoff.fail(),
        };
        tracing::warn!(
            cause = fault.cause.as_str(),
            detail = %fault.detail,
            ran = ?rounded(ran),
            retry_in = ?rounded(wait),
            transport = ?self.transport,
            "source failed"
        );
        let state = match fault.cause {
            FaultCause::Stalled => SourceState::Stalled,
            _ => SourceState::Offline,
        };
        let now = clock::wall();
        self.channel.set_status(Status {
            state,
            since: now,
            cause: Some(fault.cause),
            detail: Some(fault.detail),
            retry_at: now.checked_add(wait),
        });
        self.channel.restart();
        tokio::select! {
            () = clock::sleep_until(clock::now() + wait) => {}
            () = stop.cancelled() => {}
        }
        if !switch {
            // The next failure may try the other transport again.
            self.switched = false;
        }
    }
}

/// Ends when a source on demand has had no readers for its linger time.
async fn nobody_left(mode: Mode, channel: &Channel) {
    let Mode::OnDemand { linger } = mode else {
        return std::future::pending().await;
    };
    let mut readers = channel.watch_readers();
    loop {
        if readers.wait_for(|n| *n == 0).await.is_err() {
            return;
        }
        let back = tokio::time::timeout(linger, readers.wait_for(|n| *n > 0))
            .await
            .is_ok();
        if !back {
            return;
        }
    }
}
