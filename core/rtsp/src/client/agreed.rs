//! The answer to SETUP: how a track will travel, however the camera words it.

use taimat_media::{Quirk, Quirks, TrackKind};

use super::spec::Way;
use crate::message::Response;
use crate::transport::Transport;

/// How a track travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// The way.
    pub way: Way,
    /// Interleaved channels, for TCP.
    pub channels: Option<(u8, u8)>,
    /// UDP: the camera's ports, if it says any that can be; multicast: the group's.
    pub ports: Option<(u16, u16)>,
    /// Multicast: the group, in the camera's words.
    pub group: Option<String>,
    /// The source number that it announces.
    pub ssrc: Option<u32>,
}

impl Agreed {
    /// What the camera answered, if it is the way that was asked for.
    pub(super) fn read(
        way: Way,
        kind: TrackKind,
        response: &Response,
        quirks: &mut Quirks,
    ) -> Option<Self> {
        // Some answer without saying how: then it is as asked.
        let said = response.headers.get("Transport");
        let said = said.and_then(|text| Transport::parse_list(text).into_iter().next());
        let asked_channels = channels(kind);
        let Some(said) = said else {
            quirks.note(Quirk::OtherTransport);
            return Some(Self {
                way,
                channels: (way == Way::Tcp).then_some(asked_channels),
                ports: None,
                group: None,
                ssrc: None,
            });
        };
        if said.tcp != (way == Way::Tcp) {
            quirks.note(Quirk::OtherTransport);
            return None;
        }
        let channels = said.interleaved.unwrap_or(asked_channels);
        if way == Way::Tcp && channels != asked_channels {
            quirks.note(Quirk::OtherTransport);
        }
        let usable = |(rtp, rtcp): (u16, u16)| (rtp >= 1024).then_some((rtp, rtcp));
        let ports = match way {
            Way::Multicast => said.port.or(said.client_port).or(said.server_port),
            _ => said.server_port.and_then(usable),
        };
        if way == Way::Udp && ports.is_none() {
            quirks.note(Quirk::OtherTransport);
        }
        Some(Self {
            way,
            channels: (way == Way::Tcp).then_some(channels),
            ports,
            group: said.destination,
            ssrc: said.ssrc,
        })
    }
}

/// The channels that are asked for.
pub(super) const fn channels(kind: TrackKind) -> (u8, u8) {
    match kind {
        TrackKind::Video => (0, 1),
        TrackKind::Audio => (2, 3),
    }
}
