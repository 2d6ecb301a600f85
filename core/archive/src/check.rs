//! Holds the files against the index: what is missing, short, altered, or known to nobody.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::error::ArchiveError;
use crate::index::{Index, rows};
use crate::layout;
use crate::packed::PartRow;
use crate::rebuild::Rebuilt;
use crate::recover::{names, streams_on_disk};
use crate::scan;

/// What is the matter with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// It is not there.
    Missing,
    /// So many bytes of it are not there.
    Short(u64),
    /// It has other bytes than were recorded: in so many parts, of which the first begins then, in
    /// microseconds since 1970.
    Altered {
        /// How many parts.
        parts: usize,
        /// When the first begins.
        first: i64,
    },
    /// The index does not know it.
    Unknown,
    /// What the index has of it can not be read.
    Index(String),
}

/// A file with which something is the matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongFile {
    /// Which, within the archive's folder.
    pub path: PathBuf,
    /// What.
    pub wrong: Wrong,
}

/// What was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checked {
    /// Segments.
    pub segments: u64,
    /// Bytes.
    pub bytes: u64,
    /// What is wrong.
    pub wrong: Vec<WrongFile>,
}

/// Holds the files in a folder against its index; with `media` all bytes are read. Nothing is changed, and a
/// router may record meanwhile.
///
/// # Errors
/// If there is no index, or it can not be read.
pub fn check(root: &Path, media: bool) -> Result<Checked, ArchiveError> {
    let file = root.join(layout::INDEX);
    if !file.exists() {
        return Err(ArchiveError::Unknown);
    }
    let index = Index::over(&file);
    index.read(|index| against(root, index, media))
}

fn against(root: &Path, index: &Connection, media: bool) -> Result<Checked, ArchiveError> {
    let mut checked = Checked::default();
    let mut known = BTreeSet::new();
    for (number, key) in rows::streams(index)? {
        let mut all = index.prepare_cached(
            "SELECT id, start, bytes, parts, (SELECT init FROM format WHERE number = format) \
             FROM segment WHERE stream = ?1 AND state IN (0, 1) ORDER BY id",
        )?;
        let mut rows = all.query([number])?;
        while let Some(row) = rows.next()? {
            let (id, start, bytes): (u64, i64, u64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let parts: Option<Vec<u8>> = row.get(3)?;
            let init: Vec<u8> = row.get(4)?;
            let within = layout::segment(&key, start, id);
            checked.segments += 1;
            checked.bytes += bytes;
            let parts = parts.filter(|_| media);
            let wrong = one(&root.join(&within), bytes, &init, parts.as_deref());
            checked.wrong.extend(wrong.map(|wrong| WrongFile {
                path: within.clone(),
                wrong,
            }));
            known.insert(within);
        }
    }
    for key in streams_on_disk(root)? {
        let folder = layout::stream(&key);
        for day in names(&root.join(&folder))? {
            for name in names(&root.join(&folder).join(&day))? {
                let path = folder.join(&day).join(&name);
                if layout::read(&path).is_some() && !known.contains(&path) {
                    let wrong = Wrong::Unknown;
                    checked.wrong.push(WrongFile { path, wrong });
                }
            }
        }
    }
    Ok(checked)
}

fn one(path: &Path, bytes: u64, init: &[u8], parts: Option<&[u8]>) -> Option<Wrong> {
    let Ok(file) = File::open(path) else {
        return Some(Wrong::Missing);
    };
    let length = file.metadata().map_or(0, |found| found.len());
    if length < bytes {
        return Some(Wrong::Short(bytes - length));
    }
    let parts = match parts.map(PartRow::unpack_all)? {
        Ok(parts) => parts,
        Err(error) => return Some(Wrong::Index(error.to_string())),
    };
    let mut at = crate::chain_box::begin(init);
    let (mut altered, mut first) = (0, 0);
    for part in parts {
        let payload = at + u64::from(part.header);
        at += part.bytes();
        let found = scan::hash_of(&file, payload, part.payload());
        if !found.is_ok_and(|hash| hash == part.hash) {
            if altered == 0 {
                first = part.start;
            }
            altered += 1;
        }
    }
    (altered > 0).then_some(Wrong::Altered {
        parts: altered,
        first,
    })
}

/// Has a router that records there, now or later, mend what was found to be wrong, as far as there are copies.
/// Returns how many files that are.
///
/// # Errors
/// If the disk says no.
pub fn have_mended(root: &Path, checked: &Checked) -> Result<usize, ArchiveError> {
    let known = |file: &&WrongFile| !matches!(file.wrong, Wrong::Unknown | Wrong::Index(_));
    let id = |file: &WrongFile| layout::id(file.path.file_name()?.to_str()?);
    let ids: Vec<u64> = checked.wrong.iter().filter(known).filter_map(id).collect();
    if ids.is_empty() {
        return Ok(0);
    }
    let list = root.join(layout::DAMAGED);
    let text: String = ids.iter().map(|id| format!("{id}\n")).collect();
    let written = File::options().append(true).create(true).open(&list);
    let written = written.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(ArchiveError::disk("writing", &list))?;
    Ok(ids.len())
}

/// Makes the index anew from the files; the former one is put aside, and so is what does not fit. No router may
/// record meanwhile.
///
/// # Errors
/// If a router records, or the disk says no.
pub fn rebuild(root: &Path) -> Result<Rebuilt, ArchiveError> {
    let _lock = crate::archive::lock(root)?;
    crate::rebuild::anew(root, &root.join(layout::INDEX))
}
