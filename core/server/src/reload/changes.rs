//! What has happened in a commune's folders since they were read, and when to read them for it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::config;

/// Editors write `commune.toml` in several steps; this long without another one, and it is read.
pub(super) const QUIET: Duration = Duration::from_millis(150);
/// Any other file is whole once it was closed or renamed; others may come with it.
pub(super) const TOGETHER: Duration = Duration::from_millis(20);
/// Nobody can hold back a reload for longer by writing on and on.
pub(super) const LONGEST: Duration = Duration::from_secs(1);
/// But `commune.toml` itself is not read while somebody has it open and has written to it: so long after the last
/// time,
pub(super) const WRITING: Duration = Duration::from_secs(10);
/// and so long after the first.
pub(super) const LONGEST_WRITING: Duration = Duration::from_secs(30);
/// Paths that are remembered at once; what matters is whether there are any.
const MAX_UNFINISHED: usize = 1000;

/// What happened to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It is there by now, and may be written to.
    Made,
    /// It was written to, and will be closed.
    Written,
    /// It is whole: closed, renamed, removed.
    Whole,
    /// Something else of it has changed: its mode, its time.
    Touched,
}

/// What has happened.
#[derive(Debug, Default)]
pub(super) struct Changes {
    first: Option<Instant>,
    last: Option<Instant>,
    /// Files of which more may come.
    unfinished: BTreeSet<PathBuf>,
    /// When the commune's file was written to last, as long as it was not closed since.
    writing: Option<Instant>,
}

impl Changes {
    /// Takes in what happened to a file.
    pub(super) fn add(&mut self, path: &Path, step: Step, now: Instant) {
        self.note(now);
        if step == Step::Touched {
            return;
        }
        let own = path.ends_with(config::FILE);
        if own {
            self.writing = (step == Step::Written).then_some(now);
        }
        if step == Step::Whole && !own {
            self.unfinished.remove(path);
        } else if self.unfinished.len() < MAX_UNFINISHED {
            self.unfinished.insert(path.to_owned());
        }
    }

    /// Something has happened.
    pub(super) fn note(&mut self, now: Instant) {
        self.first.get_or_insert(now);
        self.last = Some(now);
    }

    /// When to read the folder.
    pub(super) fn due(&self) -> Option<Instant> {
        let (first, last) = (self.first?, self.last?);
        let quiet = if self.unfinished.is_empty() {
            TOGETHER
        } else {
            QUIET
        };
        let usual = (last + quiet).min(first + LONGEST);
        Some(match self.writing {
            Some(written) => usual.max((written + WRITING).min(first + LONGEST_WRITING)),
            None => usual,
        })
    }
}

/// Hidden files are how editors and we ourselves write what is then renamed. Those with two dots are how Kubernetes
/// exchanges all files of a folder at once. What is hidden is not worth reading for, unless the commune's file names it.
pub(super) fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy());
    name.is_some_and(|name| name.starts_with('.') && !name.starts_with(".."))
}

#[cfg(test)]
mod tests {
    use taimat_base::clock;

    use super::*;
    use Step::{Made, Whole, Written};

    /// Due after so long since the last of these, a millisecond apart.
    fn due(steps: &[(Step, &str)]) -> Option<Duration> {
        let (mut changes, mut now) = (Changes::default(), clock::now());
        for (step, path) in steps {
            now += Duration::from_millis(1);
            changes.add(Path::new(path), *step, now);
        }
        changes.due().map(|due| due - now)
    }

    #[test]
    fn a_component_that_is_whole_is_read_soon_and_half_a_one_is_not() {
        assert_eq!(due(&[(Whole, "/c/plugins/a.wasm")]), Some(TOGETHER));
        let half = [(Made, "/c/plugins/a.wasm"), (Written, "/c/plugins/a.wasm")];
        assert_eq!(due(&half), Some(QUIET));
        let whole = [half[0], half[1], (Whole, "/c/plugins/a.wasm")];
        assert_eq!(due(&whole), Some(TOGETHER));
        // Another one is still being written.
        let two = [whole[0], whole[1], whole[2], (Made, "/c/plugins/b.wasm")];
        assert_eq!(due(&two), Some(QUIET));
    }

    #[test]
    fn editors_are_waited_for_and_what_is_hidden_does_not_count() {
        let saved = [(Whole, "/c/commune.toml~"), (Whole, "/c/commune.toml")];
        assert_eq!(due(&saved), Some(QUIET));
        assert!(is_hidden(Path::new("/c/.commune.toml.swp")));
        // As Kubernetes exchanges a folder's files.
        assert!(!is_hidden(Path::new("/c/..data")));
        assert!(!is_hidden(Path::new("/c/.keys/word")));
    }

    #[test]
    fn who_writes_on_and_on_holds_back_nothing_for_ever() {
        let (mut changes, begin) = (Changes::default(), clock::now());
        for step in 0..100 {
            changes.add(
                Path::new("/c/log"),
                Written,
                begin + Duration::from_millis(step * 100),
            );
        }
        assert_eq!(changes.due(), Some(begin + LONGEST));
    }

    #[test]
    fn a_file_that_is_open_for_writing_is_waited_for_until_it_is_closed() {
        let (mut changes, begin) = (Changes::default(), clock::now());
        let file = Path::new("/c/commune.toml");
        changes.add(file, Written, begin);
        assert_eq!(changes.due(), Some(begin + WRITING));
        let later = begin + WRITING / 2;
        changes.add(file, Written, later);
        assert_eq!(changes.due(), Some(later + WRITING));
        // Its mode does not change that, nor does another file.
        changes.add(file, Step::Touched, later);
        changes.add(Path::new("/c/plugins/a.wasm"), Whole, later);
        assert_eq!(changes.due(), Some(later + WRITING));
        let mut on_and_on = changes;
        changes = Changes::default();
        changes.add(file, Written, begin);
        changes.add(file, Whole, later);
        // It was begun long ago.
        assert_eq!(changes.due(), Some(begin + LONGEST));
        on_and_on.add(file, Written, begin + LONGEST_WRITING * 2);
        assert_eq!(on_and_on.due(), Some(begin + LONGEST_WRITING));
    }
}
