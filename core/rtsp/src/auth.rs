//! Signing in at a camera: Digest (RFC 7616, 2617, 2069) and Basic, as cameras have them.
//!
//! Owner: a client's connection. Cost: two hashes a request. The strongest of what is offered is
//! answered; Basic, which tells the password, only where no Digest is offered. Cameras lock
//! accounts after a few wrong answers, so an answer that was refused is not given again.

mod challenge;
mod credentials;
mod digest;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use taimat_base::text;

use crate::message::{Method, Response};
use challenge::Challenge;
use digest::Digest;

pub use credentials::Credentials;

/// How often one request is sent again for a challenge.
const RETRIES: u32 = 2;

/// Why there is no further try.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// It asks, and we have nothing to say.
    #[error("the camera asks for a user and a password")]
    NoCredentials,
    /// User or password are wrong.
    #[error("the camera refuses the user or the password")]
    Refused,
    /// It asks in ways that we do not know: their names.
    #[error("the camera asks for a sign-in that is not supported: {0}")]
    Unsupported(String),
}

/// Answers a camera's challenges.
pub struct Authenticator {
    credentials: Option<Credentials>,
    entropy: u64,
    answers: u64,
    scheme: Option<Scheme>,
    /// Challenges since the last request that was let in.
    challenges: u32,
}

enum Scheme {
    Basic,
    Digest {
        digest: Digest,
        /// How often its nonce was used.
        uses: u32,
    },
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match &self.scheme {
            None => "none",
            Some(Scheme::Basic) => "basic",
            Some(Scheme::Digest { .. }) => "digest",
        };
        f.debug_struct("Authenticator")
            .field("scheme", &scheme)
            .finish_non_exhaustive()
    }
}

impl Authenticator {
    /// Nothing was asked yet. `entropy` is a random number of this connection alone.
    pub fn new(credentials: Option<Credentials>, entropy: u64) -> Self {
        Self {
            credentials,
            entropy,
            answers: 0,
            scheme: None,
            challenges: 0,
        }
    }

    /// The camera answered a request with 401. If this is fine, the request is to be sent again with
    /// what [`Self::authorize`] then says.
    pub fn challenged(&mut self, response: &Response) -> Result<(), AuthError> {
        if self.credentials.is_none() {
            return Err(AuthError::NoCredentials);
        }
        let offered: Vec<_> = response
            .headers
            .all("WWW-Authenticate")
            .flat_map(challenge::parse)
            .take(challenge::MOST)
            .collect();
        let stale = offered.iter().find_map(Challenge::stale);
        let next = choose(&offered)?;
        self.challenges += 1;
        let again = match (&self.scheme, &next) {
            // Not asked before.
            (None, _) => true,
            // The password was told already.
            (Some(Scheme::Basic), Scheme::Basic) => false,
            (Some(Scheme::Basic), Scheme::Digest { .. }) => true,
            (Some(Scheme::Digest { .. }), Scheme::Basic) => false,
            (Some(Scheme::Digest { digest, uses }), Scheme::Digest { digest: new, .. }) => {
                let changed = digest.nonce != new.nonce;
                // A nonce that was never used is no reason to refuse its first use. One that was
                // good before may have run out, whatever is said about it.
                match (*uses, stale) {
                    (0, _) | (_, Some(true)) => true,
                    (1, Some(false)) => false,
                    _ => changed,
                }
            }
        };
        if !again || self.challenges > RETRIES {
            return Err(AuthError::Refused);
        }
        self.scheme = Some(next);
        Ok(())
    }

    /// The camera answered a request with anything but 401.
    pub fn accepted(&mut self) {
        self.challenges = 0;
    }

    /// Whether the camera has asked who we are.
    pub fn is_challenged(&self) -> bool {
        self.scheme.is_some()
    }

    /// The value of the `Authorization` header of a request without content, if one is due.
    pub fn authorize(&mut self, method: &Method, uri: &str) -> Option<String> {
        let credentials = self.credentials.as_ref()?;
        match self.scheme.as_mut()? {
            Scheme::Basic => {
                let pair = format!("{}:{}", credentials.user, credentials.password.reveal());
                Some(format!("Basic {}", STANDARD.encode(pair)))
            }
            Scheme::Digest { digest, uses } => {
                *uses = uses.saturating_add(1);
                self.answers += 1;
                let seed = [self.entropy, self.answers].map(u64::to_be_bytes).concat();
                let cnonce = digest::hex(&Sha256::digest(seed)[..8]);
                Some(digest.answer(credentials, method.as_str(), uri, *uses, &cnonce))
            }
        }
    }
}

/// The best of what is offered.
fn choose(offered: &[Challenge<'_>]) -> Result<Scheme, AuthError> {
    let digests = offered.iter().filter_map(Digest::new);
    if let Some(digest) = digests.max_by_key(Digest::strength) {
        return Ok(Scheme::Digest { digest, uses: 0 });
    }
    if offered.iter().any(|challenge| challenge.is("Basic")) {
        return Ok(Scheme::Basic);
    }
    let names: Vec<_> = offered.iter().map(Challenge::name).collect();
    let names = if names.is_empty() {
        "none is named".to_owned()
    } else {
        text::line(&names.join(", "), 60)
    };
    Err(AuthError::Unsupported(names))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use taimat_base::Secret;

    fn signed_in() -> Authenticator {
        let credentials = Credentials {
            user: "admin".to_owned(),
            password: Secret::new("pass"),
        };
        Authenticator::new(Some(credentials), 7)
    }

    fn asks(challenges: &[&str]) -> Response {
        challenges
            .iter()
            .fold(Response::new(401), |response, challenge| {
                response.with("WWW-Authenticate", *challenge)
            })
    }

    fn answer(auth: &mut Authenticator) -> String {
        auth.authorize(&Method::Describe, "rtsp://h/x")
            .unwrap_or_default()
    }

    #[test]
    fn the_strongest_is_answered_in_any_order() {
        let md5 = r#"Digest realm="a", nonce="n5""#;
        let sha = r#"digest algorithm=sha-256,realm="a",nonce="n2""#;
        let basic = r#"Basic realm="a""#;
        let joined = format!("{basic}, {sha}, {md5}");
        for (offer, begin) in [
            (
                vec![basic, md5, sha],
                r#"Digest username="admin", realm="a", nonce="n2""#,
            ),
            (
                vec![sha, md5, basic],
                r#"Digest username="admin", realm="a", nonce="n2""#,
            ),
            (
                vec![joined.as_str()],
                r#"Digest username="admin", realm="a", nonce="n2""#,
            ),
            (
                vec![basic, md5],
                r#"Digest username="admin", realm="a", nonce="n5""#,
            ),
            (vec!["Negotiate", basic], "Basic YWRtaW46cGFzcw=="),
        ] {
            let mut auth = signed_in();
            assert_eq!(answer(&mut auth), "", "not asked yet");
            assert_eq!(auth.challenged(&asks(&offer)), Ok(()), "{offer:?}");
            let said = answer(&mut auth);
            assert!(said.starts_with(begin), "{offer:?}: {said}");
        }
    }

    #[test]
    fn what_cannot_be_answered_is_named() {
        let refused = signed_in().challenged(&asks(&["Negotiate", "NTLM abc=="]));
        assert_eq!(
            refused,
            Err(AuthError::Unsupported("Negotiate, NTLM".to_owned()))
        );
        let odd = r#"Digest realm="a", nonce="b", algorithm=SHA-512-256"#;
        let refused = signed_in().challenged(&asks(&[odd]));
        assert_eq!(
            refused,
            Err(AuthError::Unsupported("Digest SHA-512-256".to_owned()))
        );
        let refused = signed_in().challenged(&asks(&[]));
        assert!(matches!(refused, Err(AuthError::Unsupported(_))));
        let refused = Authenticator::new(None, 0).challenged(&asks(&["Basic"]));
        assert_eq!(refused, Err(AuthError::NoCredentials));
    }

    #[test]
    fn a_wrong_password_is_not_told_twice() {
        for same in [
            r#"Digest realm="a", nonce="b""#,
            r#"Digest realm="a", nonce="b", stale=FALSE"#,
            "Basic",
        ] {
            let mut auth = signed_in();
            assert_eq!(auth.challenged(&asks(&[same])), Ok(()));
            answer(&mut auth);
            assert_eq!(
                auth.challenged(&asks(&[same])),
                Err(AuthError::Refused),
                "{same}"
            );
        }
        // Each refusal with a nonce of its own, and the plain word that it is not for its age.
        let mut auth = signed_in();
        let fresh = |n: u32| asks(&[&format!(r#"Digest realm="a", nonce="{n}", stale="false""#)]);
        assert_eq!(auth.challenged(&fresh(1)), Ok(()));
        answer(&mut auth);
        assert_eq!(auth.challenged(&fresh(2)), Err(AuthError::Refused));
        // The same without that word: a second try, not a third.
        let mut auth = signed_in();
        let fresh = |n: u32| asks(&[&format!(r#"Digest realm="a", nonce="{n}""#)]);
        for n in 0..2 {
            assert_eq!(auth.challenged(&fresh(n)), Ok(()));
            answer(&mut auth);
        }
        assert_eq!(auth.challenged(&fresh(2)), Err(AuthError::Refused));
    }

    #[test]
    fn a_nonce_that_is_good_once_is_replaced_at_each_request() {
        for stale in ["", ", stale=TRUE", ", stale=false"] {
            let mut auth = signed_in();
            for request in 0..20 {
                let nonce = format!(r#"Digest realm="a", nonce="{request}"{stale}"#);
                if request > 0 {
                    answer(&mut auth);
                }
                assert_eq!(
                    auth.challenged(&asks(&[&nonce])),
                    Ok(()),
                    "{request} {stale}"
                );
                let said = answer(&mut auth);
                assert!(said.contains(&format!("nonce=\"{request}\"")), "{said}");
                auth.accepted();
            }
        }
    }

    #[test]
    fn stale_for_ever_ends() {
        let mut auth = signed_in();
        let stale = asks(&[r#"Digest realm="a", nonce="b", stale=true"#]);
        for _ in 0..RETRIES {
            assert_eq!(auth.challenged(&stale), Ok(()));
            answer(&mut auth);
        }
        assert_eq!(auth.challenged(&stale), Err(AuthError::Refused));
    }

    #[test]
    fn counts_the_uses_of_a_nonce_and_never_repeats_its_own() {
        let mut auth = signed_in();
        let challenge = r#"Digest realm="a", nonce="b", qop="auth,auth-int", opaque="o""#;
        assert_eq!(auth.challenged(&asks(&[challenge])), Ok(()));
        let (first, second) = (answer(&mut auth), answer(&mut auth));
        assert!(first.contains("nc=00000001") && second.contains("nc=00000002"));
        let cnonce = |said: &str| {
            let (_, rest) = said.split_once("cnonce=\"").unwrap();
            rest.split_once('"').unwrap().0.to_owned()
        };
        assert_ne!(cnonce(&first), cnonce(&second));
        assert_eq!(cnonce(&first).len(), 16);
    }

    #[test]
    fn nothing_shows_who_we_are() {
        let mut auth = signed_in();
        let shown = format!("{:?} {auth:?}", auth.credentials);
        assert_eq!(auth.challenged(&asks(&["Basic"])), Ok(()));
        let request = crate::Request::new(Method::Describe, "rtsp://admin:pass@h/x?pwd=pass")
            .with("authorization", answer(&mut auth));
        let shown = format!("{shown} {auth:?} {request:?}");
        for secret in ["admin", "pass@", "=pass", "YWRtaW46cGFzcw"] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_always_ends(
            challenges in prop::collection::vec(
                r#"(Digest |Basic |digest,|)?([a-z]{1,5}|nonce|realm|stale|qop|algorithm)?( ?= ?)?["\\]?[ -~é]{0,12}["\\,]?"#,
                1..8,
            ),
        ) {
            let mut auth = signed_in();
            let challenges: Vec<&str> = challenges.iter().map(String::as_str).collect();
            let response = asks(&challenges);
            let mut tries = 0;
            while auth.challenged(&response).is_ok() {
                let said = answer(&mut auth);
                prop_assert!(!said.is_empty() && !said.contains(['\r', '\n']));
                tries += 1;
                prop_assert!(tries <= RETRIES);
            }
        }
    }
}
