//! Targets: who can be told, as a commune's file says it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use taimat_base::PluginId;
use taimat_contract::{Attribute, CommuneFacts};

use crate::alert_rule::AlertRule;

/// The alerter that is built in: it writes a line into the router's log.
pub const LOG_ALERTER: &str = "log";

/// Somebody or something that can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name for people.
    pub title: String,
    /// The plugin that words and reads its messages; [`LOG_ALERTER`] is built in.
    pub alerter: PluginId,
    /// People's words for it.
    pub tags: Vec<String>,
    /// What the alerter is told of it: a chat's number, a topic, a template.
    pub address: Vec<Attribute>,
    /// After so long without success it is given up.
    pub deadline: Duration,
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
