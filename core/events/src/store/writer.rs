//! The thread that writes.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::error::StoreError;
use crate::log::Told;

/// What waits to be written at most; who has more waits for it.
const WAITING: usize = 256;
/// Committed together at most.
const TOGETHER: usize = 128;

/// Something to be written.
trait Job: Send {
    /// Runs within a transaction; says whether it went well.
    fn run(&mut self, to: &Connection, told: &mut Vec<Told>) -> bool;
    /// The transaction has ended; with the reason if nothing of it was written.
    fn end(self: Box<Self>, failed: Option<StoreError>);
}

struct Asked<T, F> {
    write: Option<F>,
    ran: Option<Result<T, StoreError>>,
    done: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Job for Asked<T, F>
where
    T: Send,
    F: FnOnce(&Connection, &mut Vec<Told>) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, to: &Connection, told: &mut Vec<Told>) -> bool {
        let ran = self.write.take().map(|write| write(to, told));
        let well = matches!(ran, Some(Ok(_)));
        self.ran = ran;
        well
    }

    fn end(self: Box<Self>, failed: Option<StoreError>) {
        let ran = match failed {
            Some(error) => Err(error),
            None => self.ran.unwrap_or(Err(StoreError::Stopped)),
        };
        // Who asked may not wait any more.
        drop(self.done.send(ran));
    }
}

/// The thread that writes. It ends when this is dropped, after what was given to it.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        told: broadcast::Sender<Arc<Told>>,
    ) -> io::Result<Self> {
        let (jobs, waiting) = mpsc::channel(WAITING);
        let thread = std::thread::Builder::new()
            .name("events".into())
            .spawn(move || write(connection, waiting, &told))?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// Writes something, together with what else waits; returns when it is on the disk, and what it
    /// tells has been told. Nothing of it is written if it fails.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Connection, &mut Vec<Told>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (done, result) = oneshot::channel();
        let job = Box::new(Asked {
            write: Some(write),
            ran: None,
            done,
        });
        let jobs = self.jobs.as_ref().ok_or(StoreError::Stopped)?;
        jobs.send(job).await.map_err(|_gone| StoreError::Stopped)?;
        result.await.map_err(|_gone| StoreError::Stopped)?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported.
            drop(thread.join());
        }
    }
}

fn write(
    mut connection: Connection,
    mut waiting: mpsc::Receiver<Box<dyn Job>>,
    told: &broadcast::Sender<Arc<Told>>,
) {
    while let Some(job) = waiting.blocking_recv() {
        let mut jobs = vec![job];
        while jobs.len() < TOGETHER {
            match waiting.try_recv() {
                Ok(job) => jobs.push(job),
                Err(_) => break,
            }
        }
        together(&mut connection, jobs, told);
    }
}

/// One commit for all of them. What fails fails alone, unless it is the transaction.
fn together(
    connection: &mut Connection,
    mut jobs: Vec<Box<dyn Job>>,
    told: &broadcast::Sender<Arc<Told>>,
) {
    let mut tells = Vec::new();
    match transaction(connection, &mut jobs, &mut tells) {
        Ok(()) => {
            for tell in tells {
                // Nobody may listen.
                drop(told.send(Arc::new(tell)));
            }
            for job in jobs {
                job.end(None);
            }
        }
        Err(error) => {
            for job in jobs {
                job.end(Some(StoreError::Database(again(&error))));
            }
        }
    }
}

fn transaction(
    connection: &mut Connection,
    jobs: &mut [Box<dyn Job>],
    tells: &mut Vec<Told>,
) -> rusqlite::Result<()> {
    let mut all = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for job in jobs {
        let part = all.savepoint()?;
        let before = tells.len();
        if job.run(&part, tells) {
            part.commit()?;
        } else {
            tells.truncate(before);
            // A full disk ends the transaction, and with it what the others wrote.
            if part.is_autocommit() {
                let full = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL);
                return Err(rusqlite::Error::SqliteFailure(full, None));
            }
            part.finish()?;
        }
    }
    all.commit()
}

/// The same error for somebody else.
fn again(error: &rusqlite::Error) -> rusqlite::Error {
    match error {
        rusqlite::Error::SqliteFailure(code, text) => {
            rusqlite::Error::SqliteFailure(*code, text.clone())
        }
        other => rusqlite::Error::ToSqlConversionFailure(other.to_string().into()),
    }
}
