//! What the process has, divided among those who want it.
//!
//! A descriptor is what there is least of: each connection has one, some have more. The house comes first,
//! then the cameras, and what is left is for those who watch and ask. Memory follows: each place has its
//! bound (a viewer, an RTSP client, a request), so that as many places as there are bound it all.
//! Not here: who gets a place (`base`), how many descriptors there are (`descriptors`).

use std::sync::Arc;

use taimat_base::budget::{Budget, BudgetMetrics};
use taimat_base::metrics::Error;
use taimat_base::metrics::Registry;
use taimat_egress::webrtc::ViewerPlaces;

use crate::config::Commune;

/// WebRTC viewers, if nothing else is said.
pub const MAX_VIEWERS: usize = 2000;
/// RTSP clients, if nothing else is said: recorders and players, a few a camera. One that is stuck holds
/// its last access unit.
pub const MAX_RTSP_CLIENTS: usize = 512;
/// HTTP connections, if nothing else is said. A browser has up to six.
pub const MAX_HTTP_CONNECTIONS: usize = 4096;

/// For what the router itself needs: databases, listening sockets, plugins, messages and copies on their
/// way, recordings that are read, clients that are just being refused.
const HOUSE: usize = 192;
/// A profile of a camera: five sockets by UDP with sound, two files while it is recorded.
const PER_SOURCE: usize = 7;
/// An RTSP client: five sockets by UDP with sound.
const PER_RTSP_CLIENT: usize = 5;
/// Offers that nobody has connected to yet: a wall of cameras opens many at once.
const LEAST_OFFERS: usize = 64;

/// How many there may be at most, as somebody said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maxima {
    /// WebRTC viewers.
    pub viewers: usize,
    /// RTSP clients.
    pub rtsp_clients: usize,
    /// HTTP connections.
    pub http_connections: usize,
}

impl Default for Maxima {
    fn default() -> Self {
        Self {
            viewers: MAX_VIEWERS,
            rtsp_clients: MAX_RTSP_CLIENTS,
            http_connections: MAX_HTTP_CONNECTIONS,
        }
    }
}

/// How many descriptors are set aside for cameras, and how many places there are for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Division {
    cameras: usize,
    viewers: usize,
    offers: usize,
    rtsp_clients: usize,
    http_connections: usize,
    streams: usize,
}

impl Division {
    /// Divides so many descriptors, where the cameras need so many.
    fn of(descriptors: usize, cameras: usize, most: Maxima) -> Self {
        let left = descriptors.saturating_sub(HOUSE);
        // Some more for cameras that are added while the router runs; something for others in any case, with
        // less than 400 descriptors at the cost of the house.
        let cameras = cameras.max(left / 8).min(left / 4 * 3);
        let left = left - cameras;
        let viewers = (left / 8 * 3).max(4).min(most.viewers);
        let http_connections = (left / 8 * 3).max(8).min(most.http_connections);
        let rtsp_clients = (left / 4 / PER_RTSP_CLIENT).max(2);
        Self {
            cameras,
            viewers,
            offers: (viewers / 4).max(LEAST_OFFERS).min(viewers),
            rtsp_clients: rtsp_clients.min(most.rtsp_clients),
            http_connections,
            streams: http_connections / 2,
        }
    }
}

/// The places of those who watch and ask.
#[derive(Debug)]
pub(crate) struct Budgets {
    /// Descriptors that are set aside for cameras.
    pub(crate) cameras: usize,
    /// WebRTC sessions.
    pub(crate) viewers: ViewerPlaces,
    /// RTSP connections.
    pub(crate) rtsp: Budget,
    /// HTTP connections.
    pub(crate) http: Budget,
    /// Those of them that are streams of server-sent events.
    pub(crate) streams: Budget,
}

impl Budgets {
    /// Divides so many descriptors, where these communes are served.
    pub(crate) fn divide(
        descriptors: usize,
        communes: &[Arc<Commune>],
        most: Maxima,
        registry: &Registry,
    ) -> Result<Self, Error> {
        let division = Division::of(descriptors, needed(communes), most);
        let metrics = BudgetMetrics::register(registry)?;
        tracing::info!(descriptors, ?division, "divided what there is");
        if division.viewers < most.viewers {
            tracing::warn!(
                descriptors,
                viewers = division.viewers,
                "fewer viewers than wished for: the limit of open files is too low"
            );
        }
        let budget = |kind, limit| Budget::new(metrics.allot(kind, limit));
        Ok(Self {
            cameras: division.cameras,
            viewers: ViewerPlaces {
                sessions: metrics.allot("viewers", division.viewers),
                offers: metrics.allot("offers", division.offers),
            },
            rtsp: budget("rtsp", division.rtsp_clients),
            http: budget("http", division.http_connections),
            streams: budget("streams", division.streams),
        })
    }
}

/// How many descriptors the cameras of these communes may need.
fn needed(communes: &[Arc<Commune>]) -> usize {
    let cameras = communes.iter().flat_map(|commune| &commune.cameras);
    cameras.map(|camera| camera.sources.len()).sum::<usize>() * PER_SOURCE
}

/// Says so if the cameras may need more descriptors than are set aside for them.
pub(crate) fn check_cameras(set_aside: usize, communes: &[Arc<Commune>]) {
    let needed = needed(communes);
    if needed > set_aside {
        tracing::warn!(
            needed,
            set_aside,
            "the cameras may need more descriptors than are set aside: restart, or raise the limit of open files"
        );
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What all of them together may hold.
    fn held(division: &Division) -> usize {
        let rtsp = division.rtsp_clients * PER_RTSP_CLIENT;
        HOUSE + division.cameras + division.viewers + division.http_connections + rtsp
    }

    #[test]
    fn with_as_many_as_systems_give_everybody_gets_what_is_usual() {
        let division = Division::of(1 << 16, 2000 * 2 * PER_SOURCE, Maxima::default());
        assert_eq!(division.viewers, MAX_VIEWERS);
        assert_eq!(division.rtsp_clients, MAX_RTSP_CLIENTS);
        assert_eq!(division.http_connections, MAX_HTTP_CONNECTIONS);
        assert_eq!(division.offers, MAX_VIEWERS / 4);
    }

    #[test]
    fn with_few_the_cameras_come_first_and_somebody_can_still_watch() {
        let cameras = 30 * PER_SOURCE;
        let division = Division::of(1024, cameras, Maxima::default());
        assert_eq!(division.cameras, cameras);
        assert!(
            division.viewers > 200 && division.http_connections > 200,
            "{division:?}"
        );
        assert!(division.rtsp_clients > 20, "{division:?}");
        let most = Maxima {
            viewers: 20,
            ..Maxima::default()
        };
        let division = Division::of(1024, cameras, most);
        assert_eq!((division.viewers, division.offers), (20, 20));
    }

    proptest! {
        #[test]
        fn no_more_is_given_out_than_there_is(
            descriptors in 400_usize..100_000, cameras in 0_usize..40_000, viewers in 1_usize..5000
        ) {
            let most = Maxima { viewers, ..Maxima::default() };
            let division = Division::of(descriptors, cameras, most);
            prop_assert!(held(&division) <= descriptors, "{:?}", division);
            prop_assert!(division.offers <= division.viewers && division.viewers <= viewers);
            prop_assert!(division.streams <= division.http_connections);
        }
    }
}
