//! A camera's address, and what of it is a secret.

use std::fmt;

use url::{Url, form_urlencoded};

use super::redactor::{Redactor, SHORT, decoded, is_credential};
use super::secret::Secret;

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

impl Redactor {
    /// Knows all that a camera is addressed and signed in with: the given user and password, those
    /// of the address, and what its query holds.
    pub fn for_source(url: &SourceUrl, user: Option<&str>, password: Option<&Secret>) -> Self {
        let mut redactor = Self::default();
        redactor.know_source(url, user, password);
        redactor
    }

    /// From now on all of this source's is known too.
    pub fn know_source(&mut self, url: &SourceUrl, user: Option<&str>, password: Option<&Secret>) {
        let url = url.reveal();
        self.know_login(user.unwrap_or(""), password.map_or("", Secret::reveal));
        let user = decoded(url.username());
        self.know_login(&user, &decoded(url.password().unwrap_or("")));
        for (key, value) in form_urlencoded::parse(url.query().unwrap_or("").as_bytes()) {
            if value.len() >= SHORT || is_credential(&key) {
                self.know(&value);
            } else if value.is_empty() && key.len() >= SHORT * 2 {
                // A query that is one token.
                self.know(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_shows_what_it_is_signed_in_with() {
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
