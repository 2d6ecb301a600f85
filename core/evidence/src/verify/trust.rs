//! Whether a signer is one of the commune's, and was allowed to sign when the file says it was signed.

use der::{Decode as _, Encode as _};
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{DerSignature, VerifyingKey};
use pkcs8::DecodePublicKey as _;
use x509_cert::Certificate;
use x509_cert::crl::CertificateList;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, PrivateKeyUsagePeriod};

use crate::time::{DAY_MS, seconds_ms, utc, x509_ms};
use crate::x509::{C2PA_SIGNING, ECDSA_SHA256, Retired, fingerprint, retired};

/// What an export is checked against: the commune's root, and the list of keys that are not in use any
/// more, if there is one.
#[derive(Debug, Clone)]
pub struct Trust {
    root: Certificate,
    key: VerifyingKey,
    retired: Vec<Retired>,
    /// The root's fingerprint: to be compared with the one on paper.
    pub fingerprint: String,
}

/// A root or a list that can not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTrust {
    /// Not a root.
    #[error("the root is not a certificate of a root with a key of P-256")]
    Root,
    /// Not a list of this root.
    #[error("the list of retired keys is not one that this root signed")]
    List,
}

/// What is not right about a signer, at a date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// No signer of this root.
    Signer,
    /// Not allowed then.
    Date(String),
}

impl Trust {
    /// Reads the root's certificate, and the list, as PEM.
    pub fn read(root_pem: &str, list_pem: Option<&str>) -> Result<Self, BadTrust> {
        let root = pem::parse(root_pem).ok();
        let root = root.filter(|block| block.tag() == "CERTIFICATE");
        let root = root.and_then(|block| Certificate::from_der(block.contents()).ok());
        let root = root.ok_or(BadTrust::Root)?;
        let basic = root.tbs_certificate.get::<BasicConstraints>();
        let is_root = matches!(basic, Ok(Some((_, basic))) if basic.ca);
        let key = key(&root).filter(|_| is_root).ok_or(BadTrust::Root)?;
        if !signed_by(&root, &key) {
            return Err(BadTrust::Root);
        }
        let list = match list_pem {
            Some(text) => read_list(text, &key).ok_or(BadTrust::List)?,
            None => Vec::new(),
        };
        let der = root.to_der().map_err(|_why| BadTrust::Root)?;
        Ok(Self {
            root,
            key,
            retired: list,
            fingerprint: fingerprint(&der),
        })
    }

    /// Whether a signer is one of this root's and was allowed to sign then. `now_ms` is when it is asked.
    pub(crate) fn judge(&self, signer: &Certificate, at_ms: i64, now_ms: i64) -> Result<(), Wrong> {
        let tbs = &signer.tbs_certificate;
        let usage = tbs.get::<ExtendedKeyUsage>();
        let signs = matches!(usage, Ok(Some((_, usage))) if usage.0.contains(&C2PA_SIGNING));
        let own = tbs.issuer == self.root.tbs_certificate.subject && signed_by(signer, &self.key);
        if !own || !signs {
            return Err(Wrong::Signer);
        }
        let date = |why: String| Err(Wrong::Date(why));
        for (whose, certificate) in [("the root", &self.root), ("the signer", signer)] {
            let validity = certificate.tbs_certificate.validity;
            let (from, until) = (x509_ms(validity.not_before), x509_ms(validity.not_after));
            if at_ms < from || at_ms > until {
                let (from, until) = (utc(from), utc(until));
                return date(format!(
                    "{whose}'s certificate is valid from {from} to {until}"
                ));
            }
        }
        let period = tbs.get::<PrivateKeyUsagePeriod>().ok().flatten();
        let (from, until) = period.map_or((None, None), |(_, p)| (p.not_before, p.not_after));
        let from = from.map_or(i64::MIN, |t| seconds_ms(t.to_unix_duration()));
        let until = until.map_or(i64::MAX, |t| seconds_ms(t.to_unix_duration()));
        if at_ms < from || at_ms > until {
            let (from, until) = (utc(from), utc(until));
            return date(format!(
                "the signer's key signed from {from} to {until} only"
            ));
        }
        // A day, since clocks of two machines need not agree.
        if at_ms > now_ms.saturating_add(DAY_MS) {
            return date("that is in the future".to_owned());
        }
        let Some(one) = self
            .retired
            .iter()
            .find(|one| one.serial == tbs.serial_number)
        else {
            return Ok(());
        };
        let since = utc(one.at_ms);
        if one.compromised {
            // Whoever has the key can write any date: the one in the file says nothing.
            return date(format!(
                "the signer's key was called compromised at {since}"
            ));
        }
        if at_ms > one.at_ms {
            return date(format!("the signer's key was retired at {since}"));
        }
        Ok(())
    }
}

/// A certificate's key, if it is one of P-256.
pub(crate) fn key(certificate: &Certificate) -> Option<VerifyingKey> {
    let info = certificate.tbs_certificate.subject_public_key_info.to_der();
    VerifyingKey::from_public_key_der(&info.ok()?).ok()
}

/// Whether this key signed this certificate.
fn signed_by(certificate: &Certificate, key: &VerifyingKey) -> bool {
    let right = certificate.signature_algorithm.oid == ECDSA_SHA256
        && certificate.tbs_certificate.signature.oid == ECDSA_SHA256;
    let signature = DerSignature::try_from(certificate.signature.raw_bytes());
    match (certificate.tbs_certificate.to_der(), signature) {
        (Ok(signed), Ok(signature)) => right && key.verify(&signed, &signature).is_ok(),
        _ => false,
    }
}

fn read_list(text: &str, key: &VerifyingKey) -> Option<Vec<Retired>> {
    let block = pem::parse(text).ok()?;
    let list = CertificateList::from_der(block.contents()).ok()?;
    let signature = DerSignature::try_from(list.signature.raw_bytes()).ok()?;
    let signed = list.tbs_cert_list.to_der().ok()?;
    key.verify(&signed, &signature).ok()?;
    Some(retired(&list))
}
