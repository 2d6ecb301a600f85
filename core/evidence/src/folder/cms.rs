//! The signature over a folder: CMS, detached, ES256, as `openssl cms` makes and checks it. A second
//! signer, an officer with a token, may add theirs beside ours.

use cms::builder::{SignedDataBuilder, SignerInfoBuilder};
use cms::cert::{CertificateChoices, IssuerAndSerialNumber};
use cms::content_info::ContentInfo;
use cms::signed_data::{EncapsulatedContentInfo, SignedData, SignerIdentifier, SignerInfo};
use der::asn1::{OctetStringRef, SetOfVec};
use der::oid::ObjectIdentifier;
use der::{Any, Decode as _, Encode as _};
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{DerSignature, SigningKey as Key};
use sha2::{Digest as _, Sha256};
use x509_cert::Certificate;
use x509_cert::attr::Attribute;
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_cert::time::Time;

use crate::armor::pem;
use crate::keys::SigningKey;
use crate::time::{x509, x509_ms};
use crate::verify::key;
use crate::x509::ECDSA_SHA256;

const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNING_TIME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.5");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
/// As OpenSSL calls it.
const LABEL: &str = "CMS";
/// Two signatures of one key differ by less, as PEM: by eight bytes of numbers, four of lengths around them.
const MARGIN: usize = 32;

/// A signature could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CmsError {
    /// By the library.
    #[error("the signature can not be made: {0}")]
    Build(String),
    /// Its form.
    #[error("the signature can not be written: {0}")]
    Form(#[from] der::Error),
}

impl From<cms::builder::Error> for CmsError {
    fn from(error: cms::builder::Error) -> Self {
        Self::Build(error.to_string())
    }
}

/// A signature over a text, as PEM.
pub(super) fn sign(key: &SigningKey, text: &[u8], at_ms: i64) -> Result<String, CmsError> {
    let content = EncapsulatedContentInfo {
        econtent_type: DATA,
        econtent: None,
    };
    let algorithm = AlgorithmIdentifierOwned {
        oid: SHA256,
        parameters: None,
    };
    let chain = key.chain();
    let leaf = &chain.leaf.tbs_certificate;
    let sid = SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
        issuer: leaf.issuer.clone(),
        serial_number: leaf.serial_number.clone(),
    });
    let digest = Sha256::digest(text);
    let signing = key.key();
    let mut info =
        SignerInfoBuilder::new(signing, sid, algorithm.clone(), &content, Some(&digest))?;
    info.add_signed_attribute(Attribute {
        oid: SIGNING_TIME,
        values: SetOfVec::try_from(vec![Any::encode_from(&x509(at_ms)?)?])?,
    })?;
    let mut builder = SignedDataBuilder::new(&content);
    builder.add_digest_algorithm(algorithm)?;
    for certificate in [&chain.leaf, &chain.root] {
        builder.add_certificate(CertificateChoices::Certificate(certificate.clone()))?;
    }
    builder.add_signer_info::<Key, DerSignature>(info)?;
    Ok(pem(LABEL, builder.build()?.to_der()?))
}

/// A signature over a text, of the same length whatever the text is: it has to be known how long a folder is
/// before it is written, and the two numbers in a signature are now and then a byte shorter. Ends of lines are
/// put behind it, which readers of PEM skip.
pub(super) fn sign_to_length(
    key: &SigningKey,
    text: &[u8],
    at_ms: i64,
) -> Result<String, CmsError> {
    // With the same key and time, so of the same length but for those numbers.
    let length = sign(key, b"", at_ms)?.len() + MARGIN;
    let mut pem = sign(key, text, at_ms)?;
    let missing = length.saturating_sub(pem.len());
    pem.extend(std::iter::repeat_n('\n', missing));
    Ok(pem)
}

/// A signer that was found in a signature.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) certificate: Certificate,
    pub(super) at_ms: Option<i64>,
    /// Whether it signed this text. None if it signs in a way that is not checked here.
    pub(super) right: Option<bool>,
}

/// All signers in a signature over a text; none if it is no signature.
pub(super) fn signers(signature: &str, text: &[u8]) -> Option<Vec<Found>> {
    let block = ::pem::parse(signature).ok()?;
    let info = ContentInfo::from_der(block.contents()).ok()?;
    if info.content_type != SIGNED_DATA || ![LABEL, "PKCS7"].contains(&block.tag()) {
        return None;
    }
    let data = info.content.decode_as::<SignedData>().ok()?;
    if data.encap_content_info.econtent.is_some() {
        return None;
    }
    let digest = Sha256::digest(text);
    let one = |signer: &SignerInfo| {
        let certificate = certificate(&data, signer)?;
        let right = check(signer, &certificate, &digest);
        Some(Found {
            certificate,
            at_ms: attribute::<Time>(signer, SIGNING_TIME).map(x509_ms),
            right,
        })
    };
    data.signer_infos.0.iter().map(one).collect()
}

fn certificate(data: &SignedData, signer: &SignerInfo) -> Option<Certificate> {
    let SignerIdentifier::IssuerAndSerialNumber(sid) = &signer.sid else {
        return None;
    };
    let all = data.certificates.iter().flat_map(|set| set.0.iter());
    let mut certificates = all.filter_map(|choice| match choice {
        CertificateChoices::Certificate(certificate) => Some(certificate),
        CertificateChoices::Other(_) => None,
    });
    let mine = certificates.find(|certificate| {
        let tbs = &certificate.tbs_certificate;
        tbs.issuer == sid.issuer && tbs.serial_number == sid.serial_number
    });
    mine.cloned()
}

fn check(signer: &SignerInfo, certificate: &Certificate, digest: &[u8]) -> Option<bool> {
    if signer.signature_algorithm.oid != ECDSA_SHA256 || signer.digest_alg.oid != SHA256 {
        return None;
    }
    let key = key(certificate)?;
    let said = attribute::<OctetStringBytes>(signer, MESSAGE_DIGEST);
    let kind = attribute::<ObjectIdentifier>(signer, CONTENT_TYPE);
    let signed = signer.signed_attrs.as_ref()?.to_der().ok()?;
    let signature = DerSignature::try_from(signer.signature.as_bytes()).ok()?;
    let right = key.verify(&signed, &signature).is_ok();
    let same = said.is_some_and(|said| said.0 == digest);
    Some(right && same && kind == Some(DATA))
}

/// The bytes of an octet string.
struct OctetStringBytes(Vec<u8>);

impl<'a> der::Decode<'a> for OctetStringBytes {
    fn decode<R: der::Reader<'a>>(reader: &mut R) -> der::Result<Self> {
        Ok(Self(OctetStringRef::decode(reader)?.as_bytes().to_vec()))
    }
}

/// The one value of an attribute that is signed.
fn attribute<T: for<'a> der::Decode<'a>>(signer: &SignerInfo, oid: ObjectIdentifier) -> Option<T> {
    let mut all = signer.signed_attrs.iter().flat_map(|set| set.iter());
    let mine = all.find(|attribute| attribute.oid == oid)?;
    let mut values = mine.values.iter();
    let (first, None) = (values.next()?, values.next()) else {
        return None;
    };
    T::from_der(&first.to_der().ok()?).ok()
}
