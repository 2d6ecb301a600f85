//! `taimat plugin test TASKS.toml`: an alerter on written tasks, in the real sandbox. Nothing is sent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use taimat_base::clock;
use taimat_contract::alerter::{Decision, Item, Receipt};
use taimat_contract::message::{HttpResponse, Outgoing, Reply};
use taimat_contract::{Failure, UnixMicros};
use taimat_sandbox::AlerterTrial;
use taimat_sandbox::limits::LimitSettings;

use crate::commune_file::WallClock;
use crate::conversation::{After, Conversation};
use crate::message_words as words;
use crate::report::Report;
use crate::tasks::{WrittenTask, WrittenTasks, WrittenUpkeep};

/// Receipts of what was told, by target and event; the newest first.
type Receipts = BTreeMap<(String, String), Vec<Receipt>>;

/// An alerter that is tried, and what was seen of it so far.
struct Try<'a> {
    trial: AlerterTrial,
    clock: &'a WallClock,
    receipts: Receipts,
    report: Report,
    calls: Vec<Duration>,
}

/// Has a packed alerter tell what a file says. A call that fails ends it.
pub(crate) async fn run(
    plugin: &[u8],
    settings: &str,
    limits: &LimitSettings,
    tasks: &WrittenTasks,
) -> anyhow::Result<Report> {
    let facts = Arc::new(tasks.commune.facts.clone());
    let mut tried = Try {
        trial: AlerterTrial::start(plugin, settings, &facts, limits).await?,
        clock: &tasks.commune.clock,
        receipts: Receipts::new(),
        report: Report::default(),
        calls: Vec::new(),
    };
    for task in &tasks.tasks {
        tried.task(task).await?;
    }
    for upkeep in &tasks.upkeep {
        tried.upkeep(upkeep).await?;
    }
    let Try {
        trial,
        mut report,
        mut calls,
        ..
    } = tried;
    report.log = trial.lines().into_iter().map(|line| line.text).collect();
    report.summary = report.summed(trial.version(), "calls", &mut calls, trial.memory_bytes());
    Ok(report)
}

/// What the other side says if the file does not say it.
fn taken(message: &Outgoing) -> Reply {
    match message {
        Outgoing::Http(_) => Reply::Http(HttpResponse {
            status: 200,
            headers: Vec::new(),
            body: Vec::new(),
        }),
        Outgoing::Mqtt(_) | Outgoing::Mail(_) => Reply::Accepted(String::new()),
        Outgoing::Wire(_) => Reply::Bytes(Vec::new()),
    }
}

impl Try<'_> {
    fn line(&mut self, depth: usize, text: &str) {
        let line = format!("{}{text}", "    ".repeat(depth));
        self.report.rows.push(line.trim_end().to_owned());
    }

    fn failed(&self, at: UnixMicros, failure: &Failure) -> anyhow::Error {
        let lines = self.trial.lines();
        let log: Vec<String> = lines.iter().map(|l| format!("  {}", l.text)).collect();
        anyhow::anyhow!("{}: {failure}\n{}", self.clock.shows(at), log.join("\n"))
    }

    async fn task(&mut self, written: &WrittenTask) -> anyhow::Result<()> {
        let mut task = written.task.clone();
        for item in &mut task.items {
            let known = self
                .receipts
                .get(&(task.target.clone(), item.event.id.clone()));
            item.earlier
                .splice(0..0, known.into_iter().flatten().cloned());
            item.earlier.truncate(Item::MAX_EARLIER);
        }
        let about = task
            .items
            .iter()
            .map(|i| format!("{} r{}", i.event.id, i.event.revision));
        let about: Vec<String> = about.collect();
        let head = format!(
            "{}  {}: {}",
            self.clock.shows(task.now),
            task.target,
            about.join(", ")
        );
        self.line(0, &head);
        let begin = clock::thread_now();
        let decision = self.trial.compose(&task).await;
        self.calls.push(clock::thread_now() - begin);
        let decision = decision.map_err(|e| self.failed(task.now, &e))?;
        if let Decision::Skip(why) = &decision {
            self.line(1, &format!("nothing to send: {why}"));
        }
        let Some(mut talk) = Conversation::begin(&decision, task.now, written.deadline) else {
            return Ok(());
        };
        while let Some((planned, sent)) = talk.next() {
            let mut lines = words::message(&planned.message).into_iter();
            let first = lines.next().unwrap_or_default();
            self.line(1, &format!("{}.{} {first}", sent.step, sent.attempt));
            // A message that is tried again is the same.
            if sent.attempt == 1 {
                lines.for_each(|line| self.line(2, &line));
            }
            let scripted = written.replies.get(&(sent.step, sent.attempt)).cloned();
            let reply = scripted.unwrap_or_else(|| taken(&planned.message));
            self.line(1, &format!("< {}", words::reply(&reply)));
            let begin = clock::thread_now();
            let verdict = self.trial.judge(&task, &sent, &reply).await;
            self.calls.push(clock::thread_now() - begin);
            let verdict = verdict.map_err(|e| self.failed(sent.at, &e))?;
            let mut said = words::verdict(&verdict);
            match talk.judged(&verdict, &reply) {
                After::Delivered if said == "as usual" => said.push_str(", delivered"),
                After::Delivered | After::Instead(_) => {}
                After::Again(at) => said.push_str(&format!(", at {}", self.clock.shows(at))),
                After::Ends(why) if said.ends_with(&why) => {}
                After::Ends(why) => said.push_str(&format!(", ends: {why}")),
            }
            self.line(1, &format!("= {said}"));
            if let Some(text) = talk.receipt().filter(|_| talk.next().is_none()) {
                for item in &task.items {
                    let receipt = Receipt {
                        revision: item.event.revision,
                        at: sent.at,
                        text: text.to_owned(),
                    };
                    let key = (task.target.clone(), item.event.id.clone());
                    self.receipts.entry(key).or_default().insert(0, receipt);
                }
            }
        }
        Ok(())
    }

    async fn upkeep(&mut self, upkeep: &WrittenUpkeep) -> anyhow::Result<()> {
        let WrittenUpkeep {
            at,
            target,
            address,
            cameras,
        } = upkeep;
        self.line(0, &format!("{}  upkeep of {target}", self.clock.shows(*at)));
        let begin = clock::thread_now();
        let chores = self.trial.tend(target, address, cameras, *at).await;
        self.calls.push(clock::thread_now() - begin);
        let Some(chores) = chores.map_err(|e| self.failed(*at, &e))? else {
            self.line(1, "it has no upkeep");
            return Ok(());
        };
        for message in &chores.messages {
            let mut lines = words::message(message).into_iter();
            let first = lines.next().unwrap_or_default();
            self.line(1, &first);
            lines.for_each(|line| self.line(2, &line));
        }
        if chores.ask_again != 0 {
            self.line(1, &format!("ask again in {} s", chores.ask_again));
        }
        Ok(())
    }
}
