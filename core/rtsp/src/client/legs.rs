//! Which interleaved frames belong to which track.

use taimat_media::{Quirk, Quirks, TrackKind};

/// What an interleaved frame belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The track.
    pub kind: TrackKind,
    /// Whether it is RTCP.
    pub control: bool,
}

/// The tracks that were set up.
#[derive(Debug, Default)]
pub(super) struct Legs(Vec<Leg>);

#[derive(Debug)]
struct Leg {
    kind: TrackKind,
    payload_type: u8,
    channels: Option<(u8, u8)>,
}

impl Legs {
    pub(super) fn add(&mut self, kind: TrackKind, payload_type: u8, channels: Option<(u8, u8)>) {
        self.0.push(Leg {
            kind,
            payload_type,
            channels,
        });
    }

    /// By its channel, and by its payload type where the camera mixes them up. `None` for what nobody
    /// asked for.
    pub(super) fn route(&self, channel: u8, payload: &[u8], quirks: &mut Quirks) -> Option<Route> {
        let second = *payload.get(1)?;
        // RTCP types as RTP would read them (RFC 5761 section 4); some send both on one channel.
        let control = (192..=223).contains(&second);
        let payload_type = second & 0x7F;
        let on = |leg: &&Leg| {
            leg.channels
                .is_some_and(|(rtp, rtcp)| channel == rtp || channel == rtcp)
        };
        let mut legs = self.0.iter().filter(on);
        let kind = match (legs.next(), legs.next()) {
            (Some(leg), None) => leg.kind,
            (Some(first), Some(_)) if control => first.kind,
            _ => {
                let mut all = self.0.iter();
                let leg = all.find(|leg| !control && leg.payload_type == payload_type);
                match leg {
                    Some(leg) => leg.kind,
                    None => {
                        quirks.note(Quirk::StrayPackets);
                        return None;
                    }
                }
            }
        };
        Some(Route { kind, control })
    }
}
