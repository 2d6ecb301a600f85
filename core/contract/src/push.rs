//! Web Push (RFC 8030): notifications for browsers that asked for them, by way of their makers' services.
//! Who carries one neither reads it nor makes one up: it is sealed for the browser and signed by the router.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{GeneralPurposeConfig, URL_SAFE_NO_PAD};
use base64::{alphabet, engine::DecodePaddingMode};
use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use ring::rand::SystemRandom;
use taimat_base::{CommuneId, Secret};
use url::Url;

use crate::message::Reply;

/// Browsers leave `=` out; libraries of others write it.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Where a browser gets its notifications, and the keys that they are sealed with. Whoever knows the address
/// could send there, so it is shown to nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct PushEndpoint {
    url: Secret,
    key: [u8; PushEndpoint::KEY_BYTES],
    auth: [u8; PushEndpoint::AUTH_BYTES],
}

/// Why a browser can not be told there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPushEndpoint {
    /// Its address.
    #[error(
        "the endpoint has to be an address with https:// of at most 1024 bytes, without a user"
    )]
    Address,
    /// Its public key.
    #[error("keys.p256dh has to be a point of the curve P-256, 65 bytes in Base64 for addresses")]
    Key,
    /// What it shares with the sender.
    #[error("keys.auth has to be 16 bytes in Base64 for addresses")]
    Auth,
}

impl PushEndpoint {
    /// The longest address.
    pub const MAX_BYTES: usize = 1024;
    /// A point of P-256 with both coordinates.
    pub const KEY_BYTES: usize = 65;
    /// What browser and sender share (RFC 8291 section 3.2).
    pub const AUTH_BYTES: usize = 16;

    /// As a browser's `PushSubscription` says it.
    pub fn new(url: &str, p256dh: &str, auth: &str) -> Result<Self, BadPushEndpoint> {
        let parsed = Url::parse(url).map_err(|_no| BadPushEndpoint::Address)?;
        let plain = parsed.username().is_empty() && parsed.password().is_none();
        let fits = parsed.scheme() == "https" && parsed.has_host() && parsed.fragment().is_none();
        if url.len() > Self::MAX_BYTES || !plain || !fits {
            return Err(BadPushEndpoint::Address);
        }
        let key = bytes(p256dh).ok_or(BadPushEndpoint::Key)?;
        if !is_point(&key) {
            return Err(BadPushEndpoint::Key);
        }
        Ok(Self {
            url: Secret::new(parsed.as_str()),
            key,
            auth: bytes(auth).ok_or(BadPushEndpoint::Auth)?,
        })
    }

    /// The address of its push service.
    pub fn url(&self) -> &Secret {
        &self.url
    }

    /// The browser's public key.
    pub fn key(&self) -> &[u8; Self::KEY_BYTES] {
        &self.key
    }

    /// What it shares with the sender.
    pub fn auth(&self) -> &[u8; Self::AUTH_BYTES] {
        &self.auth
    }

    /// Both keys, in the way in which [`PushEndpoint::new`] reads them.
    pub fn keys(&self) -> (String, String) {
        let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        (encoded(&self.key), encoded(&self.auth))
    }
}

impl Debug for PushEndpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PushEndpoint(***)")
    }
}

fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    // What is longer than any key is not decoded first.
    let short = text.len() <= 2 * N;
    short.then(|| LENIENT.decode(text).ok()?.try_into().ok())?
}

/// Whether a key can be agreed on with it: a point elsewhere than on the curve would give ours away.
fn is_point(key: &[u8]) -> bool {
    let random = SystemRandom::new();
    let agreed = EphemeralPrivateKey::generate(&ECDH_P256, &random).and_then(|own| {
        agree_ephemeral(own, &UnparsedPublicKey::new(&ECDH_P256, key), |_shared| ())
    });
    agreed.is_ok()
}

/// Whether a sleeping phone is to be woken (RFC 8030 section 5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// With what comes next.
    Low,
    /// When it is not short of power.
    Normal,
    /// At once.
    High,
}

impl Urgency {
    /// The word of the standard.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }
}

/// A notification on its way.
#[derive(Debug, Clone, Copy)]
pub struct Push<'a> {
    /// Whose it is.
    pub commune: &'a CommuneId,
    /// For which browser.
    pub to: &'a PushEndpoint,
    /// What has not arrived yet is replaced by what comes with the same topic: at most 32 of 0-9, a-z, `-`
    /// and `_`.
    pub topic: &'a str,
    /// Whether a sleeping phone is woken.
    pub urgency: Urgency,
    /// So long the service keeps it for a browser that is away.
    pub ttl: Duration,
    /// At most [`Push::MAX_BYTES`].
    pub payload: &'a [u8],
}

impl Push<'_> {
    /// Every service takes 4096 bytes (RFC 8030 section 7.2); sealing and padding want some of them.
    pub const MAX_BYTES: usize = 3072;
}

/// Who carries notifications to browsers.
#[async_trait]
pub trait Pushes: Send + Sync + Debug {
    /// Sends once, within bounds of time and bytes, and says what the service answered. What can not be sent
    /// at all is [`Reply::Failed`]; neither address nor key stands in it.
    async fn push(&self, push: Push<'_>) -> Reply;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The browser of RFC 8291, appendix A.
    const KEY: &str =
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";
    const URL: &str = "https://push.example.net/push/JzLQ3raZJfFBR0aqvOMsLrt54w4rJUsV";

    #[test]
    fn a_browsers_keys_are_read_and_shown_to_nobody() {
        let endpoint = PushEndpoint::new(URL, KEY, AUTH).unwrap();
        assert_eq!(endpoint.keys(), (KEY.to_owned(), AUTH.to_owned()));
        assert_eq!(endpoint.url().reveal(), URL);
        let shown = format!("{endpoint:?}");
        assert!(
            !shown.contains("example") && !shown.contains("BCV"),
            "{shown}"
        );
        // With the sign that others write.
        assert_eq!(
            PushEndpoint::new(URL, &format!("{KEY}="), AUTH),
            Ok(endpoint)
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let long = format!("https://push.example.net/{}", "x".repeat(1024));
        let addresses = [
            "http://push.example.net/x",
            "https://user:pass@push.example.net/x",
            "https://",
            "https://push.example.net/#x",
            "push",
            long.as_str(),
        ];
        for address in addresses {
            let refused = PushEndpoint::new(address, KEY, AUTH);
            assert_eq!(refused, Err(BadPushEndpoint::Address), "{address}");
        }
        // Of the right length, and no point of the curve.
        let beside = URL_SAFE_NO_PAD.encode([4; 65]);
        for key in ["", "BCVx", beside.as_str(), &"A".repeat(4000)] {
            let refused = PushEndpoint::new(URL, key, AUTH);
            assert_eq!(refused, Err(BadPushEndpoint::Key), "{key}");
        }
        for auth in ["", "BTBZ", "!!!!MqHH6r4Tts7J_aSIgg"] {
            let refused = PushEndpoint::new(URL, KEY, auth);
            assert_eq!(refused, Err(BadPushEndpoint::Auth), "{auth}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_comes_from_outside_is_more_than_refused(
            url in ".{0,80}", key in ".{0,200}", auth in ".{0,60}",
        ) {
            prop_assert!(PushEndpoint::new(&url, &key, &auth).is_err());
        }

        #[test]
        fn of_points_only_those_of_the_curve_are_taken(key in proptest::array::uniform32(any::<u8>())) {
            let mut point = [0; 65];
            point[0] = 4;
            point[1..33].copy_from_slice(&key);
            let refused = PushEndpoint::new(URL, &URL_SAFE_NO_PAD.encode(point), AUTH);
            prop_assert_eq!(refused, Err(BadPushEndpoint::Key));
        }
    }
}
