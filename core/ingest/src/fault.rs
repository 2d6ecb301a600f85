//! What went wrong with a source, as a cause from a closed set and a sentence.

use taimat_hub::FaultCause;
use taimat_rtsp::auth::AuthError;
use taimat_rtsp::client::ClientError;
use taimat_rtsp::reader::ReadError;

/// Why an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", cause.as_str())]
pub(crate) struct Fault {
    pub(crate) cause: FaultCause,
    /// One line. May hold the camera's words: it is redacted before anybody sees it.
    pub(crate) detail: String,
    /// The camera refused the way the media was to travel, or sent nothing on it: worth another
    /// attempt with the other.
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

    pub(crate) fn from_auth(error: AuthError) -> Self {
        Self::new(FaultCause::Unauthorized, error.to_string())
    }

    /// Sorts what the RTSP client says.
    pub(crate) fn from_client(error: &ClientError) -> Self {
        let cause = match error {
            ClientError::Status { status, .. } => match status {
                401 | 403 => FaultCause::Unauthorized,
                404 => FaultCause::NotFound,
                // Cameras have room for a few clients; more get one of these.
                453 | 503 => FaultCause::Busy,
                _ => FaultCause::Protocol,
            },
            ClientError::Auth(_) => FaultCause::Unauthorized,
            ClientError::NoAnswer(_) => FaultCause::Unreachable,
            ClientError::NoTrack(_) => FaultCause::UnsupportedCodec,
            _ => FaultCause::Protocol,
        };
        Self::new(cause, error.to_string())
    }

    /// Sorts what the reader of messages says.
    pub(crate) fn from_reader(error: &ReadError) -> Self {
        Self::new(FaultCause::Protocol, error.to_string())
    }
}
