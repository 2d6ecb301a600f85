//! `taimat probe`, as who sets up a camera uses it.
#![allow(clippy::unwrap_used, reason = "a set-up that fails fails its test")]

use std::process::Output;

use taimat_testkit::field::{self, FieldCamera};
use tokio::process::Command;

async fn probe(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_taimat"))
        .arg("probe")
        .args(arguments)
        .env("CAMERA_PASSWORD", "Otter-in-the-variable")
        .output()
        .await
        .unwrap()
}

fn said(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8(both).unwrap()
}

async fn camera(name: &str) -> FieldCamera {
    FieldCamera::start(&field::case(name).unwrap())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn says_what_a_camera_is_and_does_and_what_to_write() {
    let odd = camera("marker-each-slice").await;
    let url = odd.url();
    let output = probe(&[&url, "--for", "4s"]).await;
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    for expected in [
        "travels by        tcp",
        "H.264 320x240",
        "2.0 s apart",
        "(idr)",
        "The marker before the end of a picture.",
        "[camera.name]",
        &format!("main = \"{url}\""),
    ] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    let json = probe(&[&url, "--for", "2s", "--json"]).await;
    let found: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(found["codec"], "H.264");
    assert!(found["pictures"].as_u64().unwrap() > 10, "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_its_own_is_shown_to_be_pinned() {
    let camera = camera("tls").await;
    let url = camera.url();
    let refused = probe(&[&url, "--for", "2s"]).await;
    let fingerprint = camera.fingerprint().unwrap();
    assert!(!refused.status.success());
    assert!(said(&refused).contains(fingerprint), "{}", said(&refused));
    let pinned = probe(&[&url, "--for", "2s", "--fingerprint", fingerprint]).await;
    assert!(pinned.status.success(), "{}", said(&pinned));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_is_given_is_not_shown() {
    let camera = camera("password-wrong").await;
    let url = camera.url();
    let with_login = url.replace("rtsp://", "rtsp://warden:Heron-in-the-address@");
    let address = format!("{with_login}?password=Stork-in-the-query");
    for arguments in [
        vec![address.as_str()],
        vec![url.as_str(), "--user", "warden"],
    ] {
        let output = probe(&[&arguments[..], &["--for", "2s"]].concat()).await;
        let text = said(&output);
        assert!(!output.status.success(), "{text}");
        assert!(text.contains("unauthorized"), "{text}");
        for secret in ["Heron", "Stork", "Otter"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}
