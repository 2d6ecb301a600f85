//! What a viewer sends and gets after its offer: SDP fragments (RFC 8840) with candidates or with the
//! credentials of a new ICE session.

use std::net::SocketAddr;

use super::candidate;
use super::offer::MAX_CANDIDATES;
use super::stun::IceCredentials;

/// The candidates in it, without `a=candidate:`; no more than an offer may have.
pub(super) fn candidates(fragment: &str) -> Vec<String> {
    let lines = fragment.lines().map(str::trim);
    lines
        .filter_map(|line| line.strip_prefix("a=candidate:"))
        .map(str::to_owned)
        .take(MAX_CANDIDATES)
        .collect()
}

/// The credentials in it (RFC 8839 section 5.4 has their lengths).
pub(super) fn credentials(fragment: &str) -> Result<IceCredentials, &'static str> {
    let value = |key: &str| {
        let mut lines = fragment.lines().map(str::trim);
        lines.find_map(|line| line.strip_prefix(key).map(str::to_owned))
    };
    let (Some(ufrag), Some(pwd)) = (value("a=ice-ufrag:"), value("a=ice-pwd:")) else {
        return Err("an ICE restart needs a=ice-ufrag and a=ice-pwd");
    };
    if (4..=256).contains(&ufrag.len()) && (22..=256).contains(&pwd.len()) {
        Ok(IceCredentials { ufrag, pwd })
    } else {
        Err("ice-ufrag or ice-pwd has a wrong length")
    }
}

/// Our half of a new ICE session.
pub(super) fn restarted(local: &IceCredentials, mid: &str, addresses: &[SocketAddr]) -> String {
    let IceCredentials { ufrag, pwd } = local;
    let mut sdp = format!(
        "a=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\nm=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:{mid}\r\n"
    );
    for candidate in candidate::describe(addresses) {
        sdp.push_str(&format!("a=candidate:{candidate}\r\n"));
    }
    sdp.push_str("a=end-of-candidates\r\n");
    sdp
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_viewers_send() {
        let text = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\nm=video 9 RTP/AVP 0\r\n\
                    a=mid:0\r\na=candidate:1 1 UDP 1 192.0.2.1 7 typ host\r\na=end-of-candidates\r\n";
        assert_eq!(candidates(text), ["1 1 UDP 1 192.0.2.1 7 typ host"]);
        let IceCredentials { ufrag, pwd } = credentials(text).unwrap();
        assert_eq!((ufrag.as_str(), pwd.len()), ("abcd", 22));
        assert!(
            credentials("a=ice-ufrag:abcd")
                .unwrap_err()
                .contains("needs")
        );
        let short = text.replace("abcd", "abc");
        assert!(credentials(&short).unwrap_err().contains("length"));
        let many = "a=candidate:x\n".repeat(10_000);
        assert_eq!(candidates(&many).len(), MAX_CANDIDATES);
    }

    #[test]
    fn answers_with_what_it_reads() {
        let local = IceCredentials {
            ufrag: "ufrag".to_owned(),
            pwd: "p".repeat(24),
        };
        let sdp = restarted(&local, "0", &["192.0.2.1:8189".parse().unwrap()]);
        assert_eq!(credentials(&sdp), Ok(local));
        assert!(
            candidates(&sdp).concat().contains("192.0.2.1 8189"),
            "{sdp}"
        );
    }
}
