//! What we sign is verified by the standard's own library, in another language.

mod common;

use std::path::Path;
use std::process::Command;

use common::{Bench, answered, http_channel, request, response, scripted, text};
use taimat_base::Secret;
use taimat_outbound::HttpSpec;

const OLD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEW: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

#[tokio::test]
async fn the_standards_library_takes_it_with_the_old_secret_and_the_new() {
    let server = scripted(|_, _| response("204 No Content", "", "")).await;
    let bench = Bench::new();
    let webhook = [OLD, NEW].map(Secret::new).to_vec();
    let spec = HttpSpec {
        webhook,
        ..HttpSpec::default()
    };
    bench
        .configure(vec![http_channel("desk", &server.url(), spec)])
        .await;
    let body = "{\"type\":\"vn.taimat.event.opened\",\"what\":\"Đường Nguyễn Du\"}";
    let message = request("desk", "/hook", vec![text(body)]);
    assert_eq!(answered(bench.send("task-7-1", message).await).status, 204);
    let asked = server.asked().remove(0);
    let (head, body) = asked.split_once("\r\n\r\n").unwrap();
    let headers: serde_json::Map<String, serde_json::Value> = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    assert_eq!(headers["webhook-id"], "task-7-1");
    let folder = tempfile::tempdir().unwrap();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/webhook");
    for file in ["package.json", "package-lock.json", "verify.mjs"] {
        std::fs::copy(sources.join(file), folder.path().join(file)).unwrap();
    }
    let installed = Command::new("npm")
        .args(["ci", "--silent", "--no-audit", "--no-fund"])
        .current_dir(folder.path())
        .status()
        .unwrap();
    assert!(installed.success());
    let verify = |secret: &str, body: &str| {
        let input = serde_json::json!({ "secret": secret, "headers": headers, "body": body });
        std::fs::write(folder.path().join("input.json"), input.to_string()).unwrap();
        let node = Command::new("node")
            .arg("verify.mjs")
            .current_dir(folder.path())
            .output();
        node.unwrap().status.success()
    };
    assert!(verify(OLD, body));
    assert!(verify(NEW, body));
    assert!(!verify("whsec_AAAAQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", body));
    assert!(!verify(NEW, &body.replace("opened", "closed")));
}
