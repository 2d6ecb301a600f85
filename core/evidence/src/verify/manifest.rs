//! The manifest's box, read strictly: it is as our signer writes it in every byte, or it was changed.
//!
//! What no hash covers (lengths, kinds, labels, padding of the signature) has one form here. All else
//! hangs on the claim by SHA-256, and the claim on the signature.

use sha2::{Digest as _, Sha256};

use crate::assertion::{LABEL, VERSION, Written};
use crate::boxes::C2PA_UUID;

use super::binding::Binding;
use super::cbor::Cbor;
use super::cose::Signature;
use super::jumbf::{self, Superbox};

/// Why a manifest is not as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadManifest {
    #[error("its box is not as we write it: it was changed, or a program of others signed")]
    Box,
    #[error("the claim is not as it was written")]
    Claim,
    #[error("the signature's box is not as it was written")]
    Signature,
    #[error("`{0}` was changed")]
    Assertion(&'static str),
    #[error("`{0}` can not be read")]
    Unreadable(&'static str),
    #[error("the signature is not that of the claim")]
    NotSigned,
}

/// A manifest whose parts hang together. Whether the signature is right is not looked at yet.
#[derive(Debug)]
pub(super) struct Manifest<'a> {
    pub(super) written: Written,
    pub(super) binding: Binding<'a>,
    pub(super) claim: &'a [u8],
    pub(super) signature: Signature<'a>,
}

const BINDING: &str = "c2pa.hash.bmff.v3";
const ACTIONS: &str = "c2pa.actions.v2";
const STORE: &str = "c2pa.assertions";
const SIGNATURE: &str = "c2pa.signature";

impl<'a> Manifest<'a> {
    /// Reads the body of the `uuid` box: what is behind its length and kind.
    pub(super) fn read(body: &'a [u8]) -> Result<Self, BadManifest> {
        let body = body.strip_prefix(&C2PA_UUID).ok_or(BadManifest::Box)?;
        // Version and flags, the purpose, and the offset of a box that is not there.
        let body = body.strip_prefix(&[0; 4]);
        let body = body.and_then(|b| b.strip_prefix(b"manifest\0"));
        let mut body = body
            .and_then(|b| b.strip_prefix(&[0; 8]))
            .ok_or(BadManifest::Box)?;
        let store = take(&mut body, *b"c2pa", "c2pa", false)?;
        let mut inside = store.content;
        let manifest = jumbf::take_super(&mut inside, *b"c2ma", false).ok_or(BadManifest::Box)?;
        let mut parts = manifest.content;
        let assertions = take(&mut parts, *b"c2as", STORE, false)?;
        let claim = take(&mut parts, *b"c2cl", "c2pa.claim.v2", false)?;
        let signature = take(&mut parts, *b"c2cs", SIGNATURE, false)?;
        let mut assertions = assertions.content;
        let evidence = take(&mut assertions, *b"json", LABEL, true)?;
        let binding = take(&mut assertions, *b"cbor", BINDING, true)?;
        let actions = take(&mut assertions, *b"cbor", ACTIONS, true)?;
        if [body, inside, parts, assertions]
            .iter()
            .any(|left| !left.is_empty())
        {
            return Err(BadManifest::Box);
        }
        let claim = jumbf::only(claim.content, *b"cbor").ok_or(BadManifest::Claim)?;
        hangs_together(
            claim,
            manifest.label,
            &[(LABEL, &evidence), (BINDING, &binding), (ACTIONS, &actions)],
        )?;
        let signature = jumbf::only(signature.content, *b"cbor").and_then(Signature::read);
        let bytes = |from: &Superbox<'a>, kind, label| {
            jumbf::only(from.content, kind).ok_or(BadManifest::Unreadable(label))
        };
        let text = bytes(&evidence, *b"json", LABEL)?;
        let written: Option<Written> = serde_json::from_slice(text).ok();
        let written = written.filter(|w| w.version == VERSION);
        let hash = Cbor::read(bytes(&binding, *b"cbor", BINDING)?).ok();
        let hash = hash.and_then(|hash| Binding::read(&hash));
        let did = Cbor::read(bytes(&actions, *b"cbor", ACTIONS)?);
        did.map_err(|_why| BadManifest::Unreadable(ACTIONS))?;
        Ok(Self {
            written: written.ok_or(BadManifest::Unreadable(LABEL))?,
            binding: hash.ok_or(BadManifest::Unreadable(BINDING))?,
            claim,
            signature: signature.ok_or(BadManifest::Signature)?,
        })
    }
}

fn take<'a>(
    left: &mut &'a [u8],
    kind: [u8; 4],
    label: &str,
    salted: bool,
) -> Result<Superbox<'a>, BadManifest> {
    let found = jumbf::take_super(left, kind, salted).ok_or(BadManifest::Box)?;
    if found.label == label {
        Ok(found)
    } else {
        Err(BadManifest::Box)
    }
}

/// Whether the claim names this manifest's signature, and these assertions by their hashes.
fn hangs_together(
    claim: &[u8],
    manifest: &str,
    assertions: &[(&'static str, &Superbox<'_>)],
) -> Result<(), BadManifest> {
    let claim = Cbor::read(claim).map_err(|_why| BadManifest::Claim)?;
    let own = format!("self#jumbf=/c2pa/{manifest}/{SIGNATURE}");
    let text = |name| claim.get(name).and_then(Cbor::text);
    let named = claim.get("created_assertions").and_then(Cbor::list);
    let named = named.filter(|named| named.len() == assertions.len());
    let right = text("signature") == Some(&own) && text("alg") == Some("sha256");
    let named = named.filter(|_| right).ok_or(BadManifest::Claim)?;
    for (name, (label, assertion)) in named.iter().zip(assertions) {
        let url = format!("self#jumbf={STORE}/{label}");
        if name.get("url").and_then(Cbor::text) != Some(&url) {
            return Err(BadManifest::Claim);
        }
        let hash = Sha256::digest(assertion.hashed);
        if name.get("hash").and_then(Cbor::bytes) != Some(&hash) {
            return Err(BadManifest::Assertion(label));
        }
    }
    Ok(())
}
