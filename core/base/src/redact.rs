//! Passwords, tokens and addresses that carry them are wrapped where they enter and stay wrapped:
//! neither `Display` nor `Debug` of anything here shows the secret.

mod redactor;

use std::fmt;

use serde::{Deserialize, Deserializer};
use url::Url;

pub use redactor::Redactor;

/// A secret text. Read it with [`Secret::reveal`], at the one place that sends it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

/// A camera's address. Shown without user, password and query, and without what looks like
/// credentials in the path: many cameras have them there.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SourceUrl(Url);

impl SourceUrl {
    /// Wraps an address.
    pub fn new(url: Url) -> Self {
        Self(url)
    }

    /// The address itself, to connect with.
    pub fn reveal(&self) -> &Url {
        &self.0
    }
}

impl fmt::Display for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.0.host_str().unwrap_or("");
        write!(f, "{}://{host}", self.0.scheme())?;
        if let Some(port) = self.0.port() {
            write!(f, ":{port}")?;
        }
        let known = Redactor::for_source(self, None, None);
        f.write_str(&known.text(self.0.path()))?;
        if self.0.query().is_some() {
            f.write_str("?***")?;
        }
        Ok(())
    }
}

impl fmt::Debug for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_shows_the_secret() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
        let url = "rtsp://admin:hunter2@192.0.2.1:554/cam?pwd=hunter2"
            .parse()
            .unwrap();
        let shown = format!("{0} {0:?}", SourceUrl::new(url));
        assert!(
            !shown.contains("hunter2") && !shown.contains("admin"),
            "{shown}"
        );
        assert!(shown.starts_with("rtsp://192.0.2.1:554/cam?***"), "{shown}");
    }

    #[test]
    fn never_shows_the_secret_of_a_path() {
        for (url, right) in [
            (
                "rtsp://192.0.2.1/user=admin_password=hunter2_channel=1_stream=0.sdp?real_stream",
                "rtsp://192.0.2.1/user=***_password=***_channel=1_stream=0.sdp?***",
            ),
            (
                "rtsp://192.0.2.1/user=admin&password=hunter2&channel=1.sdp",
                "rtsp://192.0.2.1/user=***&password=***&channel=1.sdp",
            ),
            (
                "rtsp://admin:hunter2@192.0.2.1/hunter2/ch1",
                "rtsp://192.0.2.1/***/ch1",
            ),
            (
                "rtsp://192.0.2.1/Streaming/Channels/101",
                "rtsp://192.0.2.1/Streaming/Channels/101",
            ),
        ] {
            assert_eq!(SourceUrl::new(url.parse().unwrap()).to_string(), right);
        }
    }
}
