//! Signing an export from the recording's index: no byte of media is read.
//!
//! The hashes of the parts were made when they were recorded. What is signed is the header of the
//! progressive MP4 that the parts make when they are laid end to end, and the list of these hashes.

use std::sync::Arc;

use c2pa::assertions::{BmffHash, ExclusionsMap, MerkleMap, SubsetMap, VecByteBuf};
use c2pa::{Builder, BuilderIntent, Context, DigitalSourceType};
use serde_bytes::ByteBuf;
use serde_json::json;

use crate::assertion::{Assertion, LABEL, Part, PartLists, VERSION, Written, broken_run};
use crate::boxes::{HeaderHash, MDAT_HEADER, ORDER, head};
use crate::claim_signer::ClaimSigner;
use crate::keys::{KeyError, SigningKey};
use crate::onvif;

#[cfg(test)]
mod tests;

/// More parts than a day has seconds: what is longer is asked for in pieces.
pub const MAX_PARTS: usize = 100_000;
/// The longest text of a person that is signed, in bytes.
pub const MAX_TEXT_BYTES: usize = 4_096;

const FORMAT: &str = "video/mp4";
const HASH_LABEL: &str = "c2pa.hash.bmff.v3";

/// What makes the rest of the header: given the length of the manifest's box behind `ftyp` and the
/// bytes of the `meta` box, it is `moov`, then these bytes, then the 16 bytes with which `mdat` begins.
/// Where samples lie is written as if the manifest's box were there.
pub type Rest<'a> =
    dyn Fn(u64, &[u8]) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> + 'a;

/// An export that is to be signed.
pub struct Export<'a> {
    /// What it says of itself.
    pub assertion: &'a Assertion,
    /// Its parts, in their order.
    pub parts: &'a [Part],
    /// The `ftyp` box.
    pub ftyp: &'a [u8],
    /// The numbers of its tracks.
    pub tracks: &'a [u16],
    /// What makes the rest of the header.
    pub rest: &'a Rest<'a>,
}

impl std::fmt::Debug for Export<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Export")
            .field("id", &self.assertion.export.id)
            .field("parts", &self.parts.len())
            .finish_non_exhaustive()
    }
}

/// Why an export was not signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The key does not sign now.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// What is obligatory is empty.
    #[error("an export needs {0}")]
    Without(&'static str),
    /// What a person wrote is too long.
    #[error("{0} has at most {MAX_TEXT_BYTES} bytes")]
    TooLong(&'static str),
    /// There is nothing to export, or too much.
    #[error("an export has 1 to {MAX_PARTS} parts, this one has {0}")]
    Parts(usize),
    /// A part that is empty: its place in the file can not be said.
    #[error("part {0} has no bytes")]
    EmptyPart(usize),
    /// The parts are not those of the camera's chain.
    #[error(
        "the parts do not fit the camera's chain, in run {0}: the index or the chain was changed"
    )]
    Chain(usize),
    /// The header could not be made.
    #[error("the header can not be made: {0}")]
    Header(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The header is not what an export has.
    #[error("the header is not `ftyp`, `moov`, `meta` and the beginning of `mdat`: {0}")]
    Layout(&'static str),
    /// The library.
    #[error("the manifest can not be signed: {0}")]
    Library(#[from] c2pa::Error),
    /// It can not be written.
    #[error("what the export says of itself can not be written: {0}")]
    Json(#[from] serde_json::Error),
    /// The two manifests differ in size, so that samples would not lie where the header says.
    #[error("the manifest had {first} bytes and then {second}")]
    Size {
        /// Without the hash.
        first: usize,
        /// With it.
        second: usize,
    },
}

/// A signed header: these bytes, then the bytes of the parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHeader {
    /// `ftyp`, the manifest's box, `moov`, `meta`, and the beginning of `mdat`.
    pub bytes: Vec<u8>,
    /// How many of them are the manifest's.
    pub manifest_bytes: u64,
    /// How long the whole file is.
    pub file_bytes: u64,
}

/// Signs exports with one key.
#[derive(Debug)]
pub struct Signer {
    key: SigningKey,
    context: Arc<Context>,
}

impl Signer {
    /// Signs with this key from now on.
    pub fn new(key: SigningKey) -> Result<Self, SignError> {
        let settings = json!({
            "core": {"allowed_network_hosts": []},
            "verify": {
                // It would read the media, which need not be there yet.
                "verify_after_sign": false,
                "remote_manifest_fetch": false,
                "ocsp_fetch": false,
            },
            "builder": {
                "created_assertion_labels": [LABEL, "c2pa.actions"],
                "thumbnail": {"enabled": false},
            },
        });
        let mut context = Context::new().with_settings(settings)?;
        context.set_signer(ClaimSigner::new(&key))?;
        let context = context.into_shared();
        Ok(Self { key, context })
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// Signs an export. Cost: what its header costs, and some 50 bytes a part; no media byte.
    pub fn sign(&self, export: &Export<'_>) -> Result<SignedHeader, SignError> {
        self.key.signs_at(export.assertion.export.at.0)?;
        refuse(export)?;
        let media: u64 = export.parts.iter().map(|p| p.bytes).sum();
        let written = Written {
            version: VERSION,
            assertion: export.assertion.clone(),
            parts: PartLists::of(export.parts),
        };
        let definition = definition(&written)?;
        // First without the hash, to know how long the box is; where samples lie depends on it.
        let first = self.manifest(&definition, export.parts, [0; 32])?;
        let meta = onvif::meta(export.assertion, export.tracks);
        let length = first.len() as u64;
        let rest = (export.rest)(length, &meta).map_err(SignError::Header)?;
        let hash = header_hash(export.ftyp, length, &rest, &meta, media)?;
        let manifest = self.manifest(&definition, export.parts, hash)?;
        if manifest.len() != first.len() {
            return Err(SignError::Size {
                first: first.len(),
                second: manifest.len(),
            });
        }
        let bytes = [export.ftyp, &manifest, &rest].concat();
        let file_bytes = bytes.len() as u64 + media;
        Ok(SignedHeader {
            bytes,
            manifest_bytes: length,
            file_bytes,
        })
    }

    fn manifest(
        &self,
        definition: &str,
        parts: &[Part],
        hash: [u8; 32],
    ) -> Result<Vec<u8>, SignError> {
        let mut builder =
            Builder::from_shared_context(&self.context).with_definition(definition)?;
        builder.set_intent(BuilderIntent::Create(DigitalSourceType::DigitalCapture));
        builder.add_assertion(HASH_LABEL, &hard_binding(parts, hash))?;
        Ok(builder.sign_embeddable(FORMAT)?)
    }
}

/// The assertion that binds the manifest to the file. Only the manifest's own box and the media of
/// `mdat` are left out: the library's defaults would let `ftyp` change and boxes be added.
fn hard_binding(parts: &[Part], hash: [u8; 32]) -> BmffHash {
    let mut binding = BmffHash::new("jumbf manifest", "sha256", None);
    binding.set_default_exclusions();
    binding.exclusions_mut().retain(|e| e.xpath == "/uuid");
    let mut media = ExclusionsMap::new("/mdat".to_owned());
    media.subset = Some(vec![SubsetMap {
        offset: MDAT_HEADER,
        length: 0,
    }]);
    binding.exclusions_mut().push(media);
    let leaves = parts.iter().map(|p| ByteBuf::from(p.leaf.0.to_vec()));
    binding.set_merkle(vec![MerkleMap {
        unique_id: 0,
        local_id: 0,
        count: parts.len(),
        alg: Some("sha256".to_owned()),
        init_hash: None,
        hashes: VecByteBuf(leaves.collect()),
        fixed_block_size: None,
        variable_block_sizes: Some(parts.iter().map(|p| p.bytes).collect()),
    }]);
    binding.set_bmff_version(3);
    binding.set_hash(hash.to_vec());
    binding
}

fn definition(written: &Written) -> Result<String, SignError> {
    let (camera, export) = (&written.assertion.camera, &written.assertion.export);
    let [from, _] = written.assertion.interval.covered;
    let title = format!("{} {} {from}", written.assertion.commune.id, camera.id);
    let definition = json!({
        "title": title,
        "format": FORMAT,
        // The same in both manifests of an export, and another for each export.
        "instance_id": format!("xmp:iid:{}", export.id),
        "claim_generator_info": [{"name": "taimat", "version": export.software}],
        "assertions": [{"label": LABEL, "data": written, "kind": "Json", "created": true}],
    });
    Ok(definition.to_string())
}

/// Refuses what can not be evidence.
fn refuse(export: &Export<'_>) -> Result<(), SignError> {
    let facts = &export.assertion.export;
    let obligatory = [
        ("the name of who takes it out", &facts.by),
        ("a reason", &facts.reason),
        ("a case number", &facts.case),
        ("a name", &facts.id),
    ];
    for (what, text) in obligatory {
        if text.trim().is_empty() {
            return Err(SignError::Without(what));
        }
        if text.len() > MAX_TEXT_BYTES {
            return Err(SignError::TooLong(what));
        }
    }
    let count = export.parts.len();
    if count == 0 || count > MAX_PARTS {
        return Err(SignError::Parts(count));
    }
    if let Some(empty) = export.parts.iter().position(|p| p.bytes == 0) {
        return Err(SignError::EmptyPart(empty));
    }
    match broken_run(export.parts, &export.assertion.chain) {
        Some(run) => Err(SignError::Chain(run)),
        None => Ok(()),
    }
}

/// The hash over the header, which is looked at on the way: what is signed is what can be verified.
fn header_hash(
    ftyp: &[u8],
    manifest: u64,
    rest: &[u8],
    meta: &[u8],
    media: u64,
) -> Result<[u8; 32], SignError> {
    let mut hash = HeaderHash::default();
    let [first, _, behind @ ..] = ORDER;
    let mut offset = take(&mut hash, ftyp, first, 0)?;
    if offset != ftyp.len() as u64 {
        return Err(SignError::Layout("`ftyp` is not one box"));
    }
    offset += manifest;
    let mut left = rest;
    for kind in behind {
        let found = head(left).ok_or(SignError::Layout("a box has no length"))?;
        if kind == *b"mdat" {
            let right = found.kind == kind
                && found.head == MDAT_HEADER
                && found.length.checked_sub(MDAT_HEADER) == Some(media)
                && left.len() as u64 == MDAT_HEADER;
            if !right {
                return Err(SignError::Layout("`mdat` is not as long as the parts are"));
            }
            hash.begins_at(offset);
            hash.bytes(left);
            break;
        }
        let length = take(&mut hash, left, kind, offset)?;
        let (this, next) = left.split_at(usize::try_from(length).unwrap_or(left.len()));
        if kind == *b"meta" && this != meta {
            return Err(SignError::Layout("`meta` was changed"));
        }
        left = next;
        offset += length;
    }
    Ok(hash.end())
}

/// Takes in a box of this kind; its length.
fn take(hash: &mut HeaderHash, bytes: &[u8], kind: [u8; 4], at: u64) -> Result<u64, SignError> {
    let found = head(bytes).ok_or(SignError::Layout("a box has no length"))?;
    let length = usize::try_from(found.length).ok();
    let body = length.and_then(|length| bytes.get(..length));
    let body = body.ok_or(SignError::Layout("a box is cut"))?;
    if found.kind != kind {
        return Err(SignError::Layout("a box is another, or at another place"));
    }
    hash.begins_at(at);
    hash.bytes(body);
    Ok(found.length)
}
