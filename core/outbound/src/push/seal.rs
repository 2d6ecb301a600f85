//! Sealing for a browser: RFC 8291, which is `aes128gcm` of RFC 8188 with a key that is agreed on by ECDH.

use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use ring::error::Unspecified;
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use ring::rand::{SecureRandom, SystemRandom};
use taimat_contract::push::{Push, PushEndpoint};

/// The size of a record as it is written: there is only one, of at most so many bytes.
const RECORD_BYTES: u32 = 4096;
/// Lengths are multiples of this: how long a notification is says nothing about what it is.
const STEP_BYTES: usize = 512;
const SALT_BYTES: usize = 16;
const NONCE_BYTES: usize = 12;
/// Ends the last record's content (RFC 8188 section 2).
const LAST: u8 = 2;

/// So many bytes out of HKDF.
struct Bytes(usize);

impl KeyType for Bytes {
    fn len(&self) -> usize {
        self.0
    }
}

/// Seals a payload for a browser, with a key that is made for it and forgotten.
pub(super) fn seal(to: &PushEndpoint, payload: &[u8]) -> Result<Vec<u8>, Unspecified> {
    if payload.len() > Push::MAX_BYTES {
        return Err(Unspecified);
    }
    let random = SystemRandom::new();
    let mut salt = [0; SALT_BYTES];
    random.fill(&mut salt)?;
    let own = EphemeralPrivateKey::generate(&ECDH_P256, &random)?;
    let public = own.compute_public_key()?;
    let theirs = UnparsedPublicKey::new(&ECDH_P256, to.key());
    let seal = |shared: &[u8]| encrypt(to, shared, public.as_ref(), salt, padded(payload));
    agree_ephemeral(own, &theirs, seal)?
}

/// With its end, and zeros behind it.
fn padded(payload: &[u8]) -> Vec<u8> {
    let mut content = Vec::with_capacity(payload.len() + STEP_BYTES);
    content.extend_from_slice(payload);
    content.push(LAST);
    content.resize(content.len().next_multiple_of(STEP_BYTES), 0);
    content
}

fn encrypt(
    to: &PushEndpoint,
    shared: &[u8],
    public: &[u8],
    salt: [u8; SALT_BYTES],
    mut content: Vec<u8>,
) -> Result<Vec<u8>, Unspecified> {
    let mut secret = [0; 32];
    let info: [&[u8]; 3] = [b"WebPush: info\0", to.key(), public];
    Salt::new(HKDF_SHA256, to.auth())
        .extract(shared)
        .expand(&info, Bytes(secret.len()))?
        .fill(&mut secret)?;
    let secret = Salt::new(HKDF_SHA256, &salt).extract(&secret);
    let key: UnboundKey = secret
        .expand(&[b"Content-Encoding: aes128gcm\0"], &AES_128_GCM)?
        .into();
    let mut nonce = [0; NONCE_BYTES];
    secret
        .expand(&[b"Content-Encoding: nonce\0"], Bytes(NONCE_BYTES))?
        .fill(&mut nonce)?;
    let nonce = Nonce::assume_unique_for_key(nonce);
    LessSafeKey::new(key).seal_in_place_append_tag(nonce, Aad::empty(), &mut content)?;
    let mut body = Vec::with_capacity(SALT_BYTES + 5 + public.len() + content.len());
    body.extend_from_slice(&salt);
    body.extend_from_slice(&RECORD_BYTES.to_be_bytes());
    body.push(u8::try_from(public.len()).map_err(|_long| Unspecified)?);
    body.extend_from_slice(public);
    body.append(&mut content);
    Ok(body)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn bytes(text: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(text).unwrap()
    }

    fn browser() -> PushEndpoint {
        PushEndpoint::new(
            "https://push.example.net/push/JzLQ3raZJfFBR0aqvOMsLrt54w4rJUsV",
            "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
            "BTBZMqHH6r4Tts7J_aSIgg",
        )
        .unwrap()
    }

    /// RFC 8291, appendix A, from the secret that both sides agree on.
    #[test]
    fn is_what_the_standard_says() {
        let shared = bytes("kyrL1jIIOHEzg3sM2ZWRHDRB62YACZhhSlknJ672kSs");
        let public = bytes(
            "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8",
        );
        let salt = bytes("DGv6ra1nlYgDCS1FRnbzlw").try_into().unwrap();
        let content = b"When I grow up, I want to be a watermelon\x02".to_vec();
        let sealed = encrypt(&browser(), &shared, &public, salt, content).unwrap();
        let expected = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIg\
                        Dll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBS\
                        t2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";
        assert_eq!(URL_SAFE_NO_PAD.encode(sealed), expected);
    }

    #[test]
    fn every_service_takes_it_and_its_length_says_little() {
        let sealed = |bytes: usize| seal(&browser(), &vec![b'x'; bytes]).unwrap().len();
        assert_eq!(sealed(3), sealed(500));
        assert!(sealed(Push::MAX_BYTES) <= RECORD_BYTES as usize);
        assert!(seal(&browser(), &[b'x'; Push::MAX_BYTES + 1]).is_err());
        // Never the same twice.
        assert_ne!(seal(&browser(), b"a"), seal(&browser(), b"a"));
    }
}
