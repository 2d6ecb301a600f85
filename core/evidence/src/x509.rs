//! Certificates and the list of serials that are not in use any more, as OpenSSL and every C2PA tool
//! read them.

use std::str::FromStr as _;

use der::asn1::{BitString, OctetString, PrintableStringRef, Uint, Utf8StringRef};
use der::oid::{AssociatedOid as _, ObjectIdentifier};
use der::referenced::OwnedToRef as _;
use der::{Decode as _, Encode as _};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey, VerifyingKey};
use pkcs8::EncodePublicKey as _;
use sha2::Digest as _;
use x509_cert::builder::{Builder as _, CertificateBuilder, Profile};
use x509_cert::crl::{CertificateList, RevokedCert, TbsCertList};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, CrlNumber, CrlReason};
use x509_cert::ext::pkix::{ExtendedKeyUsage, PrivateKeyUsagePeriod};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::time::Validity;
use x509_cert::{Certificate, Version};

use crate::time::{DAY_MS, generalized, x509};

/// Signing claims of C2PA. The library that most tools are made of asks for the one or the other, so a
/// leaf has both.
pub(crate) const C2PA_SIGNING: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.62558.2.1");
/// Signing mail, which every tool takes for "signs documents".
pub(crate) const EMAIL_PROTECTION: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.4");
/// ECDSA with SHA-256.
pub(crate) const ECDSA_SHA256: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");

/// A year, as long as years are on average.
const YEAR_MS: i64 = 365 * DAY_MS + DAY_MS / 4;
/// Files are to be checked for 30 years, by certificates that are valid until then.
pub(crate) const ROOT_MS: i64 = 40 * YEAR_MS;
pub(crate) const LEAF_MS: i64 = 30 * YEAR_MS;
/// A key signs for a year, and is no more then: what is stolen later signs nothing of before.
pub(crate) const SIGNING_MS: i64 = YEAR_MS;
/// Clocks of two machines need not agree to the second.
const EARLIER_MS: i64 = 3_600_000;

/// What can not be written or read as X.509.
#[derive(Debug, thiserror::Error)]
pub enum X509Error {
    /// A certificate could not be made.
    #[error("the certificate can not be made: {0}")]
    Build(#[from] x509_cert::builder::Error),
    /// Its form.
    #[error("it is not written as X.509 is: {0}")]
    Form(#[from] der::Error),
    /// A key.
    #[error("the key is not one of P-256: {0}")]
    Key(#[from] x509_cert::spki::Error),
    /// A signature.
    #[error("the signature can not be made: {0}")]
    Signature(#[from] p256::ecdsa::Error),
}

/// A name: who, and of whom.
pub(crate) fn name(common: &str, organization: &str) -> Result<Name, X509Error> {
    let text = format!("CN={},O={}", escaped(common), escaped(organization));
    Ok(Name::from_str(&text)?)
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.trim().chars().filter(|c| !c.is_control()) {
        if ",+\"\\<>;#=".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn validity(from_ms: i64, until_ms: i64) -> Result<Validity, X509Error> {
    Ok(Validity {
        not_before: x509(from_ms)?,
        not_after: x509(until_ms)?,
    })
}

fn public(key: &VerifyingKey) -> Result<SubjectPublicKeyInfoOwned, X509Error> {
    let der = key.to_public_key_der()?;
    Ok(SubjectPublicKeyInfoOwned::from_der(der.as_bytes())?)
}

fn serial(key: &VerifyingKey) -> Result<SerialNumber, X509Error> {
    // Random enough, as the key is, and the same key has the same serial.
    let digest = sha2::Sha256::digest(key.to_encoded_point(false).as_bytes());
    let mut bytes: Vec<u8> = digest.iter().take(16).copied().collect();
    if let Some(first) = bytes.first_mut() {
        // Positive, and of the same length always.
        *first = *first & 0x3f | 0x40;
    }
    Ok(SerialNumber::new(&bytes)?)
}

/// The certificate of a root that signs itself.
pub(crate) fn root(
    key: &SigningKey,
    organization: &str,
    now_ms: i64,
) -> Result<Certificate, X509Error> {
    let builder = CertificateBuilder::new(
        Profile::Root,
        serial(key.verifying_key())?,
        validity(now_ms - EARLIER_MS, now_ms + ROOT_MS)?,
        name("Taimat evidence root", organization)?,
        public(key.verifying_key())?,
        key,
    )?;
    Ok(builder.build::<DerSignature>()?)
}

/// The certificate of a key that signs exports.
pub(crate) fn leaf(
    key: &VerifyingKey,
    root_key: &SigningKey,
    root: &Certificate,
    organization: &str,
    now_ms: i64,
) -> Result<Certificate, X509Error> {
    let until = x509_cert_end(root).min(now_ms + LEAF_MS);
    let year = crate::time::utc(now_ms);
    let year = year.get(..4).unwrap_or_default();
    let mut builder = CertificateBuilder::new(
        Profile::Leaf {
            issuer: root.tbs_certificate.subject.clone(),
            enable_key_agreement: false,
            enable_key_encipherment: false,
        },
        serial(key)?,
        validity(now_ms - EARLIER_MS, until)?,
        name(&format!("Taimat exports {year}"), organization)?,
        public(key)?,
        root_key,
    )?;
    builder.add_extension(&ExtendedKeyUsage(vec![C2PA_SIGNING, EMAIL_PROTECTION]))?;
    builder.add_extension(&PrivateKeyUsagePeriod {
        not_before: Some(generalized(now_ms - EARLIER_MS)?),
        not_after: Some(generalized(now_ms + SIGNING_MS)?),
    })?;
    Ok(builder.build::<DerSignature>()?)
}

/// When a certificate ends.
pub(crate) fn x509_cert_end(certificate: &Certificate) -> i64 {
    crate::time::x509_ms(certificate.tbs_certificate.validity.not_after)
}

/// A serial that is not in use any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Retired {
    pub(crate) serial: SerialNumber,
    pub(crate) at_ms: i64,
    /// Somebody else may have had the key.
    pub(crate) compromised: bool,
}

/// The list of serials, signed by the root.
pub(crate) fn list(
    retired: &[Retired],
    root_key: &SigningKey,
    root: &Certificate,
    now_ms: i64,
) -> Result<CertificateList, X509Error> {
    let entry = |one: &Retired| -> Result<RevokedCert, X509Error> {
        let reason = if one.compromised {
            CrlReason::KeyCompromise
        } else {
            CrlReason::CessationOfOperation
        };
        Ok(RevokedCert {
            serial_number: one.serial.clone(),
            revocation_date: x509(one.at_ms)?,
            crl_entry_extensions: Some(vec![Extension {
                extn_id: CrlReason::OID,
                critical: false,
                extn_value: OctetString::new(reason.to_der()?)?,
            }]),
        })
    };
    let entries: Result<Vec<_>, _> = retired.iter().map(entry).collect();
    let entries = entries?;
    let algorithm = AlgorithmIdentifierOwned {
        oid: ECDSA_SHA256,
        parameters: None,
    };
    let number = CrlNumber(Uint::new(&now_ms.unsigned_abs().to_be_bytes())?);
    let from = AuthorityKeyIdentifier::try_from(
        root.tbs_certificate.subject_public_key_info.owned_to_ref(),
    )?;
    let extension = |oid, der: Vec<u8>| -> Result<Extension, X509Error> {
        Ok(Extension {
            extn_id: oid,
            critical: false,
            extn_value: OctetString::new(der)?,
        })
    };
    let tbs = TbsCertList {
        version: Version::V2,
        signature: algorithm.clone(),
        issuer: root.tbs_certificate.subject.clone(),
        this_update: x509(now_ms)?,
        next_update: Some(root.tbs_certificate.validity.not_after),
        revoked_certificates: (!entries.is_empty()).then_some(entries),
        crl_extensions: Some(vec![
            extension(AuthorityKeyIdentifier::OID, from.to_der()?)?,
            extension(CrlNumber::OID, number.to_der()?)?,
        ]),
    };
    let signature: DerSignature = root_key.try_sign(&tbs.to_der()?)?;
    Ok(CertificateList {
        tbs_cert_list: tbs,
        signature_algorithm: algorithm,
        signature: BitString::from_bytes(signature.as_bytes())?,
    })
}

/// What a list says of serials.
pub(crate) fn retired(list: &CertificateList) -> Vec<Retired> {
    let entries = list.tbs_cert_list.revoked_certificates.iter().flatten();
    let one = |entry: &RevokedCert| {
        let mut extensions = entry.crl_entry_extensions.iter().flatten();
        let reason = extensions.find(|e| e.extn_id == CrlReason::OID);
        let reason = reason.map(|e| CrlReason::from_der(e.extn_value.as_bytes()));
        Retired {
            serial: entry.serial_number.clone(),
            at_ms: crate::time::x509_ms(entry.revocation_date),
            // What gives another reason, or none, is not trusted either.
            compromised: reason != Some(Ok(CrlReason::CessationOfOperation)),
        }
    };
    entries.map(one).collect()
}

/// SHA-256 of a certificate, as people compare it: pairs of digits with colons.
pub(crate) fn fingerprint(der: &[u8]) -> String {
    let digest = sha2::Sha256::digest(der);
    let pairs: Vec<String> = digest.iter().map(|b| format!("{b:02X}")).collect();
    pairs.join(":")
}
/// Whose root it is.
pub(crate) fn organization(root: &Certificate) -> String {
    const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
    let mut names = root.tbs_certificate.subject.0.iter();
    let found = names.find_map(|set| set.0.iter().find(|one| one.oid == ORGANIZATION));
    let text = found.and_then(|one| {
        let short = one.value.decode_as::<PrintableStringRef<'_>>();
        let long = one.value.decode_as::<Utf8StringRef<'_>>();
        let text = long.map(|t| t.as_str().to_owned());
        text.or(short.map(|t| t.as_str().to_owned())).ok()
    });
    text.unwrap_or_default()
}
