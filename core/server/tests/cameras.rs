//! Cameras as they are: codecs, sign-in, transports, and everything that goes wrong with them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a set-up that fails fails its test"
)]

mod common;

use common::{Bench, LIMIT, main_only};
use taimat_base::{CameraKey, Profile};
use taimat_hub::ChannelKey;
use taimat_server::{Options, Router};
use taimat_testkit::gstreamer::{PASSWORD, write_commune};
use taimat_testkit::{ClientOptions, GstCamera, GstOptions, WhepClient, eventually};

/// The section of a camera whose password is in a file beside `commune.toml`.
fn signed_in(name: &str, url: &str) -> String {
    format!(
        "{}\nuser = \"router\"\npassword = {{ file = \"{name}.password\" }}",
        main_only(url)
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn codecs_are_recognised_and_carried() {
    let mut cameras = Vec::new();
    let mut sections = Vec::new();
    let kinds = [
        ("a", "h264", Some("pcmu"), "H.264", "PCMU"),
        ("b", "h265", Some("pcma"), "H.265", "PCMA"),
        ("c", "h264", Some("aac"), "H.264", "AAC"),
        ("d", "h264", Some("opus"), "H.264", "Opus"),
    ];
    for (name, video, audio, ..) in kinds {
        let options = GstOptions {
            video,
            audio,
            ..GstOptions::default()
        };
        let camera = GstCamera::start(&options).await.unwrap();
        sections.push((name, format!("{}\naudio = true", main_only(&camera.url()))));
        cameras.push(camera);
    }
    let bench = Bench::start(&sections).await;
    for (name, _, _, video, audio) in kinds {
        let profile = bench.until(name, "live", None).await;
        assert_eq!(
            (&profile["codec"], &profile["audio"]),
            (&video.into(), &audio.into())
        );
        assert_eq!(
            (&profile["width"], &profile["height"]),
            (&320.into(), &180.into())
        );
    }
    // A viewer that plays H.264 only is told which setting of the camera to change.
    let error = WhepClient::connect(
        bench.router.http_addr(),
        "/thu/b/whep",
        &ClientOptions::default(),
    )
    .await
    .unwrap_err()
    .to_string();
    assert!(
        error.contains("406") && error.contains("H.265") && error.contains("encoding to H.264"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_h264_sub_stream_stands_in_for_h265() {
    let main = GstCamera::start(&GstOptions {
        video: "h265",
        ..GstOptions::default()
    })
    .await
    .unwrap();
    let sub = GstCamera::start(&GstOptions::default()).await.unwrap();
    let section = format!("{}\nsub = \"{}\"", main_only(&main.url()), sub.url());
    let bench = Bench::start(&[("cho", section)]).await;
    bench.until("cho", "live", None).await;
    eventually("sub is live", LIMIT, async || {
        (bench.profile("cho", "sub").await["state"] == "live").then_some(())
    })
    .await;
    let _client = bench.watch("cho").await;
    let sessions = bench.get("/api/v1/sessions").await;
    assert_eq!(sessions[0]["profile"], "sub");
}

#[tokio::test(flavor = "multi_thread")]
async fn basic_and_digest_and_a_wrong_password() {
    let mut cameras = Vec::new();
    let mut sections = Vec::new();
    let passwords = [
        ("basic", "basic", PASSWORD),
        ("digest", "digest", PASSWORD),
        ("wrong", "digest", "no"),
    ];
    for (name, auth, _) in passwords {
        let options = GstOptions {
            auth: Some(auth),
            ..GstOptions::default()
        };
        let camera = GstCamera::start(&options).await.unwrap();
        sections.push((name, signed_in(name, &camera.url())));
        cameras.push(camera);
    }
    sections.push((
        "absent",
        format!(
            "{}\nuser = \"u\"\npassword = {{ env = \"TAIMAT_NO_SUCH\" }}",
            main_only(&cameras[0].url())
        ),
    ));
    let bench = Bench::start(&sections).await;
    // A secret that comes later is seen.
    bench
        .until("basic", "offline", Some("missing_secret"))
        .await;
    for (name, _, password) in passwords {
        let file = bench.folder.join(format!("{name}.password"));
        std::fs::write(file, format!("{password}\n")).unwrap();
    }
    bench.until("basic", "live", None).await;
    bench.until("digest", "live", None).await;
    bench.until("wrong", "offline", Some("unauthorized")).await;
    let absent = bench
        .until("absent", "offline", Some("missing_secret"))
        .await;
    assert!(
        absent["detail"]
            .as_str()
            .unwrap()
            .contains("TAIMAT_NO_SUCH")
    );
    let everything = bench.metrics().await + &bench.get("/api/v1/overview").await.to_string();
    assert!(!everything.contains(PASSWORD), "the password is shown");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_transport_and_the_way_from_one_to_the_other() {
    let mut cameras = Vec::new();
    let mut sections = Vec::new();
    for (name, offered, wanted) in [
        ("tt", "tcp", "tcp"),
        ("uu", "udp", "udp"),
        ("tu", "udp", "tcp"),
        ("ut", "tcp", "udp"),
    ] {
        let options = GstOptions {
            transport: offered,
            ..GstOptions::default()
        };
        let camera = GstCamera::start(&options).await.unwrap();
        let section = format!("{}\ntransport = \"{wanted}\"", main_only(&camera.url()));
        sections.push((name, section));
        cameras.push(camera);
    }
    let bench = Bench::start(&sections).await;
    for name in ["tt", "uu", "tu", "ut"] {
        bench.until(name, "live", None).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_dies_or_freezes_comes_back_and_others_never_notice() {
    let mut camera = GstCamera::start(&GstOptions::default()).await.unwrap();
    let other = GstCamera::start(&GstOptions::default()).await.unwrap();
    let port = camera.port();
    let sections = [
        ("cho", main_only(&camera.url())),
        ("cau", main_only(&other.url())),
    ];
    let bench = Bench::start(&sections).await;
    bench.until("cho", "live", None).await;
    bench.until("cau", "live", None).await;
    let mut client = bench.watch("cho").await;

    camera.freeze(true).await.unwrap();
    bench.until("cho", "stalled", Some("stalled")).await;
    camera.freeze(false).await.unwrap();
    bench.until("cho", "live", None).await;

    camera.kill().await.unwrap();
    bench.until("cho", "offline", None).await;
    let camera = GstCamera::start(&GstOptions {
        port,
        ..GstOptions::default()
    })
    .await
    .unwrap();
    bench.until("cho", "live", None).await;
    // The same session goes on with the camera's new stream.
    client.drain();
    assert!(client.packet().await.is_some());
    assert!(
        bench
            .metric("taimat_camera_reconnects_total", "cause=\"stalled\"")
            .await
            >= 1.0
    );
    assert!(
        bench
            .metric("taimat_camera_reconnects_total", "camera=\"cho\"")
            .await
            >= 2.0
    );
    assert_eq!(
        bench
            .metric("taimat_camera_reconnects_total", "camera=\"cau\"")
            .await,
        0.0
    );
    drop(camera);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_on_demand_runs_while_somebody_watches() {
    let camera = GstCamera::start(&GstOptions::default()).await.unwrap();
    let section = format!(
        "{}\nrun = \"on-demand\"\nlinger = \"1s\"",
        main_only(&camera.url())
    );
    let bench = Bench::start(&[("cho", section)]).await;
    bench.until("cho", "idle", None).await;
    assert_eq!(bench.metric("taimat_camera_frames_total", "cho").await, 0.0);
    let client = bench.watch("cho").await;
    client.delete().await.unwrap();
    bench.until("cho", "idle", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b_frames_are_said_clearly() {
    let camera = GstCamera::start(&GstOptions {
        b_frames: true,
        ..GstOptions::default()
    })
    .await
    .unwrap();
    let bench = Bench::start(&[("cho", main_only(&camera.url()))]).await;
    bench.until("cho", "live", None).await;
    eventually("B-frames are noticed", LIMIT, async || {
        (bench
            .metric("taimat_camera_bidirectional_frames", "cho")
            .await
            > 0.0)
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_named() {
    let good = GstCamera::start(&GstOptions::default()).await.unwrap();
    let vp8 = GstCamera::start(&GstOptions {
        video: "vp8",
        ..GstOptions::default()
    })
    .await
    .unwrap();
    let sections = vec![
        ("good", main_only(&good.url())),
        ("vp8", main_only(&vp8.url())),
        ("nobody", main_only("rtsp://127.0.0.1:1/x")),
        ("nowhere", main_only(&good.url().replace("/cam", "/other"))),
    ];
    let bench = Bench::start(&sections).await;
    bench.until("good", "live", None).await;
    bench
        .until("vp8", "offline", Some("unsupported_codec"))
        .await;
    bench.until("nobody", "offline", Some("refused")).await;
    bench.until("nowhere", "offline", Some("not_found")).await;
    assert_eq!(
        bench
            .metric("taimat_camera_reconnects_total", "camera=\"good\"")
            .await,
        0.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_live_and_touches_only_what_changed() {
    let camera = GstCamera::start(&GstOptions::default()).await.unwrap();
    let second = GstCamera::start(&GstOptions::default()).await.unwrap();
    let bench = Bench::start(&[("cho", main_only(&camera.url()))]).await;
    bench.until("cho", "live", None).await;
    let mut client = bench.watch("cho").await;

    let both = [
        ("cho", main_only(&camera.url())),
        ("cau", main_only(&second.url())),
    ];
    write_commune(&bench.folder, &both).unwrap();
    eventually("the new camera is listed", LIMIT, async || {
        let listed = bench.get("/api/v1/communes/thu/cameras").await;
        (listed.as_array().map(Vec::len) == Some(2)).then_some(())
    })
    .await;
    bench.until("cau", "live", None).await;

    // A wrong file is refused with place and hint; what ran goes on.
    write_commune(&bench.folder, &[("cho", "mian = \"x\"".into())]).unwrap();
    let problem = eventually("the problem is shown", LIMIT, async || {
        let overview = bench.get("/api/v1/overview").await;
        overview["problems"]
            .as_array()
            .filter(|p| !p.is_empty())
            .cloned()
    })
    .await;
    let shown = format!("{problem:?}");
    assert!(
        shown.contains("commune.toml:5:1") && shown.contains("did you mean `main`?"),
        "{shown}"
    );
    assert!(bench.metric("taimat_config_problems", "").await >= 1.0);
    bench.until("cau", "live", None).await;

    // A camera that is taken out is gone, the other's viewer never noticed any of it.
    write_commune(&bench.folder, &both[..1]).unwrap();
    eventually("the camera is gone", LIMIT, async || {
        (bench.profile("cau", "main").await.is_null()).then_some(())
    })
    .await;
    client.drain();
    assert!(client.packet().await.is_some());
    assert_eq!(
        bench
            .metric("taimat_camera_reconnects_total", "camera=\"cho\"")
            .await,
        0.0
    );
    assert_eq!(bench.metric("taimat_config_problems", "").await, 0.0);
    assert_eq!(bench.metric("taimat_camera_frames_total", "cau").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_while_the_router_starts_is_taken_over() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("thu");
    write_commune(&folder, &[]).unwrap();
    let options = Options::on_loopback(vec![folder.clone()]);
    let late = async {
        // Before anybody watches the folder, or just when somebody begins to.
        write_commune(&folder, &[("late", main_only("rtsp://127.0.0.1:1/none"))]).unwrap();
    };
    let (router, ()) = tokio::join!(Router::start(options), late);
    let router = router.unwrap();
    let camera = CameraKey::new("thu".parse().unwrap(), "late".parse().unwrap());
    let key = ChannelKey::new(camera, Profile::Main);
    eventually("the camera is there", LIMIT, async || {
        router.hub().get(&key)
    })
    .await;
    router.stop().await;
}
