//! A headless WHEP client on the `webrtc` crate: an implementation of ICE, DTLS and SRTP beside the
//! browser's.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use reqwest::StatusCode;
use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_H264, MIME_TYPE_HEVC};
use rtc::rtcp::Packet as RtcpPacket;
use rtc::rtp::Packet;
use rtc::rtp_transceiver::rtp_sender::{RTCRtpCodec, RTCRtpCodecParameters, RtpCodecKind};
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use tokio::sync::{mpsc, watch};
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler,
    RTCConfigurationBuilder, RTCPeerConnectionState, RTCSessionDescription, Registry,
    SettingEngineBuilder, SrtpProtectionProfile, register_default_interceptors,
};

/// Packets that wait for the test at most; what does not fit is dropped, as a player would.
const QUEUE: usize = 20_000;

/// How the client is set up.
#[derive(Debug, Clone, Default)]
pub struct ClientOptions {
    /// Offer only AES128_CM_HMAC_SHA1_80.
    pub old_srtp: bool,
    /// Send to this address instead of the answer's (a relay in front of the router).
    pub via: Option<SocketAddr>,
    /// Connect over IPv6.
    pub v6: bool,
    /// Play H.265 and nothing else.
    pub h265: bool,
    /// Leave candidates out of the offer and send them by PATCH.
    pub trickle: bool,
}

struct Handler {
    packets: mpsc::Sender<Packet>,
    track: watch::Sender<Option<Arc<dyn TrackRemote>>>,
    state: watch::Sender<RTCPeerConnectionState>,
    candidates: mpsc::Sender<String>,
    gathered: watch::Sender<bool>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.state.send_replace(state);
    }

    async fn on_ice_candidate(&self, event: webrtc::peer_connection::RTCPeerConnectionIceEvent) {
        if let Ok(init) = event.candidate.to_json() {
            drop(self.candidates.try_send(init.candidate));
        }
    }

    async fn on_ice_gathering_state_change(
        &self,
        state: webrtc::peer_connection::RTCIceGatheringState,
    ) {
        let complete = webrtc::peer_connection::RTCIceGatheringState::Complete;
        self.gathered.send_replace(state == complete);
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        self.track.send_replace(Some(Arc::clone(&track)));
        let packets = self.packets.clone();
        #[expect(clippy::disallowed_methods, reason = "ends with its track")]
        tokio::spawn(async move {
            while let Some(event) = track.poll().await {
                if let TrackRemoteEvent::OnRtpPacket(packet) = event {
                    drop(packets.try_send(packet));
                }
            }
        });
    }
}

/// A viewer.
pub struct WhepClient {
    connection: Box<dyn PeerConnection>,
    http: reqwest::Client,
    /// The session's URL.
    pub session: String,
    /// The ICE session's ETag.
    pub etag: String,
    packets: mpsc::Receiver<Packet>,
    track: watch::Receiver<Option<Arc<dyn TrackRemote>>>,
    state: watch::Receiver<RTCPeerConnectionState>,
}

impl std::fmt::Debug for WhepClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WhepClient")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

/// A peer connection of this process, which has asked for nothing yet.
async fn peer(
    options: &ClientOptions,
    handler: Handler,
) -> anyhow::Result<Box<dyn PeerConnection>> {
    let mut media = MediaEngine::default();
    let codec = if options.h265 { h265() } else { h264() };
    media.register_codec(codec, RtpCodecKind::Video)?;
    let registry = register_default_interceptors(Registry::new(), &mut media)?;
    let mut settings = SettingEngineBuilder::new();
    if options.old_srtp {
        settings = settings.with_srtp_protection_profiles(vec![
            SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
        ]);
    }
    let connection = PeerConnectionBuilder::new()
        .with_configuration(RTCConfigurationBuilder::new().build())
        .with_media_engine(media)
        .with_interceptor_registry(registry)
        .with_setting_engine(settings.build())
        .with_handler(Arc::new(handler))
        .with_udp_addrs(vec![if options.v6 { "[::1]:0" } else { "127.0.0.1:0" }])
        .build();
    Ok(Box::new(Box::pin(connection).await?))
}

fn h264() -> RTCRtpCodecParameters {
    RTCRtpCodecParameters {
        rtp_codec: RTCRtpCodec {
            mime_type: MIME_TYPE_H264.to_owned(),
            clock_rate: 90_000,
            sdp_fmtp_line: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
                .to_owned(),
            ..RTCRtpCodec::default()
        },
        payload_type: 102,
    }
}

fn h265() -> RTCRtpCodecParameters {
    RTCRtpCodecParameters {
        rtp_codec: RTCRtpCodec {
            mime_type: MIME_TYPE_HEVC.to_owned(),
            clock_rate: 90_000,
            ..RTCRtpCodec::default()
        },
        payload_type: 98,
    }
}

impl WhepClient {
    /// Connects to `endpoint` of the router at `http` and waits for the connection.
    pub async fn connect(
        http: SocketAddr,
        endpoint: &str,
        options: &ClientOptions,
    ) -> anyhow::Result<Self> {
        let (packets_tx, packets) = mpsc::channel(QUEUE);
        let (track_tx, track) = watch::channel(None);
        let (state_tx, state) = watch::channel(RTCPeerConnectionState::New);
        let (candidates_tx, mut candidates) = mpsc::channel(64);
        let (gathered_tx, mut gathered) = watch::channel(false);
        let handler = Handler {
            packets: packets_tx,
            track: track_tx,
            state: state_tx,
            candidates: candidates_tx,
            gathered: gathered_tx,
        };
        let connection = peer(options, handler).await?;
        let receive = RTCRtpTransceiverInit {
            direction: RTCRtpTransceiverDirection::Recvonly,
            ..RTCRtpTransceiverInit::default()
        };
        connection
            .add_transceiver_from_kind(RtpCodecKind::Video, Some(receive))
            .await?;
        let offer = connection.create_offer(None).await?;
        connection.set_local_description(offer).await?;
        drop(tokio::time::timeout(Duration::from_secs(5), gathered.wait_for(|g| *g)).await);
        let local = connection.local_description().await.context("no offer")?;
        let sdp = if options.trickle {
            let kept = local.sdp.lines().filter(|l| !l.contains("candidate"));
            kept.map(|l| format!("{l}\r\n")).collect()
        } else {
            local.sdp
        };

        let client = reqwest::Client::new();
        let url = format!("http://{http}{endpoint}");
        let response = post(&client, &url, sdp).await?;
        let status = response.status();
        let header = |name: &str| {
            let value = response.headers().get(name).and_then(|v| v.to_str().ok());
            value.map(str::to_owned)
        };
        let (location, etag) = (header("location"), header("etag"));
        let mut answer = response.text().await?;
        anyhow::ensure!(status == StatusCode::CREATED, "{status}: {answer}");
        if let Some(via) = options.via {
            answer = redirect(&answer, via);
        }
        connection
            .set_remote_description(RTCSessionDescription::answer(answer)?)
            .await?;
        let session = format!("http://{http}{}", location.context("no Location")?);
        let client = Self {
            connection,
            http: client,
            session,
            etag: etag.context("no ETag")?,
            packets,
            track,
            state,
        };
        if options.trickle {
            let mut lines = String::new();
            while let Ok(candidate) = candidates.try_recv() {
                lines.push_str(&format!("a={candidate}\r\n"));
            }
            let status = client.patch(&client.etag.clone(), lines).await?.0;
            anyhow::ensure!(status == StatusCode::NO_CONTENT, "trickle: {status}");
        }
        client.wait_for(RTCPeerConnectionState::Connected).await?;
        Ok(client)
    }

    /// Waits until the connection is in that state.
    pub async fn wait_for(&self, wanted: RTCPeerConnectionState) -> anyhow::Result<()> {
        let mut state = self.state.clone();
        let waited =
            tokio::time::timeout(Duration::from_secs(10), state.wait_for(|s| *s == wanted));
        waited.await.with_context(|| format!("never {wanted}"))??;
        Ok(())
    }

    /// The next packet; `None` if none comes for a while.
    pub async fn packet(&mut self) -> Option<Packet> {
        tokio::time::timeout(Duration::from_secs(20), self.packets.recv())
            .await
            .ok()
            .flatten()
    }

    /// Throws away what has come and was not taken.
    pub fn drain(&mut self) -> usize {
        std::iter::from_fn(|| self.packets.try_recv().ok()).count()
    }

    /// Sends RTCP feedback about the video track.
    pub async fn feedback(
        &self,
        make: impl FnOnce(u32) -> Box<dyn RtcpPacket>,
    ) -> anyhow::Result<()> {
        let mut track = self.track.clone();
        let track = track
            .wait_for(Option::is_some)
            .await?
            .clone()
            .context("no track")?;
        let ssrc = *track.ssrcs().await.first().context("no SSRC")?;
        track.write_rtcp(vec![make(ssrc)]).await?;
        Ok(())
    }

    /// Sends a fragment.
    pub async fn patch(
        &self,
        if_match: &str,
        body: String,
    ) -> anyhow::Result<(StatusCode, Option<String>, String)> {
        let response = self
            .http
            .patch(&self.session)
            .header("content-type", "application/trickle-ice-sdpfrag")
            .header("if-match", if_match)
            .body(body)
            .send()
            .await?;
        let etag = response
            .headers()
            .get("etag")
            .and_then(|v| v.to_str().ok())
            .map(str::to_owned);
        Ok((response.status(), etag, response.text().await?))
    }

    /// Restarts ICE: new credentials on both sides, the old answer's tracks.
    pub async fn restart_ice(&mut self) -> anyhow::Result<()> {
        self.connection.restart_ice().await?;
        let offer = self.connection.create_offer(None).await?;
        let before = self
            .connection
            .remote_description()
            .await
            .context("no answer")?;
        self.connection.set_local_description(offer).await?;
        let local = self
            .connection
            .local_description()
            .await
            .context("no offer")?
            .sdp;
        let value = |sdp: &str, key: &str| {
            let found = sdp
                .lines()
                .find_map(|l| l.strip_prefix(key).map(str::to_owned));
            found.with_context(|| format!("no {key}"))
        };
        let (ufrag, pwd) = (value(&local, "a=ice-ufrag:")?, value(&local, "a=ice-pwd:")?);
        let fragment = format!("a=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\n");
        let (status, etag, body) = self.patch("*", fragment).await?;
        anyhow::ensure!(status == StatusCode::OK, "ICE restart: {status} {body}");
        self.etag = etag.context("no ETag")?;
        let (ufrag, pwd) = (value(&body, "a=ice-ufrag:")?, value(&body, "a=ice-pwd:")?);
        let answer: String = before
            .sdp
            .lines()
            .map(|line| match line {
                l if l.starts_with("a=ice-ufrag:") => format!("a=ice-ufrag:{ufrag}\r\n"),
                l if l.starts_with("a=ice-pwd:") => format!("a=ice-pwd:{pwd}\r\n"),
                l => format!("{l}\r\n"),
            })
            .collect();
        self.connection
            .set_remote_description(RTCSessionDescription::answer(answer)?)
            .await?;
        Ok(())
    }

    /// Ends the session at the router.
    pub async fn delete(&self) -> anyhow::Result<StatusCode> {
        Ok(self.http.delete(&self.session).send().await?.status())
    }

    /// Closes the connection (DTLS close_notify).
    pub async fn close(&self) -> anyhow::Result<()> {
        self.connection.close().await?;
        Ok(())
    }
}

/// Posts an offer.
pub async fn post(
    client: &reqwest::Client,
    url: &str,
    sdp: impl Into<reqwest::Body>,
) -> anyhow::Result<reqwest::Response> {
    let request = client
        .post(url)
        .header("content-type", "application/sdp")
        .body(sdp);
    request.send().await.with_context(|| format!("POST {url}"))
}

/// Replaces the answer's candidates by one.
fn redirect(answer: &str, to: SocketAddr) -> String {
    let mut done = false;
    let mut text = String::new();
    for line in answer.lines() {
        if line.starts_with("a=candidate:") {
            if !std::mem::replace(&mut done, true) {
                let (ip, port) = (to.ip(), to.port());
                text.push_str(&format!(
                    "a=candidate:1 1 udp 2130706431 {ip} {port} typ host\r\n"
                ));
            }
        } else {
            text.push_str(line);
            text.push_str("\r\n");
        }
    }
    text
}
