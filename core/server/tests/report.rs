//! `taimat report`, as who has a fault to report uses it.
#![allow(clippy::unwrap_used, reason = "a set-up that fails fails its test")]

mod common;

use std::os::unix::fs::MetadataExt;

use common::Bench;
use taimat_testkit::field::{self, FieldCamera};
use taimat_testkit::gstreamer::write_commune;
use tokio::process::Command;

/// What the report says of this commune, with the router at an address.
async fn report(bench: &Bench, http: &str) -> String {
    let log = "an old line\nERROR source failed detail=rtsp://lan:Heron-in-the-log@192.0.2.1/x\n";
    report_with(bench, http, log).await
}

/// The same, with this as its log.
async fn report_with(bench: &Bench, http: &str, lines: &str) -> String {
    let (log, output) = (bench.folder.join("log"), bench.folder.join("report"));
    std::fs::write(&log, lines).unwrap();
    let ran = Command::new(env!("CARGO_BIN_EXE_taimat"))
        .arg("report")
        .arg(&bench.folder)
        .args(["--http", http])
        .arg("--log")
        .arg(&log)
        .arg("--output")
        .arg(&output)
        .output()
        .await
        .unwrap();
    assert!(ran.status.success(), "{ran:?}");
    std::fs::read_to_string(output).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn says_what_runs_and_what_does_not_and_no_secret() {
    let camera = FieldCamera::start(&field::case("good").unwrap())
        .await
        .unwrap();
    let bench = Bench::start(&[]).await;
    let section = camera.section(&bench.folder).unwrap();
    std::fs::write(bench.folder.join("word"), "Otter-in-a-file\n").unwrap();
    let locked = "main = \"rtsp://127.0.0.1:1/live?token=Badger-in-the-address\"\n\
                  user = \"lan\"\npassword = { file = \"word\" }"
        .to_owned();
    write_commune(&bench.folder, &[("good", section), ("locked", locked)]).unwrap();
    bench.until("good", "live", None).await;
    // A password that somebody wrote where it does not belong.
    let file = bench.folder.join("commune.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}\n# was Otter-in-a-file until May\n")).unwrap();
    let address = bench.url("").trim_start_matches("http://").to_owned();
    let text = report(&bench, address.trim_end_matches('/')).await;
    for expected in [
        concat!("taimat ", env!("CARGO_PKG_VERSION")),
        "commune.toml",
        "[camera.locked]",
        "===== problems\nnone",
        "\"live\"",
        "taimat_camera_up{",
        "an old line",
    ] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    for secret in ["Otter", "Badger", "Heron"] {
        assert!(!text.contains(secret), "{secret}");
    }
    // A router that does not run is a state too, and so is a file that is wrong.
    std::fs::write(&file, "[camera.a]\nmain = 5\n").unwrap();
    let text = report(&bench, "127.0.0.1:1").await;
    assert!(text.contains("no answer from 127.0.0.1:1"), "{text}");
    assert!(text.contains("commune.toml:2:8"), "{text}");
    let mode = std::fs::metadata(bench.folder.join("report"))
        .unwrap()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// The secrets of a wrong file are in its log all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_is_wrong_has_its_secrets_too() {
    let bench = Bench::start(&[]).await;
    std::fs::write(bench.folder.join("word"), "Otter-in-a-file\n").unwrap();
    let section = "[camera.a]\nmain = \"rtsp://lan:Heron%21@127.0.0.1/live?ticket=Badger-4711\"\n\
                   user = \"lan\"\npassword = { file = \"word\" }\n[camera.b]\npassword = \"Stork-in-clear\"\n";
    // What the reader refuses, and what is no TOML.
    for wrong in ["", "[camera.c]\nmain = = 5\n"] {
        let file = bench.folder.join("commune.toml");
        std::fs::write(&file, format!("{wrong}{section}")).unwrap();
        let log = "it said Heron! and Otter-in-a-file, Badger-4711 or Stork-in-clear\n";
        let text = report_with(&bench, "127.0.0.1:1", log).await;
        assert!(text.contains("it said *** and ***, *** or ***"), "{text}");
        for secret in ["Otter", "Badger", "Heron", "Stork"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}
