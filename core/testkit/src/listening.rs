//! Ports for servers that must be told one, and waiting until they serve.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How many UDP ports in a row a server may use.
pub(crate) const UDP_PORTS: u16 = 250;

/// A TCP port of the loopback that nobody has at the moment.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").context("looking for a port")?;
    Ok(listener.local_addr()?.port())
}

/// The first of [`UDP_PORTS`] UDP ports in a row that nobody has at the moment, an even one; from below the
/// range out of which the kernel gives ports to those who ask for any.
pub(crate) fn free_udp_ports() -> anyhow::Result<u16> {
    const PLACES: u32 = 40;
    // A server takes its ports one by one, long after this: what was given away once is not given again
    // to another of this process, and processes beside each other begin at different places.
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let free = |port: u16| std::net::UdpSocket::bind(("127.0.0.1", port)).is_ok();
    for _ in 0..PLACES {
        let turn = GIVEN.fetch_add(1, Ordering::Relaxed);
        let place = u16::try_from(turn.wrapping_add(std::process::id()) % PLACES)?;
        let first = 20_000 + place * UDP_PORTS;
        if (first..first + UDP_PORTS).all(free) {
            return Ok(first);
        }
    }
    anyhow::bail!("no {UDP_PORTS} UDP ports in a row are free")
}

/// Waits until a server describes what is at an address, with as many tracks as it should have.
pub(crate) async fn described(url: &str, tracks: usize, limit: Duration) -> anyhow::Result<()> {
    let mut last = anyhow::anyhow!("not asked");
    let asking = async {
        loop {
            match describe(url).await {
                Ok(text) if text.matches("\nm=").count() == tracks => return,
                Ok(text) => last = anyhow::anyhow!("not {tracks} tracks: {text}"),
                Err(error) => last = error,
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let asked = tokio::time::timeout(limit, asking).await;
    asked.map_err(|_elapsed| last.context(format!("{url} was not described within {limit:?}")))
}

/// One question and whatever comes as its answer in a second, 64 KiB of it at most.
async fn describe(url: &str) -> anyhow::Result<String> {
    let address = url
        .strip_prefix("rtsp://")
        .and_then(|rest| rest.split('/').next())
        .context("no RTSP address")?;
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("DESCRIBE {url} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    let reading = async {
        let mut part = [0; 4096];
        while answer.len() < 1 << 16 && !whole(&answer) {
            match stream.read(&mut part).await {
                Ok(0) | Err(_) => break,
                Ok(n) => answer.extend(part.iter().take(n)),
            }
        }
    };
    // What has come by then is judged.
    tokio::time::timeout(Duration::from_secs(1), reading)
        .await
        .ok();
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Whether the headers and the body that they announce have come.
fn whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let announced = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let length = name.eq_ignore_ascii_case("content-length");
        length.then(|| value.trim().parse().ok())?
    });
    body.len() >= announced.unwrap_or(0)
}
