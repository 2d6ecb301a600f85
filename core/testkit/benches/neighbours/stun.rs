//! STUN requests as a viewer sends them (RFC 8489, RFC 8445 section 7.1), by hand.

use ring::hmac;

const MAGIC_COOKIE: u32 = 0x2112_A442;
const USERNAME: u16 = 6;
const MESSAGE_INTEGRITY: u16 = 8;
const PRIORITY: u16 = 0x24;
const USE_CANDIDATE: u16 = 0x25;
const ICE_CONTROLLING: u16 = 0x802A;

/// The other side's half of an ICE session, and whose we are.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) ufrag: String,
    pub(crate) pwd: String,
}

/// A check that nominates its pair; `number` makes it differ from others.
pub(crate) fn request(peer: &Peer, own_ufrag: &str, number: u64) -> Vec<u8> {
    let mut attributes = Vec::new();
    let user = format!("{}:{own_ufrag}", peer.ufrag);
    attribute(&mut attributes, USERNAME, user.as_bytes());
    attribute(&mut attributes, PRIORITY, &0x6E7F_1EFF_u32.to_be_bytes());
    attribute(&mut attributes, ICE_CONTROLLING, &7_u64.to_be_bytes());
    attribute(&mut attributes, USE_CANDIDATE, &[]);
    let mut message = Vec::new();
    message.extend(1_u16.to_be_bytes());
    // As if the integrity were there already.
    let length = u16::try_from(attributes.len() + 24).unwrap();
    message.extend(length.to_be_bytes());
    message.extend(MAGIC_COOKIE.to_be_bytes());
    message.extend([9; 4]);
    message.extend(number.to_be_bytes());
    message.extend(attributes);
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, peer.pwd.as_bytes());
    let tag = hmac::sign(&key, &message);
    attribute(&mut message, MESSAGE_INTEGRITY, tag.as_ref());
    message
}

fn attribute(to: &mut Vec<u8>, kind: u16, value: &[u8]) {
    to.extend(kind.to_be_bytes());
    to.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
    to.extend(value);
    to.resize(to.len().next_multiple_of(4), 0);
}
