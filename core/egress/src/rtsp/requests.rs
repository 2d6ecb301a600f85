//! What a client asks for, and what it is answered: its session.

use std::net::IpAddr;
use std::sync::Arc;

use taimat_hub::{Cursor, Read};
use taimat_media::TrackKind;
use taimat_rtsp::{Method, Request, Response, Transport};
use url::Url;

use super::describe::{payload_type, sdp};
use super::legs::RtspLeg;
use super::mounts::RtspShared;
use super::transport::choose;
use crate::live::live;
use crate::packets::PacketBatch;
use crate::track::Track;

/// What SETUP tells the client about keep-alive, in seconds.
const SESSION_TIMEOUT: u64 = 60;
const METHODS: &str =
    "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, GET_PARAMETER, SET_PARAMETER, TEARDOWN";

struct RtspSession {
    id: String,
    path: String,
    track: Arc<Track>,
    video: Option<RtspLeg>,
    audio: Option<RtspLeg>,
    cursor: Option<Cursor<PacketBatch>>,
}

impl RtspSession {
    fn legs(&self) -> impl Iterator<Item = &RtspLeg> {
        [&self.video, &self.audio].into_iter().flatten()
    }
}

/// A client and its session, if it has one.
pub(super) struct RtspClient {
    shared: Arc<RtspShared>,
    peer: IpAddr,
    local: IpAddr,
    session: Option<RtspSession>,
}

impl Drop for RtspClient {
    fn drop(&mut self) {
        self.set_playing(None);
    }
}

impl RtspClient {
    /// It has asked for nothing yet. `local` is our address in this connection.
    pub(super) fn new(shared: Arc<RtspShared>, peer: IpAddr, local: IpAddr) -> Self {
        Self {
            shared,
            peer,
            local,
            session: None,
        }
    }

    /// Answers a request.
    pub(super) async fn answer(&mut self, request: &Request) -> Response {
        let response = match self.try_answer(request).await {
            Ok(response) => response,
            Err(status) => respond(request, status),
        };
        let class = format!("{}xx", response.status / 100);
        let method = match &request.method {
            Method::Other(_) => "other",
            method => method.as_str(),
        };
        self.shared
            .metrics
            .rtsp_requests
            .with_label_values(&[method, class.as_str()])
            .inc();
        response
    }

    async fn try_answer(&mut self, request: &Request) -> Result<Response, u16> {
        let required: Vec<_> = request.headers.all("Require").collect();
        if !required.is_empty() {
            // None of what can be required is here (RFC 2326 section 12.32).
            return Ok(respond(request, 551).with("Unsupported", required.join(", ")));
        }
        match request.method {
            Method::Options => Ok(respond(request, 200).with("Public", METHODS)),
            Method::Describe => self.describe(request).await,
            Method::Setup => self.setup(request).await,
            Method::Play => self.play(request),
            Method::Pause => {
                self.set_playing(None);
                self.in_session(request)
            }
            Method::GetParameter | Method::SetParameter => self.in_session(request),
            Method::Teardown => {
                let response = self.in_session(request);
                self.set_playing(None);
                self.session = None;
                response
            }
            Method::Other(_) => Ok(respond(request, 405).with("Allow", METHODS)),
        }
    }

    /// Requests that only have to name the session rightly, if they name one.
    fn in_session(&self, request: &Request) -> Result<Response, u16> {
        match (&self.session, session_id(request)) {
            (Some(session), Some(id)) if session.id == id => {
                Ok(respond(request, 200).with("Session", session.id.as_str()))
            }
            (_, None) => Ok(respond(request, 200)),
            _ => Err(454),
        }
    }

    /// The track at a URL, or what to answer instead.
    async fn track(&self, path: &str, query: Option<&str>) -> Result<Arc<Track>, u16> {
        let channel = self.shared.mounts.find(path, query).ok_or(404_u16)?;
        let info = live(&channel).await.map_err(|_status| 503_u16)?;
        Ok(self.shared.tracks.watch(&channel, &info))
    }

    async fn describe(&self, request: &Request) -> Result<Response, u16> {
        let mut base = url(request)?;
        let track = self.track(base.path(), base.query()).await?;
        // The parameter sets may have changed since the track began.
        let info = track.channel().info();
        let info = info.unwrap_or_else(|| Arc::clone(track.info()));
        // Only URLs without a host refuse these.
        let _user = base.set_username("");
        let _password = base.set_password(None);
        let mut response = respond(request, 200)
            .with("Content-Type", "application/sdp")
            .with("Content-Base", base.as_str());
        response.body = sdp(&info, |kind| control_url(&base, kind)).into();
        Ok(response)
    }

    async fn setup(&mut self, request: &Request) -> Result<Response, u16> {
        let url = url(request)?;
        let (path, kind) = split_control(url.path());
        if self.session.is_none() {
            let track = self.track(path, url.query()).await?;
            self.session = Some(RtspSession {
                id: format!("{:016x}", rand::random::<u64>()),
                path: path.to_owned(),
                track,
                video: None,
                audio: None,
                cursor: None,
            });
        }
        let offered = request.headers.get("Transport").ok_or(400_u16)?;
        let offered = Transport::parse_list(offered);
        let session = self.session.as_mut().ok_or(500_u16)?;
        if session.path != path {
            return Err(459);
        }
        if session.cursor.is_some() {
            return Err(455);
        }
        let info = session.track.info();
        let is_there = match kind {
            TrackKind::Video => info.video.is_some(),
            TrackKind::Audio => info.audio.is_some(),
        };
        if !is_there {
            return Err(404);
        }
        let chosen = choose(&offered, kind, self.peer, self.local).await;
        let (route, mut transport) = chosen.ok_or(461_u16)?;
        let leg = RtspLeg::new(route, payload_type(kind, info));
        transport.ssrc = Some(leg.ssrc);
        match kind {
            TrackKind::Video => session.video = Some(leg),
            TrackKind::Audio => session.audio = Some(leg),
        }
        Ok(respond(request, 200)
            .with(
                "Session",
                format!("{};timeout={SESSION_TIMEOUT}", session.id),
            )
            .with("Transport", transport.to_string()))
    }

    /// Begins to send. A client that plays already is told where it is.
    fn play(&mut self, request: &Request) -> Result<Response, u16> {
        let session = self.session.as_ref().ok_or(455_u16)?;
        if session_id(request).is_some_and(|id| id != session.id) {
            return Err(454);
        }
        if session.legs().next().is_none() {
            return Err(455);
        }
        let begins = session.cursor.is_none();
        let (since_start, _) = session.track.ring().since_start();
        let mut infos = Vec::new();
        for (kind, leg) in [
            (TrackKind::Video, &session.video),
            (TrackKind::Audio, &session.audio),
        ] {
            let (Some(leg), Ok(mut base)) = (leg, url(request)) else {
                continue;
            };
            let path = split_control(base.path()).0.to_owned();
            base.set_path(&path);
            let mut info = format!(
                "url={};seq={}",
                control_url(&base, kind),
                leg.next_sequence()
            );
            let mut batches = since_start.iter();
            if begins && let Some((_, first)) = batches.find(|(_, b)| b.track == kind) {
                info.push_str(&format!(";rtptime={}", first.media_time.rtp()));
            }
            infos.push(info);
        }
        let response = respond(request, 200)
            .with("Session", session.id.as_str())
            .with("Range", "npt=now-")
            .with("RTP-Info", infos.join(","));
        if begins {
            let cursor = session.track.ring().from_start();
            self.set_playing(Some(cursor));
        }
        Ok(response)
    }

    fn set_playing(&mut self, cursor: Option<Cursor<PacketBatch>>) {
        let Some(session) = &mut self.session else {
            return;
        };
        match (session.cursor.is_some(), cursor.is_some()) {
            (false, true) => self.shared.metrics.rtsp_sessions.inc(),
            (true, false) => self.shared.metrics.rtsp_sessions.dec(),
            _ => {}
        }
        session.cursor = cursor;
    }

    /// The next access unit for a client that plays; never comes for one that does not.
    pub(super) async fn media(&mut self) -> Read<PacketBatch> {
        match self.session.as_mut().and_then(|s| s.cursor.as_mut()) {
            Some(cursor) => cursor.next().await,
            None => std::future::pending().await,
        }
    }

    /// Sends an access unit by UDP, or appends it to `tcp`.
    pub(super) fn send(&mut self, batch: &PacketBatch, tcp: &mut Vec<u8>) {
        let Some(session) = &mut self.session else {
            return;
        };
        let leg = match batch.track {
            TrackKind::Video => &mut session.video,
            TrackKind::Audio => &mut session.audio,
        };
        if let Some(leg) = leg {
            let count = leg.send(batch, tcp);
            self.shared.metrics.rtsp_packets.inc_by(count);
        }
    }

    /// Sends sender reports, likewise.
    pub(super) fn report(&self, tcp: &mut Vec<u8>) {
        for leg in self.session.iter().flat_map(RtspSession::legs) {
            leg.report(tcp);
        }
    }

    /// The interleaved channels agreed upon.
    pub(super) fn channels(&self) -> impl Iterator<Item = u8> {
        self.session
            .iter()
            .flat_map(RtspSession::legs)
            .filter_map(RtspLeg::channels)
            .flatten()
    }

    /// Whether it plays what is at that path, or prepares to.
    pub(super) fn is_at(&self, path: &str) -> bool {
        self.session.as_ref().is_some_and(|s| s.path == path)
    }

    /// Whether packets of it came by UDP, where receiver reports are the only sign of a client.
    pub(super) fn sent_packets(&self) -> bool {
        let legs = self.session.iter().flat_map(RtspSession::legs);
        legs.fold(false, |heard, leg| heard | leg.drain())
    }
}

fn respond(request: &Request, status: u16) -> Response {
    let response = Response::new(status).with("Server", "Taimat");
    match request.headers.get("CSeq") {
        Some(cseq) => response.with("CSeq", cseq),
        None => response,
    }
}

fn url(request: &Request) -> Result<Url, u16> {
    Url::parse(&request.uri).map_err(|_malformed| 400)
}

fn session_id(request: &Request) -> Option<&str> {
    let header = request.headers.get("Session")?;
    header.split(';').next().map(str::trim)
}

/// A track's URL: the path's last part names it, a query stays behind.
fn control_url(base: &Url, kind: TrackKind) -> String {
    let mut url = base.clone();
    let number = match kind {
        TrackKind::Video => 0,
        TrackKind::Audio => 1,
    };
    url.set_path(&format!(
        "{}/trackID={number}",
        base.path().trim_end_matches('/')
    ));
    url.into()
}

/// A path without the track's name, and which track it was; video if none was named.
fn split_control(path: &str) -> (&str, TrackKind) {
    match path.rsplit_once("/trackID=") {
        Some((path, "1")) => (path, TrackKind::Audio),
        Some((path, _)) => (path, TrackKind::Video),
        None => (path.trim_end_matches('/'), TrackKind::Video),
    }
}

#[cfg(test)]
mod tests;
