//! Which generation of a plugin is to run: the new one, the one before, the same as the commune has it now,
//! or none.

use std::sync::Arc;
use std::time::Duration;

use taimat_base::clock;
use taimat_contract::package::PackageDigest;

use super::live::LiveGeneration;
use super::{PluginTask, Ready};
use crate::generation::Generation;
use crate::granted::Granted;
use crate::host::InstanceContext;
use crate::kinds;
use crate::load::{self, Loaded};
use crate::seat::SeatReport;
use crate::states::{PluginState, RunState};
use crate::status::LastError;
use crate::tail::{Level, line};

/// How long to wait for what ran before a restart to run again.
const SETTLING: Duration = Duration::from_secs(30);

impl PluginTask {
    /// Waits until what was taken over runs at all cameras, or does not: a runner that has nothing
    /// yet would begin with what comes next.
    pub(super) async fn settle(&mut self) {
        let stop = self.tasks.stop_signal().clone();
        let deadline = clock::now() + SETTLING;
        while self.places.any(|status| status.state == RunState::Starting) {
            tokio::select! {
                () = stop.cancelled() => return,
                () = clock::sleep_until(deadline) => return,
                Some(report) = self.reports.recv() => self.heard(report).await,
            }
        }
    }

    /// Keeps what runs for the next start.
    pub(super) async fn keep(&mut self) {
        let Some(digest) = self.live.as_ref().map(LiveGeneration::digest) else {
            return;
        };
        if self.proven == Some(digest) {
            return;
        }
        let (services, spec) = (Arc::clone(&self.services), Arc::clone(&self.spec));
        let keep = move || match &services.proven {
            Some(proven) => proven.keep(&spec, digest),
            None => Ok(false),
        };
        match tokio::task::spawn_blocking(keep).await {
            Ok(Ok(kept)) => self.proven = kept.then_some(digest),
            Ok(Err(error)) => tracing::warn!(%error, "it can not be kept for the next start"),
            Err(_panicked) => {}
        }
    }

    pub(super) fn refuse(&mut self, why: &str, digest: Option<PackageDigest>) {
        let why = &line(why);
        let digest = digest.map_or_else(|| "unread".to_owned(), |d| d.short());
        tracing::error!(digest, why, "refused");
        self.set_refused(true);
        self.board.metrics.refusals.inc();
        self.error(why);
        if self.live.is_none() {
            self.board.lock().state = PluginState::Refused;
            self.board.metrics.up.set(0);
        }
    }

    pub(super) fn set_refused(&mut self, refused: bool) {
        self.refused = refused;
        self.board.lock().change_refused = refused;
        self.board.metrics.change_refused.set(i64::from(refused));
    }

    fn error(&self, why: &str) {
        self.board.tail.push(Level::Error, "", why.to_owned());
        self.board.lock().last_error = Some(LastError {
            at: clock::wall().into(),
            text: why.to_owned(),
        });
    }

    /// A new component is to run.
    pub(super) fn take_over(&mut self, ready: Ready) {
        let Ready { loaded, context } = ready;
        self.unheeded = false;
        self.board.metrics.loads.inc();
        self.generations += 1;
        self.common.share.limit(context.limits.cpu_share);
        let live = LiveGeneration::new(Generation::new(
            self.generations,
            loaded,
            context,
            &self.spec,
        ));
        let generation = &live.generation;
        let digest = generation.loaded.digest.short();
        let (number, version) = (generation.number, &generation.version);
        tracing::info!(generation = number, version, digest, "goes live");
        let text = format!("generation {number}: version {version}, {digest}");
        self.board.tail.push(Level::Info, "", text);
        let (granted, requests) = (
            &generation.context.granted,
            &live.package().manifest.requests,
        );
        for missing in granted.missing(requests, &self.spec.name) {
            tracing::warn!("{missing}");
            self.board.tail.push(Level::Warn, "", missing);
        }
        let refused = self.board.lock().state() == PluginState::Refused;
        let former = self.live.replace(live.clone());
        // One that was refused everywhere is nothing to fall back on. Nor is one that has not proved
        // itself: while it has to, there is one before it.
        if self.before.is_none() && !refused {
            self.before = former;
        }
        self.go(&live);
    }

    /// What instances of it would have, as the commune says now.
    pub(super) fn context(&self, loaded: &Loaded) -> InstanceContext {
        let manifest = &loaded.package.manifest;
        let granted = Granted::of(&manifest.requests, &self.spec.grant);
        InstanceContext::new(&self.common, &self.spec, manifest, granted)
    }

    /// Whether what runs, or what would be fallen back on, has something that the commune grants no more,
    /// or is trusted no more.
    pub(super) fn has_lost_something(&self) -> bool {
        let mut generations = self.live.iter().chain(&self.before);
        generations.any(|live| self.is_revoked(live))
    }

    fn is_revoked(&self, live: &LiveGeneration) -> bool {
        let granted = Granted::of(&live.package().manifest.requests, &self.spec.grant);
        granted.takes_back(&live.generation.context.granted)
            || load::is_trusted(live.package(), &self.spec.trusted_keys).is_err()
    }

    /// The file was put there again as it was: whoever refused it before is asked again.
    pub(super) fn same_again(&mut self) {
        let refused = self.places.any(|status| status.state == RunState::Refused);
        let Some(live) = self.live.as_ref().filter(|_| refused) else {
            self.respecify();
            return;
        };
        let loaded = live.generation.loaded.clone();
        let context = self.context(&loaded);
        self.take_over(Ready { loaded, context });
    }

    /// The file is the same and what the commune says about it may not be.
    pub(super) fn respecify(&mut self) {
        self.unheeded = false;
        let Some(live) = self.live.clone() else {
            return;
        };
        let (was, is) = (live.spec(), &self.spec);
        // Who does not ask about the commune need not be made anew when something about it changes.
        let asks = live.generation.loaded.surface.imports_interface("commune");
        let same = was.settings == is.settings
            && (!asks || was.facts == is.facts)
            && was.camera_settings == is.camera_settings
            && was.grant == is.grant
            && was.limits == is.limits
            && was.trusted_keys == is.trusted_keys;
        if same {
            self.go(&live);
            return;
        }
        // A grant or a trust that was taken back is not used on, not even by one that is fallen back
        // on.
        if let Err(error) = load::is_trusted(live.package(), &self.spec.trusted_keys) {
            self.halt();
            self.refuse(&error.to_string(), Some(live.digest()));
            return;
        }
        let loaded = live.generation.loaded.clone();
        let context = self.context(&loaded);
        let takes_back = context.granted.takes_back(&live.generation.context.granted);
        if takes_back || self.before.as_ref().is_some_and(|b| self.is_revoked(b)) {
            let stamp = self.stamp.take();
            self.halt();
            self.stamp = stamp;
        }
        self.take_over(Ready { loaded, context });
    }

    /// Makes this generation the desired one at all places that the commune says.
    fn go(&mut self, live: &LiveGeneration) {
        let generation = &live.generation;
        let Ok(kind) = kinds::served(generation.loaded.package.manifest.kind) else {
            return;
        };
        let mut places = (kind.places)(&self.spec);
        let (wanted, granted) = (places.len(), self.room.ask(places.len()));
        if granted < wanted {
            let why = format!(
                "there is room for {granted} of its {wanted} instances in this router: it does not run at the \
                 other cameras. Run another router for some communes, or this plugin at fewer cameras"
            );
            tracing::error!("{why}");
            self.error(&why);
            places.truncate(granted);
        }
        self.places.go(kind, generation, &places);
        let mut shown = self.board.lock();
        // New ones have not refused anything yet, whatever those before them did.
        let is_new = shown.generation != generation.number;
        shown.state = PluginState::Running;
        shown.generation = generation.number;
        shown.component = Some(live.component.clone());
        shown.schema.clone_from(&generation.loaded.schema);
        let up = is_new || shown.state() == PluginState::Running;
        drop(shown);
        self.board.metrics.up.set(i64::from(up));
        let number = i64::try_from(generation.number).unwrap_or(i64::MAX);
        self.board.metrics.generation.set(number);
    }

    /// Nothing of it runs any more.
    pub(super) fn halt(&mut self) {
        self.places.halt();
        self.room.ask(0);
        self.live = None;
        self.before = None;
        self.stamp = None;
        let mut shown = self.board.lock();
        shown.generation = 0;
        shown.component = None;
        shown.schema = None;
        self.board.metrics.up.set(0);
    }

    pub(super) async fn heard(&mut self, report: SeatReport) {
        let current = self.live.as_ref().map(|r| r.generation.number);
        match report {
            SeatReport::RolledBack { generation, why }
            | SeatReport::Refused { generation, why } => {
                self.error(&format!("generation {generation}: {why}"));
                if current == Some(generation)
                    && let Some(before) = self.before.take()
                {
                    // The file stays refused until it changes.
                    let short =
                        |live: Option<&LiveGeneration>| live.map(|live| live.digest().short());
                    tracing::warn!(
                        generation,
                        digest = short(self.live.as_ref()),
                        goes_on = short(Some(&before)),
                        why,
                        "taken back"
                    );
                    self.board.metrics.refusals.inc();
                    self.set_refused(true);
                    self.live = Some(before.clone());
                    self.go(&before);
                }
            }
            SeatReport::Confirmed { generation } => {
                let elsewhere = self.places.any(|status| {
                    status.generation != generation || status.state != RunState::Running
                });
                if current == Some(generation) && !elsewhere {
                    self.before = None;
                    self.keep().await;
                }
            }
            SeatReport::Failed { why } => self.error(&why),
        }
        if self.live.is_some() {
            let runs = self.board.lock().state() == PluginState::Running;
            self.board.metrics.up.set(i64::from(runs));
        }
    }
}
