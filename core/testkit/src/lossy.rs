//! A network that loses packets: a UDP relay between a viewer and the router.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use anyhow::Context;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// Content type of DTLS alerts.
const DTLS_ALERT: u8 = 21;

/// A relay in front of a UDP server. Media packets from the server are lost by a fixed rule, so that
/// a run can be repeated.
#[derive(Debug)]
pub struct LossyRelay {
    local: SocketAddr,
    lose_every: Arc<AtomicU32>,
    lost: Arc<AtomicU64>,
    alerts: Arc<AtomicU64>,
    cut: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl LossyRelay {
    /// Starts a relay to `server` that loses nothing yet.
    pub async fn start(server: SocketAddr) -> anyhow::Result<Self> {
        let front = UdpSocket::bind("127.0.0.1:0").await?;
        let back = UdpSocket::bind("127.0.0.1:0").await?;
        back.connect(server).await.context("relay to the server")?;
        let local = front.local_addr()?;
        let (lose_every, lost) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU64::new(0)));
        let alerts = Arc::new(AtomicU64::new(0));
        let (every, count) = (Arc::clone(&lose_every), Arc::clone(&lost));
        let alert_count = Arc::clone(&alerts);
        let cut = Arc::new(AtomicBool::new(false));
        let is_cut = Arc::clone(&cut);
        #[expect(clippy::disallowed_methods, reason = "ended by the relay's drop")]
        let task = tokio::spawn(async move {
            let (mut a, mut b) = (vec![0; 2048], vec![0; 2048]);
            let mut viewer = None;
            let mut media = 0_u32;
            loop {
                tokio::select! {
                    Ok((len, from)) = front.recv_from(&mut a) => {
                        if is_cut.load(Ordering::Relaxed) {
                            continue;
                        }
                        viewer = Some(from);
                        drop(back.send(&a[..len]).await);
                    }
                    Ok(len) = back.recv(&mut b) => {
                        if is_cut.load(Ordering::Relaxed) {
                            continue;
                        }
                        let Some(viewer) = viewer else { continue };
                        // RTP, not RTCP (RFC 5761), not DTLS, not STUN.
                        let rtp = len > 12 && b[0] >> 6 == 2 && !(192..=223).contains(&b[1]);
                        media += u32::from(rtp);
                        if b.first() == Some(&DTLS_ALERT) {
                            alert_count.fetch_add(1, Ordering::Relaxed);
                        }
                        let every = every.load(Ordering::Relaxed);
                        if rtp && every > 0 && media.is_multiple_of(every) {
                            count.fetch_add(1, Ordering::Relaxed);
                            continue;
                        }
                        drop(front.send_to(&b[..len], viewer).await);
                    }
                }
            }
        });
        Ok(Self {
            local,
            lose_every,
            lost,
            alerts,
            cut,
            task,
        })
    }

    /// Where viewers send to.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// From now on, every n-th media packet is lost; 0 for none.
    pub fn lose_every(&self, n: u32) {
        self.lose_every.store(n, Ordering::Relaxed);
    }

    /// Cuts the line in both directions: nothing gets through any more.
    pub fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
    }

    /// DTLS alerts that the server has sent (RFC 6347 section 4.1: the type is in clear).
    pub fn alerts(&self) -> u64 {
        self.alerts.load(Ordering::Relaxed)
    }

    /// Packets lost so far.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Drop for LossyRelay {
    fn drop(&mut self) {
        self.task.abort();
    }
}
