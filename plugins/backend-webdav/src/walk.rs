//! How a tree of folders is listed page by page, with nothing kept but where it stands: a page is one
//! folder, or a thousand of its files. Folders come in order, each before those within it; the one that
//! follows is found by looking into the folder above again.

use std::fmt;
use std::str::FromStr;

use crate::multistatus::Resource;

/// Files of a page at most.
pub(crate) const PAGE: usize = 1000;

/// Where a walk stands. Folders are keys without `/` at their end; the empty one is the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stand {
    /// This folder comes next; of its files those behind this name, if one is given.
    List(String, String),
    /// This folder is over: what follows it has to be found.
    After(String),
}

impl fmt::Display for Stand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(folder, behind) => write!(f, "list {folder} {behind}"),
            Self::After(folder) => write!(f, "after {folder}"),
        }
    }
}

impl FromStr for Stand {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut words = text.split(' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("list"), Some(folder), Some(behind), None) => {
                Ok(Self::List(folder.into(), behind.into()))
            }
            (Some("after"), Some(folder), None, None) => Ok(Self::After(folder.into())),
            _ => Err(()),
        }
    }
}

/// A file or a folder within the folder that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Child {
    pub(crate) name: String,
    /// None for a folder.
    pub(crate) size: Option<u64>,
}

/// The folder that a walk over this prefix begins at.
pub(crate) fn base(prefix: &str) -> &str {
    prefix.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The folder above, and the name in it; none above the root.
pub(crate) fn above(folder: &str) -> Option<(&str, &str)> {
    match folder.rsplit_once('/') {
        Some(split) => Some(split),
        None if folder.is_empty() => None,
        None => Some(("", folder)),
    }
}

/// A key within a folder.
pub(crate) fn within(folder: &str, name: &str) -> String {
    match folder.is_empty() {
        true => name.to_owned(),
        false => format!("{folder}/{name}"),
    }
}

/// Whether a name can be a part of a key.
fn fits(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
    !matches!(name, "" | "." | "..") && name.bytes().all(fits)
}

/// What is in the folder, sorted. An answer to `Depth: 1` has the folder itself, whose path all others
/// begin with: which it is under the channel's address only the server knows. What does not lie within, or
/// has a name that is no part of a key, is not ours.
pub(crate) fn children(resources: &[Resource]) -> Vec<Child> {
    let folders = resources.iter().filter(|r| r.is_folder);
    let Some(own) = folders.map(|r| r.path.as_str()).min_by_key(|p| p.len()) else {
        return Vec::new();
    };
    let child = |resource: &Resource| {
        let name = resource.path.strip_prefix(own)?.strip_prefix('/')?;
        let size = match resource.is_folder {
            true => None,
            false => Some(resource.size?),
        };
        let name = name.to_owned();
        (fits(&name) && !resource.is_missing).then_some(Child { name, size })
    };
    let mut children: Vec<Child> = resources.iter().filter_map(child).collect();
    children.sort_unstable();
    children.dedup_by(|a, b| a.name == b.name);
    children
}

/// Whether keys with this prefix can be within a folder.
fn leads(prefix: &str, folder: &str) -> bool {
    let begin = format!("{folder}/");
    begin.starts_with(prefix) || prefix.starts_with(&begin)
}

/// The first folder behind this name, in the order of names, that keys with this prefix can be within.
pub(crate) fn next_folder(
    prefix: &str,
    folder: &str,
    children: &[Child],
    behind: &str,
) -> Option<String> {
    let folders = children.iter().filter(|child| child.size.is_none());
    let mut later = folders.filter(|child| child.name.as_str() > behind);
    let found = later.find(|child| leads(prefix, &within(folder, &child.name)))?;
    Some(within(folder, &found.name))
}

/// A page of a folder's files, and where the walk stands then.
pub(crate) fn page(
    prefix: &str,
    folder: &str,
    behind: &str,
    children: &[Child],
) -> (Vec<(String, u64)>, Stand) {
    let files = children.iter().filter_map(|child| {
        let key = within(folder, &child.name);
        let ours = child.name.as_str() > behind && key.starts_with(prefix) && key.len() <= 512;
        ours.then_some((key, child.size?))
    });
    let mut files: Vec<(String, u64)> = files.collect();
    if files.len() > PAGE {
        files.truncate(PAGE);
        let last = files.last().and_then(|(key, _)| above(key));
        let name = last.map_or("", |(_, name)| name);
        return (files.clone(), Stand::List(folder.into(), name.into()));
    }
    let next = next_folder(prefix, folder, children, "");
    let next = next.filter(|next| next.len() < 512);
    let stand = match next {
        Some(next) => Stand::List(next, String::new()),
        None => Stand::After(folder.into()),
    };
    (files, stand)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(path: &str, size: Option<u64>) -> Resource {
        Resource {
            path: path.into(),
            is_folder: size.is_none(),
            size,
            ..Resource::default()
        }
    }

    #[test]
    fn children_are_what_lies_within_and_has_a_name_that_fits() {
        let all = [
            resource("/dav/a/c", None),
            resource("/dav/a", None),
            resource("/dav/a/b.mp4", Some(3)),
            resource("/dav/a/Name with Capitals", Some(3)),
            resource("/dav/a/c/deeper", Some(3)),
            resource("/etc/passwd", Some(3)),
            resource("/dav/ab", Some(3)),
        ];
        let names: Vec<String> = children(&all).into_iter().map(|c| c.name).collect();
        assert_eq!(names, ["b.mp4", "c"]);
        assert_eq!(children(&[]), []);
    }

    #[test]
    fn where_a_walk_stands_is_written_and_read() {
        for stand in [
            Stand::List(String::new(), String::new()),
            Stand::List("a/b".into(), "c.mp4".into()),
            Stand::After("a".into()),
            Stand::After(String::new()),
        ] {
            assert_eq!(stand.to_string().parse(), Ok(stand));
        }
        assert_eq!("list a".parse::<Stand>(), Err(()));
        assert_eq!("".parse::<Stand>(), Err(()));
    }

    #[test]
    fn a_large_folder_is_several_pages() {
        let own: Vec<Child> = (0..2500)
            .map(|n| Child {
                name: format!("{n:04}"),
                size: Some(1),
            })
            .collect();
        let (first, stand) = page("a/", "a", "", &own);
        assert_eq!(
            (first.len(), stand),
            (1000, Stand::List("a".into(), "0999".into()))
        );
        let (last, stand) = page("a/", "a", "1999", &own);
        assert_eq!((last.len(), last[0].0.as_str()), (500, "a/2000"));
        assert_eq!(stand, Stand::After("a".into()));
    }

    #[test]
    fn only_folders_that_the_prefix_leads_to_are_looked_into() {
        let own: Vec<Child> = ["b1", "b2", "c"]
            .map(|name| Child {
                name: name.into(),
                size: None,
            })
            .into();
        assert_eq!(base("a/b"), "a");
        assert_eq!(next_folder("a/b", "a", &own, ""), Some("a/b1".into()));
        assert_eq!(next_folder("a/b", "a", &own, "b1"), Some("a/b2".into()));
        assert_eq!(next_folder("a/b", "a", &own, "b2"), None);
        assert_eq!(next_folder("", "a", &own, "b2"), Some("a/c".into()));
    }
}
