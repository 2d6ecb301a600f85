//! Signed exports that anybody can check, and the checking of them.
//!
//! Owner: `server` opens the [`SigningKey`] and makes one [`Signer`] of it; who exports gives it the
//! index's parts, and a header to sign. Cost: no byte of media is read to sign; checking reads each once.
//! Not here: where recordings are, what a header looks like inside, who may export.

#[cfg(test)]
extern crate self as taimat_evidence;

mod armor;
mod assertion;
mod boxes;
mod claim_signer;
mod folder;
mod keys;
mod moment;
mod onvif;
#[cfg(test)]
mod sample;
mod sign;
mod time;
mod verify;
mod x509;

pub use assertion::{
    Assertion, AuditPlace, Camera, Clock, ClockSource, CodecFacts, Commune, ExportFacts, Gap,
    Interval, Part, Place, Run, ShownAddress,
};
pub use folder::{
    Clip, ClipReport, CmsError, DirectorySink, FolderError, FolderFacts, FolderFinding,
    FolderReport, FolderSizes, Sink, WrittenFolder, ZipSink, folder_sizes, verify_folder,
    write_folder, zip_bytes,
};
pub use keys::{Because, KeyError, Made, NewRoot, Retirement, SigningKey, init, retire};
pub use moment::Moment;
pub use sign::{Export, MAX_PARTS, MAX_TEXT_BYTES, Rest, SignError, SignedHeader, Signer};
pub use verify::{BadTrust, FileReport, Finding, SignedBy, Trust, Verdict, verify_file};
pub use x509::X509Error;
