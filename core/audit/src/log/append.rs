//! Adding to the log. What [`AuditLog::append`] returned for is on the disk, and stays there.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::digest::Digest;

use super::deed::{Deed, Entry};
use super::error::AuditError;
use super::files;
use super::line::{self, BadLine, MAX_LINE_BYTES};
use super::verify::Tail;

/// The log, open for adding. One process has it open; a second waits for nobody and is refused.
#[derive(Debug)]
pub struct AuditLog {
    folder: PathBuf,
    year: i16,
    file: File,
    path: PathBuf,
    length: u64,
    tail: Tail,
    /// After a write that failed: what is on the disk is known again once the log is opened anew.
    failed: bool,
    /// Held while the log is open.
    _lock: nix::fcntl::Flock<File>,
}

/// What opening found.
#[derive(Debug)]
pub struct Opened {
    /// The log.
    pub log: AuditLog,
    /// What was at its end and no whole line, if there was any: the power went while it was written,
    /// so nobody was told that it is there.
    pub cut: Option<CutTail>,
}

/// A torn line that was cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutTail {
    /// From which file.
    pub file: PathBuf,
    /// Behind which byte.
    pub after: u64,
    /// What it was; at most a line's length of it.
    pub bytes: Vec<u8>,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The entry's number.
    pub n: u64,
    /// The hash of its line, which is the head of the log until the next.
    pub head: Digest,
}

impl AuditLog {
    /// Opens the log in a folder, which is made if it is not there. Reads its last line only: whether
    /// all of it is whole, [`super::verify`] says.
    pub fn open(folder: &Path, now_ms: i64) -> Result<Opened, AuditError> {
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder);
        made.map_err(AuditError::at(folder))?;
        let lock = lock(folder)?;
        let years = files::years(folder)?;
        let mut tail = Tail::default();
        let mut cut = None;
        let mut last = None;
        // A year may have a file and no line: the power went when it was made.
        for year in years.iter().rev() {
            let path = files::of_year(folder, *year);
            let (file, length, found, torn) = open_file(&path)?;
            cut = cut.or(torn);
            last.get_or_insert((*year, file, path, length));
            if let Some(found) = found {
                tail = found;
                break;
            }
        }
        let (year, file, path, length) = match last {
            Some(last) => last,
            None => {
                let year = files::year_of(now_ms)?;
                let (file, path) = begin(folder, year)?;
                (year, file, path, 0)
            }
        };
        let log = Self {
            folder: folder.to_owned(),
            year,
            file,
            path,
            length,
            tail,
            failed: false,
            _lock: lock,
        };
        Ok(Opened { log, cut })
    }

    /// Where the log ends.
    #[must_use]
    pub fn tail(&self) -> Tail {
        self.tail
    }

    /// Writes a deed down. It is on the disk when this returns.
    pub fn append(&mut self, now_ms: i64, deed: Deed) -> Result<Receipt, AuditError> {
        if self.failed {
            return Err(AuditError::Closed);
        }
        let n = self.tail.n + 1;
        let at_ms = now_ms;
        let entry = serde_json::to_string(&Entry { n, at_ms, deed })?;
        let (mut text, head) = line::write(&entry, &self.tail.head);
        text.push('\n');
        if text.len() > MAX_LINE_BYTES {
            return Err(AuditError::TooLong(text.len()));
        }
        let year = files::year_of(now_ms)?;
        // A clock that was set back does not write into a year that has ended.
        if year > self.year {
            let (file, path) = begin(&self.folder, year)?;
            (self.file, self.path, self.year, self.length) = (file, path, year, 0);
        }
        if let Err(error) = self.write(text.as_bytes()) {
            self.take_back();
            return Err(AuditError::at(&self.path)(error));
        }
        self.length += text.len() as u64;
        self.tail = Tail { n, head };
        Ok(Receipt { n, head })
    }

    fn write(&mut self, text: &[u8]) -> std::io::Result<()> {
        self.file.write_all(text)?;
        self.file.sync_data()
    }

    /// After a write that failed: the next one begins where this one did.
    fn take_back(&mut self) {
        let back = self.file.set_len(self.length);
        // A disk that can not say what it has is not written to any more.
        self.failed = back.and_then(|()| self.file.sync_data()).is_err();
    }
}

fn lock(folder: &Path) -> Result<nix::fcntl::Flock<File>, AuditError> {
    let file = File::open(folder).map_err(AuditError::at(folder))?;
    nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusiveNonblock)
        .map_err(|(_, errno)| AuditError::at(folder)(errno.into()))
}

fn options() -> fs::OpenOptions {
    let mut options = File::options();
    // Every write goes to the end, whatever was cut meanwhile.
    options.read(true).append(true).mode(0o600);
    options
}

fn begin(folder: &Path, year: i16) -> Result<(File, PathBuf), AuditError> {
    let path = files::of_year(folder, year);
    let file = options().create(true).open(&path);
    let file = file.map_err(AuditError::at(&path))?;
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(AuditError::at(folder))?;
    Ok((file, path))
}

type FileTail = (File, u64, Option<Tail>, Option<CutTail>);

/// Opens a year's file, cuts what is no whole line off its end, and reads its last line.
fn open_file(path: &Path) -> Result<FileTail, AuditError> {
    let io = |error| AuditError::at(path)(error);
    let mut file = options().open(path).map_err(io)?;
    let mut length = file.metadata().map_err(io)?.len();
    let torn = cut(&mut file, length, path)?;
    if let Some(torn) = &torn {
        length = torn.after;
    }
    if length == 0 {
        return Ok((file, 0, None, torn));
    }
    let from = length.saturating_sub(MAX_LINE_BYTES as u64);
    let bytes = read(&mut file, from, length).map_err(io)?;
    let inner = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let begin = inner.iter().rposition(|b| *b == b'\n').map_or(0, |p| p + 1);
    let found = inner.get(begin..).ok_or(BadLine::Form);
    let line = found.and_then(line::read).map_err(|why| {
        let line = count_lines(path).unwrap_or(0);
        let file = path.to_owned();
        AuditError::Broken { file, line, why }
    })?;
    let tail = Tail {
        n: line.entry.n,
        head: line.hash,
    };
    Ok((file, length, Some(tail), torn))
}

/// Cuts what is behind the last end of a line.
fn cut(file: &mut File, length: u64, path: &Path) -> Result<Option<CutTail>, AuditError> {
    let io = |error| AuditError::at(path)(error);
    let from = length.saturating_sub(MAX_LINE_BYTES as u64);
    let bytes = read(file, from, length).map_err(io)?;
    let end = bytes.iter().rposition(|b| *b == b'\n').map(|p| p + 1);
    if end == Some(bytes.len()) || bytes.is_empty() {
        return Ok(None);
    }
    // One write makes one line, so no more than a line can be torn.
    if end.is_none() && from > 0 {
        let line = count_lines(path).unwrap_or(0);
        let (file, why) = (path.to_owned(), BadLine::Form);
        return Err(AuditError::Broken { file, line, why });
    }
    let torn = bytes.get(end.unwrap_or(0)..).unwrap_or(&[]).to_vec();
    let after = length - torn.len() as u64;
    file.set_len(after).map_err(io)?;
    file.sync_data().map_err(io)?;
    let file = path.to_owned();
    let bytes = torn;
    Ok(Some(CutTail { file, after, bytes }))
}

fn read(file: &mut File, from: u64, to: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(from))?;
    std::io::Read::by_ref(file)
        .take(to - from)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn count_lines(path: &Path) -> std::io::Result<u64> {
    use std::io::BufRead as _;
    let reader = std::io::BufReader::new(File::open(path)?);
    // Split at bytes: a damaged line need not be text.
    let mut count = 0;
    for line in reader.split(b'\n') {
        line?;
        count += 1;
    }
    Ok(count)
}
