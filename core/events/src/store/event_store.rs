//! The store: opening, reading, writing, and what people do to events.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rusqlite::{Connection, OptionalExtension, params};
use taimat_base::{CommuneId, text};
use taimat_contract::UnixMicros;
use tempfile::TempDir;
use tokio::sync::broadcast;

use super::query::{self, EventPage, EventQuery, Standing};
use super::retention::{self, Keep};
use super::writer::Writer;
use super::{rows, schema};
use crate::error::StoreError;
use crate::event::{Event, EventAnswer, EventId, EventPicture, Phase};
use crate::grouping::Change;
use crate::log::{Happening, Told};
use crate::silence::{NewSilence, Silence};

/// Entries kept for a reader that is late; one that is later reads them from the disk.
const KEPT: usize = 1024;
/// Connections for reading that are kept open.
const READERS: usize = 4;
/// Characters of a name that a person gives.
const MAX_NAME: usize = 80;
/// Characters of what a person writes.
const MAX_COMMENT: usize = 2_000;
/// Comments, answers and the like of one event.
const MAX_ENTRIES: u32 = 1_000;

/// The events on disk.
#[derive(Debug)]
pub struct EventStore {
    file: PathBuf,
    pub(super) writer: Writer,
    told: broadcast::Sender<Arc<Told>>,
    readers: Mutex<Vec<Connection>>,
    /// Where a file is that was damaged.
    damaged: Option<PathBuf>,
    /// Where the file is, if nothing is to be kept.
    _passing: Option<TempDir>,
}

impl EventStore {
    /// Opens or makes `events.db` in a folder; without one, what is written is gone when it is
    /// dropped. Also says where a file was put that was damaged.
    ///
    /// # Errors
    /// If the file can not be opened, or is of a later version.
    pub fn open(folder: Option<&Path>) -> Result<(Self, Option<PathBuf>), StoreError> {
        let passing = match folder {
            Some(_) => None,
            None => Some(tempfile::tempdir()?),
        };
        let at = folder.or(passing.as_ref().map(TempDir::path));
        let file = at.unwrap_or(Path::new(".")).join("events.db");
        let (connection, damaged) = schema::open(&file)?;
        let told = broadcast::Sender::new(KEPT);
        let store = Self {
            writer: Writer::start(connection, told.clone())?,
            file,
            told,
            readers: Mutex::default(),
            damaged: damaged.clone(),
            _passing: passing,
        };
        Ok((store, damaged))
    }

    /// As if the disk had room for so many pages of the file, or for those that are there; how many.
    #[cfg(test)]
    pub(crate) async fn limited_to(&self, pages: u32) -> Result<i64, StoreError> {
        let write = move |to: &Connection, _: &mut Vec<Told>| {
            let limit = format!("PRAGMA max_page_count = {pages}");
            Ok(to.query_row(&limit, [], |row| row.get(0))?)
        };
        self.writer.run(write).await
    }

    /// Where the file was put that was damaged when this was opened.
    pub(crate) fn damaged(&self) -> Option<&Path> {
        self.damaged.as_deref()
    }

    /// Follows what is told from now on.
    pub fn follow(&self) -> broadcast::Receiver<Arc<Told>> {
        self.told.subscribe()
    }

    /// Reads, on a connection of its own. Waits for the disk.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let kept = || self.readers.lock().unwrap_or_else(|e| e.into_inner());
        let idle = kept().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => schema::open_to_read(&self.file)?,
        };
        let result = read(&connection);
        let mut kept = kept();
        if kept.len() < READERS {
            kept.push(connection);
        }
        result
    }

    /// Writes what has become of events, all or nothing.
    pub(crate) async fn write(
        &self,
        writes: Vec<Write>,
        now: UnixMicros,
    ) -> Result<(), StoreError> {
        let write = move |to: &Connection, told: &mut Vec<Told>| {
            for write in &writes {
                told.extend(write.run(to, now)?);
            }
            Ok(())
        };
        self.writer.run(write).await
    }

    /// Notes who dealt with an event, or with `None` that nobody has after all.
    ///
    /// # Errors
    /// If there is no such event, the name is no name, or the disk says no.
    pub async fn answer(
        &self,
        id: EventId,
        who: &str,
        answer: Answer,
        now: UnixMicros,
    ) -> Result<Told, StoreError> {
        let who = name(who)?;
        self.by_person(id, now, move |to, event| {
            let answered = match answer {
                Answer::Seen | Answer::FalseAlarm => Some(EventAnswer {
                    who: who.clone(),
                    at: now,
                    false_alarm: answer == Answer::FalseAlarm,
                }),
                Answer::TakenBack => None,
            };
            let same = |a: &EventAnswer, b: &EventAnswer| a.false_alarm == b.false_alarm;
            match (&event.answered, &answered) {
                (None, None) => return Ok(None),
                // Two people press the key: the first has dealt with it.
                (Some(before), Some(after)) if same(before, after) => return Ok(None),
                _ => {}
            }
            to.prepare_cached(
                "UPDATE event SET answered_by = ?2, answered_at = ?3, false_alarm = ?4 \
                 WHERE id = ?1",
            )?
            .execute(params![
                id.to_string(),
                answered.as_ref().map(|a| &a.who),
                answered.as_ref().map(|a| a.at.0),
                answered.as_ref().is_some_and(|a| a.false_alarm),
            ])?;
            Ok(Some(match answered {
                Some(answer) => Happening::Answered {
                    who,
                    false_alarm: answer.false_alarm,
                },
                None => Happening::Reopened { who },
            }))
        })
        .await
    }

    /// Adds what somebody wrote.
    ///
    /// # Errors
    /// As [`EventStore::answer`].
    pub async fn comment(
        &self,
        id: EventId,
        who: &str,
        comment: &str,
        now: UnixMicros,
    ) -> Result<Told, StoreError> {
        let (who, comment) = (name(who)?, written(comment)?);
        self.by_person(id, now, move |_, _| {
            Ok(Some(Happening::Commented { who, text: comment }))
        })
        .await
    }

    /// Says who is to deal with an event.
    ///
    /// # Errors
    /// As [`EventStore::answer`].
    pub async fn assign(
        &self,
        id: EventId,
        who: &str,
        to_whom: Option<&str>,
        now: UnixMicros,
    ) -> Result<Told, StoreError> {
        let who = name(who)?;
        let to_whom = to_whom.map(name).transpose()?;
        self.by_person(id, now, move |to, event| {
            if event.assigned == to_whom {
                return Ok(None);
            }
            to.prepare_cached("UPDATE event SET assigned = ?2 WHERE id = ?1")?
                .execute(params![id.to_string(), to_whom])?;
            Ok(Some(Happening::Assigned { who, to: to_whom }))
        })
        .await
    }

    /// Something that a person does to an event. If nothing is new, the newest entry is returned.
    async fn by_person(
        &self,
        id: EventId,
        now: UnixMicros,
        act: impl FnOnce(&Connection, &Event) -> Result<Option<Happening>, StoreError> + Send + 'static,
    ) -> Result<Told, StoreError> {
        let write = move |to: &Connection, told: &mut Vec<Told>| {
            let (number, event) = rows::read(to, id)?.ok_or(StoreError::Unknown)?;
            let entries: u32 = to
                .prepare_cached(
                    "SELECT count(*) FROM log WHERE event = ?1 AND what LIKE '%\"who\"%'",
                )?
                .query_row([number], |row| row.get(0))?;
            if entries >= MAX_ENTRIES {
                let full =
                    format!("{MAX_ENTRIES} things were written about this event, no more can be");
                return Err(StoreError::Refused(full));
            }
            match act(to, &event)? {
                Some(happening) => {
                    let entry = rows::append(to, id, now, happening)?;
                    rows::index(to, id)?;
                    told.push(entry.clone());
                    Ok(entry)
                }
                None => {
                    let entry = to
                        .prepare_cached(
                            "SELECT seq, revision, at, what FROM log WHERE event = ?1 \
                             ORDER BY seq DESC LIMIT 1",
                        )?
                        .query_row([number], |row| rows::entry(row, 0))?;
                    Ok(Told { entry, event })
                }
            }
        };
        self.writer.run(write).await
    }

    /// An event.
    ///
    /// # Errors
    /// If there is none, or the disk says no. Waits for the disk.
    pub fn event(&self, id: EventId) -> Result<Event, StoreError> {
        self.read(|from| {
            let (_, event) = rows::read(from, id)?.ok_or(StoreError::Unknown)?;
            Ok(event)
        })
    }

    /// A JPEG of an event.
    ///
    /// # Errors
    /// As [`EventStore::story`]; also if it has no picture.
    pub fn picture(&self, id: EventId, marked: bool) -> Result<Vec<u8>, StoreError> {
        self.read(|from| {
            from.prepare_cached(
                "SELECT jpeg FROM picture JOIN event ON number = picture.event \
                 WHERE id = ?1 AND marked = ?2",
            )?
            .query_row(params![id.to_string(), marked], |row| row.get(0))
            .optional()?
            .ok_or(StoreError::Unknown)
        })
    }

    /// A page of a commune's events.
    ///
    /// # Errors
    /// If the disk says no. Waits for the disk.
    pub fn events(&self, commune: &CommuneId, query: &EventQuery) -> Result<EventPage, StoreError> {
        self.read(|from| query::page(from, commune, query))
    }

    /// What was told after an entry, in order, some at once. An event that was let go since is left
    /// out; each event is as it is now.
    ///
    /// # Errors
    /// If the disk says no. Waits for the disk.
    pub fn told_after(&self, seq: u64) -> Result<Vec<Told>, StoreError> {
        self.read(|from| query::told_after(from, seq))
    }

    /// How many events of a commune are open, and how many nobody has dealt with.
    ///
    /// # Errors
    /// If the disk says no. Waits for the disk.
    pub fn standing(&self, commune: &CommuneId) -> Result<Standing, StoreError> {
        self.read(|from| query::standing(from, commune))
    }

    /// Events that are open.
    pub(crate) fn open_events(&self) -> Result<Vec<Event>, StoreError> {
        self.read(|from| {
            let all = format!("SELECT {} FROM event WHERE ended IS NULL", rows::COLUMNS);
            let mut all = from.prepare_cached(&all)?;
            let all = all.query_map([], rows::event)?;
            Ok(all.collect::<Result<_, _>>()?)
        })
    }

    /// Nobody is to be told of such events until a time.
    ///
    /// # Errors
    /// If a name is no name, there are too many, or the disk says no.
    pub async fn silence(
        &self,
        silence: NewSilence,
        now: UnixMicros,
    ) -> Result<Silence, StoreError> {
        let (who, why) = (name(&silence.who)?, text::line(&silence.why, MAX_COMMENT));
        let silence = NewSilence {
            who,
            why,
            ..silence
        };
        let write = move |to: &Connection, _: &mut Vec<Told>| silence.insert(to, now);
        self.writer.run(write).await
    }

    /// Ends a silence.
    ///
    /// # Errors
    /// If the disk says no.
    pub async fn end_silence(&self, commune: &CommuneId, number: u64) -> Result<bool, StoreError> {
        let commune = commune.clone();
        let write = move |to: &Connection, _: &mut Vec<Told>| Silence::remove(to, &commune, number);
        self.writer.run(write).await
    }

    /// The silences that have not ended, oldest first.
    ///
    /// # Errors
    /// If the disk says no. Waits for the disk.
    pub fn silences(&self, now: UnixMicros) -> Result<Vec<Silence>, StoreError> {
        self.read(|from| Silence::list(from, now))
    }

    /// Lets go of a part of what is older or more than is to be kept, and of silences that are over.
    /// Says whether there is more of it.
    pub(crate) async fn let_go(&self, keep: Keep, now: UnixMicros) -> Result<bool, StoreError> {
        let write = move |to: &Connection, _: &mut Vec<Told>| retention::let_go(to, &keep, now);
        self.writer.run(write).await
    }
}

/// What a person says of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is dealt with.
    Seen,
    /// Nothing was there.
    FalseAlarm,
    /// Neither, after all.
    TakenBack,
}

/// What has changed about an event, and what it looked like.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    pub(crate) change: Change,
    pub(crate) picture: Option<EventPicture>,
}

impl Write {
    fn run(&self, to: &Connection, now: UnixMicros) -> Result<Option<Told>, StoreError> {
        let (id, phase, happening) = match &self.change {
            Change::Opened(event) => {
                let mut event = Event::clone(event);
                event.silenced = Silence::covers(to, &event, now)?;
                rows::insert(to, &event)?;
                (event.id, Phase::Opened, Happening::Opened)
            }
            Change::Touched(id, course) => {
                rows::touch(to, *id, course)?;
                return Ok(None);
            }
            Change::Updated(id, _) => (*id, Phase::Updated, Happening::Updated),
            Change::Closed(id, _) => (*id, Phase::Closed, Happening::Closed),
        };
        if let Change::Updated(_, course) | Change::Closed(_, course) = &self.change {
            // It may have been let go meanwhile.
            if !rows::set_course(to, id, course, phase)? {
                return Ok(None);
            }
        }
        if let Some(picture) = &self.picture {
            rows::set_picture(to, id, picture)?;
        }
        let told = rows::append(to, id, now, happening)?;
        rows::index(to, id)?;
        Ok(Some(told))
    }
}

/// The name that a person gave.
pub(super) fn name(given: &str) -> Result<String, StoreError> {
    let name = text::line(given.trim(), MAX_NAME);
    if name.is_empty() {
        return Err(StoreError::Refused("a name is needed".into()));
    }
    Ok(name)
}

fn written(given: &str) -> Result<String, StoreError> {
    let text = given.trim();
    if text.is_empty() {
        return Err(StoreError::Refused("nothing was written".into()));
    }
    if text.chars().count() > MAX_COMMENT {
        let long = format!("a comment has at most {MAX_COMMENT} characters");
        return Err(StoreError::Refused(long));
    }
    Ok(text.replace(|c: char| c.is_control() && c != '\n', " "))
}
