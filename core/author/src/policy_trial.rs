//! `taimat plugin test DAY.toml`: a policy on a written day, in the real sandbox.

use std::sync::Arc;
use std::time::Duration;

use taimat_base::clock;
use taimat_sandbox::PolicyTrial;
use taimat_sandbox::limits::LimitSettings;

use crate::day::WrittenDay;
use crate::report::Report;
use crate::ruling_words;
use crate::virtual_router::{Step, VirtualRouter};

/// Lets a packed policy rule a day, so many times one after the other. A call that fails ends it.
pub(crate) async fn run(
    plugin: &[u8],
    settings: &str,
    limits: &LimitSettings,
    day: &WrittenDay,
    days: u32,
) -> anyhow::Result<Report> {
    let facts = Arc::new(day.commune.facts.clone());
    let clock = &day.commune.clock;
    let mut trial = PolicyTrial::start(plugin, settings, &facts, limits).await?;
    let targets = facts.targets.iter().map(|t| t.name.clone()).collect();
    let undelivered = day.commune.undelivered.clone();
    let mut router = VirtualRouter::new(targets, undelivered, day.happenings(days)?);
    let mut report = Report::default();
    let mut calls: Vec<Duration> = Vec::new();
    while let Some(step) = router.next().map_err(anyhow::Error::msg)? {
        match step {
            Step::Asks(question) => {
                let (event, situation) = (&question.event, &question.situation);
                let begin = clock::thread_now();
                let ruled = trial.on_event(event, situation).await;
                calls.push(clock::thread_now() - begin);
                let when = clock.shows(situation.now);
                let lines = trial.lines();
                let ruling = ruled.map_err(|failure| {
                    let log: Vec<String> = lines.iter().map(|l| format!("  {}", l.text)).collect();
                    anyhow::anyhow!("{when}, {}: {failure}\n{}", event.id, log.join("\n"))
                })?;
                router.ruled(&question, &ruling);
                let words =
                    ruling_words::ruling(&ruling, situation.now, clock, |t| router.knows(t));
                let camera = event.camera.as_ref().map_or("-", |c| c.as_str());
                report.rows.push(format!(
                    "{when}  {:<10} {:<14} {:<12} {:<11}  {words}",
                    event.id,
                    event.kind,
                    camera,
                    ruling_words::why(situation.why),
                ));
            }
            Step::Tells { at, target, events } => {
                let events: Vec<String> = events
                    .iter()
                    .map(|(id, revision)| format!("{id} r{revision}"))
                    .collect();
                report.rows.push(format!(
                    "{}  -> {target}: {}",
                    clock.shows(at),
                    events.join(", ")
                ));
            }
            Step::GaveUp { at, target, events } => {
                let when = clock.shows(at);
                report.rows.push(format!(
                    "{when}  -x {target}: {}, undelivered",
                    events.join(", ")
                ));
            }
        }
    }
    report.log = trial.lines().into_iter().map(|line| line.text).collect();
    report.summary = report.summed(
        trial.version(),
        "questions",
        &mut calls,
        trial.memory_bytes(),
    );
    Ok(report)
}
