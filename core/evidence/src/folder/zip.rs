//! A folder as one file, to be sent: a ZIP whose files are stored as they are, since pictures do not get
//! smaller. It is written from front to back; its end, the list of its files, comes last, so what was cut off
//! opens nowhere.

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::rc::Rc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::moment::Moment;

use super::sink::Sink;
use super::write::FolderSizes;

/// What is as long as this or longer is written with lengths of 64 bits (APPNOTE.TXT 4.3.9.2).
const LARGE: u64 = 0xFFFF_FFFF;
/// Bytes that are read at once.
const CHUNK: usize = 256 * 1024;

/// Writes a folder as a ZIP.
pub struct ZipSink<W: Write> {
    zip: ZipWriter<StreamWriter<Gate<W>>>,
    open: Rc<Cell<bool>>,
    folder: String,
    made: DateTime,
    buffer: Vec<u8>,
}

impl<W: Write> std::fmt::Debug for ZipSink<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ZipSink")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl<W: Write> ZipSink<W> {
    /// `folder` is the name of the folder that is in it; `made` is when its files were.
    pub fn new(to: W, folder: &str, made: Moment) -> Self {
        let open = Rc::new(Cell::new(false));
        let gate = Gate {
            to,
            open: Rc::clone(&open),
        };
        Self {
            zip: ZipWriter::new_stream(gate),
            open,
            folder: folder.to_owned(),
            made: time(made).unwrap_or_default(),
            buffer: vec![0; CHUNK],
        }
    }

    /// Writes its end.
    pub fn finish(self) -> io::Result<W> {
        self.open.set(true);
        Ok(self.zip.finish()?.into_inner().to)
    }

    fn put(&mut self, path: &str, length: u64, from: &mut dyn Read) -> io::Result<()> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .large_file(length >= LARGE)
            .last_modified_time(self.made);
        self.zip
            .start_file(format!("{}/{path}", self.folder), options)?;
        loop {
            let read = from.read(&mut self.buffer)?;
            if read == 0 {
                return Ok(());
            }
            self.zip
                .write_all(self.buffer.get(..read).unwrap_or_default())?;
        }
    }
}

impl<W: Write> Sink for ZipSink<W> {
    fn file(&mut self, path: &str, length: u64, from: &mut dyn Read) -> io::Result<()> {
        self.open.set(true);
        let put = self.put(path, length, from);
        self.open.set(false);
        put
    }
}

/// Lets bytes through while a file is written, or the end. The library writes the end of a ZIP that is given up,
/// too: then what was cut off would open as if it were whole.
struct Gate<W> {
    to: W,
    open: Rc<Cell<bool>>,
}

impl<W: Write> Write for Gate<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.open.get() {
            self.to.write(bytes)
        } else {
            Ok(bytes.len())
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// The hour as it is in UTC: a ZIP does not say which zone it means. None before 1980 and after 2107.
fn time(made: Moment) -> Option<DateTime> {
    let at = Timestamp::from_millisecond(made.0).ok()?;
    let at = at.to_zoned(TimeZone::UTC).datetime();
    let small = |number: i8| u8::try_from(number).ok();
    DateTime::from_date_and_time(
        u16::try_from(at.year()).ok()?,
        small(at.month())?,
        small(at.day())?,
        small(at.hour())?,
        small(at.minute())?,
        small(at.second())?,
    )
    .ok()
}

/// How long a ZIP of these files is.
#[must_use]
pub fn zip_bytes(folder: &str, sizes: &FolderSizes) -> u64 {
    let (mut at, mut list) = (0, 0);
    for (path, length) in &sizes.files {
        let name = (folder.len() + 1 + path.len()) as u64;
        let large = *length >= LARGE;
        // The two lengths of 64 bits, with what says what they are.
        let lengths = if large { 20 } else { 0 };
        // In the list there is besides where the file begins, if that is far.
        let far = match (at >= LARGE, large) {
            (false, _) => 0,
            (true, true) => 8,
            (true, false) => 12,
        };
        list += 46 + name + lengths + far;
        let behind = if large { 24 } else { 16 };
        at += 30 + name + lengths + length + behind;
    }
    let end = if at > LARGE || list > LARGE {
        56 + 20
    } else {
        0
    };
    at + list + end + 22
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(files: &[(&str, u64)]) -> FolderSizes {
        let own = files.iter().map(|(path, length)| ((*path).into(), *length));
        FolderSizes {
            files: own.collect(),
        }
    }

    /// Counts what comes, and keeps none of it.
    struct Count(u64);

    impl Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(sizes: &FolderSizes) -> u64 {
        let mut zip = ZipSink::new(Count(0), "xuất", Moment(1_732_492_800_000));
        for (path, length) in &sizes.files {
            let mut zeros = io::repeat(0).take(*length);
            zip.file(path, *length, &mut zeros).unwrap();
        }
        zip.finish().unwrap().0
    }

    #[test]
    fn it_is_known_how_long_it_will_be() {
        for files in [
            &[][..],
            &[("data/a.mp4", 0)],
            &[("data/ga tàu.mp4", 300_000), ("bagit.txt", 55)],
        ] {
            let sizes = sizes(files);
            assert_eq!(written(&sizes), zip_bytes("xuất", &sizes), "{files:?}");
        }
    }

    #[test]
    fn a_file_of_more_than_four_gigabytes_and_what_is_behind_it() {
        let sizes = sizes(&[("data/a.mp4", LARGE), ("data/b.mp4", 10), ("bagit.txt", 55)]);
        assert_eq!(written(&sizes), zip_bytes("xuất", &sizes));
    }

    #[test]
    fn one_that_is_given_up_has_no_end() {
        let mut kept = Vec::new();
        let mut zip = ZipSink::new(&mut kept, "x", Moment(1_732_492_800_000));
        zip.file("a", 3, &mut &b"abc"[..]).unwrap();
        let mut broken = io::Read::chain(&b"de"[..], Broken);
        assert!(zip.file("b", 9, &mut broken).is_err());
        drop(zip);
        let has = |mark: &[u8]| kept.windows(4).any(|four| four == mark);
        assert!(has(b"PK\x03\x04") && kept.ends_with(b"de"));
        // Neither a list of files nor its end.
        assert!(!has(b"PK\x01\x02") && !has(b"PK\x05\x06"));
    }

    /// A disk that fails.
    struct Broken;

    impl Read for Broken {
        fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::InvalidData.into())
        }
    }

    #[test]
    fn times_that_a_zip_can_not_say_are_left_out() {
        assert!(time(Moment(1_732_492_800_000)).is_some());
        for odd in [i64::MIN, 0, 9_999_999_999_999] {
            assert!(time(Moment(odd)).is_none(), "{odd}");
        }
    }
}
