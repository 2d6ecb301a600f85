//! Why an offer or a fragment is refused: in words for the viewer, and as what is counted.

use taimat_base::Profile;
use taimat_hub::Status;

use super::negotiate::Mismatch;
use super::offer::OfferError;
use crate::metrics::ConnectFailure;

/// Why an offer or a fragment was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The offer can not be used.
    #[error(transparent)]
    Offer(#[from] OfferError),
    /// The viewer does not play what the camera sends.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// There is no such camera, or it has no such profile.
    #[error("there is no such camera, or it has no {0} profile")]
    UnknownCamera(Profile),
    /// The camera is not live.
    #[error("the camera is not live: {}", .0.cause.map_or("starting", |c| c.as_str()))]
    NotLive(Box<Status>),
    /// As many viewers as are served already watch.
    #[error("{0} viewers watch already, more are not served")]
    Full(usize),
    /// So many watch the commune that what is left is kept for viewers of others.
    #[error("too many viewers watch this commune, the places that are left are for others")]
    CommuneFull,
    /// The viewer's address has as many sessions, or offers that nobody has connected to, as it may have.
    #[error("too many viewers, or offers that nobody connects to, come from this address")]
    Share,
    /// The thread that is to do it has more to do than it can at the moment, or too many offers wait for
    /// their viewers.
    #[error("the router has too much to do at the moment")]
    Overloaded,
    /// There is no such session.
    #[error("there is no such session")]
    UnknownSession,
    /// The fragment belongs to another ICE session.
    #[error("the ICE session has changed meanwhile")]
    Stale,
    /// The fragment can not be used.
    #[error("the fragment can not be used: {0}")]
    Fragment(&'static str),
    /// Something failed here.
    #[error("internal: {0}")]
    Internal(String),
}

impl Refusal {
    /// As a reason why the viewer could not be connected, if it is one.
    pub(super) fn connect_failure(&self) -> Option<ConnectFailure> {
        match self {
            Self::Offer(_) | Self::Mismatch(Mismatch::NoRtcpMux) => Some(ConnectFailure::BadOffer),
            Self::Mismatch(_) => Some(ConnectFailure::Codec),
            Self::NotLive(_) => Some(ConnectFailure::NotLive),
            Self::Full(_) | Self::CommuneFull => Some(ConnectFailure::Full),
            Self::Share => Some(ConnectFailure::Share),
            Self::Overloaded => Some(ConnectFailure::Overloaded),
            _ => None,
        }
    }
}
