//! The answer to DESCRIBE: what the camera has, what of it is received, and where to ask for it.

use taimat_media::{Quirk, Quirks, TrackKind};

use super::error::ClientError;
use super::spec::ClientSpec;
use crate::address::{Base, Target};
use crate::message::Response;
use crate::sdp::Description;
use crate::tracks::{Tracks, choose};

/// What is known of a camera once it has described itself.
#[derive(Debug)]
pub(super) struct Described {
    pub(super) description: Description,
    pub(super) tracks: Tracks,
    base: Base,
}

impl Described {
    pub(super) fn read(
        spec: &ClientSpec,
        response: &Response,
        quirks: &mut Quirks,
    ) -> Result<Self, ClientError> {
        let description = Description::parse(&response.body)?;
        let tracks = choose(&description, spec.sound, spec.video)?;
        quirks.merge(&description.quirks);
        quirks.merge(&tracks.quirks);
        let headers = &response.headers;
        let (base, location) = (headers.get("Content-Base"), headers.get("Content-Location"));
        let base = Base::new(&spec.address, base, location);
        if base.is_wrong() {
            quirks.note(Quirk::WrongBase);
        }
        Ok(Self {
            description,
            tracks,
            base,
        })
    }

    /// Where to ask for a track.
    pub(super) fn control(&self, kind: TrackKind) -> Target {
        let media = self.tracks.media(kind);
        let media = media.and_then(|index| self.description.media.get(index));
        self.base
            .control(media.and_then(|media| media.control.as_deref()))
    }

    /// Where to ask for all tracks together.
    pub(super) fn aggregate(&self) -> String {
        self.base.control(self.description.control.as_deref()).url
    }
}
