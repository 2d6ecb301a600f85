//! The answer to a Digest challenge (RFC 7616 section 3.4; RFC 2069 where there is no `qop`).

use std::fmt::Write as _;

use md5::Md5;
use sha2::{Digest as _, Sha256};

use super::challenge::Challenge;
use super::credentials::Credentials;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Hash {
    Md5,
    Sha256,
}

impl Hash {
    fn of(self, text: &str) -> String {
        match self {
            Self::Md5 => hex(&Md5::digest(text)),
            Self::Sha256 => hex(&Sha256::digest(text)),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protection {
    Auth,
    AuthInt,
}

/// A challenge that we can answer.
#[derive(Debug)]
pub(super) struct Digest {
    /// These three as they stood between their quotes, to be sent back so.
    realm: String,
    pub(super) nonce: String,
    opaque: Option<String>,
    /// As it was written.
    algorithm: Option<String>,
    hash: Hash,
    /// The user's hash is bound to the nonces.
    session: bool,
    protection: Option<Protection>,
}

impl Digest {
    /// Reads a challenge; `None` if it is none that we can answer.
    pub(super) fn new(challenge: &Challenge<'_>) -> Option<Self> {
        if !challenge.is("Digest") {
            return None;
        }
        let algorithm = challenge.get("algorithm").map(str::trim);
        let algorithm = algorithm.filter(|name| !name.is_empty());
        let (hash, session) = match algorithm.unwrap_or("MD5").to_ascii_uppercase().as_str() {
            "MD5" => (Hash::Md5, false),
            "MD5-SESS" => (Hash::Md5, true),
            "SHA-256" | "SHA256" => (Hash::Sha256, false),
            "SHA-256-SESS" | "SHA256-SESS" => (Hash::Sha256, true),
            _ => return None,
        };
        let qop = challenge.get("qop").unwrap_or("");
        let offers = |name: &str| {
            let mut words = qop.split([',', ' ', ';']);
            words.any(|word| word.trim().eq_ignore_ascii_case(name))
        };
        let protection = if offers("auth") {
            Some(Protection::Auth)
        } else if offers("auth-int") {
            Some(Protection::AuthInt)
        } else {
            None
        };
        Some(Self {
            realm: challenge.get("realm").unwrap_or("").to_owned(),
            nonce: challenge.get("nonce")?.to_owned(),
            opaque: challenge.get("opaque").map(str::to_owned),
            algorithm: algorithm.map(str::to_owned),
            hash,
            session,
            protection,
        })
    }

    /// More is better.
    pub(super) fn strength(&self) -> impl Ord + use<> {
        self.hash
    }

    /// The header's value for a request without content.
    pub(super) fn answer(
        &self,
        credentials: &Credentials,
        method: &str,
        uri: &str,
        count: u32,
        cnonce: &str,
    ) -> String {
        let hash = |text: String| self.hash.of(&text);
        let (user, password) = (&credentials.user, credentials.password.reveal());
        let nonce = unescaped(&self.nonce);
        let mut secret = hash(format!("{user}:{}:{password}", unescaped(&self.realm)));
        if self.session {
            secret = hash(format!("{secret}:{nonce}:{cnonce}"));
        }
        let asked = hash(match self.protection {
            Some(Protection::AuthInt) => format!("{method}:{uri}:{}", hash(String::new())),
            _ => format!("{method}:{uri}"),
        });
        let qop = self.protection.map(|protection| match protection {
            Protection::Auth => "auth",
            Protection::AuthInt => "auth-int",
        });
        let response = hash(match qop {
            Some(qop) => format!("{secret}:{nonce}:{count:08x}:{cnonce}:{qop}:{asked}"),
            None => format!("{secret}:{nonce}:{asked}"),
        });
        let mut answer = format!(
            r#"Digest username="{}", realm="{}", nonce="{}", uri="{uri}", response="{response}""#,
            escaped(user),
            self.realm,
            self.nonce,
        );
        if let Some(algorithm) = &self.algorithm {
            answer.push_str(", algorithm=");
            answer.push_str(algorithm);
        }
        if let Some(opaque) = &self.opaque {
            answer.push_str(", opaque=\"");
            answer.push_str(opaque);
            answer.push('"');
        }
        if let Some(qop) = qop {
            answer.push_str(", qop=");
            answer.push_str(qop);
            // Formatting into a String does not fail.
            let _infallible = write!(answer, r#", nc={count:08x}, cnonce="{cnonce}""#);
        } else if self.session {
            let _infallible = write!(answer, r#", cnonce="{cnonce}""#);
        }
        answer
    }
}

/// What quotes and backslashes in a quoted text mean (RFC 7230 section 3.2.6).
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let c = if c == '\\' { chars.next() } else { Some(c) };
        plain.extend(c);
    }
    plain
}

fn escaped(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\r' | '\n' => {}
            c => quoted.push(c),
        }
    }
    quoted
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _infallible = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::challenge::parse;
    use super::*;
    use taimat_base::Secret;

    fn answer(challenge: &str, user: &str, password: &str, cnonce: &str) -> String {
        let digest = Digest::new(&parse(challenge)[0]).unwrap();
        let credentials = Credentials {
            user: user.to_owned(),
            password: Secret::new(password),
        };
        digest.answer(&credentials, "GET", "/dir/index.html", 1, cnonce)
    }

    fn response(answer: &str) -> &str {
        let (_, rest) = answer.split_once("response=\"").unwrap();
        rest.split_once('"').unwrap().0
    }

    /// RFC 7616 section 3.9.1.
    #[test]
    fn the_example_of_2015() {
        let begin = r#"Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm="#;
        let end = r#", nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#;
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        for (algorithm, right) in [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            (
                "SHA-256",
                "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
            ),
        ] {
            let challenge = format!("{begin}{algorithm}{end}");
            let said = answer(&challenge, "Mufasa", "Circle of Life", cnonce);
            assert_eq!(response(&said), right);
            for part in [
                r#"username="Mufasa""#,
                r#"opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#,
                "qop=auth, nc=00000001",
                algorithm,
            ] {
                assert!(said.contains(part), "{part} in {said}");
            }
        }
    }

    /// RFC 2617 section 3.5, and the same without `qop` as RFC 2069 has it.
    #[test]
    fn the_examples_of_last_century() {
        let nonce = r#"nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093""#;
        let realm = r#"realm="testrealm@host.com""#;
        let said = answer(
            &format!(r#"Digest {realm}, qop="auth,auth-int", {nonce}"#),
            "Mufasa",
            "Circle Of Life",
            "0a4f113b",
        );
        assert_eq!(response(&said), "6629fae49393a05397450978507c4ef1");
        let old = format!("Digest {realm}, {nonce}");
        let said = answer(&old, "Mufasa", "Circle Of Life", "0a4f113b");
        assert_eq!(response(&said), "670fd8c2df070c60b045671b8b24ff02");
        assert!(!said.contains("cnonce") && !said.contains("algorithm"));
    }

    #[test]
    fn sessions_and_integrity() {
        let begin = r#"Digest realm="r", nonce="n", "#;
        for (rest, right) in [
            (
                "algorithm=MD5-sess, qop=auth",
                "0abe11747db4fe75b9d027c31a167c62",
            ),
            (
                "algorithm=\"SHA-256-sess\", qop=auth",
                "4bce2566c0752865fa313f8e48f337b1ae2b8ea714835e307efc7d52526b00a3",
            ),
            ("qop=\"auth-int\"", "9c7e61bcaf9adeeb5d4994bfcd7ab7b5"),
            ("qop=unknown", "fef71a1ed020d5dbc919be49210d36ef"),
        ] {
            let said = answer(&format!("{begin}{rest}"), "u", "p", "c");
            assert_eq!(response(&said), right, "{rest}");
        }
    }

    #[test]
    fn any_character_may_be_in_a_name() {
        let said = answer(
            r#"Digest realm="a \"b\" \\c", nonce="n""#,
            r#"ng"uời\"#,
            r#"p@ss:"\é"#,
            "",
        );
        assert_eq!(response(&said), "62c4f1116b5e6ee879d567230efa6357");
        assert!(
            said.starts_with(r#"Digest username="ng\"uời\\", realm="a \"b\" \\c", "#),
            "{said}"
        );
    }
}
