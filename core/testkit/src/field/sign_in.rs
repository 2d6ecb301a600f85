//! The camera's side of signing in: challenges, and whether an answer to one is right.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use sha2::Sha256;

use super::case::{Offer, SignIn};

/// What a connection knows of its client.
#[derive(Debug)]
pub(super) struct Door {
    rules: SignIn,
    nonce: Option<String>,
    used: bool,
}

/// What the door says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ruling {
    Open,
    Closed,
    /// The answer was right, its nonce is used up.
    Stale,
}

impl Door {
    pub(super) fn new(rules: SignIn) -> Self {
        Self {
            rules,
            nonce: None,
            used: false,
        }
    }

    /// The headers of a refusal, with a nonce that nobody has seen before.
    pub(super) fn challenge(&mut self, stale: bool) -> Vec<String> {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NONCES: AtomicU64 = AtomicU64::new(1);
        let number = NONCES.fetch_add(1, Ordering::Relaxed);
        let nonce = hex(&Md5::digest(format!("{number} {}", self.rules.realm)));
        self.used = false;
        let rules = &self.rules;
        let offers: Vec<String> = rules
            .offers
            .iter()
            .map(|offer| challenge(*offer, rules, &nonce, stale))
            .collect();
        self.nonce = Some(nonce);
        if self.rules.one_header {
            vec![format!("WWW-Authenticate: {}", offers.join(", "))]
        } else {
            let header = |offer| format!("WWW-Authenticate: {offer}");
            offers.iter().map(header).collect()
        }
    }

    /// Whether a request may pass.
    pub(super) fn ruling(&mut self, method: &str, url: &str, authorization: &str) -> Ruling {
        let rules = &self.rules;
        if let Some(given) = authorization.strip_prefix("Basic ") {
            let right = STANDARD.encode(format!("{}:{}", rules.user, rules.password));
            let offered = rules.offers.contains(&Offer::Basic);
            return if offered && given.trim() == right {
                Ruling::Open
            } else {
                Ruling::Closed
            };
        }
        let Some(given) = authorization.strip_prefix("Digest ") else {
            return Ruling::Closed;
        };
        let fields = fields(given);
        let field = |name: &str| {
            fields
                .iter()
                .find(|(n, _)| n.eq_ignore_ascii_case(name))
                .map_or("", |(_, v)| v)
        };
        if self.nonce.as_deref() != Some(field("nonce")) || field("uri") != url {
            return Ruling::Closed;
        }
        let algorithm = field("algorithm").to_ascii_lowercase();
        let offered = |offer: Offer| rules.offers.contains(&offer);
        let known = match algorithm.as_str() {
            "" => offered(Offer::Digest),
            "md5" => offered(Offer::Digest) || offered(Offer::DigestMd5),
            "md5-sess" => offered(Offer::DigestMd5Sess),
            "sha-256" => offered(Offer::DigestSha256),
            _ => false,
        };
        if !known || unescaped(field("username")) != rules.user {
            return Ruling::Closed;
        }
        // Whether escapes within the realm are taken out before it is hashed, clients do not agree.
        let realms = [rules.realm.clone(), unescaped(&rules.realm)];
        let given = Given {
            method,
            url,
            algorithm: &algorithm,
            nonce: field("nonce"),
            cnonce: field("cnonce"),
            nc: field("nc"),
            qop: field("qop"),
        };
        let offered = rules.qop.as_deref().unwrap_or("");
        if !given.qop.is_empty() && !offered.split(',').any(|q| q.trim() == given.qop) {
            return Ruling::Closed;
        }
        if !realms
            .iter()
            .any(|realm| given.response(rules, realm) == field("response"))
        {
            return Ruling::Closed;
        }
        if self.rules.nonce_once && std::mem::replace(&mut self.used, true) {
            return Ruling::Stale;
        }
        Ruling::Open
    }
}

/// What a client has signed.
struct Given<'a> {
    method: &'a str,
    url: &'a str,
    algorithm: &'a str,
    nonce: &'a str,
    cnonce: &'a str,
    nc: &'a str,
    qop: &'a str,
}

impl Given<'_> {
    /// The right response (RFC 7616 3.4.1).
    fn response(&self, rules: &SignIn, realm: &str) -> String {
        let Self {
            method,
            url,
            nonce,
            cnonce,
            nc,
            qop,
            ..
        } = self;
        let hash = |text: String| match self.algorithm {
            "sha-256" => hex(&Sha256::digest(text)),
            _ => hex(&Md5::digest(text)),
        };
        let mut a1 = hash(format!("{}:{realm}:{}", rules.user, rules.password));
        if self.algorithm == "md5-sess" {
            a1 = hash(format!("{a1}:{nonce}:{cnonce}"));
        }
        let a2 = match *qop {
            // No request of ours has a body.
            "auth-int" => hash(format!("{method}:{url}:{}", hash(String::new()))),
            _ => hash(format!("{method}:{url}")),
        };
        match *qop {
            "" => hash(format!("{a1}:{nonce}:{a2}")),
            qop => hash(format!("{a1}:{nonce}:{nc}:{cnonce}:{qop}:{a2}")),
        }
    }
}

fn challenge(offer: Offer, rules: &SignIn, nonce: &str, stale: bool) -> String {
    let quote = if rules.unquoted { "" } else { "\"" };
    let realm = &rules.realm;
    let algorithm = match offer {
        Offer::Basic => return format!("Basic realm={quote}{realm}{quote}"),
        Offer::Unknown => {
            return format!("Hawk ts={quote}1353832234{quote}, realm={quote}{realm}{quote}");
        }
        Offer::Digest => "",
        Offer::DigestMd5 => ", algorithm=MD5",
        Offer::DigestMd5Sess => ", algorithm=MD5-sess",
        Offer::DigestSha256 => ", algorithm=SHA-256",
    };
    let qop = rules
        .qop
        .as_ref()
        .map_or_else(String::new, |qop| format!(", qop={quote}{qop}{quote}"));
    let stale = if stale { ", stale=TRUE" } else { "" };
    format!(
        "Digest realm={quote}{realm}{quote}, nonce={quote}{nonce}{quote}{algorithm}{qop}{stale}"
    )
}

/// Names and values of an `Authorization` header; commas and escapes may stand in quotes.
fn fields(text: &str) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    let (mut name, mut value) = (String::new(), String::new());
    let (mut in_value, mut quoted, mut escaped) = (false, false, false);
    for c in text.chars().chain([',']) {
        match c {
            _ if escaped => {
                value.push(c);
                escaped = false;
            }
            '\\' if quoted => {
                value.push(c);
                escaped = true;
            }
            '"' => quoted = !quoted,
            ',' if !quoted => {
                fields.push((name.trim().to_owned(), value.trim().to_owned()));
                name.clear();
                value.clear();
                in_value = false;
            }
            '=' if !in_value => in_value = true,
            _ if in_value => value.push(c),
            _ => name.push(c),
        }
    }
    fields
}

fn unescaped(text: &str) -> String {
    text.replace("\\\"", "\"").replace("\\\\", "\\")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_2617_is_right() {
        let mut door = Door::new(SignIn {
            realm: "testrealm@host.com".into(),
            qop: Some("auth,auth-int".into()),
            user: "Mufasa".into(),
            password: "Circle Of Life".into(),
            ..SignIn::default()
        });
        door.nonce = Some("dcd98b7102dd2f0e8b11d0f600bfb0c093".into());
        let given = "Digest username=\"Mufasa\", realm=\"testrealm@host.com\", \
            nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", uri=\"/dir/index.html\", qop=auth, \
            nc=00000001, cnonce=\"0a4f113b\", response=\"6629fae49393a05397450978507c4ef1\"";
        assert_eq!(door.ruling("GET", "/dir/index.html", given), Ruling::Open);
        assert_eq!(
            door.ruling("POST", "/dir/index.html", given),
            Ruling::Closed
        );
        assert_eq!(door.ruling("GET", "/other", given), Ruling::Closed);
        door.challenge(false);
        assert_eq!(door.ruling("GET", "/dir/index.html", given), Ruling::Closed);
    }

    #[test]
    fn commas_and_quotes_stand_in_values() {
        let read = fields("realm=\"a, b\", x=\"q\\\"r\", nc=1");
        let expected = [("realm", "a, b"), ("x", "q\\\"r"), ("nc", "1")];
        assert_eq!(read, expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
    }
}
