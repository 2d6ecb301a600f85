//! Where a channel leads: an address with places for secrets, and what a plugin may append to it.
//!
//! Not here: where a name leads (`guard`).

use std::collections::BTreeMap;
use std::str::FromStr;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use taimat_base::Secret;
use url::Url;

/// What would end a path, or begin something else, when a secret is put there. `/` is not among them:
/// some services have secrets of several parts, and who writes them may be trusted with it.
const IN_A_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'\\')
    .add(b'`')
    .add(b'{')
    .add(b'}');
/// What would end a value of a query.
const IN_A_QUERY: &AsciiSet = &IN_A_PATH.add(b'&').add(b'+').add(b'=').add(b'\'');

/// Schemes, with the port that each has if none is written. `tcp` has none.
const SCHEMES: [(&str, u16); 7] = [
    ("http", 80),
    ("https", 443),
    ("mqtt", 1883),
    ("mqtts", 8883),
    ("smtp", 587),
    ("smtps", 465),
    ("tcp", 0),
];

/// Why a text is no address of a channel. It does not repeat the text, which may have a secret in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Another scheme, or none.
    #[error(
        "it has to begin with https://, http://, mqtts://, mqtt://, smtps://, smtp:// or tcp://"
    )]
    Scheme,
    /// The host is not there, or none.
    #[error("it names no host")]
    Host,
    /// `tcp` has no usual port.
    #[error("it names no port")]
    Port,
    /// A user or a password before the host.
    #[error("it has credentials in it")]
    Credentials,
    /// A secret decides where it leads.
    #[error("places for secrets, {{name}}, may stand behind the host only")]
    SecretHost,
    /// `{` without `}`, or no name between them.
    #[error("a place for a secret is written {{name}}, with a-z, 0-9, - and _")]
    Place,
    /// `#`, or a path where there can be none.
    #[error("there is something behind the host that does not belong there")]
    Rest,
}

/// Where a channel leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    scheme: &'static str,
    /// Without brackets.
    host: String,
    port: u16,
    path: Template,
    query: Option<Template>,
}

/// A text with places for secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Secret(String),
}

impl Template {
    fn parse(text: &str) -> Result<Self, AddressError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, behind) = after.split_once('}').ok_or(AddressError::Place)?;
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
            if name.is_empty() || !name.chars().all(fits) || before.contains('}') {
                return Err(AddressError::Place);
            }
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Secret(name.to_owned()));
            rest = behind;
        }
        if rest.contains('}') {
            return Err(AddressError::Place);
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Secret(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    fn fill(
        &self,
        secrets: &BTreeMap<String, Secret>,
        set: &'static AsciiSet,
    ) -> Result<String, JoinError> {
        let mut filled = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Secret(name) => {
                    let secret = secrets.get(name);
                    let secret = secret.ok_or_else(|| JoinError::NoSecret(name.clone()))?;
                    filled.extend(utf8_percent_encode(secret.reveal(), set));
                }
            }
        }
        Ok(filled)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = text.split_once("://").ok_or(AddressError::Scheme)?;
        let known = SCHEMES.iter().find(|(known, _)| *known == scheme);
        let (scheme, usual) = *known.ok_or(AddressError::Scheme)?;
        if rest.contains(|c: char| c == '\\' || c == '#' || c.is_control() || c.is_whitespace()) {
            return Err(AddressError::Rest);
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, behind) = rest.split_at(end);
        if authority.contains(['{', '}']) {
            return Err(AddressError::SecretHost);
        }
        if authority.contains('@') {
            return Err(AddressError::Credentials);
        }
        // As HTTP reads it, so that all spellings of a number are one.
        let url =
            Url::parse(&format!("http://{authority}/")).map_err(|_other| AddressError::Host)?;
        let host = url.host_str().ok_or(AddressError::Host)?;
        let written = url
            .port()
            .or_else(|| authority.ends_with(":80").then_some(80));
        let port = match written.unwrap_or(usual) {
            0 => return Err(AddressError::Port),
            port => port,
        };
        let (path, query) = match behind.split_once('?') {
            Some((path, query)) => (path, Some(Template::parse(query)?)),
            None => (behind, None),
        };
        let plain =
            scheme.starts_with("http") || (path.is_empty() || path == "/") && query.is_none();
        if !plain || leaves(path) {
            return Err(AddressError::Rest);
        }
        Ok(Self {
            scheme,
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            path: Template::parse(path)?,
            query,
        })
    }
}

/// Why what a plugin named is not below a channel's address. It repeats nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// The address has a place for a secret that is not there.
    #[error("the address has a place for the secret {{{0}}}, and there is none of this name")]
    NoSecret(String),
    /// `..`, `//`, a backslash, `#`.
    #[error("the path leaves the channel's address")]
    Leaves,
    /// A whole address that is neither the channel's nor listed beside it.
    #[error("the path is a whole address that the channel does not have")]
    Elsewhere,
}

impl Address {
    /// `http`, `https`, `mqtt`, ….
    pub fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// A name or an address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its port, the usual one if none is written.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether everything goes through TLS from the first byte.
    pub fn is_tls(&self) -> bool {
        matches!(self.scheme, "https" | "mqtts" | "smtps")
    }

    /// Names of the secrets that it has places for.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let query = self.query.iter().flat_map(Template::names);
        self.path.names().chain(query)
    }

    fn base(&self, secrets: &BTreeMap<String, Secret>) -> Result<Url, JoinError> {
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        let authority = format!("{}://{host}:{}/", self.scheme, self.port);
        let mut url = Url::parse(&authority).map_err(|_never| JoinError::Leaves)?;
        let path = self.path.fill(secrets, IN_A_PATH)?;
        if leaves(&path) {
            return Err(JoinError::Leaves);
        }
        url.set_path(&path);
        if let Some(query) = &self.query {
            url.set_query(Some(&query.fill(secrets, IN_A_QUERY)?));
        }
        Ok(url)
    }

    /// The address with a plugin's path below it. A whole address is taken when it is below this one or
    /// one of `also`. What it returns has the secrets in it.
    pub fn join(
        &self,
        path: &str,
        also: &[Self],
        secrets: &BTreeMap<String, Secret>,
    ) -> Result<Url, JoinError> {
        if path.contains("://")
            && path
                .get(..4)
                .is_some_and(|s| s.eq_ignore_ascii_case("http"))
        {
            return self.whole(path, also, secrets);
        }
        let base = self.base(secrets)?;
        below(&base, path)
    }

    fn whole(
        &self,
        text: &str,
        also: &[Self],
        secrets: &BTreeMap<String, Secret>,
    ) -> Result<Url, JoinError> {
        let url = Url::parse(text).map_err(|_no| JoinError::Elsewhere)?;
        let written = text.split_once("://").map_or("", |(_, rest)| rest);
        let path = written.find(['/', '?']).and_then(|at| written.get(at..));
        let path = path.unwrap_or("");
        let (before_query, _) = path.split_once('?').unwrap_or((path, ""));
        let signs = !url.username().is_empty() || url.password().is_some();
        if signs || url.fragment().is_some() || leaves(before_query) || text.contains('\\') {
            return Err(JoinError::Leaves);
        }
        for own in std::iter::once(self).chain(also) {
            let base = own.base(secrets)?;
            let root = base.path().trim_end_matches('/');
            let rest = url.path().strip_prefix(root);
            let within = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            if url.origin() == base.origin() && within {
                return Ok(url);
            }
        }
        Err(JoinError::Elsewhere)
    }
}

fn below(base: &Url, path: &str) -> Result<Url, JoinError> {
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path, None),
    };
    let foreign = |text: &str| text.contains(['#', '\\']);
    if leaves(path) || foreign(path) || query.is_some_and(foreign) || path.starts_with("//") {
        return Err(JoinError::Leaves);
    }
    let mut url = base.clone();
    if !path.is_empty() {
        let root = base.path().trim_end_matches('/');
        let rest = path.trim_start_matches('/');
        url.set_path(&format!("{root}/{rest}"));
    }
    if let Some(query) = query.filter(|query| !query.is_empty()) {
        let whole = match base.query() {
            Some(own) => format!("{own}&{query}"),
            None => query.to_owned(),
        };
        url.set_query(Some(&whole));
    }
    let stays = url.origin() == base.origin()
        && url.path().starts_with(base.path().trim_end_matches('/'))
        && url.username().is_empty();
    if stays {
        Ok(url)
    } else {
        Err(JoinError::Leaves)
    }
}

/// Whether a path goes up, in any spelling that a server may read so.
fn leaves(path: &str) -> bool {
    let mut path = path.to_owned();
    // Twice encoded is what some servers decode twice; once more costs nothing.
    for _ in 0..4 {
        let goes_up = |part: &str| {
            // `;` begins a parameter, which some servers cut off.
            let part = part.split(';').next().unwrap_or("");
            matches!(part, "." | "..")
        };
        if path.split(['/', '\\']).any(goes_up) || path.contains(char::is_control) {
            return true;
        }
        path = percent_decode_str(&path).decode_utf8_lossy().into_owned();
    }
    false
}

#[cfg(test)]
mod tests;
