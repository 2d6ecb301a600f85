//! One attempt to receive from a camera, from the connection to the end of the stream.
//!
//! `taimat-rtsp` decides what to say; here are the sockets, the deadlines and the stall watch.

use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use taimat_base::clock;
use taimat_hub::FaultCause;
use taimat_media::{Quirks, TrackKind};
use taimat_rtsp::address::Address;
use taimat_rtsp::auth::{self, Authenticator};
use taimat_rtsp::client::{Agreed, Client, ClientError, ClientSpec, Event as Said, Way};
use taimat_rtsp::reader::{Item, Limits, Reader};
use taimat_rtsp::sdp::Description;
use taimat_rtsp::tracks::Tracks;
use tokio::time::timeout;

use crate::fault::Fault;
use crate::pipeline::{Event, Pipeline, Timelines};
use crate::source::{Credentials, SourceSpec};
use crate::udp::{Datagram, Leg, Legs};
use crate::wire::{Wire, broke};

/// How long a camera gets to acknowledge TEARDOWN: some free their slot only then.
const TEARDOWN_DEADLINE: Duration = Duration::from_secs(1);
/// A camera that sends us from port to port of its own does not get further than this.
const MOST_MOVES: usize = 3;
/// Receiver reports to cameras that send by UDP; some stop without them.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);
/// So long after the last byte an answer that announced more than came is taken as it is.
const HALF_AN_ANSWER: Duration = Duration::from_secs(1);
/// How often what was put up with is told.
const QUIRKS_INTERVAL: Duration = Duration::from_secs(1);
/// Longest time between pictures for which a slow camera is waited.
const SLOWEST: Duration = Duration::from_secs(60);
/// Before a second picture has come nobody knows how slow a camera is.
const FIRST_WAIT: Duration = Duration::from_secs(12);

/// So many bytes are taken in before others have their turn, and before what they cost is counted
/// (`share.rs`).
const AT_ONCE: usize = 64 << 10;

/// What the supervisor does with what arrives.
pub(crate) trait Sink {
    /// Something arrived.
    fn event(&mut self, event: Event);
    /// So the camera describes itself, and this of it is received.
    fn described(&mut self, description: &Description, tracks: &Tracks);
    /// The way that its media takes.
    fn travels(&mut self, way: Way);
    /// What was put up with since the last time.
    fn quirks(&mut self, quirks: &Quirks);
}

/// What differs from attempt to attempt.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The ways to try, in their order.
    pub(crate) ways: Vec<Way>,
    /// How long to wait for a picture that decoding can start with.
    pub(crate) patience: Duration,
}

/// Receives until the stream ends, fails or stalls, or until `until` is done (`Ok`).
pub(crate) async fn receive(
    spec: &SourceSpec,
    plan: &Plan,
    timelines: &mut Timelines,
    sink: &mut (impl Sink + Send),
    until: impl Future<Output = ()>,
) -> Result<(), Fault> {
    tokio::pin!(until);
    let mut auth = Authenticator::new(credentials(spec)?, rand::random());
    let address = Address::new(&spec.url);
    let mut address = address.map_err(|e| Fault::new(FaultCause::Protocol, e.to_string()))?;
    let mut reconnected = false;
    for _ in 0..=MOST_MOVES {
        let mut reader = Reader::new(Limits::client());
        let connecting = Wire::connect(&spec.trust, &address, &mut auth, &mut reader);
        let wire = tokio::select! {
            wire = timeout(spec.connect_timeout, connecting) => wire,
            () = &mut until => return Ok(()),
        };
        let wire = wire.map_err(|_elapsed| slow_to_connect(spec))??;
        let (camera, _) = wire.addresses().map_err(broke)?;
        address = address.with_peer(camera);
        let client_spec = ClientSpec {
            address: address.clone(),
            user_agent: user_agent(spec),
            ways: plan.ways.clone(),
            sound: spec.audio,
            video: spec.video,
            keep_alive: spec.keep_alive,
            answer_timeout: spec.connect_timeout,
        };
        let client = Client::new(client_spec, auth, clock::now());
        let mut attempt = Attempt::new(spec, plan, (wire, reader), client, timelines, sink)?;
        let ended = tokio::select! {
            ended = attempt.run() => Some(ended),
            () = &mut until => None,
        };
        let signing_in = attempt.client.is_signing_in();
        attempt
            .goodbye(!matches!(ended, Some(End::Broken(_))))
            .await;
        auth = attempt.client.into_auth();
        match ended {
            None => return Ok(()),
            Some(End::Moved(moved)) => address = *moved,
            // Some close the connection behind their question for credentials.
            Some(End::Broken(_)) if signing_in && !reconnected => reconnected = true,
            Some(End::Broken(fault) | End::Fault(fault)) => return Err(fault),
        }
    }
    let detail = "the camera sends us from address to address";
    Err(Fault::new(FaultCause::Protocol, detail))
}

fn user_agent(spec: &SourceSpec) -> String {
    let own = concat!("Taimat/", env!("CARGO_PKG_VERSION"));
    spec.user_agent.clone().unwrap_or_else(|| own.to_owned())
}

fn slow_to_connect(spec: &SourceSpec) -> Fault {
    let seconds = spec.connect_timeout.as_secs_f32();
    let detail = format!("no connection within {seconds} s");
    Fault::new(FaultCause::Unreachable, detail)
}

fn credentials(spec: &SourceSpec) -> Result<Option<auth::Credentials>, Fault> {
    match &spec.credentials {
        Credentials::None => Ok(None),
        Credentials::Password { user, password } => Ok(Some(auth::Credentials {
            user: user.clone(),
            password: password.clone(),
        })),
        Credentials::Missing(what) => Err(Fault::new(FaultCause::MissingSecret, what.clone())),
    }
}

/// Why an attempt is over.
enum End {
    /// The connection is gone.
    Broken(Fault),
    /// It is to be ended.
    Fault(Fault),
    /// The camera is at another port.
    Moved(Box<Address>),
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// What woke an attempt.
enum Wake {
    Bytes(usize),
    Datagrams,
    Time,
}

struct Attempt<'a, S> {
    spec: &'a SourceSpec,
    plan: &'a Plan,
    wire: Wire,
    camera: IpAddr,
    local: IpAddr,
    reader: Reader,
    /// Bytes between messages that belong to none.
    strays: u64,
    /// What was agreed upon.
    channels: Vec<u8>,
    /// When bytes came last.
    heard: Instant,
    client: Client,
    legs: Legs,
    /// Groups and ports that the description names, for video and for sound.
    groups: [Option<(IpAddr, u16)>; 2],
    timelines: &'a mut Timelines,
    pipeline: Option<Pipeline>,
    sink: &'a mut S,
    way: Way,
    events: Vec<Event>,
    datagrams: Vec<Datagram>,
    report_at: Instant,
    quirks_at: Instant,
    quirks: Quirks,
    /// Bytes since we last gave way.
    at_once: usize,
}

impl<'a, S: Sink + Send> Attempt<'a, S> {
    fn new(
        spec: &'a SourceSpec,
        plan: &'a Plan,
        (wire, reader): (Wire, Reader),
        client: Client,
        timelines: &'a mut Timelines,
        sink: &'a mut S,
    ) -> Result<Self, Fault> {
        let (camera, local) = wire.addresses().map_err(broke)?;
        let now = clock::now();
        Ok(Self {
            spec,
            plan,
            wire,
            camera,
            local,
            reader,
            strays: 0,
            channels: Vec::new(),
            heard: now,
            client,
            legs: Legs::new(camera),
            groups: [None; 2],
            timelines,
            pipeline: None,
            sink,
            way: Way::Tcp,
            events: Vec::new(),
            datagrams: Vec::new(),
            report_at: now + REPORT_INTERVAL,
            quirks_at: now + QUIRKS_INTERVAL,
            quirks: Quirks::default(),
            at_once: 0,
        })
    }

    async fn run(&mut self) -> End {
        loop {
            if let Err(end) = self.turn().await {
                return end;
            }
        }
    }

    /// Says what is to be said, waits for what comes, takes it in.
    async fn turn(&mut self) -> Result<(), End> {
        self.flush().await?;
        let deadline = self.deadline();
        let wake = tokio::select! {
            read = self.wire.read(self.reader.buffer()) => Wake::Bytes(read.map_err(gone)?),
            () = self.legs.readable() => Wake::Datagrams,
            () = clock::until(deadline) => Wake::Time,
        };
        let now = clock::now();
        match wake {
            Wake::Bytes(0) => {
                let detail = "the camera closed the connection";
                return Err(End::Broken(Fault::new(FaultCause::Ended, detail)));
            }
            Wake::Bytes(count) => {
                self.at_once += count;
                self.heard = now;
                self.items(now)?;
            }
            Wake::Datagrams => self.datagrams(now)?,
            Wake::Time => {}
        }
        self.time(now)?;
        if self.at_once >= AT_ONCE {
            self.at_once = 0;
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), End> {
        while let Some(event) = self.client.event() {
            self.said(event)?;
        }
        let Some(bytes) = self.client.output() else {
            return Ok(());
        };
        match timeout(self.spec.connect_timeout, self.wire.write(&bytes)).await {
            Ok(written) => written.map_err(gone),
            Err(_elapsed) => {
                let detail = "the camera does not take our requests";
                Err(End::Broken(Fault::new(FaultCause::Unreachable, detail)))
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let pipeline = self.pipeline.as_ref();
        let stall = pipeline
            .filter(|_| self.client.is_playing())
            .map(|p| p.last_picture() + self.stall_limit(p));
        let reorder = pipeline.and_then(Pipeline::deadline);
        let always = self.quirks_at;
        [self.client.deadline(), stall, reorder, Some(always)]
            .into_iter()
            .flatten()
            .min()
    }

    /// Longer for a camera whose pictures come seldom: it is not stalled between two of them.
    fn stall_limit(&self, pipeline: &Pipeline) -> Duration {
        let usual = match pipeline.picture_interval() {
            Some(interval) => (interval * 3).min(SLOWEST),
            None if pipeline.pictures() == 1 => FIRST_WAIT,
            None => Duration::ZERO,
        };
        self.spec.stall_timeout.max(usual)
    }

    fn items(&mut self, now: Instant) -> Result<(), End> {
        let wall = clock::wall();
        while let Some(item) = self.reader.next().map_err(|e| Fault::from_reader(&e))? {
            self.item(item, now, wall)?;
        }
        Ok(())
    }

    fn item(&mut self, item: Item, now: Instant, wall: SystemTime) -> Result<(), End> {
        match item {
            Item::Data { channel, payload } => {
                if let Some(route) = self.client.route(channel, &payload) {
                    self.media(route.kind, route.control, payload, now, wall)?;
                }
                return Ok(());
            }
            Item::Response(response) => {
                self.client.response(&response, now).map_err(client_end)?;
            }
            Item::Request(request) => self.client.request(&request, now),
        }
        // What an answer has led to comes before the media behind it.
        while let Some(event) = self.client.event() {
            self.said(event)?;
        }
        Ok(())
    }

    fn datagrams(&mut self, now: Instant) -> Result<(), End> {
        let wall = clock::wall();
        let mut datagrams = std::mem::take(&mut self.datagrams);
        self.legs.take(&mut datagrams);
        for datagram in datagrams.drain(..) {
            let Datagram {
                kind,
                control,
                payload,
            } = datagram;
            self.at_once += payload.len();
            self.media(kind, control, payload, now, wall)?;
        }
        self.datagrams = datagrams;
        Ok(())
    }

    fn media(
        &mut self,
        kind: TrackKind,
        control: bool,
        payload: Bytes,
        now: Instant,
        wall: SystemTime,
    ) -> Result<(), End> {
        let Some(pipeline) = &mut self.pipeline else {
            return Ok(());
        };
        if control {
            pipeline.control(kind, &payload, self.timelines, now);
        } else {
            let (lines, events) = (&mut *self.timelines, &mut self.events);
            pipeline.push(kind, payload, lines, now, wall, events)?;
            self.pass_on();
        }
        Ok(())
    }

    fn pass_on(&mut self) {
        for event in self.events.drain(..) {
            self.sink.event(event);
        }
    }

    /// What time brings: reordered packets that are waited for no longer, keep-alive, reports, and
    /// whether pictures still come.
    fn time(&mut self, now: Instant) -> Result<(), End> {
        if now.saturating_duration_since(self.heard) >= HALF_AN_ANSWER
            && let Some(item) = self.reader.give_up_body()
        {
            self.item(item, now, clock::wall())?;
        }
        let ticked = self.client.tick(now);
        self.strays += self.reader.skipped();
        if let (Err(ClientError::NoAnswer(step)), 1..) = (&ticked, self.strays) {
            let detail = format!("to {step} came bytes that are no RTSP");
            return Err(Fault::new(FaultCause::Protocol, detail).into());
        }
        ticked.map_err(client_end)?;
        if let Some(pipeline) = &mut self.pipeline {
            let (lines, events) = (&mut *self.timelines, &mut self.events);
            pipeline.tick(lines, now, clock::wall(), events)?;
            self.pass_on();
        }
        if now >= self.quirks_at {
            self.quirks_at = now + QUIRKS_INTERVAL;
            self.tell_quirks();
        }
        let Some(pipeline) = &mut self.pipeline else {
            return Ok(());
        };
        if now >= self.report_at {
            self.report_at = now + REPORT_INTERVAL;
            for leg in self.legs.iter() {
                if let Some(report) = pipeline.report(leg.kind(), now) {
                    leg.report(&report);
                }
            }
        }
        if self.client.is_playing() {
            self.judge(now)?;
        }
        Ok(())
    }

    fn judge(&self, now: Instant) -> Result<(), End> {
        let Some(pipeline) = &self.pipeline else {
            return Ok(());
        };
        let without = now.saturating_duration_since(pipeline.last_picture());
        let limit = self.stall_limit(pipeline);
        if without < limit {
            return Ok(());
        }
        if let Some(detail) = pipeline.garbage() {
            return Err(Fault::new(FaultCause::Garbage, detail).into());
        }
        let seconds = limit.as_secs_f32();
        let fault = match (pipeline.pictures() > 0, pipeline.packets() > 0) {
            (true, _) => Fault::new(FaultCause::Stalled, format!("no picture for {seconds} s")),
            (false, true) => Fault::new(
                FaultCause::Stalled,
                format!("data came, but not one whole picture in {seconds} s"),
            ),
            // Typical of a firewall between: the way the media travels may be the cause.
            (false, false) => Fault {
                transport_refused: true,
                ..Fault::new(
                    FaultCause::Stalled,
                    format!(
                        "connected, but nothing came by {} in {seconds} s",
                        self.way.as_str()
                    ),
                )
            },
        };
        Err(fault.into())
    }

    fn tell_quirks(&mut self) {
        self.quirks.merge(&self.reader.quirks());
        self.quirks.merge(&self.client.quirks());
        if let Some(pipeline) = &mut self.pipeline {
            self.quirks.merge(&pipeline.quirks());
        }
        self.quirks.merge(&self.timelines.quirks());
        let seen = self.quirks.take();
        if seen != Quirks::default() {
            self.sink.quirks(&seen);
        }
    }

    fn said(&mut self, event: Said) -> Result<(), End> {
        let now = clock::now();
        match event {
            Said::Described(described) => {
                let (description, tracks) = &*described;
                self.sink.described(description, tracks);
                self.groups = [TrackKind::Video, TrackKind::Audio].map(|kind| {
                    let media = description.media.get(tracks.media(kind)?)?;
                    Some((media.multicast()?.address, media.port))
                });
                let patience = self.plan.patience;
                let pipeline = Pipeline::new(tracks, self.timelines, patience, now);
                self.pipeline = Some(pipeline);
            }
            Said::NeedPorts(kind) => {
                let leg = Leg::bind(kind, self.local).and_then(|leg| Ok((leg.ports()?, leg)));
                let ((rtp, rtcp), leg) = leg.map_err(|e| no_ports(&e))?;
                self.legs.drop_track(kind);
                self.legs.push(leg);
                self.client.ports(kind, rtp, rtcp, now);
            }
            Said::Agreed(kind, agreed) => self.agreed(kind, &agreed)?,
            Said::NoSound(why) => {
                self.legs.drop_track(TrackKind::Audio);
                if let Some(pipeline) = &mut self.pipeline {
                    pipeline.drop_sound(why, &mut self.events);
                }
                self.pass_on();
            }
            Said::Playing => {
                if let Some(pipeline) = &mut self.pipeline {
                    pipeline.begin(now);
                }
            }
            Said::Ended => {
                let detail = "the camera ended the stream";
                return Err(End::Broken(Fault::new(FaultCause::Ended, detail)));
            }
        }
        Ok(())
    }

    fn agreed(&mut self, kind: TrackKind, agreed: &Agreed) -> Result<(), End> {
        self.way = agreed.way;
        self.sink.travels(agreed.way);
        match agreed.way {
            Way::Tcp => {
                if let Some((rtp, rtcp)) = agreed.channels {
                    self.channels.extend([rtp, rtcp]);
                    self.reader.expect_channels(self.channels.iter().copied());
                }
            }
            Way::Udp => {
                if let (Some(leg), Some(ports)) = (self.legs.of(kind), agreed.ports) {
                    leg.agreed(self.camera, ports);
                }
            }
            Way::Multicast => {
                let described = self.groups[usize::from(kind == TrackKind::Audio)];
                let group = agreed.group.as_deref().and_then(|g| g.parse().ok());
                let group = group.or(described.map(|(group, _)| group));
                let pair = |(_, port): (IpAddr, u16)| (port, port.saturating_add(1));
                let ports = agreed.ports.or(described.map(pair));
                let (Some(group), Some(ports)) = (group, ports) else {
                    let detail = "the camera names no group for multicast";
                    return Err(Fault::new(FaultCause::Protocol, detail).into());
                };
                let leg = Leg::join(kind, group, ports, self.local).map_err(|e| no_ports(&e))?;
                self.legs.push(leg);
            }
        }
        if let Some(pipeline) = &mut self.pipeline {
            pipeline.travels(kind, agreed.way, agreed.ssrc);
        }
        Ok(())
    }

    /// Says goodbye, if somebody is there to hear it. Media that still comes is thrown away.
    async fn goodbye(&mut self, heard: bool) {
        self.tell_quirks();
        if !heard {
            return;
        }
        self.client.teardown(clock::now());
        let farewell = async {
            loop {
                let mut ended = false;
                while let Some(event) = self.client.event() {
                    ended |= event == Said::Ended;
                }
                if let Some(bytes) = self.client.output()
                    && self.wire.write(&bytes).await.is_err()
                {
                    return;
                }
                if ended || !matches!(self.wire.read(self.reader.buffer()).await, Ok(1..)) {
                    return;
                }
                while let Ok(Some(item)) = self.reader.next() {
                    if let Item::Response(response) = item
                        && self.client.response(&response, clock::now()).is_err()
                    {
                        return;
                    }
                }
            }
        };
        drop(timeout(TEARDOWN_DEADLINE, farewell).await);
    }
}

fn client_end(error: ClientError) -> End {
    match error {
        ClientError::Moved(address) => End::Moved(address),
        other => End::Fault(Fault::from_client(&other)),
    }
}

fn gone(error: std::io::Error) -> End {
    End::Broken(broke(error))
}

fn no_ports(error: &std::io::Error) -> Fault {
    Fault::new(FaultCause::Protocol, format!("UDP ports: {error}"))
}
