//! What comes out of a session besides bytes.

use taimat_media::TrackKind;

use super::agreed::Agreed;
use crate::sdp::Description;
use crate::tracks::{NoSound, Tracks};

/// What the owner has to do, or to know.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// What the camera has, and what of it is received.
    Described(Box<(Description, Tracks)>),
    /// A pair of UDP ports is needed; answer with [`super::Client::ports`].
    NeedPorts(TrackKind),
    /// How a track will travel.
    Agreed(TrackKind, Agreed),
    /// The camera does not give the sound that it described.
    NoSound(NoSound),
    /// Media may come from now on.
    Playing,
    /// The camera, or we, ended the session.
    Ended,
}
