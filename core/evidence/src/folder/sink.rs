//! Where a folder's files go.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::names::DATA;

/// Where the files go. A file is to be read to its end before the next.
pub trait Sink {
    /// Takes a file. The path has `/` between its names, and is inside the folder.
    fn file(&mut self, path: &str, from: &mut dyn Read) -> io::Result<()>;
}

/// Writes the files into a new folder.
#[derive(Debug)]
pub struct DirectorySink {
    folder: PathBuf,
}

impl DirectorySink {
    /// Makes the folder, which must not be there yet.
    pub fn create(folder: &Path) -> io::Result<Self> {
        fs::create_dir(folder)?;
        fs::create_dir(folder.join(DATA))?;
        let folder = folder.to_owned();
        Ok(Self { folder })
    }

    /// Waits until all of it is on the disk: a stick is pulled soon.
    pub fn finish(self) -> io::Result<()> {
        File::open(self.folder.join(DATA))?.sync_all()?;
        File::open(&self.folder)?.sync_all()
    }
}

impl Sink for DirectorySink {
    fn file(&mut self, path: &str, from: &mut dyn Read) -> io::Result<()> {
        let mut to = File::create_new(self.folder.join(path))?;
        io::copy(from, &mut to)?;
        to.sync_all()
    }
}
