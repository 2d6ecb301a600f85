//! MQTT with a real broker, mosquitto, and with bad ones.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a set-up that fails fails its test"
)]

mod common;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::{
    Bench, Program, authority, channel, failed, free_port, listener, listening, nothing_more_comes,
    refused, start, text, until,
};
use taimat_base::{Secret, clock};
use taimat_contract::channel::Channels;
use taimat_contract::message::{MqttPublish, Outgoing, Reply};
use taimat_outbound::{ChannelSpec, Login, MqttSpec, Trust, Way};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn spec() -> MqttSpec {
    MqttSpec {
        login: Some(Login {
            user: "taimat".into(),
            password: Secret::new("br0ker-pass"),
        }),
        client_id: "taimat-thu-home".into(),
        prefix: "taimat/thu".into(),
        discovery_prefix: Some("homeassistant".into()),
    }
}

fn home(url: &str) -> ChannelSpec {
    channel("home", url, Way::Mqtt(spec()))
}

fn publish(topic: &str, payload: &str, retain: bool) -> Outgoing {
    Outgoing::Mqtt(MqttPublish {
        channel: "home".into(),
        topic: topic.into(),
        payload: vec![text(payload)],
        retain,
    })
}

/// A broker with a password, in clear and with TLS.
async fn mosquitto(folder: &Path, port: u16, tls: Option<u16>) -> Program {
    let passwords = folder.join("passwords");
    let made = Command::new("mosquitto_passwd")
        .args(["-b", "-c"])
        .arg(&passwords)
        .args(["taimat", "br0ker-pass"])
        .status();
    assert!(made.unwrap().success());
    let mut config = format!(
        "per_listener_settings false\nallow_anonymous false\npassword_file {}\nlistener {port} 127.0.0.1\n",
        passwords.display()
    );
    if let Some(tls) = tls {
        let at = |name: &str| folder.join(name).display().to_string();
        let (ca, certificate, key) = (at("ca.pem"), at("cert.pem"), at("key.pem"));
        config += &format!(
            "listener {tls} 127.0.0.1\ncafile {ca}\ncertfile {certificate}\nkeyfile {key}\n"
        );
    }
    if nix_is_root() {
        // It would become another user, who can not read the folder.
        config += "user root\n";
    }
    let file = folder.join("mosquitto.conf");
    std::fs::write(&file, config).unwrap();
    // Debian has it where only root looks.
    let program = ["/usr/sbin/mosquitto", "mosquitto"];
    let program = program
        .into_iter()
        .find(|p| Path::new(p).exists())
        .unwrap_or("mosquitto");
    let broker = start(Command::new(program).arg("-c").arg(&file));
    listening(port).await;
    broker
}

fn nix_is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// What stands at a topic, as somebody sees it who comes later.
fn retained(port: u16, topic: &str) -> Option<String> {
    let output = Command::new("mosquitto_sub")
        .args([
            "-h",
            "127.0.0.1",
            "-u",
            "taimat",
            "-P",
            "br0ker-pass",
            "-C",
            "1",
            "-W",
            "1",
        ])
        .args(["-p", &port.to_string(), "-t", topic])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    (!said.is_empty()).then(|| said.trim_end().to_owned())
}

async fn connected(bench: &Bench) {
    until("connected", || bench.status("home").connected == Some(true)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_confirmed_and_the_router_says_whether_it_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let broker = mosquitto(folder.path(), port, None).await;
    let bench = Bench::new();
    let url = format!("mqtt://127.0.0.1:{port}");
    bench.configure(vec![home(&url)]).await;
    connected(&bench).await;
    assert_eq!(bench.outbound.connections(), 1);
    let reply = bench
        .send("k", publish("taimat/thu/cho/state", "ON", true))
        .await;
    assert_eq!(reply, Reply::Accepted("PUBACK".into()));
    let reply = bench
        .send("k", publish("homeassistant/device/x/config", "{}", true))
        .await;
    assert_eq!(reply, Reply::Accepted("PUBACK".into()));
    assert_eq!(
        retained(port, "taimat/thu/cho/state").as_deref(),
        Some("ON")
    );
    assert_eq!(
        retained(port, "taimat/thu/status").as_deref(),
        Some("online")
    );
    for topic in [
        "taimat/thu/status",
        "taimat/thuy/x",
        "taimat/thu",
        "other/x",
        "homeassistantx/y",
    ] {
        let why = refused(bench.send("k", publish(topic, "x", false)).await);
        assert!(why.contains("prefix"), "{topic}: {why}");
    }
    // The same again: the connection stays.
    bench.configure(vec![home(&url)]).await;
    assert_eq!(bench.status("home").connected, Some(true));
    assert_eq!(bench.outbound.connections(), 1);
    assert!(
        bench
            .metrics()
            .contains("taimat_channel_connected{channel=\"home\",commune=\"thu\"} 1")
    );
    // The broker goes and comes: another connection, without a hand.
    drop(broker);
    until("gone", || bench.status("home").connected == Some(false)).await;
    let _broker = mosquitto(folder.path(), port, None).await;
    connected(&bench).await;
    assert_eq!(bench.outbound.connections(), 2);
    bench.configure(Vec::new()).await;
    assert_eq!(
        retained(port, "taimat/thu/status").as_deref(),
        Some("offline")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_torn_away_leaves_a_last_will() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let _broker = mosquitto(folder.path(), port, None).await;
    // Between the two: who can be cut.
    let (listener, url) = listener("mqtt").await;
    let bench = Bench::new();
    bench.configure(vec![home(&url)]).await;
    let (mut near, _) = listener.accept().await.unwrap();
    let mut far = tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .unwrap();
    let passing = tokio::io::copy_bidirectional(&mut near, &mut far);
    let watching = async {
        until("online", || {
            retained(port, "taimat/thu/status").as_deref() == Some("online")
        })
        .await;
    };
    tokio::select! {
        _ended = passing => panic!("the connection ended"),
        () = watching => {}
    }
    drop((near, far));
    until("offline", || {
        retained(port, "taimat/thu/status").as_deref() == Some("offline")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_for_the_name_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let made = authority(folder.path());
    let (port, tls) = (free_port(), free_port());
    let _broker = mosquitto(folder.path(), port, Some(tls)).await;
    let bench = Bench::new();
    let trusting = |host: &str| {
        let mut spec = home(&format!("mqtts://{host}:{tls}"));
        spec.trust = Trust::Authorities(made.ca.clone().into());
        spec
    };
    bench.configure(vec![trusting("localhost")]).await;
    connected(&bench).await;
    let reply = bench.send("k", publish("taimat/thu/x", "x", false)).await;
    assert_eq!(reply, Reply::Accepted("PUBACK".into()));
    for spec in [
        trusting("127.0.0.1"),
        home(&format!("mqtts://localhost:{tls}")),
    ] {
        bench.configure(vec![spec]).await;
        until("untrusted", || {
            let error = bench.status("home").last_error.unwrap_or_default();
            error.contains("certificate is not trusted")
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let _broker = mosquitto(folder.path(), port, None).await;
    let bench = Bench::new();
    let mut wrong = spec();
    wrong.login = Some(Login {
        user: "taimat".into(),
        password: Secret::new("other-pass"),
    });
    bench
        .configure(vec![channel(
            "home",
            &format!("mqtt://127.0.0.1:{port}"),
            Way::Mqtt(wrong),
        )])
        .await;
    until("said", || {
        bench.status("home").last_error.as_deref() == Some("the broker does not let it sign in")
    })
    .await;
}

/// CONNACK, then whatever a test wants; counts connections.
async fn accept(listener: &TcpListener) -> tokio::net::TcpStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut heard = [0; 512];
    let _connect = stream.read(&mut heard).await.unwrap();
    stream.write_all(&[0x20, 2, 0, 0]).await.unwrap();
    stream
}

/// Reads until something was said.
async fn hear(stream: &mut tokio::net::TcpStream, what: &str) {
    let mut said = Vec::new();
    while !String::from_utf8_lossy(&said).contains(what) {
        assert_ne!(stream.read_buf(&mut said).await.unwrap(), 0, "it is over");
    }
}

#[tokio::test]
async fn a_broker_that_ends_at_each_message_is_tried_less_and_less() {
    let (listener, url) = listener("mqtt").await;
    let bench = Bench::new();
    bench.configure(vec![home(&url)]).await;
    let mut times = Vec::new();
    let breaking = async {
        let mut passes = None;
        for _ in 0..4 {
            let mut stream = accept(&listener).await;
            drop(passes.take());
            times.push(clock::now());
            hear(&mut stream, "taimat/thu/x").await;
            drop(stream);
            passes = Some(nothing_more_comes());
        }
    };
    let sending = async {
        loop {
            let why = failed(bench.send("k", publish("taimat/thu/x", "x", false)).await);
            assert!(
                why.contains("it may have arrived") || why.contains("broker"),
                "{why}"
            );
        }
    };
    tokio::select! {
        () = breaking => {}
        () = sending => {}
    }
    let waits: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits[2] >= Duration::from_secs(2), "{waits:?}");
}

#[tokio::test]
async fn what_is_not_mqtt_is_said_and_a_lost_puback_is_no_success() {
    let (listener, url) = listener("mqtt").await;
    let bench = Bench::new();
    bench.configure(vec![home(&url)]).await;
    let losing = async {
        let mut stream = accept(&listener).await;
        hear(&mut stream, "taimat/thu/x").await;
        // A PUBACK for somebody else, and nothing more.
        stream.write_all(&[0x40, 2, 0x77, 0x77]).await.unwrap();
        let passes = nothing_more_comes();
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).await.unwrap();
        passes
    };
    let sending = bench.send("k", publish("taimat/thu/x", "x", false));
    let (why, passes) = tokio::join!(sending, losing);
    assert!(failed(why).contains("does not confirm"));
    let (mut stream, _) = listener.accept().await.unwrap();
    drop(passes);
    let page = format!("HTTP/1.1 400 Bad Request\r\n\r\n{:200}", "");
    stream.write_all(page.as_bytes()).await.unwrap();
    until("said", || {
        let error = bench.status("home").last_error.unwrap_or_default();
        error.contains("not MQTT 3.1.1")
    })
    .await;
}
