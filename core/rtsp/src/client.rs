//! The client's side of a session, from OPTIONS to TEARDOWN, as a machine: messages and `now` go in,
//! bytes to write and events come out.
//!
//! Its one principle: what does not keep pictures from coming is no reason to stop. An answer that
//! is missing, late, misnumbered or refused costs what was asked for by it and nothing else.
//! Here are the steps, in their order; what each of them says and understands is in `client/`.
//! Not here: sockets, TLS, RTP; the owner reads messages by a [`crate::Reader`].

mod agreed;
mod answers;
mod described;
mod error;
mod event;
mod exchange;
mod legs;
mod spec;

use std::collections::VecDeque;
use std::time::Instant;

use taimat_media::{Quirk, Quirks, TrackKind};

use crate::auth::Authenticator;
use crate::keepalive::KeepAlive;
use crate::message::{Method, Request, Response};
use crate::tracks::NoSound;
use crate::transport::Transport;
use agreed::channels;
use answers::Answers;
use described::Described;
use exchange::{Asked, Exchange};
use legs::Legs;

pub use agreed::Agreed;
pub use error::ClientError;
pub use event::Event;
pub use legs::Route;
pub use spec::{ClientSpec, Way};

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

/// A client's session with one camera.
#[derive(Debug)]
pub struct Client {
    spec: ClientSpec,
    step: Step,
    exchange: Exchange,
    keep_alive: KeepAlive,
    answers: Answers,
    events: VecDeque<Event>,
    described: Option<Described>,
    /// Index into `spec.ways`.
    way: usize,
    legs: Legs,
    heard_media: bool,
    quirks: Quirks,
}

impl Client {
    /// Begins; the first request is in [`Client::output`] at once. `auth` may have been challenged on
    /// a connection before.
    pub fn new(spec: ClientSpec, auth: Authenticator, now: Instant) -> Self {
        let mut client = Self {
            step: Step::Options,
            exchange: Exchange::new(spec.user_agent.clone(), auth),
            keep_alive: KeepAlive::new(spec.keep_alive),
            answers: Answers::default(),
            events: VecDeque::new(),
            described: None,
            way: 0,
            legs: Legs::default(),
            heard_media: false,
            quirks: Quirks::default(),
            spec,
        };
        let request = Request::new(Method::Options, client.spec.address.request_url());
        client.ask(Step::Options, request, now);
        client
    }

    /// Bytes to be written, taken away.
    pub fn output(&mut self) -> Option<Vec<u8>> {
        self.exchange.output()
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
        self.exchange.into_auth()
    }

    /// Whether media may come.
    pub fn is_playing(&self) -> bool {
        self.step == Step::Playing
    }

    /// Whether the camera has asked for credentials and has not answered since.
    pub fn is_signing_in(&self) -> bool {
        self.exchange.is_repeating()
    }

    /// When [`Client::tick`] wants to be called.
    pub fn deadline(&self) -> Option<Instant> {
        let keep_alive = self.keep_alive.due().filter(|_| self.is_playing());
        let answer = self.exchange.deadline();
        [keep_alive, answer].into_iter().flatten().min()
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant) -> Result<(), ClientError> {
        if self.exchange.deadline().is_some_and(|until| until <= now) {
            self.exchange.give_up();
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
            let number = self.exchange.send(request);
            self.keep_alive.sent(number);
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
        if self.exchange.session().is_none() && !matches!(self.step, Step::Play | Step::Playing) {
            return self.ended();
        }
        let request = Request::new(Method::Teardown, self.aggregate());
        self.ask(Step::Teardown, request, now);
    }

    /// What an interleaved frame belongs to, by its channel, and by its payload type where the
    /// camera mixes them up. `None` for what nobody asked for.
    pub fn route(&mut self, channel: u8, payload: &[u8]) -> Option<Route> {
        let route = self.legs.route(channel, payload, &mut self.quirks)?;
        self.heard_media |= !route.control;
        Some(route)
    }

    /// A message has come.
    pub fn response(&mut self, response: &Response, now: Instant) -> Result<(), ClientError> {
        let number = response
            .headers
            .get("CSeq")
            .and_then(|n| n.trim().parse().ok());
        if number.is_some_and(|number| self.keep_alive.answered(number)) {
            self.kept_alive(response, now);
            return Ok(());
        }
        if !self.exchange.is_waiting() {
            if self.keep_alive.answered_any() {
                self.quirks.note(Quirk::WrongCseq);
                self.kept_alive(response, now);
            }
            return Ok(());
        }
        let Some(asked) = self.exchange.answered(number, &mut self.quirks) else {
            return Ok(());
        };
        let named = self.exchange.follow_session(response, &mut self.quirks);
        if !named && matches!(self.step, Step::Setup(_)) && response.is_success() {
            self.quirks.note(Quirk::OddSession);
        }
        self.keep_alive.learn(response, self.exchange.session());
        if response.status == 401 && self.step != Step::Teardown {
            self.exchange.challenged(response)?;
            self.exchange.again(asked, self.until(now));
            return Ok(());
        }
        self.exchange.accepted();
        self.answered(asked, response, now)
    }

    /// The camera asks us something.
    pub fn request(&mut self, request: &Request, now: Instant) {
        self.quirks.note(Quirk::AsksUs);
        let Some(response) = self.answers.to(request, now) else {
            return;
        };
        if request.method == Method::Teardown {
            self.ended();
        }
        self.exchange.answer(&response);
    }

    fn answered(
        &mut self,
        asked: Asked,
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
                if response.status == 454 && self.exchange.other_session() {
                    self.quirks.note(Quirk::OddSession);
                    self.exchange.again(asked, self.until(now));
                    return Ok(());
                }
                return Err(ClientError::refused("PLAY", response));
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
            return Err(ClientError::refused("DESCRIBE", response));
        }
        let described = Described::read(&self.spec, response, &mut self.quirks)?;
        let told = (described.description.clone(), described.tracks.clone());
        self.events.push_back(Event::Described(Box::new(told)));
        self.described = Some(described);
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
            Agreed::read(self.way(), kind, response, &mut self.quirks)
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
        let tracks = self.described.as_ref().map(|d| &d.tracks);
        let Some(payload_type) = tracks.and_then(|tracks| tracks.payload_type(kind)) else {
            return Ok(());
        };
        let sound = tracks.is_some_and(|tracks| tracks.audio.is_some());
        self.legs.add(kind, payload_type, agreed.channels);
        self.events.push_back(Event::Agreed(kind, agreed));
        if kind == TrackKind::Video && sound {
            self.setup(TrackKind::Audio, now);
        } else {
            self.play(now);
        }
        Ok(())
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
        Err(ClientError::refused("SETUP", response))
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
        self.exchange.give_up();
        self.events.push_back(Event::Ended);
    }

    fn kept_alive(&mut self, response: &Response, now: Instant) {
        if response.status == 401 {
            // A session that plays is not ended for this; the next one goes out with the new nonce.
            if self.exchange.challenged(response).is_ok() {
                self.keep_alive.soon(now);
            }
        } else {
            self.keep_alive.judge(response.status, now);
        }
    }

    /// Where to ask for a track.
    fn control(&mut self, kind: TrackKind) -> String {
        let Some(described) = &self.described else {
            return self.spec.address.request_url();
        };
        let target = described.control(kind);
        if target.wrong {
            self.quirks.note(Quirk::WrongBase);
        }
        target.url
    }

    /// Where to ask for all tracks together.
    fn aggregate(&self) -> String {
        match &self.described {
            Some(described) => described.aggregate(),
            None => self.spec.address.request_url(),
        }
    }

    fn ask(&mut self, step: Step, request: Request, now: Instant) {
        self.step = step;
        self.exchange.ask(request, self.until(now));
    }

    /// Until when this step waits for its answer.
    fn until(&self, now: Instant) -> Instant {
        // What only helps does not get all the time.
        let share = if self.step == Step::Options { 2 } else { 1 };
        now + self.spec.answer_timeout / share
    }
}
