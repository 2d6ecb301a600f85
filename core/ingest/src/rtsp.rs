//! One attempt to receive from an RTSP camera, from DESCRIBE to the end of the stream.
//!
//! retina speaks RTSP; what it does not do is done here: a time limit for every step, a stall
//! watch, the end of the stream as a fault, and our own depacketizers, which survive a bad packet
//! and carry Opus.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures::StreamExt;
use retina::client::{
    InitialSequenceNumberPolicy, InitialTimestampPolicy, PacketItem, PlayOptions, Session,
    SessionGroup, SessionOptions, SetupOptions, Stream, TcpTransportOptions, UdpTransportOptions,
};
use retina::codec::{ParametersRef, VideoParametersCodec};
use taimat_base::clock;
use taimat_hub::FaultCause;
use taimat_media::rtp::Packet;
use taimat_media::{AudioCodec, AudioTrack, TrackKind, VideoCodec};
use tokio::time::timeout;

use crate::fault::Fault;
use crate::pipeline::{Event, Pipeline, Timelines};
use crate::source::{Credentials, SourceSpec, Transport};

/// How long a camera gets to acknowledge TEARDOWN: some free their slot only then.
const TEARDOWN_DEADLINE: Duration = Duration::from_secs(1);

/// What the supervisor does with what arrives.
pub(crate) trait Sink {
    /// Something arrived.
    fn event(&mut self, event: Event);
}

/// Receives until the stream ends, fails or stalls, or until `until` is done (`Ok`).
pub(crate) async fn receive(
    spec: &SourceSpec,
    transport: Transport,
    timelines: &mut Timelines,
    sink: &mut (impl Sink + Send),
    until: impl Future<Output = ()>,
) -> Result<(), Fault> {
    let group = Arc::new(SessionGroup::default());
    let result = tokio::select! {
        result = attempt(spec, transport, timelines, sink, Arc::clone(&group)) => result,
        () = until => Ok(()),
    };
    // The session was dropped above; retina tears it down in the background.
    drop(timeout(TEARDOWN_DEADLINE, group.await_teardown()).await);
    result
}

async fn attempt(
    spec: &SourceSpec,
    transport: Transport,
    timelines: &mut Timelines,
    sink: &mut (impl Sink + Send),
    group: Arc<SessionGroup>,
) -> Result<(), Fault> {
    let options = SessionOptions::default()
        .creds(credentials(spec)?)
        .user_agent(concat!("Taimat/", env!("CARGO_PKG_VERSION")).to_owned())
        .session_group(group);
    let url = spec.url.reveal().clone();
    let mut session = step(spec, "DESCRIBE", Session::describe(url, options)).await?;

    let tracks = choose(session.streams(), spec.audio)?;
    for index in tracks.indices() {
        let options = SetupOptions::default().transport(match transport {
            Transport::Tcp => retina::client::Transport::Tcp(TcpTransportOptions::default()),
            Transport::Udp => retina::client::Transport::Udp(UdpTransportOptions::default()),
        });
        step(spec, "SETUP", session.setup(index, options)).await?;
    }
    // Cameras announce numbers that they then do not begin with.
    let play = PlayOptions::default()
        .initial_seq(InitialSequenceNumberPolicy::Ignore)
        .initial_timestamp(InitialTimestampPolicy::Ignore);
    let playing = step(spec, "PLAY", session.play(play)).await?;
    let mut playing = pin!(playing);

    let audio = tracks.audio.as_ref().map(|(_, track)| track.clone());
    let mut pipeline = Pipeline::new(tracks.codec, &tracks.sets, audio, timelines, clock::now());
    let mut events = Vec::new();
    let mut last_media = clock::now();
    loop {
        let deadline = last_media + spec.stall_timeout;
        let item = match tokio::time::timeout_at(deadline.into(), playing.next()).await {
            Err(_elapsed) => return Err(stalled(spec, &pipeline)),
            Ok(None) => return Err(Fault::new(FaultCause::Ended, "the camera ended the stream")),
            Ok(Some(Err(error))) => return Err(Fault::from_rtsp(&error)),
            Ok(Some(Ok(item))) => item,
        };
        let (now, wall) = (clock::now(), clock::wall());
        match item {
            PacketItem::Rtp(rtp) => {
                let Some(kind) = tracks.kind(rtp.stream_id()) else {
                    continue;
                };
                if kind == TrackKind::Video {
                    last_media = now;
                }
                let packet = Packet {
                    timestamp: rtp.header().timestamp(),
                    marker: rtp.mark(),
                    lost: u32::from(rtp.loss()),
                    payload: rtp.payload(),
                };
                pipeline.push(kind, &packet, now, wall, &mut events)?;
                events.drain(..).for_each(|event| sink.event(event));
            }
            PacketItem::Rtcp(rtcp) => {
                let Some(kind) = tracks.kind(rtcp.stream_id()) else {
                    continue;
                };
                for report in rtcp
                    .pkts()
                    .filter_map(|p| p.as_sender_report().ok().flatten())
                {
                    if let Some(captured) = from_ntp(report.ntp_timestamp().0) {
                        pipeline.sender_report(kind, report.rtp_timestamp(), captured, wall);
                    }
                }
            }
            _ => {}
        }
    }
}

fn stalled(spec: &SourceSpec, pipeline: &Pipeline<'_>) -> Fault {
    let seconds = spec.stall_timeout.as_secs_f32();
    if pipeline.running() {
        Fault::new(FaultCause::Stalled, format!("no media for {seconds} s"))
    } else {
        // Typical of a firewall between: the way the media travels may be the cause.
        let detail = format!("connected, but no media came in {seconds} s");
        Fault {
            transport_refused: true,
            ..Fault::new(FaultCause::Stalled, detail)
        }
    }
}

/// One step of connecting, with its time limit.
async fn step<T>(
    spec: &SourceSpec,
    name: &'static str,
    future: impl Future<Output = Result<T, retina::Error>>,
) -> Result<T, Fault> {
    match timeout(spec.connect_timeout, future).await {
        Ok(result) => result.map_err(|error| Fault::from_rtsp(&error)),
        Err(_elapsed) => {
            let seconds = spec.connect_timeout.as_secs_f32();
            let detail = format!("no answer to {name} within {seconds} s");
            Err(Fault::new(FaultCause::Unreachable, detail))
        }
    }
}

fn credentials(spec: &SourceSpec) -> Result<Option<retina::client::Credentials>, Fault> {
    match &spec.credentials {
        Credentials::None => Ok(None),
        Credentials::Password { user, password } => Ok(Some(retina::client::Credentials {
            username: user.clone(),
            password: password.reveal().to_owned(),
        })),
        Credentials::Missing(what) => Err(Fault::new(FaultCause::MissingSecret, what.clone())),
    }
}

/// The tracks that are received.
#[derive(Debug)]
struct Tracks {
    video: usize,
    codec: VideoCodec,
    sets: Vec<Bytes>,
    audio: Option<(usize, AudioTrack)>,
}

impl Tracks {
    fn indices(&self) -> impl Iterator<Item = usize> + use<> {
        [Some(self.video), self.audio.as_ref().map(|a| a.0)]
            .into_iter()
            .flatten()
    }

    fn kind(&self, stream: usize) -> Option<TrackKind> {
        if stream == self.video {
            Some(TrackKind::Video)
        } else if self.audio.as_ref().is_some_and(|a| a.0 == stream) {
            Some(TrackKind::Audio)
        } else {
            None
        }
    }
}

/// The first video track that can be carried, JPEG only if there is no other, and the first audio
/// track if sound is wanted.
fn choose(streams: &[Stream], audio: bool) -> Result<Tracks, Fault> {
    let videos = streams.iter().enumerate().filter_map(|(i, s)| {
        let codec = match (s.media(), s.encoding_name()) {
            ("video", "h264") => VideoCodec::H264,
            ("video", "h265") => VideoCodec::H265,
            ("video", "jpeg") => VideoCodec::Jpeg,
            _ => return None,
        };
        Some((i, codec, described_sets(s)))
    });
    let video = videos.min_by_key(|(_, codec, _)| *codec == VideoCodec::Jpeg);
    let Some((video, codec, sets)) = video else {
        let offered: Vec<String> = streams
            .iter()
            .map(|s| format!("{}/{}", s.media(), s.encoding_name()))
            .collect();
        let detail = format!(
            "the camera offers {}; set its video encoding to H.264 or H.265",
            if offered.is_empty() {
                "no tracks".to_owned()
            } else {
                offered.join(", ")
            }
        );
        return Err(Fault::new(FaultCause::UnsupportedCodec, detail));
    };
    let audio = streams
        .iter()
        .enumerate()
        .filter(|_| audio)
        .find_map(|(i, s)| audio_track(s).map(|track| (i, track)));
    Ok(Tracks {
        video,
        codec,
        sets,
        audio,
    })
}

fn described_sets(stream: &Stream) -> Vec<Bytes> {
    let Some(ParametersRef::Video(params)) = stream.parameters() else {
        return Vec::new();
    };
    match params.codec_params() {
        VideoParametersCodec::H264 { sps, pps } => vec![sps.clone(), pps.clone()],
        VideoParametersCodec::H265 { vps, sps, pps } => {
            vec![vps.clone(), sps.clone(), pps.clone()]
        }
        _ => Vec::new(),
    }
}

fn audio_track(stream: &Stream) -> Option<AudioTrack> {
    let channels = stream.channels().map_or(1, std::num::NonZeroU16::get);
    let codec = match (stream.media(), stream.encoding_name()) {
        ("audio", "pcmu") => AudioCodec::Pcmu,
        ("audio", "pcma") => AudioCodec::Pcma,
        ("audio", "opus") => AudioCodec::Opus,
        ("audio", "mpeg4-generic") => match stream.parameters() {
            Some(ParametersRef::Audio(p)) => AudioCodec::Aac {
                config: Bytes::copy_from_slice(p.extra_data()),
            },
            _ => return None,
        },
        _ => return None,
    };
    Some(AudioTrack {
        codec,
        rate: stream.clock_rate_hz(),
        channels,
    })
}

/// A 64-bit NTP timestamp as wall-clock time.
fn from_ntp(ntp: u64) -> Option<SystemTime> {
    const NTP_TO_UNIX_SECONDS: u64 = 2_208_988_800;
    let seconds = (ntp >> 32).checked_sub(NTP_TO_UNIX_SECONDS)?;
    let nanos = ((ntp & 0xFFFF_FFFF) * 1_000_000_000) >> 32;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds) + Duration::from_nanos(nanos))
}

/// Used by the supervisor to say how long a stream had run.
pub(crate) fn ran_for(since: Option<Instant>, now: Instant) -> Duration {
    since.map_or(Duration::ZERO, |s| now.saturating_duration_since(s))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_clock_writes() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_800_000_000_250);
        let back = from_ntp(clock::ntp(at)).unwrap();
        let apart = back.duration_since(at).unwrap_or_else(|e| e.duration());
        assert!(apart < Duration::from_micros(1));
        assert_eq!(from_ntp(0), None);
    }
}
