//! All files of all streams, one stream after the other, each in the order in which it was recorded.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use taimat_hub::ChannelKey;

use super::apart::{self, Apart, Unfit};
use super::candidate::{self, Candidate, Joint, Read};
use super::former::Former;
use super::rebuilt::Rebuilt;
use crate::error::ArchiveError;
use crate::index::rows;
use crate::layout;
use crate::reason::GapReason;
use crate::recover::{self, Found, names};
use crate::timeline::JITTER;

/// Takes up all files that fit.
pub(super) fn read(
    root: &Path,
    index: &Connection,
    former: &Former,
    made: &mut Rebuilt,
) -> Result<(), ArchiveError> {
    for key in recover::streams_on_disk(root)? {
        let mut files = Vec::new();
        let folder = layout::stream(&key);
        for day in names(&root.join(&folder))? {
            for name in names(&root.join(&folder).join(&day))? {
                if let Some(id) = layout::id(&name) {
                    files.push((id, folder.join(&day).join(&name)));
                }
            }
        }
        // In the order in which they were begun: that of the chain.
        files.sort();
        let mut reading = Reading {
            root,
            index,
            former,
            made: &mut *made,
            key: &key,
            end: None,
            damaged: Vec::new(),
        };
        reading.all(files)?;
    }
    Ok(())
}

struct Reading<'a> {
    root: &'a Path,
    index: &'a Connection,
    former: &'a Former,
    made: &'a mut Rebuilt,
    key: &'a ChannelKey,
    /// When what was taken up last ends.
    end: Option<i64>,
    /// From when until when files were put aside since then.
    damaged: Vec<(i64, i64)>,
}

impl Reading<'_> {
    fn all(&mut self, files: Vec<(u64, PathBuf)>) -> Result<(), ArchiveError> {
        let count = files.len();
        // The one that waits for its next, and how it fits the one before it.
        let mut waits: Option<(Box<Candidate>, Joint)> = None;
        for (n, (id, path)) in files.into_iter().enumerate() {
            let Some(next) = self.one(id, &path, n + 1 == count)? else {
                continue;
            };
            let joint = match waits.take() {
                None => Joint::Open,
                Some((last, before)) => {
                    let joint = last.joint(&next);
                    self.settle(*last, before, joint)?;
                    joint
                }
            };
            waits = Some((next, joint));
        }
        match waits {
            Some((last, before)) => self.settle(*last, before, Joint::Open),
            None => Ok(()),
        }
    }

    /// A file, if it may be a segment.
    fn one(
        &mut self,
        id: u64,
        path: &Path,
        newest: bool,
    ) -> Result<Option<Box<Candidate>>, ArchiveError> {
        let known: bool = self.index.query_row(
            "SELECT EXISTS (SELECT 1 FROM segment WHERE id = ?1)",
            [id],
            |row| row.get(0),
        )?;
        if known {
            self.put_aside(path, Unfit::Twice, false)?;
            return Ok(None);
        }
        let former = self.former.segment(id);
        let read = candidate::read(self.root, self.key, path, id, former.as_ref(), newest);
        match read {
            Ok(Read::Candidate(found)) => Ok(Some(found)),
            Ok(Read::Empty) => {
                // Nobody misses it.
                recover::remove_file(&self.root.join(path))?;
                Ok(None)
            }
            Ok(Read::Unfit(why)) => {
                if let Some((first, last)) = former
                    .as_ref()
                    .and_then(|f| Some((f.parts.first()?, f.parts.last()?)))
                {
                    self.damaged.push((first.start, last.end));
                }
                self.put_aside(path, why, false)?;
                Ok(None)
            }
            // One damaged file costs itself.
            Err(error) => {
                tracing::error!(%error, "a recording can not be read");
                Ok(None)
            }
        }
    }

    /// What becomes of a file, once it is known how it fits those beside it.
    fn settle(&mut self, one: Candidate, before: Joint, behind: Joint) -> Result<(), ArchiveError> {
        if let Some(why) = one.unfit(before, behind) {
            self.damaged.push((one.start, one.end));
            return self.put_aside(&one.path, why, false);
        }
        if one.scanned.torn {
            let (parts, at) = (one.scanned.parts.len(), one.end);
            self.put_aside(&one.path, Unfit::Torn { parts, at }, true)?;
        }
        self.gap(&one)?;
        let parts = one.scanned.parts.len() as u64;
        if !one.is_proven(behind) {
            self.made.unproven += parts;
        }
        self.made.segments += 1;
        self.made.parts += parts;
        let path = self.root.join(&one.path);
        let mut found = Found::default();
        recover::insert(
            self.index,
            self.key,
            &path,
            one.id,
            &one.beginning,
            one.scanned,
            &mut found,
        )
    }

    /// Why nothing is there the files do not say, unless they were put aside.
    fn gap(&mut self, next: &Candidate) -> Result<(), ArchiveError> {
        let stream = rows::stream(self.index, self.key)?.0;
        // A file is settled once the one behind it is known: what was put aside meanwhile lies behind it.
        let (damaged, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.damaged)
            .into_iter()
            .partition(|(start, _)| *start < next.start);
        self.damaged = later;
        let mut at = self.end.unwrap_or(next.start);
        for (start, end) in damaged {
            let (start, end) = (start.max(at), end.min(next.start));
            if self.end.is_none() || start >= end {
                continue;
            }
            if start - at > JITTER {
                rows::gap(self.index, stream, (at, start), GapReason::Unknown.as_str())?;
            }
            rows::gap(
                self.index,
                stream,
                (start, end),
                GapReason::Damaged.as_str(),
            )?;
            at = end;
        }
        if next.start - at > JITTER {
            let hole = (at, next.start);
            rows::gap(self.index, stream, hole, GapReason::Unknown.as_str())?;
        }
        self.end = Some(next.end.max(self.end.unwrap_or(next.end)));
        Ok(())
    }

    fn put_aside(&mut self, path: &Path, why: Unfit, copied: bool) -> Result<(), ArchiveError> {
        let now = apart::put(self.root, path, copied)?;
        self.made.name(Apart {
            path: path.to_owned(),
            now,
            camera: self.key.camera.clone(),
            why,
            copied,
        });
        Ok(())
    }
}
