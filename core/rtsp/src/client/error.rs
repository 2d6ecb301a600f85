//! Why a session can not begin or go on.

use crate::address::{Address, AddressError};
use crate::auth::AuthError;
use crate::message::Response;
use crate::sdp::SdpError;
use crate::tracks::NoTrack;

/// Why a session can not begin or go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The camera says no.
    #[error("{step}: {status} {reason}")]
    Status {
        /// To what.
        step: &'static str,
        /// The number.
        status: u16,
        /// Its words, to be redacted.
        reason: String,
    },
    /// Sign-in failed.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// No answer in time.
    #[error("no answer to {0}")]
    NoAnswer(&'static str),
    /// It is to be found at another address of the same host.
    #[error("the camera is to be found at another port")]
    Moved(Box<Address>),
    /// It sends us to where we do not go: credentials would go there too.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Its description is none.
    #[error("{0}")]
    Description(#[from] SdpError),
    /// There is nothing in it that can be carried.
    #[error("{0}")]
    NoTrack(#[from] NoTrack),
    /// No way on which both sides agree.
    #[error("{0}")]
    NoWay(String),
}

impl ClientError {
    /// What the camera answered to a step is a refusal.
    pub(super) fn refused(step: &'static str, response: &Response) -> Self {
        Self::Status {
            step,
            status: response.status,
            reason: response.reason.clone(),
        }
    }
}
