//! Lists of files by their SHA-256, as `sha256sum` and BagIt have them.

use std::str::FromStr as _;

use taimat_audit::Digest;

/// More files than an export of all cameras for a day.
pub(super) const MOST_FILES: usize = 10_000;

/// A file in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) path: String,
    pub(super) hash: Digest,
}

/// The list as text.
pub(super) fn write(files: &[Listed]) -> String {
    let line = |file: &Listed| format!("{}  {}\n", file.hash, file.path);
    files.iter().map(line).collect()
}

/// Reads a list; none if a line is none, or names a file outside.
pub(super) fn read(text: &str) -> Option<Vec<Listed>> {
    let line = |line: &str| {
        let (hash, path) = line.split_once("  ")?;
        is_inside(path).then_some(Listed {
            path: path.to_owned(),
            hash: Digest::from_str(hash).ok()?,
        })
    };
    let files: Vec<Listed> = text.lines().map(line).collect::<Option<_>>()?;
    let mut names: Vec<&str> = files.iter().map(|f| f.path.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    // A file twice could have two hashes.
    (names.len() == files.len() && files.len() <= MOST_FILES).then_some(files)
}

/// Whether a path stays inside its folder on every system.
pub(super) fn is_inside(path: &str) -> bool {
    let good = |name: &str| {
        !matches!(name, "" | "." | "..")
            && name.len() < 256
            && !name.contains(|c: char| c.is_control() || "\\:*?\"<>|%".contains(c))
    };
    path.split('/').all(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_nothing_outside() {
        let one = |path: &str| Listed {
            path: path.into(),
            hash: Digest::of(&[path.as_bytes()]),
        };
        let files = vec![one("data/a.mp4"), one("data/b c.mp4")];
        assert_eq!(read(&write(&files)), Some(files));
        for bad in [
            "../a",
            "/etc/passwd",
            "data//a",
            "data/../../a",
            "c:\\a",
            "data/a\tb",
            "",
        ] {
            assert_eq!(read(&write(&[one(bad)])), None, "{bad}");
        }
        assert_eq!(read(&write(&[one("a"), one("a")])), None);
        assert_eq!(read("no list"), None);
    }
}
