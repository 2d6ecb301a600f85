//! What is wrong in a file that an operator wrote: where, what, and what would be right.
//!
//! Checks collect all problems instead of stopping at the first, so that one round of editing is
//! enough.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// A place in a text file. Line and column count from 1; the column counts characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// Line, from 1; absent when the problem is the file itself.
    pub line: Option<usize>,
    /// Column, from 1.
    pub column: Option<usize>,
}

impl Place {
    /// The file as a whole.
    pub fn file(file: impl Into<PathBuf>) -> Self {
        Self {
            file: file.into(),
            line: None,
            column: None,
        }
    }

    /// The place of byte `offset` in `text`, the content of `file`.
    pub fn at(file: impl Into<PathBuf>, text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let last_line = before.rsplit('\n').next().unwrap_or("");
        Self {
            file: file.into(),
            line: Some(line),
            column: Some(last_line.chars().count() + 1),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(column) = self.column {
            write!(f, ":{column}")?;
        }
        Ok(())
    }
}

/// One thing that is wrong, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What is wrong: lower case, no trailing dot, what was expected and what was found.
    pub message: String,
    /// What would be right, as something that can be typed.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem at a place.
    pub fn new(place: Place, message: impl Into<String>) -> Self {
        Self {
            place,
            message: message.into(),
            hint: None,
        }
    }

    /// Adds what would be right.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " (hint: {hint})"),
            None => Ok(()),
        }
    }
}

/// Problems as people read them: one a line.
#[derive(Debug, Clone, Copy)]
pub struct Lines<'a>(pub &'a [Problem]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.0.iter().enumerate() {
            let between = if number > 0 { "\n" } else { "" };
            write!(f, "{between}{problem}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_lines_and_characters() {
        let text = "a\nnămx = 1\n";
        let offset = text.find('x').unwrap();
        let place = Place::at("commune.toml", text, offset);
        assert_eq!(place.to_string(), "commune.toml:2:4");
        assert_eq!(Place::at("f", text, 999).line, Some(3));
    }

    #[test]
    fn shows_place_message_and_hint() {
        let problem = Problem::new(Place::file("x.toml"), "is missing").hint("write it");
        assert_eq!(problem.to_string(), "x.toml: is missing (hint: write it)");
    }

    #[test]
    fn lines_have_no_line_too_many() {
        let problems = ["a", "b"].map(|name| Problem::new(Place::file(name), "is missing"));
        assert_eq!(Lines(&problems).to_string(), "a: is missing\nb: is missing");
        assert_eq!(Lines(&[]).to_string(), "");
    }
}
