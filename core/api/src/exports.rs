//! Recordings that somebody takes out: who makes them is given by the house.

use std::fmt::Debug;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Bytes;
use serde::Serialize;
use taimat_archive::{ArchiveError, Gap, MoviePiece};
use taimat_base::{CameraId, CommuneId, Profile};
use taimat_contract::UnixMicros;
use utoipa::ToSchema;

/// What somebody wants to take out.
#[derive(Debug, Clone)]
pub struct ExportOrder {
    /// The commune.
    pub commune: CommuneId,
    /// Which cameras; one at least.
    pub cameras: Vec<CameraId>,
    /// From when on.
    pub from: UnixMicros,
    /// Until when.
    pub to: UnixMicros,
    /// Which of the cameras' encodings.
    pub profile: Profile,
    /// Who.
    pub who: String,
    /// Why.
    pub why: String,
    /// For which case.
    pub case_number: String,
}

/// A file of an export.
#[derive(Debug, Clone)]
pub struct ExportedFile {
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub camera: CameraId,
    /// What comes first: the header, signed or not.
    pub header: Bytes,
    /// What follows.
    pub pieces: Arc<[MoviePiece]>,
    /// What is missing of what was asked for.
    pub gaps: Vec<Gap>,
}

impl ExportedFile {
    /// How long it is.
    pub fn bytes(&self) -> u64 {
        self.header.len() as u64 + self.pieces.iter().map(|piece| piece.bytes).sum::<u64>()
    }
}

/// All of an export in one file: its clips, and what proves them together.
pub trait ExportedFolder: Send + Sync + Debug {
    /// The file's name.
    fn name(&self) -> String;

    /// How long it is. Waits for the disk.
    ///
    /// # Errors
    /// If what it is made of can not be read.
    fn bytes(&self) -> io::Result<u64>;

    /// Writes it. Waits for the disk, and for whoever reads. `rotten` is told of a file that is not what was
    /// recorded, at which writing ends.
    ///
    /// # Errors
    /// If it can not be read or written, or is not what was recorded.
    fn write(&self, to: &mut dyn Write, rotten: &dyn Fn(&Path)) -> io::Result<()>;
}

/// Whether what is taken out is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Signing {
    /// It is.
    pub signed: bool,
    /// Why it is not.
    pub because: Option<String>,
    /// Until when the key signs, in microseconds since 1970, if there is one.
    pub until: Option<UnixMicros>,
}

/// An export that can be fetched.
#[derive(Debug, Clone)]
pub struct Exported {
    /// Its name.
    pub id: String,
    /// Whose it is.
    pub commune: CommuneId,
    /// Why its files are not signed; none if they are.
    pub unsigned: Option<String>,
    /// One for each camera that something is there of.
    pub files: Vec<ExportedFile>,
    /// All of them in one; none if they are not signed.
    pub folder: Option<Arc<dyn ExportedFolder>>,
    /// It can be fetched until then.
    pub until: UnixMicros,
}

/// Why nothing was taken out.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The recordings say no.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// It could not be signed, and should be.
    #[error("it can not be signed: {0}")]
    Sign(String),
    /// So many are being made that this one is not begun.
    #[error("too many exports are being made: try again in a moment")]
    Busy,
}

/// Who takes recordings out.
#[async_trait]
pub trait Exports: Send + Sync + Debug {
    /// Takes something out: notes who does, signs it if there is a key, and has it ready to be fetched.
    ///
    /// # Errors
    /// If something is missing in the order, nothing is there, it can not be signed or noted.
    async fn export(&self, order: ExportOrder) -> Result<Arc<Exported>, ExportError>;

    /// Whether what is taken out now is signed. Waits for the disk.
    fn signing(&self) -> Signing;

    /// What was taken out a little while ago.
    fn find(&self, commune: &CommuneId, id: &str) -> Option<Arc<Exported>>;
}
