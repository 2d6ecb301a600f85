//! `[channel.…]` whose address is a broker's.

use taimat_base::{ChannelId, CommuneId};
use taimat_outbound::MqttSpec;
use toml_edit::Item;

use super::super::reader::Section;
use super::reading::Reading;

pub(super) const SETTINGS: [&str; 5] = [
    "user",
    "password",
    "prefix",
    "client-id",
    "discovery-prefix",
];

impl<'a> Reading<'_, 'a> {
    pub(super) fn mqtt(&mut self, commune: &CommuneId, id: &ChannelId) -> MqttSpec {
        let at = self.at.clone();
        let prefix = self.topic(&at, "prefix");
        MqttSpec {
            login: self.login(),
            client_id: self
                .word(&at, "client-id", 128)
                .unwrap_or_else(|| format!("taimat-{commune}-{id}")),
            prefix: prefix.unwrap_or_else(|| format!("taimat/{commune}")),
            discovery_prefix: self.topic(&at, "discovery-prefix"),
        }
    }

    fn topic(&mut self, at: &Section<'a>, key: &str) -> Option<String> {
        let topic = self.word(at, key, 128)?;
        if topic.contains(['+', '#', '$']) || topic.starts_with('/') || topic.ends_with('/') {
            let span = at.table.get(key).and_then(Item::span);
            let message = format!("`{key}` of {} is no beginning of topics", at.name);
            let hint = "without +, #, $, and / at its ends: for example \"taimat/hoa-lac\"";
            self.reader.problem(span, message, hint);
            return None;
        }
        Some(topic)
    }
}
