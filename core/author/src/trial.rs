//! `taimat plugin test`: a plugin in the real sandbox. A detector on a recording is tried here; policies
//! and alerters on what a file says, in files of their own.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use taimat_base::clock;
use taimat_contract::{Delivery, Detection, Kind, Package, UnixMicros};
use taimat_sandbox::Trial;
use taimat_sandbox::limits::LimitSettings;
use taimat_simulate::PictureSize;
use taimat_vision::Sampler;

use crate::alerter_trial;
use crate::build::built;
use crate::day::WrittenDay;
use crate::files::{read, say};
use crate::golden::{self, Golden};
use crate::month::WrittenMonth;
use crate::policy_trial;
use crate::recording::{Film, Recording};
use crate::report::Report;
use crate::storage_trial;
use crate::tasks::WrittenTasks;

/// When recordings begin: 2026-01-01T00:00:00Z. Plugins see times, and are to see the same ones
/// every time.
const BEGIN: i64 = 1_767_225_600_000_000;
/// Differences shown at most.
const SHOWN: usize = 40;

/// What to try.
#[derive(Debug, clap::Args)]
pub struct TestArgs {
    /// For a detector a clip (.mp4, .h264, .h265) or a scene with a seed: street, night, bag:7, covered;
    /// for a policy a written day, for an alerter written tasks, for a storage plugin a written month (.toml)
    recording: String,
    /// The plugin, or the folder of one, which is built first
    #[arg(long, default_value = ".", conflicts_with = "compare")]
    plugin: PathBuf,
    /// Settings as JSON, or @FILE
    #[arg(long, default_value = "{}")]
    settings: String,
    /// Fail unless it sees what this file says
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,
    /// Write what it sees to this file, for --expect
    #[arg(long, value_name = "FILE", conflicts_with = "expect")]
    write: Option<PathBuf>,
    /// Say what another version sees differently
    #[arg(long, num_args = 2, value_names = ["OLD", "NEW"], conflicts_with_all = ["expect", "write"])]
    compare: Option<Vec<PathBuf>>,
    /// How often a policy's day, or a storage plugin's month, is repeated, with other dates
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=400))]
    days: u32,
    /// Size of a scene's picture
    #[arg(long, default_value = "640x360")]
    size: PictureSize,
    /// Pictures a second of a scene
    #[arg(long, default_value_t = 10)]
    rate: u32,
    /// Length of a scene in seconds
    #[arg(long, default_value_t = 20)]
    seconds: u32,
    /// CPU time of a call in milliseconds, if not what the plugin wishes
    #[arg(long, value_name = "MS")]
    cpu: Option<u64>,
}

/// What a plugin made of a recording.
#[derive(Debug)]
pub struct Outcome {
    /// The plugin's version.
    pub version: String,
    /// What it saw, with the time in the recording.
    pub seen: Vec<(Duration, Detection)>,
    /// Time of its calls on the clock, in order.
    pub calls: Vec<Duration>,
    /// Times of the frames that it looked at.
    pub frames: Vec<Duration>,
    /// Linear memory at the end.
    pub memory_bytes: u64,
    /// What it wrote to its log.
    pub log: Vec<String>,
}

/// A detection as it is compared: what does not matter is rounded away.
#[derive(Serialize)]
struct Row<'a> {
    time: f64,
    kind: &'a str,
    confidence: f64,
    regions: Vec<[f64; 4]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    track: Option<u64>,
    #[serde(skip_serializing_if = "str::is_empty")]
    text: &'a str,
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    extra: std::collections::BTreeMap<&'a str, &'a str>,
}

fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

impl Outcome {
    /// One line of JSON for each detection.
    pub fn rows(&self) -> anyhow::Result<Vec<String>> {
        let row = |(time, seen): &(Duration, Detection)| {
            let region = |r: &taimat_contract::Rect| {
                [r.x, r.y, r.width, r.height].map(|v| round(f64::from(v)))
            };
            let row = Row {
                time: round(time.as_secs_f64()),
                kind: &seen.kind,
                confidence: round(f64::from(seen.confidence)),
                regions: seen.regions.iter().map(region).collect(),
                track: seen.track,
                text: &seen.text,
                extra: seen
                    .extra
                    .iter()
                    .map(|a| (a.key.as_str(), a.value.as_str()))
                    .collect(),
            };
            Ok(serde_json::to_string(&row)?)
        };
        self.seen.iter().map(row).collect()
    }

    /// The time that so many of a hundred calls stay within.
    pub fn percentile(&self, of_hundred: usize) -> Duration {
        let mut calls = self.calls.clone();
        calls.sort_unstable();
        let at = (calls.len().saturating_sub(1)) * of_hundred / 100;
        calls.get(at).copied().unwrap_or_default()
    }

    fn summary(&self) -> String {
        let us = |of| self.percentile(of).as_secs_f64() * 1e6;
        format!(
            "version {}: {} frames, {} detections; a call takes {:.0} µs (p50), {:.0} µs (p99); {} KiB of memory",
            self.version,
            self.frames.len(),
            self.seen.len(),
            us(50),
            us(99),
            self.memory_bytes / 1024,
        )
    }
}

/// Shows a recording to a packed plugin. A call that fails ends it, as in the router.
pub async fn run(
    plugin: &[u8],
    settings: &str,
    limits: &LimitSettings,
    recording: &Recording,
) -> anyhow::Result<Outcome> {
    let mut trial = Trial::start(plugin, settings, limits).await?;
    let sampler = Sampler::new("camera".parse()?, trial.want());
    let mut outcome = Outcome {
        version: trial.version().to_owned(),
        seen: Vec::new(),
        calls: Vec::new(),
        frames: Vec::new(),
        memory_bytes: 0,
        log: Vec::new(),
    };
    let mut next_tick = Duration::from_secs(1);
    for shown in recording.pictures() {
        while next_tick <= shown.time {
            let begin = clock::thread_now();
            let seen = trial.tick(at(next_tick)).await;
            let took = clock::thread_now() - begin;
            outcome.add(
                next_tick,
                took,
                seen.map_err(|e| failed(&trial, next_tick, &e))?,
            );
            next_tick += Duration::from_secs(1);
        }
        let delivery: Option<Delivery> =
            sampler.offer(&shown.picture, shown.time, at(shown.time), shown.key);
        let Some(delivery) = delivery else { continue };
        let begin = clock::thread_now();
        let seen = trial.frame(&delivery).await;
        let took = clock::thread_now() - begin;
        outcome.frames.push(shown.time);
        outcome.add(
            shown.time,
            took,
            seen.map_err(|e| failed(&trial, shown.time, &e))?,
        );
    }
    outcome.memory_bytes = trial.memory_bytes();
    outcome.log = trial.lines().into_iter().map(|line| line.text).collect();
    Ok(outcome)
}

impl Outcome {
    fn add(&mut self, time: Duration, took: Duration, seen: Vec<Detection>) {
        self.calls.push(took);
        self.seen.extend(seen.into_iter().map(|d| (time, d)));
    }
}

fn at(time: Duration) -> UnixMicros {
    UnixMicros(BEGIN).after(time)
}

fn failed(trial: &Trial, time: Duration, failure: &taimat_contract::Failure) -> anyhow::Error {
    let log: Vec<String> = trial
        .lines()
        .into_iter()
        .map(|l| format!("  {}", l.text))
        .collect();
    anyhow::anyhow!(
        "at {:.2} s: {failure}\n{}",
        time.as_secs_f64(),
        log.join("\n")
    )
}

/// The command.
pub(crate) fn command(args: &TestArgs) -> anyhow::Result<()> {
    let settings = match args.settings.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(file).with_context(|| format!("reading {file}"))?,
        None => args.settings.clone(),
    };
    let limits = LimitSettings {
        cpu: args.cpu.map(Duration::from_millis),
        ..LimitSettings::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let one = [args.plugin.clone()];
    let mut plugins = Vec::new();
    for plugin in args.compare.as_deref().unwrap_or(&one) {
        plugins.push((plugin.as_path(), plugin_bytes(plugin)?));
    }
    let with_settings = WithSettings {
        settings: &settings,
        limits: &limits,
        runtime: &runtime,
    };
    match kind(&plugins)? {
        Kind::Policy | Kind::Alerter | Kind::Storage => written(args, &with_settings, &plugins),
        Kind::Detector => recorded(args, &with_settings, &plugins),
        Kind::Backend => anyhow::bail!(
            "a backend is tried by its own unit tests, and in a router against the server it is for"
        ),
    }
}

/// How plugins are run.
struct WithSettings<'a> {
    settings: &'a str,
    limits: &'a LimitSettings,
    runtime: &'a tokio::runtime::Runtime,
}

/// What all of these plugins are.
fn kind(plugins: &[(&Path, Vec<u8>)]) -> anyhow::Result<Kind> {
    let mut kinds = Vec::new();
    for (file, bytes) in plugins {
        let package = Package::read(bytes).with_context(|| file.display().to_string())?;
        kinds.push(package.manifest.kind);
    }
    let first = kinds.first().context("no plugin to try")?;
    let same = kinds.iter().all(|kind| kind == first);
    anyhow::ensure!(same, "they are plugins of different kinds");
    Ok(*first)
}

fn recorded(
    args: &TestArgs,
    with: &WithSettings<'_>,
    plugins: &[(&Path, Vec<u8>)],
) -> anyhow::Result<()> {
    let film = Film {
        size: (args.size.width, args.size.height),
        rate: args.rate,
        seconds: args.seconds,
    };
    let recording = Recording::open(&args.recording, film)?;
    let mut outcomes = Vec::new();
    for (file, bytes) in plugins {
        let outcome = run(bytes, with.settings, with.limits, &recording);
        let outcome = with.runtime.block_on(outcome);
        outcomes.push(outcome.with_context(|| file.display().to_string())?);
    }
    match outcomes.as_slice() {
        [old, new] => compare(
            &differences(&old.rows()?, &new.rows()?),
            &old.summary(),
            &new.summary(),
        ),
        [one] => {
            let said = golden(args).hold(&one.rows()?, differences)?;
            conclude(&one.log, &one.summary(), &said)
        }
        _ => anyhow::bail!("one plugin is tried, or two are compared"),
    }
}

fn written(
    args: &TestArgs,
    with: &WithSettings<'_>,
    plugins: &[(&Path, Vec<u8>)],
) -> anyhow::Result<()> {
    let file = &args.recording;
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {file}"))?;
    let mut reports = Vec::new();
    for (plugin, bytes) in plugins {
        let report =
            with.runtime
                .block_on(on_file(bytes, &text, with.settings, with.limits, args.days));
        let place = || format!("{} on {file}", plugin.display());
        reports.push(report.with_context(place)?);
    }
    let lines = golden::differences;
    match reports.as_slice() {
        [old, new] => compare(&lines(&old.rows, &new.rows), &old.summary, &new.summary),
        [one] => {
            let said = golden(args).hold(&one.rows, lines)?;
            conclude(&one.log, &one.summary, &said)
        }
        _ => anyhow::bail!("one plugin is tried, or two are compared"),
    }
}

async fn on_file(
    plugin: &[u8],
    text: &str,
    settings: &str,
    limits: &LimitSettings,
    days: u32,
) -> anyhow::Result<Report> {
    match Package::read(plugin)?.manifest.kind {
        Kind::Policy => {
            let day = WrittenDay::read(text)?;
            policy_trial::run(plugin, settings, limits, &day, days).await
        }
        Kind::Storage => {
            let month = WrittenMonth::read(text, days)?;
            storage_trial::run(plugin, settings, limits, &month).await
        }
        _ => {
            let tasks = WrittenTasks::read(text)?;
            alerter_trial::run(plugin, settings, limits, &tasks).await
        }
    }
}

/// The lines that `taimat plugin test` prints of a packed policy on a written day, of a packed alerter on
/// written tasks, or of a packed storage plugin on a written month. `text` is the file's, `settings` are
/// JSON; a day, or a month, is repeated so many `days`.
pub async fn lines(
    plugin: &[u8],
    text: &str,
    settings: &str,
    days: u32,
) -> anyhow::Result<Vec<String>> {
    let limits = LimitSettings::default();
    Ok(on_file(plugin, text, settings, &limits, days).await?.rows)
}

fn golden(args: &TestArgs) -> Golden<'_> {
    Golden {
        expect: args.expect.as_deref(),
        write: args.write.as_deref(),
    }
}

/// What is said of a run besides its lines.
fn conclude(log: &[String], summary: &str, said: &str) -> anyhow::Result<()> {
    let mut out = std::io::stderr();
    for line in log {
        writeln!(out, "log: {line}")?;
    }
    writeln!(out, "{summary}")?;
    if !said.is_empty() {
        writeln!(out, "{said}")?;
    }
    Ok(())
}

/// A packed plugin; a folder is built.
fn plugin_bytes(plugin: &Path) -> anyhow::Result<Vec<u8>> {
    if !plugin.is_dir() {
        return read(plugin);
    }
    Ok(built(plugin, "release")?.1)
}

fn compare(differences: &[String], old: &str, new: &str) -> anyhow::Result<()> {
    for line in differences.iter().take(SHOWN) {
        say(line)?;
    }
    if differences.len() > SHOWN {
        say(&format!("… and {} more", differences.len() - SHOWN))?;
    }
    say(&format!("- {old}"))?;
    say(&format!("+ {new}"))?;
    anyhow::ensure!(
        differences.is_empty(),
        "they do not see the same: {} lines differ (- old, + new)",
        differences.len()
    );
    Ok(())
}

/// Lines that are in one and not in the other, in order of time; both are in that order.
fn differences(expected: &[String], seen: &[String]) -> Vec<String> {
    let mut left: std::collections::HashMap<&str, usize> = std::collections::HashMap::new();
    for line in seen {
        *left.entry(line).or_default() += 1;
    }
    let mut missing = Vec::new();
    for line in expected {
        match left.get_mut(line.as_str()).filter(|n| **n > 0) {
            Some(count) => *count -= 1,
            None => missing.push(line),
        }
    }
    let time = |line: &str| {
        let row: Option<serde_json::Value> = serde_json::from_str(line).ok();
        row.and_then(|row| row["time"].as_f64()).unwrap_or(0.0)
    };
    let mut all: Vec<(f64, String)> = missing
        .into_iter()
        .map(|line| (time(line), format!("- {line}")))
        .collect();
    for line in seen {
        if let Some(count) = left.get_mut(line.as_str()).filter(|n| **n > 0) {
            *count -= 1;
            all.push((time(line), format!("+ {line}")));
        }
    }
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    all.into_iter().map(|(_, line)| line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_differs_in_order() {
        let lines = |list: &[u32]| -> Vec<String> {
            list.iter().map(|t| format!("{{\"time\":{t}}}")).collect()
        };
        assert!(differences(&lines(&[1, 2, 2]), &lines(&[1, 2, 2])).is_empty());
        let differ = differences(&lines(&[1, 2, 2, 5]), &lines(&[1, 2, 3]));
        assert_eq!(
            differ,
            ["- {\"time\":2}", "+ {\"time\":3}", "- {\"time\":5}"]
        );
    }
}
