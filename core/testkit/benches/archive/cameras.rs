//! Children of the bench: cameras, and the least that recording them can cost.

use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use taimat_simulate::{CameraSpec, Encoding, Fault, Fleet, FleetConfig, SceneKind};
use taimat_testkit::measured::until_killed;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What one camera is asked for.
pub(crate) fn url(address: &str, camera: usize) -> String {
    format!("rtsp://{address}/c{camera}/main")
}

/// 1280×720, 2 Mbit/s, a key frame every two seconds.
pub(crate) async fn serve(count: usize, rate: u32) {
    let id = |i: usize| format!("c{i}").parse().unwrap();
    let fleet = Fleet::start(FleetConfig {
        bind: "127.0.0.1:0".parse().unwrap(),
        cameras: (0..count)
            .map(|i| CameraSpec {
                id: id(i),
                scene: SceneKind::Street,
                fault: Fault::None,
            })
            .collect(),
        seed: 1,
        rate,
        length: Duration::from_secs(4),
        main: Encoding {
            width: 1280,
            height: 720,
            keyframe_interval: rate * 2,
            bitrate: 80_000 * rate,
        },
        sub: None,
        audio: false,
    })
    .await
    .unwrap();
    until_killed(&fleet.local_addr().to_string()).await.unwrap();
}

/// Asks for each camera's stream in the plainest way; appends what came to a file each, once a second, and
/// syncs the file system after that. With `-` as folder it only reads.
pub(crate) async fn floor(address: SocketAddr, count: usize, folder: &str) {
    let folder = (folder != "-").then(|| Path::new(folder).to_owned());
    let mut streams = Vec::new();
    for i in 0..count {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let url = url(&address.to_string(), i);
        let mut buffer = vec![0; 64 << 10];
        for request in [
            format!("DESCRIBE {url} RTSP/1.0\r\nCSeq: 1\r\n\r\n"),
            format!(
                "SETUP {url}/trackID=0 RTSP/1.0\r\nCSeq: 2\r\n\
                 Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n"
            ),
            format!("PLAY {url} RTSP/1.0\r\nCSeq: 3\r\n\r\n"),
        ] {
            stream.write_all(request.as_bytes()).await.unwrap();
            assert!(stream.read(&mut buffer).await.unwrap() > 0);
        }
        streams.push(stream);
    }
    let (full, filled) = std::sync::mpsc::sync_channel::<Vec<(usize, Vec<u8>)>>(4);
    let writer = folder.map(|folder| std::thread::spawn(move || write(&folder, count, &filled)));
    let reading = tokio::spawn(async move {
        let (sender, mut received) = tokio::sync::mpsc::channel::<(usize, Vec<u8>)>(64);
        for (i, mut stream) in streams.into_iter().enumerate() {
            let sender = sender.clone();
            tokio::spawn(async move {
                let mut second = Vec::with_capacity(512 << 10);
                let mut due = tokio::time::Instant::now() + Duration::from_secs(1);
                while stream.read_buf(&mut second).await.unwrap_or(0) > 0 {
                    if tokio::time::Instant::now() >= due {
                        due += Duration::from_secs(1);
                        let whole = std::mem::replace(&mut second, Vec::with_capacity(512 << 10));
                        if sender.send((i, whole)).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        loop {
            tick.tick().await;
            let mut all = Vec::new();
            while let Ok(one) = received.try_recv() {
                all.push(one);
            }
            // Without a folder nobody takes them.
            let _unwritten = full.try_send(all);
        }
    });
    until_killed("").await.unwrap();
    reading.abort();
    drop(writer);
}

fn write(folder: &Path, count: usize, filled: &std::sync::mpsc::Receiver<Vec<(usize, Vec<u8>)>>) {
    let open = |i: usize| File::create(folder.join(format!("floor-{i}"))).unwrap();
    let mut files: Vec<File> = (0..count).map(open).collect();
    let volume = File::open(folder).unwrap();
    while let Ok(all) = filled.recv() {
        for (i, bytes) in all {
            files[i].write_all(&bytes).unwrap();
        }
        nix::unistd::syncfs(volume.as_fd()).unwrap();
    }
}
