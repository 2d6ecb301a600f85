//! The text of a description, whatever it is written in.

use std::borrow::Cow;

/// UTF-8, else every byte is the character of that number, as in ISO 8859-1. NULs are left out.
pub(super) fn text(line: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(line) {
        Ok(text) if !line.contains(&0) => Cow::Borrowed(text),
        Ok(text) => Cow::Owned(text.replace('\0', "")),
        Err(_not_utf8) => line
            .iter()
            .filter(|byte| **byte != 0)
            .map(|byte| char::from(*byte))
            .collect::<String>()
            .into(),
    }
}

/// At most so many characters of a text.
pub(super) fn cut(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}
