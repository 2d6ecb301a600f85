//! RTSP servers that others wrote, as cameras of one router: what comes out of it, by a decoder that others
//! wrote too, is what went in, to the last bit. Prints a table; see it with `--nocapture`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a set-up that fails fails its test, and the table is part of what it is run for"
)]

mod common;

use std::path::Path;

use common::{Bench, LIMIT, main_only};
use futures::future::join_all;
use taimat_testkit::clip::{Compared, SIZE, compare, play};
use taimat_testkit::{AtTheEnd, Clip, ClipOptions, Publisher, Relay, VlcCamera, eventually};

/// What a camera plays, and by whose server.
struct Kind {
    name: &'static str,
    server: Server,
    video: &'static str,
    b_frames: bool,
    sound: &'static str,
    /// What the router calls that sound, none where it carries the pictures without it.
    heard: Option<&'static str>,
}

#[derive(Clone, Copy, PartialEq)]
enum Server {
    Vlc,
    /// Published by ffmpeg to a relay.
    Relay,
    /// The same, one NAL unit a packet and many slices a picture.
    RelaySingle,
}

const fn kind(
    name: &'static str,
    server: Server,
    (video, b_frames): (&'static str, bool),
    sound: &'static str,
    heard: Option<&'static str>,
) -> Kind {
    Kind {
        name,
        server,
        video,
        b_frames,
        sound,
        heard,
    }
}

const H264: (&str, bool) = ("h264", false);
const H264_B: (&str, bool) = ("h264", true);
const H265: (&str, bool) = ("h265", false);
const H265_B: (&str, bool) = ("h265", true);

const KINDS: [Kind; 12] = [
    kind("vlc-pcmu", Server::Vlc, H264, "pcmu", Some("PCMU")),
    kind("vlc-pcma", Server::Vlc, H265_B, "pcma", Some("PCMA")),
    kind("vlc-aac", Server::Vlc, H264_B, "aac", Some("AAC")),
    kind("vlc-opus", Server::Vlc, H265, "opus", Some("Opus")),
    kind("vlc-mp3", Server::Vlc, H264, "mp3", None),
    kind("vlc-l16", Server::Vlc, H264, "l16", None),
    kind("relay-pcma", Server::Relay, H264_B, "pcma", Some("PCMA")),
    kind("relay-aac", Server::Relay, H265_B, "aac", Some("AAC")),
    kind("relay-opus", Server::Relay, H264, "opus", Some("Opus")),
    kind("relay-g722", Server::Relay, H265, "g722", None),
    kind("relay-vorbis", Server::Relay, H264, "vorbis", None),
    kind(
        "relay-single",
        Server::RelaySingle,
        H264,
        "pcmu",
        Some("PCMU"),
    ),
];

/// How a camera is taken in and played. None of these servers sends by TCP: asked for it, they refuse in
/// words of their own, and UDP is what the router comes to.
const TRANSPORTS: [&str; 2] = ["tcp", "udp"];

/// How many pictures are compared: more than a round of the clip.
const PICTURES: usize = 50;

/// How many cameras are played at once, each by both transports.
const AT_ONCE: usize = 4;

impl Kind {
    async fn clip(&self, folder: &Path) -> Clip {
        let options = ClipOptions {
            video: self.video,
            b_frames: self.b_frames,
            small_slices: self.server == Server::RelaySingle,
            sound: Some(self.sound),
            ..ClipOptions::default()
        };
        Clip::make(folder, self.name, &options).await.unwrap()
    }

    fn codec(&self) -> &'static str {
        if self.video == "h264" {
            "H.264"
        } else {
            "H.265"
        }
    }

    /// The camera's name in the commune, taken in by a transport.
    fn camera(&self, transport: &str) -> String {
        format!("{}-{transport}", self.name)
    }
}

/// A camera that plays; it ends when this is dropped.
enum Camera {
    Vlc(VlcCamera),
    Published(Publisher),
}

impl Camera {
    async fn start(kind: &Kind, clip: &Clip, relay: &Relay) -> Self {
        let options: &[&str] = match kind.server {
            Server::Vlc => {
                let camera = VlcCamera::start(clip, AtTheEnd::GoesOn, 0).await;
                return Self::Vlc(camera.unwrap());
            }
            Server::Relay => &[],
            Server::RelaySingle => &["-rtpflags", "h264_mode0"],
        };
        Self::Published(relay.publish(kind.name, clip, options).await.unwrap())
    }

    fn url(&self) -> String {
        match self {
            Self::Vlc(camera) => camera.url(),
            Self::Published(publisher) => publisher.url(),
        }
    }
}

/// Waits until a camera is live with what it should have, then plays it from the router.
async fn played(bench: &Bench, kind: &Kind, transport: &str, clip: &Clip) -> Compared {
    let camera = kind.camera(transport);
    let profile = bench.until(&camera, "live", None).await;
    assert_eq!(profile["codec"], kind.codec(), "{camera}");
    assert_eq!(profile["audio"].as_str(), kind.heard, "{camera}");
    let size = (&profile["width"], &profile["height"]);
    assert_eq!(size, (&SIZE.0.into(), &SIZE.1.into()), "{camera}");
    let url = format!("rtsp://{}/thu/{camera}", bench.router.rtsp_addr());
    let came = play(&url, transport, PICTURES, LIMIT).await;
    compare(clip.pictures(), &came.expect(&camera))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_picture_of_servers_that_others_wrote_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Relay::start().await.unwrap();
    let clips = join_all(KINDS.iter().map(|kind| kind.clip(folder.path()))).await;
    let all: Vec<(&Kind, &Clip)> = KINDS.iter().zip(&clips).collect();
    let cameras = join_all(
        all.iter()
            .map(|(kind, clip)| Camera::start(kind, clip, &relay)),
    )
    .await;
    let mut sections = Vec::new();
    for (kind, camera) in KINDS.iter().zip(&cameras) {
        for transport in TRANSPORTS {
            let lines = main_only(&camera.url());
            let lines = format!("{lines}\naudio = true\ntransport = \"{transport}\"");
            sections.push((kind.camera(transport), lines));
        }
    }
    let named: Vec<(&str, String)> = sections
        .iter()
        .map(|(name, lines)| (name.as_str(), lines.clone()))
        .collect();
    let bench = Bench::start(&named).await;

    println!("camera            video   sound          right wrong jumps");
    let mut compared = Vec::new();
    for some in all.chunks(AT_ONCE) {
        let playing = some.iter().flat_map(|(kind, clip)| {
            let bench = &bench;
            TRANSPORTS.map(|t| async move { (*kind, t, played(bench, kind, t, clip).await) })
        });
        compared.extend(join_all(playing).await);
    }
    for (kind, transport, seen) in &compared {
        let b_frames = if kind.b_frames { "B" } else { "" };
        println!(
            "{:<17} {} {b_frames:<1} {:<6} {:<7} {:>5} {:>5} {:>5}",
            kind.camera(transport),
            kind.codec(),
            kind.sound,
            kind.heard.unwrap_or("left"),
            seen.right,
            seen.wrong,
            seen.jumps
        );
    }
    let perfect = Compared {
        right: PICTURES,
        wrong: 0,
        jumps: 0,
    };
    for (kind, transport, seen) in &compared {
        assert_eq!(*seen, perfect, "{}", kind.camera(transport));
    }
}

/// Waits until a camera was lost as often as this, is live again, and shows what it should.
async fn came_back(bench: &Bench, camera: &str, losses: f64, clip: &Clip) {
    let label = format!("camera=\"{camera}\"");
    eventually(&format!("{camera} was lost"), LIMIT, async || {
        let count = bench.metric("taimat_camera_reconnects_total", &label).await;
        (count >= losses).then_some(())
    })
    .await;
    bench.until(camera, "live", None).await;
    let url = format!("rtsp://{}/thu/{camera}", bench.router.rtsp_addr());
    let came = play(&url, "tcp", 20, LIMIT).await.unwrap();
    let compared = compare(clip.pictures(), &came);
    assert_eq!((compared.right, compared.wrong), (20, 0), "{camera}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_and_begins_anew_is_a_camera_that_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let options = ClipOptions {
        seconds: 6,
        ..ClipOptions::default()
    };
    let clip = Clip::make(folder.path(), "clip", &options).await.unwrap();
    let relay = Relay::start().await.unwrap();
    let looping = VlcCamera::start(&clip, AtTheEnd::BeginsAnew, 0)
        .await
        .unwrap();
    let mut killed = VlcCamera::start(&clip, AtTheEnd::GoesOn, 0).await.unwrap();
    let publisher = relay.publish("cam", &clip, &[]).await.unwrap();
    let sections = [
        ("looping", main_only(&looping.url())),
        ("killed", main_only(&killed.url())),
        (
            "published",
            format!("{}\ntransport = \"udp\"", main_only(&publisher.url())),
        ),
    ];
    let bench = Bench::start(&sections).await;
    for (camera, _) in &sections {
        bench.until(camera, "live", None).await;
    }
    let port = killed.port();
    killed.kill().await.unwrap();
    publisher.leave().await.unwrap();
    bench.until("killed", "offline", Some("refused")).await;
    bench.until("published", "offline", Some("not_found")).await;
    let _killed = VlcCamera::start(&clip, AtTheEnd::GoesOn, port)
        .await
        .unwrap();
    let _publisher = relay.publish("cam", &clip, &[]).await.unwrap();
    came_back(&bench, "killed", 1.0, &clip).await;
    came_back(&bench, "published", 1.0, &clip).await;
    came_back(&bench, "looping", 2.0, &clip).await;
}
