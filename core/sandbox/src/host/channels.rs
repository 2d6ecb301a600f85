//! Channels: a message names one, and it is one that the plugin asked for and was granted.

use std::collections::BTreeSet;

use taimat_base::PluginId;
use taimat_contract::PluginError;
use taimat_contract::message::{ChannelKind, Outgoing};

/// What a plugin may send by.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ChannelGrant {
    /// Kinds that its manifest asks for.
    pub(crate) kinds: BTreeSet<ChannelKind>,
    /// Names that its commune grants; `None` is any, where nothing is sent.
    pub(crate) names: Option<BTreeSet<String>>,
}

impl ChannelGrant {
    /// Whether a message may go out.
    pub(crate) fn admit(&self, message: &Outgoing, plugin: &PluginId) -> Result<(), PluginError> {
        self.admit_named(message.kind(), message.channel(), plugin)
    }

    /// The same for what goes by a channel that somebody else has named.
    pub(crate) fn admit_named(
        &self,
        kind: ChannelKind,
        name: &str,
        plugin: &PluginId,
    ) -> Result<(), PluginError> {
        if !self.kinds.contains(&kind) {
            let why =
                format!("its manifest does not ask for it: channels = [\"{kind}\"] in [requests]");
            return Err(PluginError::Settings(why));
        }
        let granted = |names: &BTreeSet<String>| names.contains(name);
        if !self.names.as_ref().is_none_or(granted) {
            let name = taimat_base::text::line(name, 64);
            let why = format!(
                "the channel {name:?} is not granted; add to [plugin.{plugin}]: \
                 grant = {{ channels = [{name:?}] }}"
            );
            return Err(PluginError::Settings(why));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use taimat_contract::message::Wire;

    use super::*;

    #[test]
    fn both_the_manifest_and_the_commune_have_to_say_so() {
        let plugin = "horn".parse().unwrap();
        let message = Outgoing::Wire(Wire {
            channel: "siren".into(),
            bytes: vec![1],
            answer_bytes: 0,
        });
        let admitted = |kinds: &[ChannelKind], names: Option<&[&str]>| {
            let grant = ChannelGrant {
                kinds: kinds.iter().copied().collect(),
                names: names.map(|names| names.iter().map(|n| (*n).to_owned()).collect()),
            };
            grant.admit(&message, &plugin).map_err(|e| e.to_string())
        };
        assert_eq!(admitted(&[ChannelKind::Wire], Some(&["siren"])), Ok(()));
        assert_eq!(admitted(&[ChannelKind::Wire], None), Ok(()));
        let other = admitted(&[ChannelKind::Http], Some(&["siren"])).unwrap_err();
        assert!(other.contains("channels = [\"wire\"]"), "{other}");
        let none = admitted(&[ChannelKind::Wire], Some(&["lamp"])).unwrap_err();
        assert!(
            none.contains("grant = { channels = [\"siren\"] }"),
            "{none}"
        );
    }
}
