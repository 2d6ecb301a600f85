//! Bytes to devices, and what comes back within a moment.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a set-up that fails fails its test"
)]

mod common;

use common::{Bench, channel, failed, listener, nothing_more_comes, refused, request};
use taimat_base::clock;
use taimat_contract::message::{Outgoing, Reply, Wire};
use taimat_outbound::Way;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn wire(bytes: &[u8], answer_bytes: u32) -> Outgoing {
    Outgoing::Wire(Wire {
        channel: "horn".into(),
        bytes: bytes.to_vec(),
        answer_bytes,
    })
}

async fn bench() -> (Bench, TcpListener) {
    let (listener, url) = listener("tcp").await;
    let bench = Bench::new();
    bench
        .configure(vec![channel("horn", &url, Way::Wire)])
        .await;
    (bench, listener)
}

#[tokio::test]
async fn a_device_gets_the_bytes_and_answers() {
    let (bench, device) = bench().await;
    // Write single coil, by Modbus TCP; the device answers with the same.
    let frame = [0, 1, 0, 0, 0, 6, 1, 5, 0, 0, 0xff, 0];
    let answering = async {
        let (mut stream, _) = device.accept().await.unwrap();
        let mut heard = [0; 12];
        stream.read_exact(&mut heard).await.unwrap();
        // In two parts, and more than is waited for.
        stream.write_all(&heard[..5]).await.unwrap();
        stream.flush().await.unwrap();
        stream.write_all(&heard[5..]).await.unwrap();
        stream.write_all(b"more").await.unwrap();
    };
    let (reply, ()) = tokio::join!(bench.send("k", wire(&frame, 12)), answering);
    assert_eq!(reply, Reply::Bytes(frame.to_vec()));
    let taking = async {
        let (mut stream, _) = device.accept().await.unwrap();
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).await.unwrap();
        heard
    };
    let (reply, heard) = tokio::join!(bench.send("k", wire(b"<134>hello", 0)), taking);
    assert_eq!(
        (reply, heard.as_slice()),
        (Reply::Bytes(Vec::new()), &b"<134>hello"[..])
    );
}

#[tokio::test]
async fn what_has_come_when_the_time_is_over_is_the_answer() {
    let (bench, device) = bench().await;
    let began = clock::now();
    let part = async {
        let (mut stream, _) = device.accept().await.unwrap();
        stream.write_all(b"abc").await.unwrap();
        (stream, nothing_more_comes())
    };
    let (reply, held) = tokio::join!(bench.send("k", wire(b"x", 9)), part);
    assert_eq!(reply, Reply::Bytes(b"abc".to_vec()));
    let took = clock::now() - began;
    assert!((5..7).contains(&took.as_secs()), "{took:?}");
    drop(held);
    let silent = async {
        let held = device.accept().await.unwrap();
        (held, nothing_more_comes())
    };
    let (reply, _held) = tokio::join!(bench.send("k", wire(b"x", 9)), silent);
    assert!(failed(reply).contains("answers nothing"));
}

#[tokio::test]
async fn a_message_for_another_kind_of_channel_goes_nowhere() {
    let (bench, _device) = bench().await;
    let why = refused(bench.send("k", request("horn", "", Vec::new())).await);
    assert_eq!(why, "the channel is one for wire");
}
