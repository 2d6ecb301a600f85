//! What a plugin has: what its manifest asks for and its commune grants. Worked out once for each
//! generation; whoever has to know looks here.

use taimat_base::PluginId;
use taimat_contract::package::Requests;

use crate::host::channels::ChannelGrant;
use crate::spec::Grant;

/// What a plugin has.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Granted {
    /// Decoded frames: width at most, frames per second at most.
    pub(crate) frames: Option<(u32, f32)>,
    /// A memory that outlives instances, of so many bytes.
    pub(crate) state_bytes: Option<u64>,
    /// What it may send by.
    pub(crate) channels: ChannelGrant,
}

impl Granted {
    /// What of these requests is granted.
    pub(crate) fn of(requests: &Requests, grant: &Grant) -> Self {
        let frames = requests.frames.zip(grant.frames);
        let state = requests.state.zip(grant.state_bytes);
        let sends = !requests.channels.is_empty();
        Self {
            frames: frames
                .map(|(asked, (width, fps))| (width.min(asked.width), fps.min(asked.fps as f32))),
            state_bytes: state.map(|(asked, granted)| asked.0.min(granted)),
            channels: ChannelGrant {
                kinds: requests.channels.clone(),
                names: Some(match sends {
                    true => grant.channels.clone(),
                    false => Default::default(),
                }),
            },
        }
    }

    /// All that is asked for, where nothing is sent: what the channels are called does not matter.
    pub(crate) fn all(requests: &Requests) -> Self {
        Self {
            frames: requests.frames.map(|asked| (asked.width, asked.fps as f32)),
            state_bytes: requests.state.map(|asked| asked.0),
            channels: ChannelGrant {
                kinds: requests.channels.clone(),
                names: None,
            },
        }
    }

    /// Whether there is something for an interface.
    fn has(&self, interface: &str) -> bool {
        match interface {
            "frames" => self.frames.is_some(),
            "state" => self.state_bytes.is_some(),
            "channels" => self.channels.names.as_ref().is_none_or(|n| !n.is_empty()),
            _ => true,
        }
    }

    /// What is asked for and not there, with the line to add.
    pub(crate) fn missing(&self, requests: &Requests, plugin: &PluginId) -> Vec<String> {
        let asked = requests.grants().into_iter();
        let missing = asked.filter(|(interface, _)| !self.has(interface));
        missing
            .map(|(interface, line)| {
                format!("it asks for {interface}; add to [plugin.{plugin}]: grant = {{ {line} }}")
            })
            .collect()
    }

    /// What of an interface is there, as a commune writes it into the plugin's `grant`.
    pub(crate) fn line(&self, interface: &str) -> Option<String> {
        match interface {
            "frames" => {
                let (width, fps) = self.frames?;
                Some(format!("frames = {{ width = {width}, fps = {fps} }}"))
            }
            "state" => Some(format!("state = \"{}KiB\"", self.state_bytes? / 1024)),
            "channels" => {
                let names = self.channels.names.as_ref().filter(|n| !n.is_empty())?;
                let names: Vec<String> = names.iter().map(|n| format!("{n:?}")).collect();
                Some(format!("channels = [{}]", names.join(", ")))
            }
            _ => None,
        }
    }

    /// Whether something is gone that was there before.
    pub(crate) fn takes_back(&self, before: &Self) -> bool {
        let gone = |interface: &str| before.has(interface) && !self.has(interface);
        let channels = match (&before.channels.names, &self.channels.names) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(before), Some(now)) => !before.is_subset(now),
        };
        gone("frames") || gone("state") || channels
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taimat_contract::Manifest;

    fn requests(asks: &str) -> Requests {
        let manifest = format!(
            "[plugin]\nname = \"a\"\nversion = \"1.0.0\"\nkind = \"alerter\"\n[requests]\n{asks}"
        );
        manifest.parse::<Manifest>().unwrap().requests
    }

    fn grant(channels: &[&str]) -> Grant {
        Grant {
            frames: Some((320, 2.5)),
            state_bytes: Some(64 << 10),
            channels: channels.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn is_what_is_asked_for_and_granted() {
        let asks = requests("frames = { width = 640, fps = 10 }\nchannels = [\"http\"]");
        let granted = Granted::of(&asks, &grant(&["hook"]));
        assert_eq!(
            (granted.frames, granted.state_bytes),
            (Some((320, 2.5)), None)
        );
        assert_eq!(
            granted.line("channels").as_deref(),
            Some("channels = [\"hook\"]")
        );
        assert_eq!(granted.missing(&asks, &"a".parse().unwrap()), [""; 0]);
        let without = Granted::of(&asks, &Grant::default());
        let missing = without.missing(&asks, &"a".parse().unwrap());
        assert_eq!(missing.len(), 2);
        assert!(
            missing[0].contains("[plugin.a]: grant = { frames"),
            "{missing:?}"
        );
    }

    #[test]
    fn what_is_taken_back_is_only_what_was_there() {
        let asks = requests("frames = { width = 640, fps = 10 }\nchannels = [\"http\"]");
        let has = |grant: &Grant| Granted::of(&asks, grant);
        let (both, one) = (has(&grant(&["a", "b"])), has(&grant(&["a"])));
        assert!(one.takes_back(&both) && !both.takes_back(&one));
        assert!(has(&Grant::default()).takes_back(&one));
        // Of state it had nothing: nothing of it is gone.
        let stateless = Grant {
            state_bytes: None,
            ..grant(&["a"])
        };
        assert!(!has(&stateless).takes_back(&one));
    }
}
