//! Where a folder's files go.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::names::DATA;

/// Where the files go. A file is to be read to its end before the next.
pub trait Sink {
    /// Takes a file, which is so long. The path has `/` between its names, and is inside the folder.
    fn file(&mut self, path: &str, length: u64, from: &mut dyn Read) -> io::Result<()>;
}

/// Writes the files into a new folder, which has another name until all of it is there: what was begun and
/// not ended can not be mistaken for the whole.
#[derive(Debug)]
pub struct DirectorySink {
    folder: PathBuf,
    unfinished: PathBuf,
}

impl DirectorySink {
    /// Makes the folder, which must not be there yet.
    pub fn create(folder: &Path) -> io::Result<Self> {
        if folder.symlink_metadata().is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let mut name = folder.file_name().unwrap_or_default().to_owned();
        name.push(".unfinished");
        let unfinished = folder.with_file_name(name);
        fs::create_dir(&unfinished)?;
        fs::create_dir(unfinished.join(DATA))?;
        let folder = folder.to_owned();
        Ok(Self { folder, unfinished })
    }

    /// Waits until all of it is on the disk, for a stick is pulled soon, and gives it its name.
    pub fn finish(self) -> io::Result<()> {
        File::open(self.unfinished.join(DATA))?.sync_all()?;
        File::open(&self.unfinished)?.sync_all()?;
        fs::rename(&self.unfinished, &self.folder)?;
        let beside = self.folder.parent().filter(|p| !p.as_os_str().is_empty());
        File::open(beside.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Sink for DirectorySink {
    fn file(&mut self, path: &str, _length: u64, from: &mut dyn Read) -> io::Result<()> {
        let mut to = File::create_new(self.unfinished.join(path))?;
        io::copy(from, &mut to)?;
        to.sync_all()
    }
}
