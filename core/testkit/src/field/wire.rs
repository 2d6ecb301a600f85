//! The way out: one connection that answers and packets share, datagrams, and how both are cut.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::sync::Mutex;

use super::case::Delivery;

/// A connection of any kind.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The half that is read.
pub(super) type Incoming = Pin<Box<dyn AsyncRead + Send>>;
/// The half that is written.
pub(super) type Outgoing = Pin<Box<dyn AsyncWrite + Send>>;

/// The half that is written, shared by answers and packets.
pub(super) struct Wire {
    out: Mutex<(Outgoing, u64)>,
    delivery: Delivery,
}

impl Wire {
    pub(super) fn new(out: Outgoing, delivery: Delivery) -> Self {
        Self {
            out: Mutex::new((out, 0x2545_F491)),
            delivery,
        }
    }

    /// An answer.
    pub(super) async fn say(&self, bytes: &[u8]) -> io::Result<()> {
        self.write(bytes, self.delivery).await
    }

    /// A packet, interleaved.
    pub(super) async fn interleave(&self, channel: u8, packet: &[u8]) -> io::Result<()> {
        let length = u16::try_from(packet.len()).unwrap_or(u16::MAX);
        let mut bytes = vec![b'$', channel];
        bytes.extend(length.to_be_bytes());
        bytes.extend(packet);
        let delivery = match self.delivery {
            Delivery::Pieces => Delivery::Pieces,
            Delivery::Whole | Delivery::Bytes => Delivery::Whole,
        };
        self.write(&bytes, delivery).await
    }

    /// Hangs up.
    pub(super) async fn close(&self) {
        drop(self.out.lock().await.0.shutdown().await);
    }

    /// Nothing of others comes between what is written here.
    async fn write(&self, mut bytes: &[u8], delivery: Delivery) -> io::Result<()> {
        let mut guard = self.out.lock().await;
        let (out, random) = &mut *guard;
        while !bytes.is_empty() {
            let length = match delivery {
                Delivery::Whole => bytes.len(),
                Delivery::Bytes => 1,
                Delivery::Pieces => {
                    *random = random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    usize::try_from(*random >> 33).unwrap_or(1) % bytes.len() + 1
                }
            };
            let (now, later) = bytes.split_at(length);
            out.write_all(now).await?;
            out.flush().await?;
            bytes = later;
            // Long enough that the other side reads the pieces one by one.
            if delivery != Delivery::Whole && !bytes.is_empty() {
                tokio::time::sleep(Duration::from_micros(300)).await;
            }
        }
        Ok(())
    }
}

/// What a packet belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Track {
    Video,
    Sound,
    /// Set up, and never filled.
    Other,
}

/// Where the packets of a track go.
pub(super) enum Leg {
    /// Interleaved, with the channel of the media; reports go on the next one.
    Tcp(u8),
    /// Datagrams, media and reports.
    Udp {
        /// Media.
        media: UdpSocket,
        /// Reports.
        reports: UdpSocket,
    },
}

impl Leg {
    pub(super) async fn media(&self, wire: &Wire, packet: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(channel) => wire.interleave(*channel, packet).await,
            Self::Udp { media, .. } => Self::datagram(media, packet).await,
        }
    }

    pub(super) async fn report(&self, wire: &Wire, packet: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(channel) => wire.interleave(channel.wrapping_add(1), packet).await,
            Self::Udp { reports, .. } => Self::datagram(reports, packet).await,
        }
    }

    /// A client that is gone is noticed by the connection.
    async fn datagram(socket: &UdpSocket, packet: &[u8]) -> io::Result<()> {
        match socket.send(packet).await {
            Err(error) if error.kind() != io::ErrorKind::ConnectionRefused => Err(error),
            _ => Ok(()),
        }
    }
}
