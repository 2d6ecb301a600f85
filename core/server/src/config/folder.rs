//! Reads one commune's folder. Nothing here knows of other communes, or of what ran before.
//!
//! Cost: it waits for the disk, which may be a network's and hang.

use std::path::{Path, PathBuf};

use taimat_base::files::{self, PlainError, Stamp};
use taimat_base::{CommuneId, Place, Problem};

use super::commune::{Commune, Named, parse_named};
use super::reader::Origin;
use super::secrets::SecretPlaces;

/// The file that makes a folder a commune.
pub const FILE: &str = "commune.toml";
/// No commune's file is larger; what is has another purpose.
pub(crate) const MAX_FILE_BYTES: u64 = 1 << 20;
/// A file that changes while it is read is read again so many times, at once; then that is said.
const TRIES: usize = 5;

/// A commune's file, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) text: String,
    /// Of the file; none if the text is not out of it.
    pub(crate) stamp: Option<Stamp>,
}

/// What a folder says.
#[derive(Debug)]
pub(crate) struct FolderRead {
    /// The commune's file; none if it can not be read.
    pub(crate) written: Option<Written>,
    /// What that means, or what is wrong.
    pub(crate) commune: Result<Commune, Vec<Problem>>,
    /// The file itself and those that it names: when one changes, the folder is to be read again.
    pub(crate) files: Named,
}

/// What a commune is called by its folder, wherever a link to it or `.` leads. None if there is no such
/// folder.
pub(crate) fn name_of(folder: &Path) -> Option<String> {
    let whole = folder.canonicalize().ok()?;
    Some(whole.file_name()?.to_string_lossy().into_owned())
}

/// The commune that a folder is, by its name.
pub(crate) fn id_of(folder: &Path) -> Result<CommuneId, Problem> {
    let place = Place::file(folder);
    let Some(name) = name_of(folder) else {
        return Err(Problem::new(place, "there is no such folder").hint("create it"));
    };
    name.parse().map_err(|error| {
        let hint = "a commune is named by its folder, for example `hoa-lac`";
        Problem::new(place, format!("folder name {name:?}: {error}")).hint(hint)
    })
}

/// Reads the file of a commune, whatever it says. An error says what it is instead of a file of text.
pub(crate) fn written(folder: &Path) -> Result<Written, Problem> {
    let mut tries = 0;
    let read = loop {
        tries += 1;
        match files::read_within(folder, Path::new(FILE), MAX_FILE_BYTES) {
            Err(PlainError::Changing) if tries < TRIES => {}
            read => break read,
        }
    };
    let problem = |message: String, hint: &str| {
        Problem::new(Place::file(folder.join(FILE)), message).hint(hint)
    };
    let plain = read.map_err(|error| {
        let hint = match &error {
            PlainError::Missing => {
                "a commune's folder has a file commune.toml; see examples/hoa-lac"
            }
            PlainError::Kind(_) => "put a file of text in its place",
            PlainError::Outside => "a link may lead to a file in the same folder",
            PlainError::TooLarge(_) => "shorten it",
            PlainError::Changing => "it is read again when it is whole",
            PlainError::Io(_) => "the router has to be allowed to read it, and the disk to give it",
        };
        problem(format!("the file can not be read: {error}"), hint)
    })?;
    match String::from_utf8(plain.bytes) {
        Ok(text) => Ok(Written {
            text,
            stamp: Some(plain.stamp),
        }),
        Err(_not_utf8) => Err(problem(
            "the file is no text in UTF-8".into(),
            "save it as UTF-8",
        )),
    }
}

/// Reads a commune's folder.
pub(crate) fn read(id: &CommuneId, folder: &Path, secrets: &SecretPlaces) -> FolderRead {
    let file = folder.join(FILE);
    // Before it is read: what changes from now on is seen.
    let stamp = Stamp::now(&file);
    match written(folder) {
        Ok(written) => {
            let mut read = understand(id, file.clone(), written, secrets);
            read.files.insert(file, stamp);
            read
        }
        Err(problem) => FolderRead {
            written: None,
            commune: Err(vec![problem]),
            files: Named::from([(file, stamp)]),
        },
    }
}

/// What a text means as the commune's file.
pub(crate) fn understand(
    id: &CommuneId,
    file: PathBuf,
    written: Written,
    secrets: &SecretPlaces,
) -> FolderRead {
    let origin = Origin {
        file: &file,
        commune: id,
        secrets,
    };
    let (commune, files) = parse_named(origin, &written.text);
    FolderRead {
        written: Some(written),
        commune,
        files,
    }
}
