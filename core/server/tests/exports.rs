//! Taking recordings out of the whole router: several cameras as one folder that tools of others check, what no
//! key signs, strange intervals, and a thousand at once.
#![cfg(feature = "evidence")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a set-up that fails fails its test"
)]

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use common::{Bench, LIMIT, main_only, missed_nothing};
use serde_json::{Value, json};
use taimat_server::Options;
use taimat_testkit::movies::movies_below;
use taimat_testkit::{GstCamera, GstOptions, eventually, python};

const ARCHIVE: &str = "\n[archive]\nmode = \"continuous\"\n";
const SECOND: i64 = 1_000_000;

/// A router that records two cameras, and the folder where it keeps things.
struct House {
    /// Until its router is let go.
    bench: Option<Bench>,
    data: tempfile::TempDir,
    _camera: GstCamera,
}

impl House {
    fn bench(&self) -> &Bench {
        self.bench.as_ref().unwrap()
    }

    /// Ends the router, and lets go of what it holds.
    async fn stop(&mut self) {
        self.bench.take().unwrap().router.stop().await;
    }

    async fn start() -> Self {
        let camera = GstCamera::start(&GstOptions::default()).await.unwrap();
        let data = tempfile::tempdir().unwrap();
        let section = main_only(&camera.url());
        let cameras = [("cho", section.clone()), ("ga", section + ARCHIVE)];
        let kept = Some(data.path().join("state"));
        std::fs::write(data.path().join("passphrase"), "một cụm từ dài\n").unwrap();
        let made = taimat(
            data.path(),
            &[
                "evidence",
                "init",
                "--organization",
                "UBND phường Thu",
                "--root-key",
                "root.key",
                "--passphrase-file",
                "passphrase",
                "--data",
                "state",
                "--who",
                "Lan",
            ],
        );
        assert!(made.status.success(), "{made:?}");
        let bench = Bench::start_with(&cameras, |options| Options {
            data: kept,
            archive_floor: 0,
            ..options
        })
        .await;
        Self {
            bench: Some(bench),
            data,
            _camera: camera,
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.data.path().join(name)
    }

    /// When a stretch of so many seconds that both cameras were recorded in ends.
    async fn recorded(&self, seconds: i64) -> i64 {
        eventually("some seconds are recorded", LIMIT, async || {
            let now = now();
            let (from, path) = (now - 120 * SECOND, "/api/v1/communes/thu/recordings");
            let both = self
                .bench()
                .get(&format!("{path}?from={from}&to={now}"))
                .await;
            let ends = both["cameras"].as_array()?.iter().map(|camera| {
                let last = camera["recorded"].as_array()?.last()?;
                let (start, end) = (last["start"].as_i64()?, last["end"].as_i64()?);
                (end - start >= seconds * SECOND).then_some(end)
            });
            let ends: Vec<i64> = ends.collect::<Option<_>>()?;
            ends.into_iter().min()
        })
        .await
    }

    async fn export(&self, from: i64, to: i64) -> (u16, Value) {
        post(self.bench(), from, to).await
    }

    async fn bytes(&self, url: &Value) -> Result<Vec<u8>, reqwest::Error> {
        let url = self.bench().url(url.as_str().unwrap());
        let response = reqwest::get(url).await?.error_for_status()?;
        let said = response.content_length();
        let bytes = response.bytes().await?.to_vec();
        assert_eq!(said, Some(bytes.len() as u64));
        Ok(bytes)
    }

    async fn signing(&self) -> Value {
        self.bench().get("/api/v1/communes/thu/storage").await["signing"].clone()
    }

    fn log(&self) -> String {
        let folder = std::fs::read_dir(self.at("state/archive/audit")).unwrap();
        let files = folder.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
        files.collect()
    }

    fn verify(&self, folder: &str) -> (Option<i32>, String) {
        let root = ["--root", "state/evidence/root.pem"];
        let done = taimat(
            self.data.path(),
            &[&["evidence", "verify", folder][..], &root].concat(),
        );
        (
            done.status.code(),
            String::from_utf8_lossy(&done.stdout).into_owned(),
        )
    }
}

async fn post(bench: &Bench, from: i64, to: i64) -> (u16, Value) {
    let request = reqwest::Client::new().post(bench.url("/api/v1/communes/thu/exports"));
    let body = json!({"cameras": ["cho", "ga"], "from": from, "to": to, "who": "Lan",
        "why": "trộm xe", "case_number": "12/2026"});
    let request = request.header("content-type", "application/json");
    let response = request.body(body.to_string()).send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

fn now() -> i64 {
    taimat_contract::UnixMicros::from(taimat_base::clock::wall()).0
}

fn taimat(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taimat"));
    command.args(args).current_dir(folder).output().unwrap()
}

fn good(folder: &Path, program: &str, package: &str, args: &[&str]) {
    let done = Command::new(program)
        .args(args)
        .current_dir(folder)
        .output();
    let done = done.unwrap_or_else(|error| panic!("{program} (Debian package {package}): {error}"));
    let said = [done.stdout, done.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(done.status.success(), "{program} {args:?}: {said}");
}

/// What others say of a folder.
fn others(bag: &Path) {
    for list in ["manifest-sha256.txt", "tagmanifest-sha256.txt"] {
        good(bag, "sha256sum", "coreutils", &["--quiet", "-c", list]);
    }
    let python = python::programs().unwrap().join("python");
    let script = "import bagit; bagit.Bag('.').validate()";
    good(
        bag,
        python.to_str().unwrap(),
        "python3-venv",
        &["-W", "ignore", "-c", script],
    );
    let cms = "cms -verify -binary -inform PEM -in tagmanifest-sha256.txt.p7s -content \
        tagmanifest-sha256.txt -CAfile commune-root.pem -purpose any -out /dev/null";
    let cms: Vec<&str> = cms.split_whitespace().collect();
    good(bag, "openssl", "openssl", &cms);
}

fn is_refused_as_a_router_runs(house: &House, args: &[&str]) {
    let refused = taimat(house.data.path(), args);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        refused.status.code() == Some(10) && said.contains("a router runs"),
        "{said}"
    );
}

fn only_folder(folder: &Path) -> PathBuf {
    let mut all = std::fs::read_dir(folder).unwrap();
    let one = all.next().unwrap().unwrap().path();
    assert!(all.next().is_none() && one.is_dir());
    one
}

#[tokio::test(flavor = "multi_thread")]
async fn several_cameras_are_one_folder_that_tools_of_others_check() {
    let mut house = House::start().await;
    // Who made the root is the first thing that was written down.
    let log = house.log();
    assert!(
        log.contains("\"done\":\"key\"") && log.contains("root-fingerprint"),
        "{log}"
    );
    assert_eq!(house.signing().await["signed"], true);
    let end = house.recorded(8).await;
    let (from, to) = (end - 6 * SECOND, end - 2 * SECOND);
    let (status, exported) = house.export(from, to).await;
    assert_eq!(status, 201, "{exported}");
    assert_eq!(exported["files"].as_array().unwrap().len(), 2);

    let zip = house.bytes(&exported["folder"]["url"]).await.unwrap();
    std::fs::write(house.at("export.zip"), &zip).unwrap();
    good(house.data.path(), "unzip", "unzip", &["-tqq", "export.zip"]);
    good(
        house.data.path(),
        "unzip",
        "unzip",
        &["-q", "export.zip", "-d", "unzipped"],
    );
    let bag = only_folder(&house.at("unzipped"));
    assert_eq!(
        exported["folder"]["name"],
        format!("{}.zip", bag.file_name().unwrap().display())
    );
    others(&bag);
    let (code, said) = house.verify(bag.to_str().unwrap());
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("_cho_") && said.contains("_ga_"), "{said}");
    // The clips in it are those that are given one by one.
    for file in exported["files"].as_array().unwrap() {
        let alone = house.bytes(&file["url"]).await.unwrap();
        let name = file["name"].as_str().unwrap();
        assert!(alone == std::fs::read(bag.join("data").join(name)).unwrap());
    }
    // A second time it is the same to the byte.
    let again = house.bytes(&exported["folder"]["url"]).await.unwrap();
    assert!(again == zip);
    // What was cut off opens nowhere.
    std::fs::write(house.at("cut.zip"), &zip[..zip.len() - 30]).unwrap();
    let cut = Command::new("unzip")
        .args(["-tqq", "cut.zip"])
        .current_dir(&house.data)
        .output();
    assert!(!cut.unwrap().status.success());

    // A router that runs has the archive: the command line does not fight it.
    let times = [from, to].map(|at| jiff::Timestamp::from_microsecond(at).unwrap().to_string());
    let commune = "thu".to_owned();
    let args = [
        "evidence",
        "export",
        &commune,
        "--camera",
        "cho",
        "--camera",
        "ga",
        "--from",
        &times[0],
        "--to",
        &times[1],
        "--who",
        "Lan",
        "--why",
        "trộm xe",
        "--case",
        "12/2026",
        "--data",
        "state",
        "--out",
        "stick",
    ];
    is_refused_as_a_router_runs(&house, &args);
    let retire = [
        "evidence",
        "retire",
        "--root-key",
        "root.key",
        "--passphrase-file",
        "passphrase",
        "--data",
        "state",
    ];
    is_refused_as_a_router_runs(&house, &retire);

    // A disk that rots hands nothing out, and that is an event.
    for file in movies_below(&house.at("state/archive/thu/cho")) {
        let mut bytes = std::fs::read(&file).unwrap();
        let from = bytes.len() / 8;
        bytes[from..].iter_mut().for_each(|byte| *byte ^= 1);
        std::fs::write(&file, bytes).unwrap();
    }
    assert!(house.bytes(&exported["folder"]["url"]).await.is_err());
    eventually("it is an event", LIMIT, async || {
        let path = "/api/v1/communes/thu/events?kind=archive-damaged";
        house.bench().get(path).await["events"].get(0).cloned()
    })
    .await;
    house.stop().await;

    // Without a router the same is done on the command line; of what rots there is no folder.
    let said = eventually("the archive is let go", LIMIT, async || {
        let done = taimat(house.data.path(), &args);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        (!said.contains("a router runs")).then_some(said)
    })
    .await;
    assert!(!house.at("stick").exists(), "{said}");
    assert!(house.at("stick.unfinished").exists(), "{said}");
    let one: Vec<&str> = args[..3].iter().chain(&args[5..]).copied().collect();
    std::fs::remove_dir_all(house.at("stick.unfinished")).unwrap();
    let done = taimat(house.data.path(), &one);
    assert!(done.status.success(), "{done:?}");
    others(&house.at("stick"));
    let (code, said) = house.verify("stick");
    assert_eq!(code, Some(0), "{said}");
    let done = taimat(house.data.path(), &retire);
    assert!(done.status.success(), "{done:?}");
    assert!(house.log().contains("next-serial"));
    let list = house.at("state/archive/audit");
    taimat_audit::verify(&list, None).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_that_signs_it_is_said_everywhere() {
    let house = House::start().await;
    let end = house.recorded(4).await;
    let key = house.at("state/evidence/signing.pem");
    let mode = |mode| std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode));
    let metric = "taimat_evidence_key_until_timestamp_seconds";
    assert!(house.bench().metric(metric, "").await > 1e9);
    let kept = std::fs::read(&key).unwrap();
    for (spoil, because) in [
        ("wide", "chmod"),
        ("gone", "evidence init"),
        ("odd", "signing.pem"),
    ] {
        match spoil {
            "wide" => mode(0o644).unwrap(),
            "gone" => std::fs::remove_file(&key).unwrap(),
            _ => {
                std::fs::write(&key, "no key").unwrap();
                mode(0o600).unwrap();
            }
        }
        let signing = house.signing().await;
        assert_eq!(signing["signed"], false, "{spoil}");
        assert!(
            signing["because"].as_str().unwrap().contains(because),
            "{spoil}: {signing}"
        );
        assert!(house.bench().metric(metric, "").await < 1.0, "{spoil}");
        let (status, exported) = house.export(end - 3 * SECOND, end - SECOND).await;
        assert_eq!(
            (status, &exported["signed"]),
            (201, &json!(false)),
            "{spoil}"
        );
        let why = exported["unsigned_because"].as_str().unwrap();
        assert!(why.contains(because), "{spoil}: {why}");
        assert_eq!(exported["folder"], Value::Null);
    }
    // What is right again signs at once.
    std::fs::write(&key, kept).unwrap();
    mode(0o600).unwrap();
    assert_eq!(house.signing().await["signed"], true);
    let (_, exported) = house.export(end - 3 * SECOND, end - SECOND).await;
    assert_eq!(exported["signed"], true, "{exported}");
    house.bench().router.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strange_intervals_and_a_thousand_at_once_leave_viewers_alone() {
    let house = House::start().await;
    let end = house.recorded(4).await;
    let (year, now) = (366 * 86_400 * SECOND, now());
    let mut viewer = house.bench().watch("cho").await;
    let before = house.log().lines().count();
    for (what, from, to, expected) in [
        ("ten years", now - 10 * year, now, 422),
        ("reversed", end, end - 2 * SECOND, 422),
        ("nothing long", end, end, 422),
        ("the future", now + year, now + year + SECOND, 404),
        ("a gap", now - 3600 * SECOND, now - 3590 * SECOND, 404),
        ("no times", i64::MIN, i64::MAX, 422),
        ("before time", i64::MIN, i64::MIN + 1, 422),
    ] {
        let (status, said) = house.export(from, to).await;
        assert_eq!(status, expected, "{what}: {said}");
        assert!(
            said["detail"].as_str().is_some_and(|d| !d.is_empty()),
            "{what}: {said}"
        );
    }
    // Of what was not taken out nothing is written down.
    assert_eq!(house.log().lines().count(), before);

    let (bench, from, to) = (
        Arc::new(house.bench.unwrap()),
        end - 3 * SECOND,
        end - SECOND,
    );
    let all: tokio::task::JoinSet<_> = (0..1000)
        .map(|_| {
            let bench = Arc::clone(&bench);
            async move { post(&bench, from, to).await }
        })
        .collect();
    let (mut made, mut busy) = (Vec::new(), 0);
    for one in all.join_all().await {
        match one {
            (201, exported) => made.push(exported),
            (503, said) => {
                assert_eq!(said["type"], "/problems/busy");
                busy += 1;
            }
            (status, said) => panic!("{status}: {said}"),
        }
    }
    assert!(
        !made.is_empty() && made.len() + busy == 1000,
        "{} made",
        made.len()
    );
    // Each that was made was written down, and at most 64 can be fetched.
    let folder = house.data.path().join("state/archive/audit");
    let written = taimat_audit::verify(&folder, None).unwrap();
    assert_eq!(written.tail.n, (before + made.len()) as u64);
    let mut there = 0;
    for exported in &made {
        let url = bench.url(exported["files"][0]["url"].as_str().unwrap());
        let request = reqwest::Client::new().get(url).header("range", "bytes=0-0");
        there += u32::from(request.send().await.unwrap().status() == 206);
    }
    assert!((1..=64).contains(&there), "{there}");
    // The next one is made, and no viewer missed anything.
    assert_eq!(post(&bench, from, to).await.0, 201);
    missed_nothing(&mut viewer).await;
    bench.router.stop().await;
}
