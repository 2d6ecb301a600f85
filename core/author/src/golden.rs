//! Lines that a plugin's trial printed, held against a file, written to one, or said.

use std::path::Path;

use anyhow::Context;

use crate::files::say;

/// Pairs of lines that are compared at most; longer stretches that differ are shown as a whole.
const MOST_PAIRS: usize = 4_000_000;

/// What is to become of the lines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Golden<'a> {
    pub(crate) expect: Option<&'a Path>,
    pub(crate) write: Option<&'a Path>,
}

impl Golden<'_> {
    /// Does it with these lines; `differ` says which do. A word on it for the end.
    pub(crate) fn hold(
        self,
        rows: &[String],
        differ: impl Fn(&[String], &[String]) -> Vec<String>,
    ) -> anyhow::Result<String> {
        if let Some(file) = self.expect {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("reading {}", file.display()))?;
            let expected: Vec<String> = text.lines().map(str::to_owned).collect();
            let differences = differ(&expected, rows);
            differences.iter().try_for_each(|line| say(line))?;
            anyhow::ensure!(
                differences.is_empty(),
                "it does not see what {} says: {} lines differ (- expected, + seen)",
                file.display(),
                differences.len()
            );
            return Ok(format!("as expected by {}", file.display()));
        }
        if let Some(file) = self.write {
            // No rows are no lines: an empty one would be expected later.
            let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
            std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
            return Ok(format!("written to {}", file.display()));
        }
        rows.iter().try_for_each(|row| say(row))?;
        Ok(String::new())
    }
}

/// Lines that are in one and not in the other, in their order: `- ` before those of `old`, `+ ` before
/// those of `new`.
pub(crate) fn differences(old: &[String], new: &[String]) -> Vec<String> {
    let same = |(a, b): &(&String, &String)| a == b;
    let head = old.iter().zip(new).take_while(same).count();
    let (old, new) = (&old[head..], &new[head..]);
    let tail = old
        .iter()
        .rev()
        .zip(new.iter().rev())
        .take_while(same)
        .count();
    let (old, new) = (&old[..old.len() - tail], &new[..new.len() - tail]);
    let mut found = Vec::new();
    let (mut left, mut right) = (0, 0);
    for (in_old, in_new) in common(old, new) {
        found.extend(old[left..in_old].iter().map(|line| format!("- {line}")));
        found.extend(new[right..in_new].iter().map(|line| format!("+ {line}")));
        (left, right) = (in_old + 1, in_new + 1);
    }
    found.extend(old[left..].iter().map(|line| format!("- {line}")));
    found.extend(new[right..].iter().map(|line| format!("+ {line}")));
    found
}

/// Places of a longest sequence of lines that both have in this order.
fn common(old: &[String], new: &[String]) -> Vec<(usize, usize)> {
    let width = new.len() + 1;
    if old.len().saturating_mul(new.len()) > MOST_PAIRS {
        return Vec::new();
    }
    let mut longest = vec![0u32; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            longest[i * width + j] = if old[i] == new[j] {
                longest[(i + 1) * width + j + 1] + 1
            } else {
                longest[(i + 1) * width + j].max(longest[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut found) = (0, 0, Vec::new());
    while i < old.len() && j < new.len() {
        if old[i] == new[j] {
            found.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if longest[(i + 1) * width + j] >= longest[i * width + j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.chars().map(String::from).collect()
    }

    #[test]
    fn what_differs_stands_where_it_differs() {
        assert!(differences(&lines("abc"), &lines("abc")).is_empty());
        let differ = differences(&lines("abcd"), &lines("axcde"));
        assert_eq!(differ, ["- b", "+ x", "+ e"]);
        assert_eq!(differences(&lines(""), &lines("a")), ["+ a"]);
        assert_eq!(differences(&lines("aab"), &lines("ab")), ["- a"]);
    }

    #[test]
    fn what_was_written_is_expected_and_nothing_is_nothing() {
        let temporary = tempfile::tempdir().unwrap();
        let file = temporary.path().join("golden.txt");
        let write = Golden {
            expect: None,
            write: Some(&file),
        };
        let expect = Golden {
            expect: Some(&file),
            write: None,
        };
        for rows in [lines(""), lines("ab")] {
            write.hold(&rows, differences).unwrap();
            expect.hold(&rows, differences).unwrap();
            assert!(expect.hold(&lines("x"), differences).is_err());
        }
    }
}
