//! A segment's file as it is: what of it is whole, part by part. Nothing in it is believed.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use sha2::{Digest, Sha256};
use taimat_media::TrackKind;
use taimat_media::codec::{VIDEO_CLOCK, VideoCodec};
use taimat_media::mp4::{self, MAX_INIT_BYTES, MAX_PART_HEADER_BYTES, ReadError};

use crate::chain_box;
use crate::error::ArchiveError;
use crate::packed::PartRow;
use crate::part::TrackPart;
use crate::ticks;

/// Bytes that are read at once.
const CHUNK: usize = 1 << 20;
/// Zeros in a row that were never written: a sector.
const HOLE: usize = 512;
/// Parts of a file at most: more than are ever written to one.
const MAX_PARTS: usize = 10_000;

/// What a file begins with.
#[derive(Debug)]
pub(crate) struct Beginning {
    pub(crate) init: Vec<u8>,
    /// The chain before its first part.
    pub(crate) chain: [u8; 32],
    /// Where its first part begins.
    pub(crate) length: u64,
    /// Which tracks are video and sound.
    video: usize,
    /// The pictures are NAL units, in which three zeros in a row are never followed by many more.
    nal: bool,
    audio: Option<usize>,
}

/// The parts that are whole.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub(crate) parts: Vec<PartRow>,
    /// Where the last of them ends.
    pub(crate) end: u64,
    /// What is behind it is no part.
    pub(crate) torn: bool,
}

impl Scanned {
    /// Only the first of them, which begin there, are what they should be.
    pub(crate) fn keep(&mut self, from: u64, parts: usize) {
        if parts < self.parts.len() {
            self.parts.truncate(parts);
            self.end = from + self.parts.iter().map(PartRow::bytes).sum::<u64>();
            self.torn = true;
        }
    }
}

/// Reads what a file begins with: none if it is no segment.
pub(crate) fn beginning(path: &Path) -> Result<Option<Beginning>, ArchiveError> {
    let file = File::open(path).map_err(ArchiveError::disk("reading", path))?;
    let read = || -> io::Result<Option<Beginning>> {
        let mut bytes = Vec::new();
        let mut need = 4096;
        let init = loop {
            fill(&file, &mut bytes, 0, need)?;
            match mp4::read_init(&bytes) {
                Ok(init) => break init,
                Err(ReadError::Incomplete { need: more })
                    if more > bytes.len() && bytes.len() >= need && more <= MAX_INIT_BYTES =>
                {
                    need = more;
                }
                Err(_) => return Ok(None),
            }
        };
        fill(&file, &mut bytes, 0, init.length + 64)?;
        let (Some(own), Some(rest)) = (bytes.get(..init.length), bytes.get(init.length..)) else {
            return Ok(None);
        };
        let Some((chain, length)) = chain_box::read(rest) else {
            return Ok(None);
        };
        let place = |kind| init.tracks.iter().position(|track| track.kind() == kind);
        let Some(video) = place(TrackKind::Video) else {
            return Ok(None);
        };
        let codec = init.tracks.get(video).and_then(|track| track.params().ok());
        Ok(Some(Beginning {
            nal: codec.is_some_and(|params| params.codec != VideoCodec::Jpeg),
            init: own.to_vec(),
            chain,
            length: (init.length + length) as u64,
            video,
            audio: place(TrackKind::Audio),
        }))
    };
    read().map_err(ArchiveError::disk("reading", path))
}

/// Whether nothing was ever written to a file, as far as the disk knows: it is empty, or begins with zeros.
pub(crate) fn is_blank(path: &Path) -> Result<bool, ArchiveError> {
    let file = File::open(path).map_err(ArchiveError::disk("reading", path))?;
    let mut bytes = Vec::new();
    let read = fill(&file, &mut bytes, 0, 4096);
    read.map_err(ArchiveError::disk("reading", path))?;
    Ok(bytes.iter().all(|byte| *byte == 0))
}

/// Reads the parts from a place on. With `hash` the payloads are read too; without it, only what says where
/// they lie.
pub(crate) fn parts(
    path: &Path,
    beginning: &Beginning,
    from: u64,
    hash: bool,
) -> Result<Scanned, ArchiveError> {
    let file = File::open(path).map_err(ArchiveError::disk("reading", path))?;
    let read = || -> io::Result<Scanned> {
        let length = file.metadata()?.len();
        let mut scanned = Scanned {
            parts: Vec::new(),
            end: from,
            torn: false,
        };
        while scanned.end < length && scanned.parts.len() < MAX_PARTS {
            let Some(mut row) = header(&file, scanned.end, beginning)? else {
                scanned.torn = true;
                break;
            };
            let end = scanned.end + row.bytes();
            if end > length {
                scanned.torn = true;
                break;
            }
            if hash {
                let payload = scanned.end + u64::from(row.header);
                row.hash = hash_of(&file, payload, row.payload())?;
                // Of what the index never named a disk that was cut off may have the length and not the bytes.
                if beginning.nal && has_hole(&file, payload, row.video.bytes())? {
                    scanned.torn = true;
                    break;
                }
            }
            scanned.parts.push(row);
            scanned.end = end;
        }
        scanned.torn |= scanned.end < length;
        Ok(scanned)
    };
    read().map_err(ArchiveError::disk("reading", path))
}

/// A part without its hash: none if there is no whole header.
fn header(file: &File, at: u64, beginning: &Beginning) -> io::Result<Option<PartRow>> {
    let mut bytes = Vec::new();
    let mut need = 1024;
    let part = loop {
        fill(file, &mut bytes, at, need)?;
        match mp4::read_part(&bytes) {
            Ok(part) => break part,
            Err(ReadError::Incomplete { need: more })
                if more > bytes.len() && bytes.len() >= need && more <= MAX_PART_HEADER_BYTES =>
            {
                need = more;
            }
            Err(_) => return Ok(None),
        }
    };
    let mut row = PartRow {
        header: u32::try_from(part.header_len).unwrap_or(u32::MAX),
        start: part.times.wall,
        end: part.times.wall,
        camera: part.times.camera,
        video: TrackPart::default(),
        audio: TrackPart::default(),
        hash: [0; 32],
    };
    for track in part.tracks {
        let own = TrackPart {
            time: track.decode_time,
            samples: track.samples,
        };
        if track.track == beginning.video {
            row.video = own;
        } else if Some(track.track) == beginning.audio {
            row.audio = own;
        }
    }
    if row.video.samples.is_empty() || row.payload() != part.payload_len {
        return Ok(None);
    }
    // What the file says in ticks is what was recorded; the other is rounded.
    row.start = ticks::to_micros(row.video.time, VIDEO_CLOCK);
    row.end = ticks::to_micros(
        row.video.time.saturating_add(row.video.ticks()),
        VIDEO_CLOCK,
    );
    Ok(Some(row))
}

/// Has `bytes` be so many from a place on, or what there is.
fn fill(file: &File, bytes: &mut Vec<u8>, at: u64, need: usize) -> io::Result<()> {
    let have = bytes.len();
    if have >= need {
        return Ok(());
    }
    bytes.resize(need, 0);
    let mut filled = have;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at + filled as u64) {
            Ok(0) => break,
            Ok(some) => filled += some,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(())
}

/// Whether some bytes of a file have a sector of zeros in a row; more than half a sector counts.
fn has_hole(file: &File, mut at: u64, mut length: u64) -> io::Result<bool> {
    let mut bytes = vec![0; CHUNK];
    let mut zeros = 0;
    while length > 0 {
        let most = usize::try_from(length).unwrap_or(CHUNK).min(CHUNK);
        let some = file.read_at(bytes.get_mut(..most).unwrap_or_default(), at)?;
        if some == 0 {
            break;
        }
        for block in bytes.get(..some).unwrap_or_default().chunks(HOLE / 4) {
            let all = block.iter().all(|byte| *byte == 0);
            zeros = if all { zeros + block.len() } else { 0 };
            if zeros >= HOLE / 2 {
                return Ok(true);
            }
        }
        at += some as u64;
        length -= some as u64;
    }
    Ok(false)
}

/// SHA-256 of some bytes of a file; what is not there is left out.
pub(crate) fn hash_of(file: &File, mut at: u64, mut length: u64) -> io::Result<[u8; 32]> {
    let mut hash = Sha256::new();
    let mut bytes = vec![0; CHUNK];
    while length > 0 {
        let most = usize::try_from(length).unwrap_or(CHUNK).min(CHUNK);
        let some = file.read_at(bytes.get_mut(..most).unwrap_or_default(), at)?;
        if some == 0 {
            break;
        }
        hash.update(bytes.get(..some).unwrap_or_default());
        at += some as u64;
        length -= some as u64;
    }
    Ok(hash.finalize().into())
}
