//! One client's connection: its requests, its session, its packets.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rtsp_types::headers::{
    self, CSEQ, PUBLIC, RTP_INFO, RtpLowerTransport, RtpTransport, RtpTransportParameters, SESSION,
    TRANSPORT, Transports,
};
use rtsp_types::{Method, Request, Response, StatusCode, Version};
use taimat_base::clock;
use taimat_hub::{Cursor, Read};
use taimat_media::TrackKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::describe::{payload_type, sdp};
use super::legs::{Leg, Transport};
use super::{Parsed, Shared, parse};
use crate::live::live;
use crate::packets::PacketBatch;
use crate::track::Track;

/// A client that does nothing gets this long; one that plays says something once a minute.
const IDLE: Duration = Duration::from_secs(75);
/// A client that takes no bytes for this long is gone.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);
const REPORT_INTERVAL: Duration = Duration::from_secs(5);
/// What SETUP tells the client about keep-alive, in seconds.
const SESSION_TIMEOUT: u64 = 60;
const METHODS: &str =
    "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, GET_PARAMETER, SET_PARAMETER, TEARDOWN";

/// Numbers connections for log lines.
pub(super) fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

struct Session {
    id: String,
    path: String,
    track: Arc<Track>,
    video: Option<Leg>,
    audio: Option<Leg>,
    cursor: Option<Cursor<PacketBatch>>,
}

struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    shared: Arc<Shared>,
    buffer: Vec<u8>,
    session: Option<Session>,
    heard: Instant,
    reported: Instant,
}

/// What woke the connection.
enum Wake {
    Bytes(usize),
    Media(Read<PacketBatch>),
    Tick,
    Kicked,
}

/// Serves a connection to its end.
pub(super) async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    shared: Arc<Shared>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let now = clock::now();
    let buffer = Vec::with_capacity(2048);
    let mut connection = Connection {
        stream,
        peer,
        shared,
        buffer,
        session: None,
        heard: now,
        reported: now,
    };
    let result = connection.run().await;
    if connection
        .session
        .as_ref()
        .is_some_and(|s| s.cursor.is_some())
    {
        connection.shared.metrics.rtsp_sessions.dec();
    }
    result
}

impl Connection {
    async fn run(&mut self) -> io::Result<()> {
        let mut kick = self.shared.kick.clone();
        kick.mark_unchanged();
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        loop {
            let wake = {
                let media = async {
                    match self.session.as_mut().and_then(|s| s.cursor.as_mut()) {
                        Some(cursor) => cursor.next().await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    read = self.stream.read_buf(&mut self.buffer) => Wake::Bytes(read?),
                    read = media => Wake::Media(read),
                    _ = tick.tick() => Wake::Tick,
                    _ = kick.changed() => Wake::Kicked,
                }
            };
            match wake {
                Wake::Bytes(0) => return Ok(()),
                Wake::Bytes(_) => self.requests().await?,
                Wake::Media(read) => {
                    if !self.media(read).await? {
                        return Ok(());
                    }
                }
                Wake::Tick => self.tick()?,
                Wake::Kicked => {
                    let path = kick.borrow_and_update().1.clone();
                    if self.session.as_ref().is_some_and(|s| s.path == path) {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Answers what the buffer holds.
    async fn requests(&mut self) -> io::Result<()> {
        self.heard = clock::now();
        loop {
            match parse(&self.buffer) {
                Ok(Parsed::Incomplete) => return Ok(()),
                Ok(Parsed::Other(used)) => drop(self.buffer.drain(..used.min(self.buffer.len()))),
                Ok(Parsed::Request(request, used)) => {
                    self.buffer.drain(..used);
                    self.answer(&request).await?;
                }
                Err(error) => {
                    let response = respond(None, StatusCode::BadRequest).build(Vec::new());
                    self.write(&response).await?;
                    return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                }
            }
        }
    }

    async fn answer(&mut self, request: &Request<Vec<u8>>) -> io::Result<()> {
        let response = match request.method() {
            Method::Options => respond(Some(request), StatusCode::Ok)
                .header(PUBLIC, METHODS)
                .build(Vec::new()),
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
            _ => respond(Some(request), StatusCode::MethodNotAllowed)
                .header(headers::ALLOW, METHODS)
                .build(Vec::new()),
        };
        let class = format!("{}xx", u16::from(response.status()) / 100);
        let method: &str = match request.method() {
            Method::Extension(_) => "other",
            method => method.into(),
        };
        self.shared
            .metrics
            .rtsp_requests
            .with_label_values(&[method, class.as_str()])
            .inc();
        self.write(&response).await
    }

    /// Requests that only have to name the session rightly, if there is one.
    fn in_session(&self, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        match (&self.session, session_id(request)) {
            (Some(session), Some(id)) if session.id == id => respond(Some(request), StatusCode::Ok)
                .header(SESSION, session.id.as_str())
                .build(Vec::new()),
            (_, None) => respond(Some(request), StatusCode::Ok).build(Vec::new()),
            _ => respond(Some(request), StatusCode::SessionNotFound).build(Vec::new()),
        }
    }

    /// The track at a URL, or what to answer instead.
    async fn track(&self, path: &str, query: Option<&str>) -> Result<Arc<Track>, StatusCode> {
        let channel = self
            .shared
            .mounts
            .find(path, query)
            .ok_or(StatusCode::NotFound)?;
        let info = live(&channel)
            .await
            .map_err(|_status| StatusCode::ServiceUnavailable)?;
        Ok(self.shared.tracks.watch(&channel, &info))
    }

    async fn describe(&self, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        let Some(url) = request.request_uri() else {
            return respond(Some(request), StatusCode::BadRequest).build(Vec::new());
        };
        match self.track(url.path(), url.query()).await {
            Err(status) => respond(Some(request), status).build(Vec::new()),
            Ok(track) => {
                // The parameter sets may have changed since the track began.
                let info = track
                    .channel()
                    .info()
                    .unwrap_or_else(|| Arc::clone(track.info()));
                let mut base = url.clone();
                // Only URLs without a host refuse these.
                let _user = base.set_username("");
                let _password = base.set_password(None);
                let body = sdp(&info, |kind| control_url(&base, kind));
                respond(Some(request), StatusCode::Ok)
                    .header(headers::CONTENT_TYPE, "application/sdp")
                    .header(headers::CONTENT_BASE, base.as_str())
                    .build(body.into_bytes())
            }
        }
    }

    async fn setup(&mut self, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        match self.try_setup(request).await {
            Ok(response) => response,
            Err(status) => respond(Some(request), status).build(Vec::new()),
        }
    }

    async fn try_setup(
        &mut self,
        request: &Request<Vec<u8>>,
    ) -> Result<Response<Vec<u8>>, StatusCode> {
        let url = request.request_uri().ok_or(StatusCode::BadRequest)?;
        let (path, kind) = split_control(url.path());
        if self.session.is_none() {
            let track = self.track(path, url.query()).await?;
            self.session = Some(Session {
                id: format!("{:016x}", rand::random::<u64>()),
                path: path.to_owned(),
                track,
                video: None,
                audio: None,
                cursor: None,
            });
        }
        let transports: Transports = request
            .typed_header()
            .ok()
            .flatten()
            .ok_or(StatusCode::BadRequest)?;
        let (peer, local) = (self.peer.ip(), self.stream.local_addr());
        let local = local.map_err(|_io| StatusCode::InternalServerError)?.ip();
        let session = self
            .session
            .as_mut()
            .ok_or(StatusCode::InternalServerError)?;
        if session.path != path {
            return Err(StatusCode::AggregateOperationNotAllowed);
        }
        if session.cursor.is_some() {
            return Err(StatusCode::MethodNotValidInThisState);
        }
        let info = Arc::clone(session.track.info());
        let known = match kind {
            TrackKind::Video => info.video.is_some(),
            TrackKind::Audio => info.audio.is_some(),
        };
        if !known {
            return Err(StatusCode::NotFound);
        }
        let (transport, described) = choose(&transports, kind, peer, local)
            .await
            .ok_or(StatusCode::UnsupportedTransport)?;
        let leg = Leg::new(transport, payload_type(kind, &info));
        let described = format!("{described};ssrc={:08X}", leg.ssrc);
        match kind {
            TrackKind::Video => session.video = Some(leg),
            TrackKind::Audio => session.audio = Some(leg),
        }
        let id = format!("{};timeout={SESSION_TIMEOUT}", session.id);
        Ok(respond(Some(request), StatusCode::Ok)
            .header(SESSION, id)
            .header(TRANSPORT, described)
            .build(Vec::new()))
    }

    fn play(&mut self, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        let Some(session) = &self.session else {
            return respond(Some(request), StatusCode::MethodNotValidInThisState).build(Vec::new());
        };
        if session_id(request).is_some_and(|id| id != session.id) {
            return respond(Some(request), StatusCode::SessionNotFound).build(Vec::new());
        }
        let mut infos = Vec::new();
        let (since_start, _) = session.track.ring().since_start();
        for (kind, leg) in [
            (TrackKind::Video, &session.video),
            (TrackKind::Audio, &session.audio),
        ] {
            let (Some(leg), Some(url)) = (leg, request.request_uri()) else {
                continue;
            };
            let mut base = url.clone();
            base.set_path(split_control(url.path()).0);
            let mut info = format!(
                "url={};seq={}",
                control_url(&base, kind),
                leg.next_sequence()
            );
            if let Some((_, first)) = since_start.iter().find(|(_, b)| b.track == kind) {
                info.push_str(&format!(";rtptime={}", first.media_time.rtp()));
            }
            infos.push(info);
        }
        let response = respond(Some(request), StatusCode::Ok)
            .header(SESSION, session.id.as_str())
            .header(headers::RANGE, "npt=now-")
            .header(RTP_INFO, infos.join(","))
            .build(Vec::new());
        let cursor = session.track.ring().from_start();
        self.set_playing(Some(cursor));
        response
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

    /// Sends what came. False if nothing more will come.
    async fn media(&mut self, read: Read<PacketBatch>) -> io::Result<bool> {
        let Some(session) = &mut self.session else {
            return Ok(true);
        };
        let batch = match read {
            Read::Item(_, batch) => batch,
            Read::Lost(units) => {
                tracing::debug!(units, "client is slow; goes on at the next key frame");
                return Ok(true);
            }
            Read::Closed => return Ok(false),
        };
        let leg = match batch.track {
            TrackKind::Video => &mut session.video,
            TrackKind::Audio => &mut session.audio,
        };
        let mut tcp = Vec::with_capacity(batch.payloads.bytes() + batch.payloads.len() * 16 + 64);
        if let Some(leg) = leg {
            let count = leg.send(&batch, &mut tcp);
            self.shared.metrics.rtsp_packets.inc_by(count);
        }
        let now = clock::now();
        if now.saturating_duration_since(self.reported) >= REPORT_INTERVAL {
            self.reported = now;
            for leg in [&session.video, &session.audio].into_iter().flatten() {
                leg.report(&mut tcp);
            }
        }
        if !tcp.is_empty() {
            self.write_bytes(&tcp).await?;
        }
        Ok(true)
    }

    fn tick(&mut self) -> io::Result<()> {
        if let Some(session) = &self.session {
            let legs = [&session.video, &session.audio].into_iter().flatten();
            let mut heard = false;
            let mut interleaved = false;
            for leg in legs {
                heard |= leg.drain();
                interleaved |= matches!(leg.transport, Transport::Interleaved(..));
            }
            // While bytes can be written, a client in the same connection is there.
            if heard || (interleaved && session.cursor.is_some()) {
                self.heard = clock::now();
            }
        }
        if clock::now().saturating_duration_since(self.heard) > IDLE {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the client says nothing",
            ));
        }
        Ok(())
    }

    async fn write(&mut self, response: &Response<Vec<u8>>) -> io::Result<()> {
        let mut bytes = Vec::new();
        response.write(&mut bytes).map_err(io::Error::other)?;
        self.write_bytes(&bytes).await
    }

    async fn write_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        match timeout(WRITE_DEADLINE, self.stream.write_all(bytes)).await {
            Ok(written) => written,
            Err(_elapsed) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

fn respond(request: Option<&Request<Vec<u8>>>, status: StatusCode) -> rtsp_types::ResponseBuilder {
    let response = Response::builder(Version::V1_0, status).header(headers::SERVER, "Taimat");
    match request.and_then(|r| r.header(&CSEQ)) {
        Some(cseq) => response.header(CSEQ, cseq.clone()),
        None => response,
    }
}

fn session_id(request: &Request<Vec<u8>>) -> Option<&str> {
    request
        .header(&SESSION)
        .and_then(|v| v.as_str().split(';').next())
        .map(str::trim)
}

/// A track's URL: the path's last part names it, a query stays behind.
fn control_url(base: &url::Url, kind: TrackKind) -> String {
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

/// The first of the client's transports that we can serve, and how to answer it.
async fn choose(
    offered: &Transports,
    kind: TrackKind,
    client: std::net::IpAddr,
    local: std::net::IpAddr,
) -> Option<(Transport, String)> {
    for transport in offered.iter() {
        let headers::Transport::Rtp(RtpTransport {
            lower_transport,
            params,
            ..
        }) = transport
        else {
            continue;
        };
        if params.multicast {
            continue;
        }
        if *lower_transport == Some(RtpLowerTransport::Tcp) {
            return Some(interleaved(params, kind));
        }
        if let Some((rtp, rtcp)) = params.client_port {
            let ports = (rtp, rtcp.unwrap_or(rtp.saturating_add(1)));
            let transport = Leg::udp(client, ports, local).await.ok()?;
            let server = match &transport {
                Transport::Udp { rtp, .. } => rtp.local_addr().ok()?.port(),
                Transport::Interleaved(..) => return None,
            };
            let text = format!(
                "RTP/AVP;unicast;client_port={}-{};server_port={server}-{}",
                ports.0,
                ports.1,
                server + 1
            );
            return Some((transport, text));
        }
    }
    None
}

fn interleaved(params: &RtpTransportParameters, kind: TrackKind) -> (Transport, String) {
    let default = match kind {
        TrackKind::Video => 0,
        TrackKind::Audio => 2,
    };
    let (rtp, rtcp) = params.interleaved.unwrap_or((default, Some(default + 1)));
    let rtcp = rtcp.unwrap_or(rtp.saturating_add(1));
    let text = format!("RTP/AVP/TCP;unicast;interleaved={rtp}-{rtcp}");
    (Transport::Interleaved(rtp, rtcp), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn track_urls_go_both_ways() {
        let base: url::Url = "rtsp://h:8554/hoa-lac/cho?profile=sub".parse().unwrap();
        let audio = control_url(&base, TrackKind::Audio);
        assert_eq!(audio, "rtsp://h:8554/hoa-lac/cho/trackID=1?profile=sub");
        let url: url::Url = audio.parse().unwrap();
        assert_eq!(
            split_control(url.path()),
            ("/hoa-lac/cho", TrackKind::Audio)
        );
        assert_eq!(
            split_control("/hoa-lac/cho/"),
            ("/hoa-lac/cho", TrackKind::Video)
        );
    }
}
