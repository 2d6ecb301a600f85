//! What a plugin's author says of it and asks for: `plugin.toml`.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use taimat_base::units::{ByteSize, Span};
use utoipa::ToSchema;

use crate::message::ChannelKind;

/// What kind of plugin it is: which world it targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Looks at frames.
    Detector,
    /// Says where recordings are kept, and how long.
    Storage,
    /// Speaks the protocol of a place where recordings are kept.
    Backend,
    /// Tells people.
    Alerter,
    /// Says who may do what.
    Policy,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Detector => "detector",
            Self::Storage => "storage",
            Self::Backend => "backend",
            Self::Alerter => "alerter",
            Self::Policy => "policy",
        })
    }
}

/// A manifest. What it asks for is granted only where the commune grants it too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The plugin's name: 1 to 64 of a-z, 0-9 and `-`.
    pub name: String,
    /// Its semantic version, of 64 characters at most.
    pub version: String,
    /// Its kind.
    pub kind: Kind,
    /// One line for who decides about it, of 256 bytes at most.
    pub summary: String,
    /// Its licence, as an SPDX expression.
    pub license: String,
    /// What it asks for.
    pub requests: Requests,
    /// What it would like of the limits.
    pub limits: Wishes,
}

/// What a plugin asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Requests {
    /// Decoded frames.
    pub frames: Option<FramesRequest>,
    /// A memory that outlives instances, of this size.
    pub state: Option<ByteSize>,
    /// To send by channels of these kinds.
    pub channels: BTreeSet<ChannelKind>,
}

impl Requests {
    /// What it asks for, by what needs it, as a commune writes it into a plugin's `grant`:
    /// `frames = { width = 640, fps = 5 }`. Channels stand there by their names, which an author can not
    /// know: their kinds stand in their place.
    pub fn grants(&self) -> Vec<(&'static str, String)> {
        let frames = self.frames.map(|FramesRequest { width, fps }| {
            let line = format!("frames = {{ width = {width}, fps = {fps} }}");
            ("frames", line)
        });
        let state = self.state.map(|size| {
            let line = format!("state = \"{}KiB\"", size.0.div_ceil(1024));
            ("state", line)
        });
        let channels = (!self.channels.is_empty()).then(|| {
            let kinds = self.channels.iter().map(|kind| format!("\"{kind}\""));
            let kinds = kinds.collect::<Vec<_>>().join(", ");
            ("channels", format!("channels = [{kinds}]"))
        });
        frames.into_iter().chain(state).chain(channels).collect()
    }
}

/// How large and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FramesRequest {
    /// Width in pixels at most.
    pub width: u32,
    /// Frames per second at most.
    pub fps: u32,
}

/// Limits that the author thinks are right. The commune's come first; the router's ceiling stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Wishes {
    /// Linear memory of an instance.
    pub memory: Option<ByteSize>,
    /// CPU time of one call.
    pub call: Option<Span>,
    /// Time of one call, waiting included.
    pub wall: Option<Span>,
    /// Calls after which an instance is replaced, its state handed over; for runtimes that grow.
    pub recycle: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    plugin: About,
    #[serde(default)]
    requests: Requests,
    #[serde(default)]
    limits: Wishes,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    name: String,
    version: String,
    kind: Kind,
    #[serde(default)]
    summary: String,
    #[serde(default)]
    license: String,
}

/// Characters of a version at most.
const MAX_VERSION: usize = 64;
/// Bytes of the summary and of the licence at most.
const MAX_LINE: usize = 256;

/// What comes from a file, as far as a terminal or a log should show it.
fn shown(text: &str) -> String {
    let plain = |c: char| if c.is_control() && c != '\n' { ' ' } else { c };
    text.trim().chars().take(1000).map(plain).collect()
}

impl FromStr for Manifest {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|e| shown(&e.to_string()))?;
        let File {
            plugin,
            requests,
            limits,
        } = file;
        plugin
            .name
            .parse::<taimat_base::PluginId>()
            .map_err(|e| format!("plugin.name {:?}: {e}", plugin.name))?;
        let short = plugin.version.len() <= MAX_VERSION;
        if !short || semver::Version::parse(&plugin.version).is_err() {
            return Err(format!(
                "plugin.version {:?} is not a semantic version such as \"1.4.0\", of {MAX_VERSION} \
                 characters at most",
                shown(&plugin.version)
            ));
        }
        for (what, text) in [("summary", &plugin.summary), ("license", &plugin.license)] {
            if text.len() > MAX_LINE || text.contains(char::is_control) {
                return Err(format!(
                    "plugin.{what} is not one line of {MAX_LINE} bytes at most"
                ));
            }
        }
        let sends = matches!(plugin.kind, Kind::Alerter | Kind::Backend);
        if !sends && !requests.channels.is_empty() {
            let kind = plugin.kind;
            return Err(format!(
                "requests.channels: alerters and backends send, a {kind} does not"
            ));
        }
        let other = |kind: &ChannelKind| *kind != ChannelKind::Http;
        if plugin.kind == Kind::Backend && requests.channels.iter().any(other) {
            return Err("requests.channels: backends speak http only".into());
        }
        if let Some(frames) = requests.frames
            && !((16..=3840).contains(&frames.width) && (1..=60).contains(&frames.fps))
        {
            return Err("requests.frames: width is 16 to 3840, fps 1 to 60".into());
        }
        Ok(Self {
            name: plugin.name,
            version: plugin.version,
            kind: plugin.kind,
            summary: plugin.summary,
            license: plugin.license,
            requests,
            limits,
        })
    }
}

/// A manifest as authors write it.
pub(super) const EXAMPLE: &str = r#"[plugin]
name = "detect-motion"
version = "1.4.0"
kind = "detector"
summary = "Finds movement"
license = "Apache-2.0"

[requests]
frames = { width = 640, fps = 5 }
state = "1MiB"

[limits]
memory = "32MiB"
call = "20ms"
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_authors_write() {
        let manifest: Manifest = EXAMPLE.parse().unwrap();
        let frames = manifest.requests.frames.unwrap();
        assert_eq!((frames.width, frames.fps), (640, 5));
        assert_eq!(manifest.requests.state, Some(ByteSize(1 << 20)));
        assert_eq!(manifest.kind, Kind::Detector);
    }

    #[test]
    fn says_what_is_wrong() {
        let wrong = |from: &str, to: &str| {
            let text = EXAMPLE.replace(from, to);
            text.parse::<Manifest>().unwrap_err()
        };
        for version in ["1.4", "01.2.3", "1.2.3-", "1.2.3 "] {
            assert!(
                wrong("1.4.0", version).contains("semantic version"),
                "{version}"
            );
        }
        assert!(wrong("\"detector\"", "\"camera\"").contains("expected one of"));
        assert!(wrong("fps = 5", "fps = 500").contains("fps 1 to 60"));
        let sends = wrong("state = \"1MiB\"", "channels = [\"http\"]");
        assert!(sends.contains("a detector does not"), "{sends}");
        let backend = |asks: &str| {
            let text = EXAMPLE.replace("\"detector\"", "\"backend\"");
            text.replace("state = \"1MiB\"", asks).parse::<Manifest>()
        };
        assert!(backend("channels = [\"http\"]").is_ok());
        let mails = backend("channels = [\"mail\"]").unwrap_err();
        assert!(mails.contains("http only"), "{mails}");
        let pigeon = wrong("state = \"1MiB\"", "channels = [\"pigeon\"]");
        assert!(pigeon.contains("pigeon"), "{pigeon}");
        assert!(wrong("[limits]", "[limit]").contains("line 12"));
        assert!(wrong("20ms", "20 ms or so").contains("not a unit"));
        // Nothing that a log or a terminal would take for something else.
        let forged = wrong("1.4.0", "1.4.0-\\n\\u001b[2J");
        assert!(forged.contains("semantic version"), "{forged}");
        let raw = wrong("Finds", "\u{1b}[2J");
        assert!(!raw.contains('\u{1b}'), "{raw}");
        assert!(wrong("Finds", "\\u001b[2J").contains("plugin.summary is not one line"));
        assert!(wrong("Apache-2.0", &"x".repeat(257)).contains("plugin.license"));
    }
}
