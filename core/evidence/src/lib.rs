//! Signed exports that anybody can check, and the checking of them.
mod assertion;
mod boxes;
mod claim_signer;
mod keys;
mod moment;
mod onvif;
#[cfg(test)]
mod sample;
mod sign;
mod time;
mod verify;
pub use verify::*;
mod x509;
pub use keys::*;
pub use assertion::*;
pub use moment::*;
pub use sign::*;
#[cfg(test)]
mod tests {
    use crate::sample::*;
    #[test]
    fn dump() {
        let folder = tempfile::tempdir().unwrap();
        let signer = signer(folder.path());
        let payloads = payloads();
        let header = sign(&signer, &assertion(), &parts(&payloads));
        let file = [header.bytes, payloads.concat()].concat();
        std::fs::write("/tmp/ev/s.mp4", file).unwrap();
        std::fs::write("/tmp/ev/root.pem", signer.key().root_pem()).unwrap();
        std::fs::write("/tmp/ev/retired.crl", signer.key().retired_pem()).unwrap();
        std::fs::copy(folder.path().join("state/evidence/signing.pem"), "/tmp/ev/leaf.pem").unwrap();
        std::fs::copy(folder.path().join("stick/root.key"), "/tmp/ev/root.key").unwrap();
    }
}
