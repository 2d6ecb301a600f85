//! What went wrong with a source, as a cause from a closed set and a sentence.

use taimat_hub::FaultCause;

/// Why an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", cause.as_str())]
pub(crate) struct Fault {
    pub(crate) cause: FaultCause,
    /// One line, without secrets and without the peer's free text beyond what retina quotes.
    pub(crate) detail: String,
    /// The camera refused the way the media was to travel: worth another attempt with the other.
    pub(crate) transport_refused: bool,
}

impl Fault {
    pub(crate) fn new(cause: FaultCause, detail: impl Into<String>) -> Self {
        Self {
            cause,
            detail: detail.into(),
            transport_refused: false,
        }
    }

    /// Sorts an error of the RTSP client.
    pub(crate) fn from_rtsp(error: &retina::Error) -> Self {
        const UNSUPPORTED_TRANSPORT: u16 = 461;
        let detail = first_line(&error.to_string());
        let cause = match error.status_code() {
            Some(401 | 403) => FaultCause::Unauthorized,
            Some(404 | 454) => FaultCause::NotFound,
            Some(_) => FaultCause::Protocol,
            None => cause_of_kind(&format!("{error:?}")),
        };
        let transport_refused = error.status_code() == Some(UNSUPPORTED_TRANSPORT);
        Self {
            cause,
            detail,
            transport_refused,
        }
    }
}

/// retina's errors are opaque; their `Debug` form begins with the kind.
fn cause_of_kind(debug: &str) -> FaultCause {
    if debug.starts_with("ConnectError") {
        if debug.contains("ConnectionRefused") {
            FaultCause::Refused
        } else {
            FaultCause::Unreachable
        }
    } else if debug.starts_with("RtspReadError") || debug.starts_with("WriteError") {
        // The connection broke: to a viewer that is the stream's end.
        FaultCause::Ended
    } else if debug.starts_with("RtpPacketError") || debug.starts_with("PacketError") {
        FaultCause::Garbage
    } else {
        FaultCause::Protocol
    }
}

/// The first line, cut to what fits a status line.
fn first_line(text: &str) -> String {
    text.lines()
        .next()
        .unwrap_or("")
        .chars()
        .take(200)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_by_kind() {
        let refused = "ConnectError(Os { code: 111, kind: ConnectionRefused, message: \"\" })";
        assert_eq!(cause_of_kind(refused), FaultCause::Refused);
        let lost = "ConnectError(Os { code: 113, kind: HostUnreachable, message: \"\" })";
        assert_eq!(cause_of_kind(lost), FaultCause::Unreachable);
        assert_eq!(
            cause_of_kind("RtpPacketError { conn_ctx"),
            FaultCause::Garbage
        );
        assert_eq!(
            cause_of_kind("RtspFramingError { conn"),
            FaultCause::Protocol
        );
    }

    #[test]
    fn keeps_details_short() {
        assert_eq!(first_line("a\n\nconn: secret"), "a");
        assert_eq!(first_line(&"x".repeat(500)).len(), 200);
    }
}
