//! Where a camera's datagrams arrive: a pair of sockets a track.

use std::io;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use taimat_base::ports;
use taimat_media::TrackKind;
use tokio::net::UdpSocket;

/// A key frame of 4K at once, and what comes while this task waits for its turn. The kernel gives
/// what its `net.core.rmem_max` allows.
const RECEIVE_BYTES: usize = 2 << 20;
/// Datagrams taken from one socket before others have their turn.
const AT_ONCE: usize = 64;

/// One track's sockets.
#[derive(Debug)]
pub(crate) struct Leg {
    kind: TrackKind,
    rtp: UdpSocket,
    rtcp: UdpSocket,
    /// Where the camera receives, if it said so.
    to: Option<(SocketAddr, SocketAddr)>,
}

impl Leg {
    /// A pair of ports of ours.
    pub(crate) fn bind(kind: TrackKind, local: IpAddr) -> io::Result<Self> {
        let (rtp, rtcp) = ports::pair(local, RECEIVE_BYTES)?;
        Ok(Self {
            kind,
            rtp: UdpSocket::from_std(rtp)?,
            rtcp: UdpSocket::from_std(rtcp)?,
            to: None,
        })
    }

    /// A group that the camera sends to.
    pub(crate) fn join(
        kind: TrackKind,
        group: IpAddr,
        (rtp, rtcp): (u16, u16),
        local: IpAddr,
    ) -> io::Result<Self> {
        let join = |port| {
            let group = SocketAddr::new(group, port);
            UdpSocket::from_std(ports::join(group, local, RECEIVE_BYTES)?)
        };
        Ok(Self {
            kind,
            rtp: join(rtp)?,
            rtcp: join(rtcp)?,
            to: None,
        })
    }

    pub(crate) fn ports(&self) -> io::Result<(u16, u16)> {
        let port = |socket: &UdpSocket| socket.local_addr().map(|a| a.port());
        Ok((port(&self.rtp)?, port(&self.rtcp)?))
    }

    /// The camera's ports are known: a datagram to each opens the way back through firewalls.
    pub(crate) fn agreed(&mut self, camera: IpAddr, (rtp, rtcp): (u16, u16)) {
        let to = (SocketAddr::new(camera, rtp), SocketAddr::new(camera, rtcp));
        // An RTP packet and a receiver report without content, as other clients send them.
        drop(
            self.rtp
                .try_send_to(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], to.0),
        );
        drop(self.rtcp.try_send_to(&[0x80, 0xC9, 0, 1, 0, 0, 0, 0], to.1));
        self.to = Some(to);
    }

    pub(crate) fn kind(&self) -> TrackKind {
        self.kind
    }

    /// Sends RTCP. A report that does not get out is followed by the next one.
    pub(crate) fn report(&self, report: &[u8]) {
        if let Some((_, rtcp)) = self.to {
            drop(self.rtcp.try_send_to(report, rtcp));
        }
    }
}

/// A datagram of the camera's.
#[derive(Debug)]
pub(crate) struct Datagram {
    pub(crate) kind: TrackKind,
    pub(crate) control: bool,
    pub(crate) payload: Bytes,
}

/// All tracks' sockets.
#[derive(Debug)]
pub(crate) struct Legs {
    camera: IpAddr,
    legs: Vec<Leg>,
    scratch: Box<[u8]>,
    /// Datagrams from somebody else.
    pub(crate) strangers: u64,
}

impl Legs {
    pub(crate) fn new(camera: IpAddr) -> Self {
        Self {
            camera,
            legs: Vec::new(),
            scratch: Box::default(),
            strangers: 0,
        }
    }

    pub(crate) fn push(&mut self, leg: Leg) {
        if self.scratch.is_empty() {
            // The largest datagram there is.
            self.scratch = vec![0; 1 << 16].into_boxed_slice();
        }
        self.legs.push(leg);
    }

    pub(crate) fn of(&mut self, kind: TrackKind) -> Option<&mut Leg> {
        self.legs.iter_mut().find(|leg| leg.kind == kind)
    }

    pub(crate) fn drop_track(&mut self, kind: TrackKind) {
        self.legs.retain(|leg| leg.kind != kind);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Leg> {
        self.legs.iter()
    }

    /// Waits until one of the sockets has something; for ever if there are none.
    pub(crate) async fn readable(&self) {
        async fn one(socket: Option<&UdpSocket>) {
            match socket {
                // An error shows when it is read.
                Some(socket) => drop(socket.readable().await),
                None => std::future::pending().await,
            }
        }
        let leg = |i: usize| self.legs.get(i);
        tokio::select! {
            () = one(leg(0).map(|l| &l.rtp)) => {}
            () = one(leg(0).map(|l| &l.rtcp)) => {}
            () = one(leg(1).map(|l| &l.rtp)) => {}
            () = one(leg(1).map(|l| &l.rtcp)) => {}
        }
    }

    /// Takes what is there, a bounded number at a time. Cameras send from other ports than they
    /// announce; what counts is their address.
    pub(crate) fn take(&mut self, out: &mut Vec<Datagram>) {
        for leg in &self.legs {
            for (socket, control) in [(&leg.rtp, false), (&leg.rtcp, true)] {
                for _ in 0..AT_ONCE {
                    let Ok((len, from)) = socket.try_recv_from(&mut self.scratch) else {
                        break;
                    };
                    if from.ip().to_canonical() != self.camera.to_canonical() {
                        self.strangers += 1;
                        continue;
                    }
                    out.push(Datagram {
                        kind: leg.kind,
                        control,
                        payload: Bytes::copy_from_slice(&self.scratch[..len]),
                    });
                }
            }
        }
    }
}
