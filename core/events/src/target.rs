//! Targets: who can be told, as a commune's file says it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use taimat_base::PluginId;
use taimat_contract::{Attribute, CommuneFacts};

use crate::alert_rule::AlertRule;

/// The alerter that is built in: it writes a line into the router's log.
pub const LOG_ALERTER: &str = "log";

/// The alerter that is built in for browsers: whoever asked in the console gets a notification. It is no
/// plugin, as nothing that a guest could decide is left: the form is our own console's, and addresses and
/// keys of browsers are for no guest.
pub const PUSH_ALERTER: &str = "push";

/// Between the name of a target and the number of one of its browsers; no target's name has it.
const BROWSER: char = '/';

/// Somebody or something that can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name for people.
    pub title: String,
    /// The plugin that words and reads its messages; [`LOG_ALERTER`] and [`PUSH_ALERTER`] are built in.
    pub alerter: PluginId,
    /// People's words for it.
    pub tags: Vec<String>,
    /// What the alerter is told of it: a chat's number, a topic, a template.
    pub address: Vec<Attribute>,
    /// After so long without success it is given up.
    pub deadline: Duration,
}

impl Target {
    /// Whether it stands for the browsers that asked.
    pub fn is_push(&self) -> bool {
        self.alerter.as_str() == PUSH_ALERTER
    }

    /// Whether no plugin words its messages.
    pub(crate) fn is_built_in(&self) -> bool {
        self.is_push() || self.alerter.as_str() == LOG_ALERTER
    }
}

/// What the outbox calls a browser of a target.
pub(crate) fn of_browser(target: &str, number: u64) -> String {
    format!("{target}{BROWSER}{number}")
}

/// The target and the browser's number, if it is the name of one.
pub(crate) fn browser(name: &str) -> Option<(&str, i64)> {
    let (target, number) = name.split_once(BROWSER)?;
    Some((target, number.parse().ok()?))
}

/// What a commune's file says about telling.
#[derive(Debug, Clone, PartialEq)]
pub struct CommuneAlerts {
    /// The plugin that rules. None: the rules of the file.
    pub policy: Option<PluginId>,
    /// The rules that hold without a policy, and while it fails.
    pub rules: Vec<AlertRule>,
    /// Who can be told, by name.
    pub targets: BTreeMap<String, Target>,
    /// What is known of the commune.
    pub facts: Arc<CommuneFacts>,
}

impl CommuneAlerts {
    /// The target of a name, which may be that of one of its browsers.
    pub(crate) fn target(&self, name: &str) -> Option<&Target> {
        match browser(name) {
            Some((target, _)) => self.targets.get(target).filter(|target| target.is_push()),
            None => self.targets.get(name),
        }
    }

    /// The target that stands for the browsers that asked, and its name. There is one at most.
    pub fn push_target(&self) -> Option<(&str, &Target)> {
        let mut all = self.targets.iter().filter(|(_, target)| target.is_push());
        all.next().map(|(name, target)| (name.as_str(), target))
    }
}

impl Default for CommuneAlerts {
    /// Nobody can be told.
    fn default() -> Self {
        Self {
            policy: None,
            rules: Vec::new(),
            targets: BTreeMap::new(),
            facts: Arc::default(),
        }
    }
}
