//! The hashes that bind the manifest to the file.

use crate::boxes::{C2PA_UUID, MDAT_HEADER};

use super::cbor::Cbor;

/// The hashes.
#[derive(Debug)]
pub(super) struct Binding<'a> {
    /// Over the header.
    pub(super) header: &'a [u8],
    /// Of each part: how many bytes, and their SHA-256.
    pub(super) parts: Vec<(u64, &'a [u8])>,
    /// All bytes of the parts.
    pub(super) media: u64,
}

impl<'a> Binding<'a> {
    pub(super) fn read(binding: &Cbor<'a>) -> Option<Self> {
        let exclusions = binding.get("exclusions")?.list()?;
        let known = exclusions == [manifest_box(), media()];
        let sha256 = Some("sha256");
        let header = binding.get("hash")?.bytes()?;
        let [tree] = binding.get("merkle")?.list()? else {
            return None;
        };
        let known = known
            && binding.get("alg")?.text() == sha256
            && tree.get("alg")?.text() == sha256
            && tree.get("fixedBlockSize").is_none()
            && tree.get("initHash").is_none();
        let leaves = tree.get("hashes")?.list()?;
        let sizes = tree.get("variableBlockSizes")?.list()?;
        let count = leaves.len() as u64;
        let even = leaves.len() == sizes.len() && tree.get("count")?.count() == Some(count);
        let zip = sizes.iter().zip(leaves);
        let one = |(size, leaf): (&Cbor<'a>, &Cbor<'a>)| {
            let size = size.count().filter(|size| *size > 0)?;
            Some((size, leaf.bytes().filter(|leaf| leaf.len() == 32)?))
        };
        let parts: Vec<_> = zip.map(one).collect::<Option<_>>()?;
        let media = parts
            .iter()
            .try_fold(0u64, |sum, (size, _)| sum.checked_add(*size))?;
        (known && even && count > 0).then_some(Self {
            header,
            parts,
            media,
        })
    }
}

fn text(text: &str) -> Cbor<'_> {
    Cbor::Text(text)
}

/// The manifest's own box is left out of the hash.
fn manifest_box() -> Cbor<'static> {
    let data = Cbor::Map(vec![
        (text("offset"), Cbor::Count(8)),
        (text("value"), Cbor::Bytes(&C2PA_UUID)),
    ]);
    Cbor::Map(vec![
        (text("xpath"), text("/uuid")),
        (text("data"), Cbor::List(vec![data])),
    ])
}

/// And the media, which have hashes of their own.
fn media() -> Cbor<'static> {
    let subset = Cbor::Map(vec![
        (text("offset"), Cbor::Count(MDAT_HEADER)),
        (text("length"), Cbor::Count(0)),
    ]);
    Cbor::Map(vec![
        (text("xpath"), text("/mdat")),
        (text("subset"), Cbor::List(vec![subset])),
    ])
}
