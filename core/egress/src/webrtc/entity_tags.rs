//! What `If-Match` names.

/// Which ICE sessions a request is meant for (RFC 9110 section 13.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntityTags {
    /// Whichever there is.
    Any,
    /// One of these, without quotes.
    OneOf(Vec<String>),
}

impl EntityTags {
    /// Reads the value of `If-Match`. Quotes may be missing: some clients take them off.
    pub fn parse(value: &str) -> Self {
        /// More than a viewer can have seen.
        const MAX_TAGS: usize = 16;
        if value.trim() == "*" {
            return Self::Any;
        }
        let tags = value.split(',').take(MAX_TAGS);
        Self::OneOf(
            tags.map(|tag| tag.trim().trim_matches('"').to_owned())
                .collect(),
        )
    }

    /// Whether they name the one that there is.
    pub(super) fn fits(&self, current: &str) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(tags) => tags.iter().any(|tag| tag == current),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_as_they_are_written() {
        let one = |tag: &str| EntityTags::OneOf(vec![tag.to_owned()]);
        assert_eq!(EntityTags::parse(" * "), EntityTags::Any);
        assert_eq!(EntityTags::parse("\"a\""), one("a"));
        assert_eq!(EntityTags::parse("a"), one("a"));
        assert!(EntityTags::parse("\"b\", \"a\"").fits("a"));
        // A weak tag fits nothing here (RFC 9110 section 13.1.1).
        assert!(!EntityTags::parse("W/\"a\"").fits("a"));
    }
}
