//! What a `WWW-Authenticate` header asks for (RFC 7235 section 4.1), however it is written.

/// Challenges that are looked at.
pub(super) const MOST: usize = 16;

/// One challenge. Values are as they stand between their quotes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Challenge<'a> {
    scheme: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Challenge<'a> {
    /// Whether it is of that scheme. One without a name that has a nonce is a Digest.
    pub(super) fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
            || (self.scheme.is_empty() && scheme == "Digest" && self.get("nonce").is_some())
    }

    /// The value of a parameter, escapes not resolved.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        let mut all = self.parameters.iter();
        all.find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }

    /// Whether the answer was refused for its age alone, if it says so.
    pub(super) fn stale(&self) -> Option<bool> {
        self.get("stale")
            .map(|value| value.trim().eq_ignore_ascii_case("true"))
    }

    /// What it is called where it is not supported.
    pub(super) fn name(&self) -> String {
        match self.get("algorithm") {
            Some(algorithm) => format!("{} {algorithm}", self.scheme),
            None => self.scheme.to_owned(),
        }
    }
}

/// All challenges of one header: one scheme after the other, each with its parameters.
pub(super) fn parse(header: &str) -> Vec<Challenge<'_>> {
    let separators = |c: char| c == ',' || c == ';' || c.is_whitespace();
    let mut challenges: Vec<Challenge<'_>> = Vec::new();
    let mut rest = header.trim_start_matches(separators);
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| separators(c) || c == '=')
            .unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let parameter = after.trim_start().strip_prefix('=');
        if let Some(after) = parameter {
            let (value, after) = value(after.trim_start());
            if challenges.is_empty() {
                challenges.push(Challenge {
                    scheme: "",
                    parameters: Vec::new(),
                });
            }
            if let Some(challenge) = challenges.last_mut() {
                challenge.parameters.push((word, value));
            }
            rest = after;
        } else {
            if challenges.len() == MOST {
                break;
            }
            challenges.push(Challenge {
                scheme: word,
                parameters: Vec::new(),
            });
            rest = after;
        }
        rest = rest.trim_start_matches(separators);
    }
    challenges
}

/// A value and what follows it: in quotes, or up to a comma where the quotes are missing.
fn value(text: &str) -> (&str, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ';']).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return (value.trim().trim_end_matches('"'), rest);
    };
    let mut escaped = false;
    let end = quoted.find(|c: char| {
        let is_end = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        is_end
    });
    let (value, rest) = quoted.split_at(end.unwrap_or(quoted.len()));
    (value, rest.strip_prefix('"').unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_field_writes() {
        let parsed =
            parse(r#"Digest realm="a, \"b\" = c", nonce = n1 , stale=FALSE,Basic realm=IP Camera"#);
        assert_eq!(parsed.len(), 2, "{parsed:?}");
        assert!(parsed[0].is("digest"));
        assert_eq!(parsed[0].get("Realm"), Some(r#"a, \"b\" = c"#));
        assert_eq!(parsed[0].get("nonce"), Some("n1"));
        assert_eq!(parsed[0].stale(), Some(false));
        assert!(parsed[1].is("Basic"));
        assert_eq!(parsed[1].get("realm"), Some("IP Camera"));
    }

    #[test]
    fn sloppy_challenges_are_still_challenges() {
        let parsed = parse(r#"realm="x"; nonce="y"#);
        assert!(parsed[0].is("Digest"));
        assert_eq!(parsed[0].get("nonce"), Some("y"));
        assert_eq!(parse(r#"DIGEST  REALM="x""#)[0].get("realm"), Some("x"));
        assert_eq!(parse("Basic").len(), 1);
        assert!(parse(" , ,").is_empty());
        assert_eq!(parse(r"Digest realm=a\").len(), 1);
        assert_eq!(parse(&"x ".repeat(100)).len(), MOST);
    }
}
