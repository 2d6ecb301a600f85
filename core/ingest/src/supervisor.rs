//! Keeps one source running: waits for demand, receives, names what went wrong, waits, again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use taimat_base::redact::Redactor;
use taimat_base::tasks::Stop;
use taimat_base::{Seldom, clock};
use taimat_hub::{Channel, FaultCause, SourceState, Status};
use taimat_media::{Quirk, Quirks, TrackKind};
use taimat_rtsp::client::Way;
use taimat_rtsp::sdp::Description;
use taimat_rtsp::tracks::{NoSound, Tracks};

use crate::fault::Fault;
use crate::metrics::{SourceMetrics, rounded};
use crate::pipeline::{Event, Timelines};
use crate::retry::{Next, Retry};
use crate::rtsp::{self, Sink};
use crate::share::{Books, CameraShare, OnShare};
use crate::source::{Mode, SourceSpec, redactor};

pub(crate) struct Supervisor {
    spec: SourceSpec,
    channel: Arc<Channel>,
    metrics: SourceMetrics,
    timelines: Timelines,
    retry: Retry,
    share: CameraShare,
    redactor: Redactor,
}

/// Publishes what arrives and keeps the books.
struct Publish<'a> {
    channel: &'a Channel,
    metrics: &'a SourceMetrics,
    redactor: &'a Redactor,
    /// Whether sound is wanted at all.
    sound: bool,
    live_since: Option<Instant>,
    /// The camera has described itself, so it has accepted our credentials.
    let_in: bool,
    /// What a camera can repeat as often as it likes.
    bad_packet: Seldom,
    jump: Seldom,
    new_params: Seldom,
}

impl Sink for Publish<'_> {
    fn event(&mut self, event: Event) {
        match event {
            Event::Info(info) => self.channel.set_info(info),
            Event::NoSound(why) => self.no_sound(&why),
            Event::Unit(unit) => {
                if self.live_since.is_none() {
                    self.live_since = Some(unit.received);
                    self.channel
                        .set_status(Status::new(SourceState::Live, clock::wall()));
                    tracing::info!("live");
                }
                if unit.track == TrackKind::Video {
                    self.metrics.frames.inc();
                    self.metrics
                        .last_frame
                        .set(clock::unix_seconds(clock::wall()));
                }
                if unit.starts_video() {
                    self.metrics.keyframes.inc();
                }
                if unit.damaged {
                    self.metrics.damaged.inc();
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

    fn described(&mut self, description: &Description, tracks: &Tracks) {
        self.let_in = true;
        for line in &description.skipped {
            let line = self.redactor.text(line);
            tracing::debug!(%line, "a line of the description was not understood");
        }
        match &tracks.no_sound {
            Some(why) if self.sound => self.no_sound(why),
            _ => self.channel.learn(|facts| facts.no_sound = None),
        }
    }

    fn travels(&mut self, way: Way) {
        self.channel
            .learn(|facts| facts.transport = Some(way.as_str()));
    }

    fn quirks(&mut self, quirks: &Quirks) {
        let before = self.channel.facts().quirks;
        for (quirk, times) in quirks.seen() {
            self.metrics.quirk(quirk, times);
            if before.count(quirk) == 0 {
                log_quirk(quirk);
            }
        }
        self.channel.learn(|facts| facts.quirks.merge(quirks));
    }
}

impl Publish<'_> {
    fn no_sound(&self, why: &NoSound) {
        let detail = self.redactor.text(&why.to_string());
        tracing::warn!(%detail, "no sound from this camera");
        self.channel
            .learn(|facts| facts.no_sound = Some((why.as_str(), detail)));
    }
}

/// Once a camera and quirk: it will do so again.
fn log_quirk(quirk: Quirk) {
    tracing::info!(quirk = quirk.as_str(), "the camera does something odd");
}

/// What a source's work costs.
struct CpuBooks<'a> {
    channel: &'a Channel,
    metrics: &'a SourceMetrics,
}

impl Books for CpuBooks<'_> {
    fn pictures(&self) -> u64 {
        self.metrics.frames.get()
    }

    fn used(&self, cpu: Duration) {
        self.metrics.cpu.inc_by(cpu.as_secs_f64());
    }

    fn waits(&self, _wait: Duration) {
        note(self.channel, self.metrics, Quirk::Floods);
    }
}

/// Something that is seen from here, not in what the camera says.
fn note(channel: &Channel, metrics: &SourceMetrics, quirk: Quirk) {
    metrics.quirk(quirk, 1);
    if channel.facts().quirks.count(quirk) == 0 {
        log_quirk(quirk);
    }
    channel.learn(|facts| facts.quirks.note(quirk));
}

impl Supervisor {
    pub(crate) fn new(
        spec: SourceSpec,
        channel: Arc<Channel>,
        metrics: SourceMetrics,
        share: CameraShare,
    ) -> Self {
        let redactor = redactor(&spec);
        Self {
            retry: Retry::new(&spec),
            timelines: Timelines::new(spec.clock),
            spec,
            channel,
            metrics,
            share,
            redactor,
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
                self.retry.rested();
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
        if self.retry.failures() == 0 {
            self.channel
                .set_status(Status::new(SourceState::Connecting, clock::wall()));
        }
        Ok(())
    }

    /// One attempt. Also says since when pictures came.
    async fn receive(&mut self, stop: &Stop) -> (Result<(), Fault>, Option<Instant>) {
        // A camera that was set up anew may not send B-frames any more.
        self.metrics.b_frames.set(0);
        let mut sink = Publish {
            channel: &self.channel,
            metrics: &self.metrics,
            redactor: &self.redactor,
            sound: self.spec.audio,
            live_since: None,
            let_in: false,
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
        let plan = self.retry.plan();
        let (spec, timelines) = (&self.spec, &mut self.timelines);
        let books = CpuBooks {
            channel: &self.channel,
            metrics: &self.metrics,
        };
        let attempt = rtsp::receive(spec, &plan, timelines, &mut sink, until);
        let result = OnShare::new(&self.share, books, stop, attempt).await;
        let live_since = sink.live_since;
        if sink.let_in {
            self.retry.let_in();
        }
        (result, live_since)
    }

    async fn after_fault(&mut self, fault: Fault, live_since: Option<Instant>, stop: &Stop) {
        self.metrics.fault(fault.cause);
        let ran = live_since.map_or(Duration::ZERO, |since| {
            clock::now().saturating_duration_since(since)
        });
        let next = self.retry.failed(&fault, ran);
        if fault.transport_refused && next == Next::After(Duration::ZERO) {
            note(&self.channel, &self.metrics, Quirk::TransportRefused);
        }
        let wait = match next {
            Next::After(wait) => Some(wait),
            Next::Never => None,
        };
        let detail = self.redactor.text(&fault.detail);
        tracing::warn!(
            cause = fault.cause.as_str(),
            %detail,
            ran = ?rounded(ran),
            retry_in = ?wait.map(rounded),
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
            detail: Some(detail),
            retry_at: wait.and_then(|wait| now.checked_add(wait)),
        });
        self.channel.restart();
        tokio::select! {
            () = clock::until(wait.map(|wait| clock::now() + wait)) => {}
            () = stop.cancelled() => {}
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
