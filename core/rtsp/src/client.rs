//! The client's side of a session, from OPTIONS to TEARDOWN, as a machine: messages and `now` go in,
//! bytes to write and events come out.
//!
//! Its one principle: what does not keep pictures from coming is no reason to stop. An answer that
//! is missing, late, misnumbered or refused costs what was asked for by it and nothing else.
//! Not here: sockets, TLS, RTP; the owner reads messages by a [`crate::Reader`].

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use taimat_media::{Quirk, Quirks, TrackKind};

use crate::address::{Address, AddressError, Base};
use crate::auth::{AuthError, Authenticator};
use crate::keepalive::{KeepAlive, KeepAliveSpec};
use crate::message::{Method, Request, Response};
use crate::sdp::{Description, SdpError};
use crate::session::Session;
use crate::tracks::{NoSound, NoTrack, Tracks, choose};
use crate::transport::Transport;

/// Answers a second to a camera that asks us something; what is more is not answered.
const ANSWERS_PER_SECOND: u32 = 20;

/// How media travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// Interleaved in the connection.
    Tcp,
    /// As datagrams to us.
    Udp,
    /// As datagrams to a group.
    Multicast,
}

impl Way {
    /// The word in `commune.toml` and in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Multicast => "multicast",
        }
    }
}

/// What is wanted of a camera.
#[derive(Debug, Clone)]
pub struct ClientSpec {
    /// Where it is, as it goes over the wire.
    pub address: Address,
    /// What it is told about us.
    pub user_agent: String,
    /// How media may travel, what is tried first at the front; never empty.
    pub ways: Vec<Way>,
    /// Whether sound is wanted.
    pub sound: bool,
    /// Which of its video tracks, from 0; the first that can be carried if not said.
    pub video: Option<usize>,
    /// How the session is kept alive.
    pub keep_alive: KeepAliveSpec,
    /// Longest time for an answer.
    pub answer_timeout: Duration,
}

/// What the owner has to do, or to know.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// What the camera has, and what of it is received.
    Described(Box<(Description, Tracks)>),
    /// A pair of UDP ports is needed; answer with [`Client::ports`].
    NeedPorts(TrackKind),
    /// How a track will travel.
    Agreed(TrackKind, Agreed),
    /// The camera does not give the sound that it described.
    NoSound(NoSound),
    /// Media may come from now on.
    Playing,
    /// The camera, or we, ended the session.
    Ended,
}

/// How a track travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// The way.
    pub way: Way,
    /// Interleaved channels, for TCP.
    pub channels: Option<(u8, u8)>,
    /// UDP: the camera's ports, if it says any that can be; multicast: the group's.
    pub ports: Option<(u16, u16)>,
    /// Multicast: the group, in the camera's words.
    pub group: Option<String>,
    /// The source number that it announces.
    pub ssrc: Option<u32>,
}

/// What an interleaved frame belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The track.
    pub kind: TrackKind,
    /// Whether it is RTCP.
    pub control: bool,
}

/// Why a session can not begin or go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The camera says no.
    #[error("{step}: {status} {reason}")]
    Status {
        /// To what.
        step: &'static str,
        /// The number.
        status: u16,
        /// Its words, to be redacted.
        reason: String,
    },
    /// Sign-in failed.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// No answer in time.
    #[error("no answer to {0}")]
    NoAnswer(&'static str),
    /// It is to be found at another address of the same host.
    #[error("the camera is to be found at another port")]
    Moved(Box<Address>),
    /// It sends us to where we do not go: credentials would go there too.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Its description is none.
    #[error("{0}")]
    Description(#[from] SdpError),
    /// There is nothing in it that can be carried.
    #[error("{0}")]
    NoTrack(#[from] NoTrack),
    /// No way on which both sides agree.
    #[error("{0}")]
    NoWay(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Options,
    Describe,
    /// The owner makes ports.
    Ports(TrackKind),
    Setup(TrackKind),
    Play,
    Playing,
    Teardown,
    Ended,
}

impl Step {
    const fn name(self) -> &'static str {
        match self {
            Self::Options => "OPTIONS",
            Self::Describe => "DESCRIBE",
            Self::Ports(_) | Self::Setup(_) => "SETUP",
            Self::Play | Self::Playing => "PLAY",
            Self::Teardown | Self::Ended => "TEARDOWN",
        }
    }
}

/// The request that waits for its answer.
#[derive(Debug, Clone)]
struct Asked {
    cseq: u32,
    request: Request,
    tries: u32,
    until: Instant,
}

#[derive(Debug)]
struct Leg {
    kind: TrackKind,
    payload_type: u8,
    channels: Option<(u8, u8)>,
}

/// A client's session with one camera.
#[derive(Debug)]
pub struct Client {
    spec: ClientSpec,
    auth: Authenticator,
    step: Step,
    asked: Option<Asked>,
    cseq: u32,
    out: Vec<u8>,
    events: VecDeque<Event>,
    session: Option<Session>,
    /// An identifier that was replaced by another one: a camera may still mean it.
    former: Option<String>,
    keep_alive: KeepAlive,
    tracks: Option<Tracks>,
    description: Option<Description>,
    base: Option<Base>,
    legs: Vec<Leg>,
    /// Index into `spec.ways`.
    way: usize,
    heard_media: bool,
    answered: (Option<Instant>, u32),
    quirks: Quirks,
}

impl Client {
    /// Begins; the first request is in [`Client::output`] at once. `auth` may have been challenged on
    /// a connection before.
    pub fn new(spec: ClientSpec, auth: Authenticator, now: Instant) -> Self {
        let keep_alive = KeepAlive::new(spec.keep_alive);
        let mut client = Self {
            spec,
            auth,
            step: Step::Options,
            asked: None,
            cseq: 0,
            out: Vec::new(),
            events: VecDeque::new(),
            session: None,
            former: None,
            keep_alive,
            tracks: None,
            description: None,
            base: None,
            legs: Vec::new(),
            way: 0,
            heard_media: false,
            answered: (None, 0),
            quirks: Quirks::default(),
        };
        let request = Request::new(Method::Options, client.spec.address.request_url());
        client.ask(Step::Options, request, now);
        client
    }

    /// Bytes to be written, taken away.
    pub fn output(&mut self) -> Option<Vec<u8>> {
        (!self.out.is_empty()).then(|| std::mem::take(&mut self.out))
    }

    /// The next event.
    pub fn event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What was put up with since this was last asked.
    pub fn quirks(&mut self) -> Quirks {
        self.quirks.take()
    }

    /// The sign-in, for another connection to the same camera.
    pub fn into_auth(self) -> Authenticator {
        self.auth
    }

    /// Whether media may come.
    pub fn is_playing(&self) -> bool {
        self.step == Step::Playing
    }

    /// Whether the camera has asked for credentials and has not answered since.
    pub fn is_signing_in(&self) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.tries > 1)
    }

    /// When [`Client::tick`] wants to be called.
    pub fn deadline(&self) -> Option<Instant> {
        let keep_alive = self.keep_alive.due().filter(|_| self.is_playing());
        let asked = self.asked.as_ref().map(|asked| asked.until);
        [keep_alive, asked].into_iter().flatten().min()
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant) -> Result<(), ClientError> {
        if self.asked.as_ref().is_some_and(|asked| asked.until <= now) {
            self.asked = None;
            match self.step {
                // It serves to learn more; a camera that does not know it may still describe itself.
                Step::Options => self.describe(now),
                // Pictures say more than an answer.
                Step::Play if self.heard_media => self.playing(now),
                Step::Teardown => self.ended(),
                Step::Playing | Step::Ended => {}
                step => return Err(ClientError::NoAnswer(step.name())),
            }
        }
        if self.is_playing()
            && let Some(method) = self.keep_alive.take(now, &mut self.quirks)
        {
            let request = Request::new(method, self.aggregate());
            self.cseq += 1;
            let cseq = self.cseq;
            self.keep_alive.sent(cseq);
            self.write(cseq, request);
        }
        Ok(())
    }

    /// The owner has bound ports.
    pub fn ports(&mut self, kind: TrackKind, rtp: u16, rtcp: u16, now: Instant) {
        if self.step == Step::Ports(kind) {
            self.setup_with(kind, &Transport::udp(rtp, rtcp), now);
        }
    }

    /// Ends the session; [`Event::Ended`] follows when the camera has answered, or not in time.
    pub fn teardown(&mut self, now: Instant) {
        if self.session.is_none() && !matches!(self.step, Step::Play | Step::Playing) {
            return self.ended();
        }
        let request = Request::new(Method::Teardown, self.aggregate());
        self.ask(Step::Teardown, request, now);
    }

    /// What an interleaved frame belongs to, by its channel, and by its payload type where the
    /// camera mixes them up. `None` for what nobody asked for.
    pub fn route(&mut self, channel: u8, payload: &[u8]) -> Option<Route> {
        let second = *payload.get(1)?;
        // RTCP types as RTP would read them (RFC 5761 section 4); some send both on one channel.
        let control = (192..=223).contains(&second);
        let payload_type = second & 0x7F;
        let on = |leg: &&Leg| {
            leg.channels
                .is_some_and(|(rtp, rtcp)| channel == rtp || channel == rtcp)
        };
        let mut legs = self.legs.iter().filter(on);
        let kind = match (legs.next(), legs.next()) {
            (Some(leg), None) => leg.kind,
            (Some(first), Some(_)) if control => first.kind,
            _ => {
                let mut all = self.legs.iter();
                let leg = all.find(|leg| !control && leg.payload_type == payload_type);
                match leg {
                    Some(leg) => leg.kind,
                    None => {
                        self.quirks.note(Quirk::StrayPackets);
                        return None;
                    }
                }
            }
        };
        self.heard_media |= !control;
        Some(Route { kind, control })
    }

    /// A message has come.
    pub fn response(&mut self, response: &Response, now: Instant) -> Result<(), ClientError> {
        let number = response
            .headers
            .get("CSeq")
            .and_then(|n| n.trim().parse().ok());
        if let Some(number) = number
            && self.keep_alive.answered(number)
        {
            return self.kept_alive(response, now);
        }
        let Some(asked) = &self.asked else {
            if self.keep_alive.answered_any() {
                self.quirks.note(Quirk::WrongCseq);
                return self.kept_alive(response, now);
            }
            return Ok(());
        };
        match number {
            Some(number) if number == asked.cseq => {}
            // An answer to what was given up or answered already.
            Some(number) if number > 0 && number < asked.cseq => return Ok(()),
            _ => self.quirks.note(Quirk::WrongCseq),
        }
        let Some(asked) = self.asked.take() else {
            return Ok(());
        };
        self.follow_session(response);
        self.keep_alive.learn(response, self.session.as_ref());
        if response.status == 401 && self.step != Step::Teardown {
            return self.sign_in(asked, response, now);
        }
        self.auth.accepted();
        self.answered_step(&asked, response, now)
    }

    /// The camera asks us something.
    pub fn request(&mut self, request: &Request, now: Instant) {
        self.quirks.note(Quirk::AsksUs);
        let (since, count) = self.answered;
        let fresh = since.is_none_or(|since| now.saturating_duration_since(since) >= SECOND);
        self.answered = if fresh {
            (Some(now), 1)
        } else {
            (since, count + 1)
        };
        if self.answered.1 > ANSWERS_PER_SECOND {
            return;
        }
        let response = match request.method {
            Method::Options => {
                Response::new(200).with("Public", "OPTIONS, GET_PARAMETER, SET_PARAMETER")
            }
            Method::GetParameter | Method::SetParameter => Response::new(200),
            Method::Teardown => {
                self.ended();
                Response::new(200)
            }
            _ => Response::new(501),
        };
        let response = match request.headers.get("CSeq") {
            Some(number) => response.with("CSeq", number),
            None => response,
        };
        response.write(&mut self.out);
    }

    fn sign_in(
        &mut self,
        asked: Asked,
        response: &Response,
        now: Instant,
    ) -> Result<(), ClientError> {
        self.auth.challenged(response)?;
        self.again(asked, now);
        Ok(())
    }

    /// Cameras name their session in any answer, and some another one each time.
    fn follow_session(&mut self, response: &Response) {
        let header = response.headers.get("Session");
        let Some(mut named) = header.and_then(Session::parse) else {
            if matches!(self.step, Step::Setup(_)) && response.is_success() {
                self.quirks.note(Quirk::OddSession);
            }
            return;
        };
        let says = header.is_some_and(|h| h.to_ascii_lowercase().contains("timeout"));
        if let (false, Some(known)) = (says, &self.session) {
            // What SETUP said holds on.
            named.timeout = known.timeout;
        }
        match self.session.replace(named) {
            Some(old) if Some(&old.id) != self.session.as_ref().map(|s| &s.id) => {
                self.quirks.note(Quirk::OddSession);
                self.former.get_or_insert(old.id);
            }
            _ => {}
        }
    }

    /// Whether there is another identifier that the camera may mean; it is used from now on.
    fn other_session(&mut self) -> bool {
        match (&mut self.session, self.former.take()) {
            (Some(session), Some(former)) => {
                session.id = former;
                true
            }
            _ => false,
        }
    }

    fn answered_step(
        &mut self,
        asked: &Asked,
        response: &Response,
        now: Instant,
    ) -> Result<(), ClientError> {
        match self.step {
            Step::Options => self.describe(now),
            Step::Describe => return self.described(response, now),
            Step::Setup(kind) => return self.set_up(kind, response, now),
            Step::Play if response.is_success() => self.playing(now),
            Step::Play => {
                // Which of several session ids a camera means, only its refusal tells.
                if response.status == 454 && self.other_session() {
                    self.quirks.note(Quirk::OddSession);
                    self.again(asked.clone(), now);
                    return Ok(());
                }
                return Err(refused("PLAY", response));
            }
            Step::Teardown => self.ended(),
            Step::Ports(_) | Step::Playing | Step::Ended => {}
        }
        Ok(())
    }

    fn describe(&mut self, now: Instant) {
        let request = Request::new(Method::Describe, self.spec.address.request_url())
            .with("Accept", "application/sdp");
        self.ask(Step::Describe, request, now);
    }

    fn described(&mut self, response: &Response, now: Instant) -> Result<(), ClientError> {
        if matches!(response.status, 301 | 302 | 303 | 305 | 307) {
            let location = response.headers.get("Location").unwrap_or("");
            self.quirks.note(Quirk::Redirects);
            let address = self.spec.address.redirected(location)?;
            let (here, there) = (&self.spec.address, &address);
            if (here.carrier(), here.port()) != (there.carrier(), there.port()) {
                return Err(ClientError::Moved(Box::new(address)));
            }
            self.spec.address = address;
            self.describe(now);
            return Ok(());
        }
        if !response.is_success() {
            return Err(refused("DESCRIBE", response));
        }
        let description = Description::parse(&response.body)?;
        let tracks = choose(&description, self.spec.sound, self.spec.video)?;
        self.quirks.merge(&description.quirks);
        self.quirks.merge(&tracks.quirks);
        let headers = &response.headers;
        let (base, location) = (headers.get("Content-Base"), headers.get("Content-Location"));
        let base = Base::new(&self.spec.address, base, location);
        if base.is_wrong() {
            self.quirks.note(Quirk::WrongBase);
        }
        self.base = Some(base);
        let described = Box::new((description.clone(), tracks.clone()));
        self.events.push_back(Event::Described(described));
        self.description = Some(description);
        self.tracks = Some(tracks);
        self.setup(TrackKind::Video, now);
        Ok(())
    }

    fn way(&self) -> Way {
        self.spec.ways.get(self.way).copied().unwrap_or(Way::Tcp)
    }

    fn setup(&mut self, kind: TrackKind, now: Instant) {
        match self.way() {
            Way::Tcp => {
                let (rtp, rtcp) = channels(kind);
                self.setup_with(kind, &Transport::interleaved(rtp, rtcp), now);
            }
            Way::Multicast => self.setup_with(kind, &Transport::multicast(), now),
            Way::Udp => {
                self.step = Step::Ports(kind);
                self.events.push_back(Event::NeedPorts(kind));
            }
        }
    }

    fn setup_with(&mut self, kind: TrackKind, transport: &Transport, now: Instant) {
        let request = Request::new(Method::Setup, self.control(kind))
            .with("Transport", transport.to_string());
        self.ask(Step::Setup(kind), request, now);
    }

    fn set_up(
        &mut self,
        kind: TrackKind,
        response: &Response,
        now: Instant,
    ) -> Result<(), ClientError> {
        let agreed = if response.is_success() {
            self.agree(kind, response)
        } else {
            None
        };
        let Some(agreed) = agreed else {
            if kind == TrackKind::Audio {
                self.quirks.note(Quirk::RefusedSound);
                self.events.push_back(Event::NoSound(NoSound::Refused));
                self.play(now);
                return Ok(());
            }
            return self.other_way(response, now);
        };
        let Some(payload_type) = self.tracks.as_ref().and_then(|t| t.payload_type(kind)) else {
            return Ok(());
        };
        self.legs.push(Leg {
            kind,
            payload_type,
            channels: agreed.channels,
        });
        self.events.push_back(Event::Agreed(kind, agreed));
        let sound = self.tracks.as_ref().is_some_and(|t| t.audio.is_some());
        if kind == TrackKind::Video && sound {
            self.setup(TrackKind::Audio, now);
        } else {
            self.play(now);
        }
        Ok(())
    }

    /// What the camera answered, if it is the way that was asked for.
    fn agree(&mut self, kind: TrackKind, response: &Response) -> Option<Agreed> {
        let way = self.way();
        // Some answer without saying how: then it is as asked.
        let said = response.headers.get("Transport");
        let said = said.and_then(|text| Transport::parse_list(text).into_iter().next());
        let asked_channels = channels(kind);
        let Some(said) = said else {
            self.quirks.note(Quirk::OtherTransport);
            return Some(Agreed {
                way,
                channels: (way == Way::Tcp).then_some(asked_channels),
                ports: None,
                group: None,
                ssrc: None,
            });
        };
        if said.tcp != (way == Way::Tcp) {
            self.quirks.note(Quirk::OtherTransport);
            return None;
        }
        let channels = said.interleaved.unwrap_or(asked_channels);
        if way == Way::Tcp && channels != asked_channels {
            self.quirks.note(Quirk::OtherTransport);
        }
        let usable = |(rtp, rtcp): (u16, u16)| (rtp >= 1024).then_some((rtp, rtcp));
        let ports = match way {
            Way::Multicast => said.port.or(said.client_port).or(said.server_port),
            _ => said.server_port.and_then(usable),
        };
        if way == Way::Udp && ports.is_none() {
            self.quirks.note(Quirk::OtherTransport);
        }
        Some(Agreed {
            way,
            channels: (way == Way::Tcp).then_some(channels),
            ports,
            group: said.destination,
            ssrc: said.ssrc,
        })
    }

    /// The first track is refused in this way: another one may do. ffmpeg moves on at 461 only; the
    /// field has cameras that say 400, 406, 451, 455, 500, 501 or 551 for it.
    fn other_way(&mut self, response: &Response, now: Instant) -> Result<(), ClientError> {
        let final_answer = matches!(response.status, 401 | 403 | 404 | 453 | 503);
        if !final_answer && self.way + 1 < self.spec.ways.len() {
            self.way += 1;
            self.quirks.note(Quirk::TransportRefused);
            self.setup(TrackKind::Video, now);
            return Ok(());
        }
        if response.is_success() {
            let way = self.way().as_str();
            let said = response.headers.get("Transport").unwrap_or("nothing");
            return Err(ClientError::NoWay(format!(
                "asked for {way}, the camera answers {said}"
            )));
        }
        if response.status == 461 {
            let way = self.way().as_str();
            return Err(ClientError::NoWay(format!("the camera refuses {way}")));
        }
        Err(refused("SETUP", response))
    }

    fn play(&mut self, now: Instant) {
        let request = Request::new(Method::Play, self.aggregate()).with("Range", "npt=0.000-");
        self.ask(Step::Play, request, now);
    }

    fn playing(&mut self, now: Instant) {
        self.step = Step::Playing;
        self.keep_alive.start(now);
        self.events.push_back(Event::Playing);
    }

    fn ended(&mut self) {
        self.step = Step::Ended;
        self.asked = None;
        self.events.push_back(Event::Ended);
    }

    fn kept_alive(&mut self, response: &Response, now: Instant) -> Result<(), ClientError> {
        if response.status == 401 {
            // A session that plays is not ended for this; the next one goes out with the new nonce.
            if self.auth.challenged(response).is_ok() {
                self.keep_alive.soon(now);
            }
        } else {
            self.keep_alive.judge(response.status, now);
        }
        Ok(())
    }

    /// Where to ask for a track.
    fn control(&mut self, kind: TrackKind) -> String {
        let media = self.tracks.as_ref().and_then(|tracks| tracks.media(kind));
        let description = self.description.as_ref();
        let media = description
            .zip(media)
            .and_then(|(d, index)| d.media.get(index));
        let control = media.and_then(|media| media.control.as_deref());
        let target = self.base.as_ref().map(|base| base.control(control));
        let Some(target) = target else {
            return self.spec.address.request_url();
        };
        if target.wrong {
            self.quirks.note(Quirk::WrongBase);
        }
        target.url
    }

    /// Where to ask for all tracks together.
    fn aggregate(&self) -> String {
        let control = self.description.as_ref().and_then(|d| d.control.as_deref());
        match &self.base {
            Some(base) => base.control(control).url,
            None => self.spec.address.request_url(),
        }
    }

    fn ask(&mut self, step: Step, request: Request, now: Instant) {
        self.step = step;
        let asked = Asked {
            cseq: 0,
            request,
            tries: 0,
            until: now,
        };
        self.again(asked, now);
    }

    fn again(&mut self, mut asked: Asked, now: Instant) {
        self.cseq += 1;
        asked.cseq = self.cseq;
        asked.tries += 1;
        // What only helps does not get all the time.
        let share = if self.step == Step::Options { 2 } else { 1 };
        asked.until = now + self.spec.answer_timeout / share;
        self.write(asked.cseq, asked.request.clone());
        self.asked = Some(asked);
    }

    fn write(&mut self, cseq: u32, request: Request) {
        let authorization = self.auth.authorize(&request.method, &request.uri);
        let mut request = request
            .with("CSeq", cseq.to_string())
            .with("User-Agent", self.spec.user_agent.as_str());
        if let Some(value) = authorization {
            request = request.with("Authorization", value);
        }
        if let Some(session) = &self.session {
            request = request.with("Session", session.id.as_str());
        }
        request.write(&mut self.out);
    }
}

/// The channels that are asked for.
const fn channels(kind: TrackKind) -> (u8, u8) {
    match kind {
        TrackKind::Video => (0, 1),
        TrackKind::Audio => (2, 3),
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn refused(step: &'static str, response: &Response) -> ClientError {
    ClientError::Status {
        step,
        status: response.status,
        reason: response.reason.clone(),
    }
}
