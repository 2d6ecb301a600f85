//! Standard Webhooks 1.0: `webhook-id`, `webhook-timestamp` and `webhook-signature`, by which who
//! receives a message knows that it is ours, whole, new, and whether it came before.
//!
//! Written down at <https://www.standardwebhooks.com>. The package of that name signs with one secret
//! only, and brings a second HMAC along.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use ring::hmac;
use taimat_base::Secret;

/// The bytes of a secret: Base64, mostly behind `whsec_`.
fn key(secret: &Secret) -> Option<Vec<u8>> {
    let text = secret.reveal().trim();
    let digits = text.strip_prefix("whsec_").unwrap_or(text);
    let bytes = STANDARD_NO_PAD.decode(digits.trim_end_matches('=')).ok()?;
    (!bytes.is_empty()).then_some(bytes)
}

/// Whether a secret can sign.
pub(crate) fn fits(secret: &Secret) -> bool {
    key(secret).is_some()
}

/// The headers for a body, signed by each of the secrets; none without a secret. `seconds` since 1970.
pub(crate) fn headers(
    secrets: &[Secret],
    id: &str,
    seconds: u64,
    body: &[u8],
) -> Vec<(String, String)> {
    let mut signed = format!("{id}.{seconds}.").into_bytes();
    signed.extend_from_slice(body);
    let sign = |secret: &Secret| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key(secret)?);
        let tag = hmac::sign(&key, &signed);
        Some(format!("v1,{}", STANDARD.encode(tag.as_ref())))
    };
    let signatures: Vec<String> = secrets.iter().filter_map(sign).collect();
    if signatures.is_empty() {
        return Vec::new();
    }
    let header = |name: &str, value: String| (name.to_owned(), value);
    vec![
        header("webhook-id", id.to_owned()),
        header("webhook-timestamp", seconds.to_string()),
        header("webhook-signature", signatures.join(" ")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_as_the_standards_example() {
        // The example that the standard's own libraries are tested with.
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let headers = headers(
            &[secret],
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(headers[2], ("webhook-signature".into(), signature.into()));
    }

    #[test]
    fn during_a_change_both_secrets_sign() {
        let secrets = ["whsec_AAAA", "BBBB=="].map(Secret::new);
        let headers = headers(&secrets, "k", 1, b"");
        assert_eq!(headers[2].1.split(' ').count(), 2);
        assert!(super::headers(&[Secret::new("whsec_not base64")], "k", 1, b"").is_empty());
        assert!(!fits(&Secret::new("whsec_")));
    }
}
