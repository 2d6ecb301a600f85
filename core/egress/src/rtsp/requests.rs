//! What a client asks for, and what it is answered: its session.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use taimat_base::clock;
use taimat_hub::{Cursor, Read};
use taimat_media::TrackKind;
use taimat_rtsp::{Method, Request, Response, Transport};
use url::Url;

use super::describe::{payload_type, sdp};
use super::legs::RtspLeg;
use super::mounts::RtspShared;
use super::transport::choose;
use crate::live::live;
use crate::pace::{self, BurstPace};
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
    /// Counts for what goes by UDP.
    pace: BurstPace,
    /// An access unit that the pace cut short, and its first packet that was not sent.
    unsent: Option<(u64, Arc<PacketBatch>, usize)>,
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
        if request.major_version > 1 {
            return Err(505);
        }
        let required: Vec<_> = request.headers.all("Require").collect();
        if !required.is_empty() {
            // None of what can be required is here (RFC 2326 section 12.32).
            return Ok(respond(request, 551).with("Unsupported", required.join(", ")));
        }
        match request.method {
            Method::Options => Ok(respond(request, 200).with("Public", METHODS)),
            Method::Describe => self.describe(request).await,
            Method::Setup => self.setup(request).await,
            Method::Play => self.play(request, clock::now()),
            Method::Pause => {
                self.session.as_ref().ok_or(455_u16)?;
                let response = self.in_session(request)?;
                self.set_playing(None);
                Ok(response)
            }
            Method::GetParameter | Method::SetParameter => self.in_session(request),
            Method::Teardown => {
                self.session.as_ref().ok_or(454_u16)?;
                // Another session's end is not this one's.
                let response = self.in_session(request)?;
                self.set_playing(None);
                self.session = None;
                Ok(response)
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
        if let Some(session) = &self.session {
            if session_id(request).is_some_and(|id| id != session.id) {
                return Err(454);
            }
            if session.path != path {
                return Err(459);
            }
            if session.cursor.is_some() {
                return Err(455);
            }
        }
        let track = match &self.session {
            Some(session) => Arc::clone(&session.track),
            None => self.track(path, url.query()).await?,
        };
        let info = track.info();
        let is_there = match kind {
            TrackKind::Video => info.video.is_some(),
            TrackKind::Audio => info.audio.is_some(),
        };
        if !is_there {
            return Err(404);
        }
        let offered = request.headers.get("Transport").ok_or(400_u16)?;
        let offered = Transport::parse_list(offered);
        let legs = self.session.iter().flat_map(|session| match kind {
            TrackKind::Video => &session.audio,
            TrackKind::Audio => &session.video,
        });
        let taken: Vec<u8> = legs.filter_map(RtspLeg::channels).flatten().collect();
        let chosen = choose(&offered, &taken, self.peer, self.local).await;
        let (route, mut transport) = chosen.ok_or(461_u16)?;
        let leg = RtspLeg::new(route, payload_type(kind, info));
        transport.ssrc = Some(leg.ssrc);
        let session = self.session.get_or_insert_with(|| RtspSession {
            id: format!("{:016x}", rand::random::<u64>()),
            path: path.to_owned(),
            track,
            video: None,
            audio: None,
            cursor: None,
            pace: BurstPace::new(pace::DATAGRAMS),
            unsent: None,
        });
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

    /// Begins to send: with the newest key frame, which is the session's time 0. A client that plays
    /// already is told where it is.
    fn play(&mut self, request: &Request, now: Instant) -> Result<Response, u16> {
        let session = self.session.as_mut().ok_or(455_u16)?;
        if session_id(request).is_some_and(|id| id != session.id) {
            return Err(454);
        }
        if session.legs().next().is_none() {
            return Err(455);
        }
        let base = url(request);
        if let Ok(base) = &base
            && split_control(base.path()).0 != session.path
        {
            return Err(459);
        }
        let cursor = session
            .cursor
            .is_none()
            .then(|| session.track.ring().from_start());
        // From the same place on as the cursor, whatever came since.
        let (mut first, _) = session.track.ring().since_start();
        first.retain(|(seq, _)| cursor.as_ref().is_some_and(|c| *seq >= c.position()));
        let mut infos = Vec::new();
        for (kind, leg) in [
            (TrackKind::Video, &session.video),
            (TrackKind::Audio, &session.audio),
        ] {
            let (Some(leg), Ok(base)) = (leg, &base) else {
                continue;
            };
            let mut base = base.clone();
            base.set_path(&session.path);
            let mut info = format!(
                "url={};seq={}",
                control_url(&base, kind),
                leg.next_sequence()
            );
            if let Some((_, first)) = first.iter().find(|(_, b)| b.track == kind) {
                info.push_str(&format!(";rtptime={}", first.media_time.rtp()));
            }
            infos.push(info);
        }
        let from = if cursor.is_some() { "0.000" } else { "now" };
        let mut response = respond(request, 200)
            .with("Session", session.id.as_str())
            .with("Range", format!("npt={from}-"));
        if !infos.is_empty() {
            response = response.with("RTP-Info", infos.join(","));
        }
        if let Some(cursor) = cursor {
            session.pace.begin(now);
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
        session.unsent = None;
    }

    /// The next access unit for a client that plays, or what is left of the one before; never comes for
    /// a client that does not.
    pub(super) async fn media(&mut self) -> Read<PacketBatch> {
        let Some(session) = &mut self.session else {
            return std::future::pending().await;
        };
        match (&session.unsent, &mut session.cursor) {
            (Some((seq, batch, _)), _) => {
                if let Some(at) = session.pace.next() {
                    tokio::time::sleep_until(at.into()).await;
                }
                Read::Item(*seq, Arc::clone(batch))
            }
            (None, Some(cursor)) => cursor.next().await,
            (None, None) => std::future::pending().await,
        }
    }

    /// Sends an access unit by UDP, as much of it as the pace allows, or appends it to `tcp`.
    pub(super) fn send(
        &mut self,
        seq: u64,
        batch: &Arc<PacketBatch>,
        now: Instant,
        tcp: &mut Vec<u8>,
    ) {
        let Some(session) = &mut self.session else {
            return;
        };
        let from = session.unsent.take().map_or(0, |(_, _, from)| from);
        let leg = match batch.track {
            TrackKind::Video => &mut session.video,
            TrackKind::Audio => &mut session.audio,
        };
        let Some(leg) = leg else { return };
        if leg.is_udp() {
            let rate = session.track.channel().rates(now).bits_per_second;
            session.pace.set_stream_rate(rate);
            session.pace.earn(now);
        }
        let next = leg.send(batch, from, &mut session.pace, tcp);
        if next < batch.payloads.len() {
            session.unsent = Some((seq, Arc::clone(batch), next));
        }
        let sent = u64::try_from(next - from).unwrap_or(0);
        self.shared.metrics.rtsp_packets.inc_by(sent);
    }

    /// Sends sender reports, likewise.
    pub(super) fn report(&self, tcp: &mut Vec<u8>) {
        for leg in self.session.iter().flat_map(RtspSession::legs) {
            leg.report(tcp);
        }
    }

    /// Whether it has set up a session.
    pub(super) fn is_set_up(&self) -> bool {
        self.session.is_some()
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
