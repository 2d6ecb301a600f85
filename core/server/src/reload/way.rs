//! The folders that a path leads through, by its links too.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// As many links as the kernel follows.
const MAX_LINKS: usize = 40;

/// The folders below `root`, itself among them, in which something is looked up on the way to `path`: a change in any
/// of them may lead the path elsewhere. Waits for the disk.
pub(super) fn folders_on_the_way(root: &Path, path: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let real = root.canonicalize().ok();
    let below = |folder: &Path| {
        folder.starts_with(root) || real.as_ref().is_some_and(|real| folder.starts_with(real))
    };
    let Ok(within) = path.strip_prefix(root) else {
        return found;
    };
    let (mut here, mut links) = (root.to_owned(), 0);
    let mut ahead = parts(within);
    while let Some(part) = ahead.pop_front() {
        if part == ".." {
            here.pop();
            continue;
        }
        if below(&here) {
            found.insert(here.clone());
        }
        here.push(part);
        let Ok(target) = fs::read_link(&here) else {
            continue;
        };
        links += 1;
        if links > MAX_LINKS {
            break;
        }
        here.pop();
        if target.is_absolute() {
            here = PathBuf::from("/");
        }
        for part in parts(&target).into_iter().rev() {
            ahead.push_front(part);
        }
    }
    found
}

fn parts(path: &Path) -> VecDeque<OsString> {
    let part = |part: Component<'_>| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    };
    path.components().filter_map(part).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_folder_by_folder() {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path().canonicalize().unwrap().join("thu");
        let at = |path: &str| root.join(path);
        fs::create_dir_all(at("..2027")).unwrap();
        fs::create_dir_all(at("releases/v1")).unwrap();
        fs::create_dir_all(temporary.path().join("elsewhere")).unwrap();
        symlink("..2027", at("..data")).unwrap();
        symlink("..data/commune.toml", at("commune.toml")).unwrap();
        symlink("v1", at("releases/current")).unwrap();
        symlink(at("releases/current"), at("plugins")).unwrap();
        symlink("../elsewhere/x", at("out")).unwrap();
        symlink("circle", at("circle")).unwrap();
        let way = |path: &str| -> Vec<String> {
            let found = folders_on_the_way(&root, &at(path));
            let below =
                |folder: &PathBuf| folder.strip_prefix(&root).unwrap().display().to_string();
            found.iter().map(below).collect()
        };
        assert_eq!(way("commune.toml"), ["", "..2027"]);
        assert_eq!(way("plugins/a.wasm"), ["", "releases", "releases/v1"]);
        assert_eq!(way("out"), [""]);
        assert_eq!(way("circle"), [""]);
        assert_eq!(way("not/there"), ["", "not"]);
        assert!(folders_on_the_way(&root, Path::new("/etc/passwd")).is_empty());
    }
}
