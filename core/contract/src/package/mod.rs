//! A plugin in one file: the component, its manifest in a custom section behind it, and, behind
//! that, a signature over everything before.
//!
//! Custom sections are part of the format of components, so the file stays one that every tool
//! reads. The manifest stands at the end: a file of which only the beginning has arrived has none,
//! and is not loaded.

mod error;
mod key;
mod manifest;
mod sections;
mod signature;

use sha2::{Digest, Sha256};

pub use error::PackageError;
pub use key::{PublicKey, SigningKey};
pub use manifest::{FramesRequest, Kind, Manifest, Requests, Wishes};

/// Name of the manifest's section.
pub const MANIFEST_SECTION: &str = "taimat-manifest";
/// Name of the signature's section.
pub const SIGNATURE_SECTION: &str = "taimat-signature";
/// A package is no larger, unless the operator says so.
pub const MAX_BYTES: usize = 32 << 20;
/// A manifest is no larger.
const MAX_MANIFEST_BYTES: usize = 64 << 10;

/// What a package says of itself, as far as can be known without running it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// What it asks for.
    pub manifest: Manifest,
    /// Who signed it; the signature fits.
    pub signer: Option<PublicKey>,
    /// SHA-256 of the whole file.
    pub digest: PackageDigest,
}

/// SHA-256 of a package.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PackageDigest(pub [u8; 32]);

impl PackageDigest {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The first twelve characters: enough to tell versions apart in a log line.
    pub fn short(&self) -> String {
        self.to_string().chars().take(12).collect()
    }
}

impl std::fmt::Display for PackageDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for PackageDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl Package {
    /// Reads what the file says of itself. Work and memory are bounded by its length; nothing is
    /// compiled.
    pub fn read(bytes: &[u8]) -> Result<Self, PackageError> {
        let mut manifest = None;
        let mut signature = None;
        for section in sections::walk(bytes)? {
            let section = section?;
            let (slot, name) = match section.custom {
                Some((MANIFEST_SECTION, _)) => (&mut manifest, MANIFEST_SECTION),
                Some((SIGNATURE_SECTION, _)) => (&mut signature, SIGNATURE_SECTION),
                _ => continue,
            };
            if slot.replace(section).is_some() {
                return Err(PackageError::Twice(name));
            }
        }
        let data = |s: &sections::Section<'_>| s.custom.map_or(Vec::new(), |(_, d)| d.to_vec());
        let manifest = manifest
            .as_ref()
            .map(data)
            .ok_or(PackageError::NoManifest)?;
        if manifest.len() > MAX_MANIFEST_BYTES {
            return Err(PackageError::Manifest("it is larger than 64 KiB".into()));
        }
        let text = String::from_utf8(manifest)
            .map_err(|e| PackageError::Manifest(format!("it is not UTF-8: {e}")))?;
        let manifest = text.parse().map_err(PackageError::Manifest)?;
        let signer = match signature {
            None => None,
            Some(section) if section.end == bytes.len() => {
                let (signed, _) = bytes.split_at(section.start);
                Some(signature::verify(signed, &data(&section))?)
            }
            Some(_) => return Err(PackageError::MisplacedSignature),
        };
        Ok(Self {
            manifest,
            signer,
            digest: PackageDigest::of(bytes),
        })
    }

    /// Puts a manifest behind a component; one that is there is replaced, a signature is removed.
    pub fn pack(component: &[u8], manifest: &str) -> Result<Vec<u8>, PackageError> {
        let _checked: Manifest = manifest.parse().map_err(PackageError::Manifest)?;
        let mut bytes = sections::without(component, &[MANIFEST_SECTION, SIGNATURE_SECTION])?;
        sections::append(&mut bytes, MANIFEST_SECTION, manifest.as_bytes());
        Ok(bytes)
    }

    /// Signs a package; a signature that is there is replaced.
    pub fn sign(package: &[u8], key: &SigningKey) -> Result<Vec<u8>, PackageError> {
        Self::read(package)?;
        let mut bytes = sections::without(package, &[SIGNATURE_SECTION])?;
        let signature = signature::sign(&bytes, key);
        sections::append(&mut bytes, SIGNATURE_SECTION, &signature);
        Ok(bytes)
    }
}

/// The fuzz harness of this format: any bytes, no panic, and what is read can be packed again.
pub fn fuzz(bytes: &[u8]) {
    if Package::read(bytes).is_ok() {
        assert!(
            Package::pack(bytes, manifest::EXAMPLE).is_ok_and(|p| Package::read(&p).is_ok()),
            "what was read can not be packed"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The smallest component: a header.
    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

    fn packed() -> Vec<u8> {
        Package::pack(COMPONENT, manifest::EXAMPLE).unwrap()
    }

    #[test]
    fn packs_signs_and_reads() {
        let package = packed();
        let read = Package::read(&package).unwrap();
        assert_eq!(read.manifest.name, "detect-motion");
        assert_eq!(read.signer, None);
        let key = SigningKey::generate().unwrap();
        let signed = Package::sign(&package, &key).unwrap();
        assert_eq!(Package::read(&signed).unwrap().signer, Some(key.public()));
        // Signing again replaces, packing again removes.
        let other = SigningKey::generate().unwrap();
        let again = Package::sign(&signed, &other).unwrap();
        assert_eq!(again.len(), signed.len());
        assert_eq!(Package::read(&again).unwrap().signer, Some(other.public()));
        assert_eq!(Package::pack(&again, manifest::EXAMPLE).unwrap(), package);
    }

    #[test]
    fn every_altered_byte_is_noticed() {
        let key = SigningKey::generate().unwrap();
        let signed = Package::sign(&packed(), &key).unwrap();
        for at in 8..signed.len() {
            let mut altered = signed.clone();
            altered[at] ^= 1;
            let signer = Package::read(&altered).map(|p| p.signer);
            assert_ne!(signer, Ok(Some(key.public())), "byte {at}");
        }
    }

    #[test]
    fn says_what_a_file_is_instead() {
        let error = |bytes: &[u8]| Package::read(bytes).unwrap_err();
        assert!(matches!(error(b"MZ"), PackageError::NotWasm(_)));
        assert_eq!(error(b"\0asm\x01\0\0\0"), PackageError::CoreModule);
        assert!(matches!(
            error(b"\0asm\x0d\0\x07\0"),
            PackageError::UnknownFormat(_)
        ));
        assert_eq!(error(COMPONENT), PackageError::NoManifest);
        let package = packed();
        let cut = &package[..package.len() - 1];
        assert_eq!(error(cut), PackageError::Truncated { at: 8 });
    }

    proptest! {
        #[test]
        fn never_panics(at in 8usize..200, byte: u8, cut in 0usize..400) {
            let mut bytes = packed();
            let at = at.min(bytes.len() - 1);
            bytes[at] = byte;
            fuzz(&bytes);
            bytes.truncate(cut);
            fuzz(&bytes);
        }
    }
}
