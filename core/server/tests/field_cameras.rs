//! Every camera of the field before one router: what ffmpeg shows of them is shown here, what can not
//! be shown is named truly, and nothing secret is seen anywhere. Prints a table.
//!
//! `FIELD_ONLY=part` takes only the cameras whose name contains `part`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a set-up that fails fails its test"
)]

mod common;

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::Bench;
use futures::StreamExt;
use serde_json::Value;
use taimat_base::clock;
use taimat_server::config::commune;
use taimat_testkit::eventually;
use taimat_testkit::field::case::Pictures;
use taimat_testkit::field::pull::{Pull, Verdict, pull};
use taimat_testkit::field::{self, Case, FieldCamera};
use taimat_testkit::gstreamer::write_commune;

/// Whether the API says of a profile which quirks were seen (`quirks`: name to count). Until it does,
/// that column is not judged.
const QUIRKS_ARE_SAID: bool = true;
/// Cameras that run at the same time.
const GROUP: usize = 40;
/// Players that pull at the same time. Mostly they wait for pictures.
const AT_ONCE: usize = 12;
/// How long a camera may take until it is live, or is said not to be. UDP that is silent is given up
/// after the stall time-out of four seconds, then TCP is tried, after a pause.
const SETTLED: Duration = Duration::from_secs(14);

/// What became of a camera.
struct Row {
    name: String,
    verdict: Verdict,
    said: String,
    quirks: BTreeSet<String>,
    sound: String,
    secrets: Vec<String>,
    misses: Vec<String>,
}

/// The log of the whole process: only what has a secret in it is kept.
#[derive(Clone, Default)]
struct Sieve {
    secrets: Arc<Mutex<HashMap<String, Option<String>>>>,
}

impl Sieve {
    fn look_for(&self, secrets: &[String]) {
        let mut map = self.secrets.lock().unwrap();
        map.extend(secrets.iter().map(|secret| (secret.clone(), None)));
    }

    fn line_with(&self, secret: &str) -> Option<String> {
        self.secrets.lock().unwrap().get(secret).cloned().flatten()
    }
}

impl io::Write for Sieve {
    /// The subscriber writes a line at a time.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = String::from_utf8_lossy(bytes);
        for (secret, found) in self.secrets.lock().unwrap().iter_mut() {
            if found.is_none() && line.contains(secret) {
                *found = Some(line.trim_end().to_owned());
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_camera_is_shown_or_named_truly_and_keeps_its_secrets() {
    let begun = clock::now();
    let sieve = Sieve::default();
    let writer = sieve.clone();
    tracing_subscriber::fmt()
        .with_env_filter("debug,taimat=trace")
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let only = std::env::var("FIELD_ONLY").unwrap_or_default();
    let cases: Vec<Case> = field::cases()
        .unwrap()
        .into_iter()
        .filter(|case| case.misbehaves.hostile.is_none() && case.name.contains(&only))
        .collect();
    cases.iter().for_each(|case| sieve.look_for(&secrets(case)));

    let bench = Bench::start(&[]).await;
    let mut rows = Vec::new();
    for group in cases.chunks(GROUP) {
        rows.extend(judge_all(&bench, group).await);
    }
    for (row, case) in rows.iter_mut().zip(&cases) {
        for secret in secrets(case) {
            if let Some(line) = sieve.line_with(&secret) {
                row.secrets.push(secret);
                row.misses.push(format!("a secret in the log: {line}"));
            }
        }
    }
    let table = table(&rows);
    let passed = clock::now() - begun;
    println!("{table}\n{} cameras in {} s", rows.len(), passed.as_secs());
    // Once more at the end: of a long table a log often keeps only a part.
    let missed: Vec<String> = rows
        .iter()
        .flat_map(|row| {
            row.misses
                .iter()
                .map(|miss| format!("{}: {miss}", row.name))
        })
        .collect();
    assert!(
        missed.is_empty(),
        "cameras that are neither shown rightly nor named truly:\n{}",
        missed.join("\n")
    );
}

/// Runs the cameras of a group, and looks at each.
async fn judge_all(bench: &Bench, group: &[Case]) -> Vec<Row> {
    let mut cameras = Vec::new();
    let mut sections = Vec::new();
    let mut refused = HashMap::new();
    for case in group {
        let camera = FieldCamera::start(case).await.unwrap();
        let section = camera.section(&bench.folder).unwrap();
        match problems(&section) {
            None => sections.push((case.name.as_str(), section)),
            Some(problem) => drop(refused.insert(case.name.clone(), problem)),
        }
        cameras.push(camera);
    }
    write_commune(&bench.folder, &sections).unwrap();
    let first = sections.first().map(|(name, _)| *name);
    eventually("the group runs", common::LIMIT, async || {
        let listed = bench.get("/api/v1/communes/thu/cameras").await;
        let listed = listed.as_array()?;
        let there = listed.iter().any(|c| c["id"].as_str() == first);
        (there && listed.len() == sections.len()).then_some(())
    })
    .await;
    let rows: Vec<Row> = futures::stream::iter(&cameras)
        .map(|camera| judge(bench, camera, refused.get(&camera.case().name)))
        .buffered(AT_ONCE)
        .collect()
        .await;
    // What is said of all of them together.
    let shown = [
        bench.metrics().await,
        bench.get("/api/v1/overview").await.to_string(),
        bench.get("/api/v1/communes/thu/cameras").await.to_string(),
    ]
    .concat();
    let with_secrets = |mut row: Row| {
        let case = group.iter().find(|case| case.name == row.name).unwrap();
        for secret in secrets(case) {
            if shown.contains(&secret) {
                row.misses
                    .push(format!("{secret} is shown in the API or in metrics"));
                row.secrets.push(secret);
            }
        }
        row
    };
    rows.into_iter().map(with_secrets).collect()
}

/// What the configuration says against a section. In the file of all it would take the others along.
fn problems(section: &str) -> Option<String> {
    let text = format!("[commune]\nname = \"x\"\n\n[camera.x]\n{section}");
    let file = std::path::Path::new("commune.toml");
    let parsed = commune::parse("thu".parse().unwrap(), file, &text);
    parsed.err().map(|problems| problems[0].to_string())
}

/// What of a camera may never be seen, in every form that it has on the wire.
fn secrets(case: &Case) -> Vec<String> {
    let mut secrets = case.expect.secrets.clone();
    let setting = |name| {
        case.expect
            .camera
            .get(name)
            .and_then(|value| value.as_str())
    };
    if let (Some(user), Some(password)) = (setting("user"), setting("password")) {
        secrets.push(field::base64(&format!("{user}:{password}")));
        secrets.push(password.to_owned());
    }
    secrets.sort_unstable();
    secrets.dedup();
    secrets
}

async fn judge(bench: &Bench, camera: &FieldCamera, refused: Option<&String>) -> Row {
    let case = camera.case();
    let mut row = Row {
        name: case.name.clone(),
        verdict: Verdict::default(),
        said: String::new(),
        quirks: BTreeSet::new(),
        sound: String::new(),
        secrets: Vec::new(),
        misses: Vec::new(),
    };
    if let Some(problem) = refused {
        "refused".clone_into(&mut row.said);
        row.misses.push(format!("commune.toml: {problem}"));
        return row;
    }
    let first = settled(bench, case).await;
    if first["state"] == "live" && case.expect.pictures != Pictures::None {
        let what = Pull {
            url: format!("rtsp://{}/thu/{}", bench.router.rtsp_addr(), case.name),
            transport: "tcp",
            frames: case.expect.frames,
            sound: case.expect.sound.as_deref().is_some_and(|s| s != "none"),
            slow: case.time.every >= 1000,
            limit: Duration::from_millis(case.time.every * (case.expect.frames as u64 + 2))
                + Duration::from_secs(10),
        };
        let pulled = pull(&what).await.unwrap();
        row.verdict = Verdict::of(&pulled.frames, &case.shown().unwrap());
        if what.sound && pulled.sound == 0 {
            row.misses.push("no sound came".into());
        }
        if !pulled.said.is_empty() && row.verdict.frames < what.frames {
            row.misses.push(format!("the player: {}", pulled.said));
        }
    }
    let last = at_last(bench, case).await;
    row.said = format!("{} {}", text(&last["state"]), text(&last["cause"]));
    text(&last["audio"]).clone_into(&mut row.sound);
    if let Some(quirks) = last["quirks"].as_object() {
        row.quirks = quirks.keys().cloned().collect();
    }
    let misses = misses(case, &row, &last);
    row.misses.splice(0..0, misses);
    row
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

/// The first state that stays: live, or not with a cause that is one of the expected ones.
async fn settled(bench: &Bench, case: &Case) -> Value {
    let deadline = clock::now() + SETTLED;
    loop {
        let profile = bench.profile(&case.name, "main").await;
        let named = case
            .expect
            .cause
            .iter()
            .any(|cause| profile["cause"] == **cause);
        let live = profile["state"] == "live";
        let enough = match case.expect.pictures {
            Pictures::None => named,
            _ => live,
        };
        if enough || clock::now() > deadline {
            return profile;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What is said after the pictures; where a state is expected that has yet to come, it is waited for.
async fn at_last(bench: &Bench, case: &Case) -> Value {
    let deadline = clock::now() + SETTLED;
    loop {
        let profile = bench.profile(&case.name, "main").await;
        let state = case
            .expect
            .state
            .as_deref()
            .filter(|state| !state.is_empty());
        let there = state.is_none_or(|state| profile["state"] == state);
        if there || clock::now() > deadline {
            return profile;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// In which respects a camera fell short of what its file expects.
fn misses(case: &Case, row: &Row, last: &Value) -> Vec<String> {
    let mut misses = Vec::new();
    let expect = &case.expect;
    let Verdict {
        frames,
        right,
        settled,
    } = row.verdict;
    let all_right = frames == expect.frames && right == frames && settled == 0;
    let down = last["state"] != "live";
    let named = !text(&last["cause"]).is_empty();
    let pictures = match expect.pictures {
        Pictures::Right => all_right,
        Pictures::Settles => frames == expect.frames && settled <= expect.settles_after,
        Pictures::Some => right > 0,
        Pictures::RightOrFault => all_right || frames == 0 && down && named,
        Pictures::None => frames == 0 && down,
    };
    if !pictures {
        misses.push(format!(
            "pictures: {right} right of {frames}, settled after {settled}, of {} expected {:?}",
            expect.frames, expect.pictures
        ));
    }
    let state = match (&expect.state, expect.pictures) {
        (Some(state), _) => state.as_str(),
        (None, Pictures::None | Pictures::RightOrFault) => "",
        (None, _) => "live",
    };
    if !state.is_empty() && last["state"] != state {
        misses.push(format!(
            "state: {} instead of {state}: {}",
            row.said,
            text(&last["detail"])
        ));
    }
    if !expect.cause.is_empty() && !expect.cause.iter().any(|cause| last["cause"] == **cause) {
        misses.push(format!("cause: {} instead of {:?}", row.said, expect.cause));
    }
    match expect.sound.as_deref() {
        Some("none") if !row.sound.is_empty() => misses.push(format!("sound: {}", row.sound)),
        Some(sound) if sound != "none" && row.sound != sound => {
            misses.push(format!("sound: {:?} instead of {sound}", row.sound));
        }
        _ => {}
    }
    if QUIRKS_ARE_SAID && let Some(expected) = &expect.quirks {
        let missing: Vec<_> = expected
            .iter()
            .filter(|q| !row.quirks.contains(*q))
            .collect();
        let wrong = expected.is_empty() && !row.quirks.is_empty();
        if wrong || !missing.is_empty() {
            misses.push(format!("quirks: {:?}, expected {expected:?}", row.quirks));
        }
    }
    for secret in secrets(case) {
        if last.to_string().contains(&secret) {
            misses.push(format!("{secret} is shown: {last}"));
        }
    }
    misses
}

fn table(rows: &[Row]) -> String {
    let mut table = format!(
        "\n   {:36} {:>6} {:>6} {:>7}  {:26} {:6} {:40} {}\n",
        "camera", "frames", "right", "settled", "said", "sound", "quirks", "secrets"
    );
    for row in rows {
        let mark = if row.misses.is_empty() { "  " } else { "!!" };
        let quirks: Vec<_> = row.quirks.iter().map(String::as_str).collect();
        let Verdict {
            frames,
            right,
            settled,
        } = row.verdict;
        writeln!(
            table,
            "{mark} {:36} {frames:>6} {right:>6} {settled:>7}  {:26} {:6} {:40} {}",
            row.name,
            row.said,
            row.sound,
            quirks.join(","),
            row.secrets.len()
        )
        .unwrap();
        for miss in &row.misses {
            writeln!(table, "        {miss}").unwrap();
        }
    }
    table
}
