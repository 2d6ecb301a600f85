//! The `Session` header (RFC 2326 section 12.37), and how a session is kept alive.

use std::time::Duration;

use crate::message::{Headers, Method};

/// How long a session lives without a sign of life, where nothing sensible is said about it.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest identifier that is sent back.
const MAX_ID_BYTES: usize = 1024;
/// Methods of one header that are looked at.
const MOST_METHODS: usize = 64;

/// A session as the server named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// To be sent with each request, as it is.
    pub id: String,
    /// It ends when nothing was heard for so long.
    pub timeout: Duration,
}

impl Session {
    /// Reads the header. `None` if there is no identifier in it.
    pub fn parse(header: &str) -> Option<Self> {
        let mut parts = header.split(';');
        let id = parts.next()?.trim();
        if id.is_empty() || id.len() > MAX_ID_BYTES {
            return None;
        }
        let seconds = parts
            .filter_map(|part| part.split_once('='))
            .find(|(key, _)| key.trim().eq_ignore_ascii_case("timeout"))
            .map_or(0, |(_, value)| seconds(value));
        let timeout = match seconds {
            0 => DEFAULT_TIMEOUT,
            seconds => Duration::from_secs(seconds.into()),
        };
        let id = id.to_owned();
        Some(Self { id, timeout })
    }

    /// How often there is to be a sign of life: twice in the session's life, and not so seldom that
    /// a router on the way forgets the connection.
    pub fn keep_alive_interval(&self) -> Duration {
        (self.timeout / 2).clamp(Duration::from_secs(1), DEFAULT_TIMEOUT / 2)
    }
}

/// The whole seconds that a value begins with; 0 if it does not begin with a number.
fn seconds(value: &str) -> u32 {
    let value = value.trim().trim_matches('"').trim_start();
    let end = value
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(value.len());
    let (digits, _) = value.split_at(end);
    match digits.parse() {
        Ok(seconds) => seconds,
        Err(_) if digits.is_empty() => 0,
        // Too large for any number: it never ends.
        Err(_) => u32::MAX,
    }
}

/// What the other side says it can do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Methods(Vec<Method>);

impl Methods {
    /// Reads `Public` and `Allow` of an answer.
    pub fn parse(headers: &Headers) -> Self {
        let values = headers.all("Public").chain(headers.all("Allow"));
        let words = values.flat_map(|value| value.split([',', ';', ' ', '\t']));
        let words = words.filter(|word| !word.is_empty()).take(MOST_METHODS);
        Self(
            words
                .map(|word| Method::from(word.to_ascii_uppercase().as_str()))
                .collect(),
        )
    }

    /// Nothing was said.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it can do that.
    pub fn contains(&self, method: &Method) -> bool {
        self.0.contains(method)
    }

    /// What a session is kept alive with: GET_PARAMETER, which is meant for it, if it is offered;
    /// else OPTIONS, which everybody answers.
    pub fn keep_alive(&self) -> Method {
        if self.contains(&Method::GetParameter) {
            Method::GetParameter
        } else {
            Method::Options
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sessions_as_the_field_writes_them() {
        for (header, id, timeout) in [
            ("12345678", "12345678", 60),
            ("12345678;timeout=30", "12345678", 30),
            (" 1 ; Timeout = 8 ", "1", 8),
            ("a-b$c.d+e;x=y;TIMEOUT=\"20\"", "a-b$c.d+e", 20),
            ("1;timeout=0", "1", 60),
            ("1;timeout=", "1", 60),
            ("1;timeout=-5", "1", 60),
            ("1;timeout=soon", "1", 60),
            ("1;timeout=59.5", "1", 59),
            ("1;timeout=30s", "1", 30),
            ("1;timeout", "1", 60),
            ("1;timeout=99999999999999999999", "1", u64::from(u32::MAX)),
        ] {
            let session = Session::parse(header).unwrap();
            assert_eq!(session.id, id, "{header}");
            assert_eq!(session.timeout, Duration::from_secs(timeout), "{header}");
        }
        assert_eq!(Session::parse(" ;timeout=5"), None);
        assert_eq!(Session::parse(&"x".repeat(2000)), None);
    }

    #[test]
    fn signs_of_life_come_in_time() {
        let interval = |timeout: &str| {
            let session = Session::parse(&format!("1;timeout={timeout}")).unwrap();
            session.keep_alive_interval().as_secs_f64()
        };
        assert_eq!(interval("1"), 1.0);
        assert_eq!(interval("5"), 2.5);
        assert_eq!(interval("60"), 30.0);
        assert_eq!(interval("86400"), 30.0);
    }

    #[test]
    fn keeps_alive_with_what_is_offered() {
        let methods = |header: &str, value: &str| {
            let mut headers = Headers::default();
            headers.push(header, value);
            Methods::parse(&headers)
        };
        assert_eq!(Methods::default().keep_alive(), Method::Options);
        let listed = methods("public", "OPTIONS, DESCRIBE,get_parameter ,PLAY");
        assert_eq!(listed.keep_alive(), Method::GetParameter);
        let listed = methods("Allow", "OPTIONS DESCRIBE SET_PARAMETER");
        assert_eq!(listed.keep_alive(), Method::Options);
        assert!(listed.contains(&Method::SetParameter) && !listed.is_empty());
    }

    proptest! {
        #[test]
        fn never_panics(header in "\\PC{0,40}(;timeout=)?\\PC{0,20}") {
            if let Some(session) = Session::parse(&header) {
                prop_assert!(session.keep_alive_interval() >= Duration::from_secs(1));
            }
        }
    }
}
