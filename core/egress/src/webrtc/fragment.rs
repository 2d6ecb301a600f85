//! What a viewer sends and gets after its offer: SDP fragments (RFC 8840) with candidates or with the
//! credentials of a new ICE session.

use std::net::SocketAddr;

use super::candidate;
use super::offer::MAX_CANDIDATES;
use super::stun::IceCredentials;

/// A fragment as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SdpFragment {
    /// The viewer's half of the ICE session that the candidates belong to, if it says so.
    pub(super) credentials: Option<IceCredentials>,
    /// Without `a=candidate:`; no more than an offer may have.
    pub(super) candidates: Vec<String>,
}

impl SdpFragment {
    /// Reads it. Nothing at all is a fragment too: no more candidates came.
    pub(super) fn read(text: &str) -> Result<Self, &'static str> {
        let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
        let is_sdp = |line: &str| line.as_bytes().get(1) == Some(&b'=');
        if !lines().all(is_sdp) {
            return Err("it is not SDP");
        }
        let candidates = lines().filter_map(|line| line.strip_prefix("a=candidate:"));
        let value = |key: &str| lines().find_map(|line| line.strip_prefix(key));
        Ok(Self {
            credentials: credentials(value("a=ice-ufrag:"), value("a=ice-pwd:"))?,
            candidates: candidates.map(str::to_owned).take(MAX_CANDIDATES).collect(),
        })
    }
}

/// RFC 8839 section 5.4 has their lengths. A user name fragment without password is allowed beside
/// candidates (RFC 8840 section 9) and says nothing new.
fn credentials(
    ufrag: Option<&str>,
    pwd: Option<&str>,
) -> Result<Option<IceCredentials>, &'static str> {
    let (Some(ufrag), Some(pwd)) = (ufrag, pwd) else {
        return match pwd {
            Some(_) => Err("a=ice-pwd needs a=ice-ufrag"),
            None => Ok(None),
        };
    };
    if (4..=256).contains(&ufrag.len()) && (22..=256).contains(&pwd.len()) {
        let (ufrag, pwd) = (ufrag.to_owned(), pwd.to_owned());
        Ok(Some(IceCredentials { ufrag, pwd }))
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

    const SENT: &str = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n\
        m=video 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 UDP 1 192.0.2.1 7 typ host\r\n\
        a=end-of-candidates\r\n";

    fn read(text: &str) -> SdpFragment {
        SdpFragment::read(text).unwrap()
    }

    #[test]
    fn reads_what_viewers_send() {
        let fragment = read(SENT);
        assert_eq!(fragment.candidates, ["1 1 UDP 1 192.0.2.1 7 typ host"]);
        let IceCredentials { ufrag, pwd } = fragment.credentials.unwrap();
        assert_eq!((ufrag.as_str(), pwd.len()), ("abcd", 22));
        let many = "a=candidate:x\n".repeat(10_000);
        assert_eq!(read(&many).candidates.len(), MAX_CANDIDATES);
        for without in [
            "",
            "\r\n",
            "a=mid:0\r\na=end-of-candidates\r\n",
            "a=ice-ufrag:abcd",
        ] {
            assert_eq!(read(without).credentials, None, "{without}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        let wrong = |text: &str| SdpFragment::read(text).unwrap_err();
        assert!(wrong("hello").contains("not SDP"));
        assert!(wrong(&format!("{SENT}{{}}")).contains("not SDP"));
        assert!(wrong("a=ice-pwd:0123456789012345678901").contains("needs a=ice-ufrag"));
        assert!(wrong(&SENT.replace("abcd", "abc")).contains("length"));
        assert!(wrong(&SENT.replace("0123456789", "")).contains("length"));
    }

    #[test]
    fn answers_with_what_it_reads() {
        let local = IceCredentials {
            ufrag: "ufrag".to_owned(),
            pwd: "p".repeat(24),
        };
        let sdp = restarted(&local, "0", &["192.0.2.1:8189".parse().unwrap()]);
        let fragment = read(&sdp);
        assert_eq!(fragment.credentials, Some(local));
        let candidates = fragment.candidates.concat();
        assert!(candidates.contains("192.0.2.1 8189"), "{sdp}");
    }
}
