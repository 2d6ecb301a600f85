//! Where a page comes from, and under which names the router is asked.
//!
//! Not here: what follows from it (`guard`).

use url::{Host, Url};

/// Scheme, host and port of a page, as browsers write them: the default port is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    text: String,
    host: Host<String>,
}

/// A text that is no origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no origin: scheme, host and, if it is not the usual one, port, as in https://example.org"
)]
pub struct NotAnOrigin(String);

/// A text that is no name of a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name of a host, as in cameras.example.org")]
pub struct NotAName(String);

impl Origin {
    /// Reads an origin. A path, a user or anything else has no place in it.
    pub fn parse(text: &str) -> Result<Self, NotAnOrigin> {
        let wrong = || NotAnOrigin(text.to_owned());
        let url = Url::parse(text).map_err(|_malformed| wrong())?;
        let bare = matches!(url.path(), "" | "/") && url.query().is_none();
        let bare = bare && url.fragment().is_none() && url.username().is_empty();
        let host = url.host().filter(|_| bare && url.password().is_none());
        let host = host.ok_or_else(wrong)?.to_owned();
        let (scheme, port) = (url.scheme(), url.port());
        let port = port.map_or(String::new(), |port| format!(":{port}"));
        Ok(Self {
            text: format!("{scheme}://{host}{port}"),
            host,
        })
    }

    /// That of a page which a server at `authority` (host and port) sends.
    pub(crate) fn of(scheme: &str, authority: &str) -> Option<Self> {
        Self::parse(&format!("{scheme}://{authority}")).ok()
    }

    /// The origin of an address that may have a path.
    pub fn of_url(text: &str) -> Result<Self, NotAnOrigin> {
        let url = Url::parse(text).map_err(|_malformed| NotAnOrigin(text.to_owned()))?;
        let origin = url.origin().ascii_serialization();
        Self::parse(&origin).map_err(|_opaque| NotAnOrigin(text.to_owned()))
    }
}

/// The pages that may use the router although they come from elsewhere.
#[derive(Debug, Clone, Default)]
pub struct AllowedOrigins {
    all: bool,
    listed: Vec<Origin>,
}

impl AllowedOrigins {
    /// Reads a list of origins; `*` stands for all.
    pub fn parse(texts: &[String]) -> Result<Self, NotAnOrigin> {
        let listed = texts.iter().filter(|text| *text != "*");
        Ok(Self {
            all: texts.iter().any(|text| text == "*"),
            listed: listed
                .map(|text| Origin::parse(text))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Whether pages of other origins may do anything at all.
    pub(crate) fn is_empty(&self) -> bool {
        !self.all && self.listed.is_empty()
    }

    /// Whether a page may whose origin is not known as one if `None`.
    pub(crate) fn contain(&self, page: Option<&Origin>) -> bool {
        self.all || page.is_some_and(|page| self.listed.contains(page))
    }
}

/// The names that the router answers to, besides those of the machine itself: `localhost`, and addresses
/// as numbers. A page elsewhere can make a name of its own lead here (DNS rebinding), never a number.
#[derive(Debug, Clone, Default)]
pub struct HostNames(Vec<String>);

impl HostNames {
    /// Reads names, without ports.
    pub fn parse(texts: &[String]) -> Result<Self, NotAName> {
        let one = |text: &String| match Origin::of("http", text) {
            Some(origin) if !text.contains(':') => match origin.host {
                Host::Domain(name) => Ok(plain(&name)),
                _ => Err(NotAName(text.clone())),
            },
            _ => Err(NotAName(text.clone())),
        };
        texts.iter().map(one).collect::<Result<_, _>>().map(Self)
    }

    /// The host of that address is one, too.
    #[must_use]
    pub fn and_of(mut self, origin: Option<&Origin>) -> Self {
        if let Some(Host::Domain(name)) = origin.map(|origin| &origin.host) {
            self.0.push(plain(name));
        }
        self
    }

    /// Whether the router answers to what a request names as its host and port.
    pub(crate) fn contain(&self, authority: &str) -> bool {
        match Origin::of("http", authority).map(|origin| origin.host) {
            Some(Host::Domain(name)) => {
                let name = plain(&name);
                name == "localhost" || self.0.contains(&name)
            }
            Some(Host::Ipv4(_) | Host::Ipv6(_)) => true,
            None => false,
        }
    }
}

/// Without the dot that a whole name may end with.
fn plain(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn origins_are_compared_whole() {
        let listed = ["https://a.example", "http://b.example:8080", "app://c"];
        let allowed = AllowedOrigins::parse(&owned(&listed)).unwrap();
        let may = |page: &str| allowed.contain(Origin::parse(page).ok().as_ref());
        for good in [
            "https://a.example",
            "https://A.example:443",
            "http://b.example:8080",
            "app://c",
        ] {
            assert!(may(good), "{good}");
        }
        for other in [
            "http://a.example",
            "https://a.example:8443",
            "https://a.example.evil.example",
            "https://evil.example",
            "http://b.example",
            "null",
            "",
        ] {
            assert!(!may(other), "{other}");
        }
        let all = AllowedOrigins::parse(&owned(&["*"])).unwrap();
        assert!(all.contain(None) && !all.is_empty());
        for wrong in [
            "a.example",
            "https://a.example/x",
            "https://u@a.example",
            "https://",
        ] {
            assert!(AllowedOrigins::parse(&owned(&[wrong])).is_err(), "{wrong}");
        }
        let page = Origin::of_url("https://a.example/cameras/").unwrap();
        assert_eq!(Ok(page), Origin::parse("https://a.example"));
    }

    #[test]
    fn numbers_localhost_and_given_names_are_answered_to() {
        let page = Origin::parse("https://b.example:8443").unwrap();
        let names = HostNames::parse(&owned(&["cameras.example.org"])).unwrap();
        let names = names.and_of(Some(&page));
        for good in [
            "localhost",
            "localhost:8080",
            "LOCALHOST",
            "127.0.0.1:8080",
            "[::1]:8080",
            "192.0.2.1",
            "[2001:db8::1]",
            "cameras.example.org",
            "Cameras.Example.org.:443",
            "b.example",
        ] {
            assert!(names.contain(good), "{good}");
        }
        for bad in [
            "",
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "evil@localhost",
            "localhost/evil",
            "127.0.0.1.evil.example",
            "cameras.example.org.evil.example",
            "a:b:c",
        ] {
            assert!(!names.contain(bad), "{bad}");
        }
        for wrong in ["", "192.0.2.1", "a.example:80", "http://a.example", "a/b"] {
            assert!(HostNames::parse(&owned(&[wrong])).is_err(), "{wrong}");
        }
    }
}
