//! What a client is told for which there is no place: 503 under the number of its request, for clients hold answers
//! against that.

use std::io;

use taimat_base::refusals::{HEARD, Refusals, say};
use taimat_base::tasks::Tasks;
use taimat_rtsp::{Item, Limits, Reader, Response};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// When it is worth trying again, in seconds.
const AGAIN: &str = "10";

/// Refuses a client and lets go of it.
pub(super) fn refuse(refusals: &Refusals, stream: TcpStream, tasks: &Tasks) {
    refusals.refuse(stream, &answer(None), tell, tasks);
}

fn answer(cseq: Option<&str>) -> Vec<u8> {
    let response = Response::new(503)
        .with("Server", "Taimat")
        .with("Retry-After", AGAIN)
        .with("Connection", "close");
    let response = match cseq {
        Some(cseq) => response.with("CSeq", cseq),
        None => response,
    };
    let mut bytes = Vec::new();
    response.write(&mut bytes);
    bytes
}

async fn tell(mut stream: TcpStream) -> io::Result<()> {
    let mut reader = Reader::new(Limits::server());
    let asked = timeout(HEARD, first_cseq(&mut stream, &mut reader)).await;
    let cseq = asked.unwrap_or(Ok(None))?;
    say(stream, &answer(cseq.as_deref())).await
}

/// The number of the first request, if there is one.
async fn first_cseq(stream: &mut TcpStream, reader: &mut Reader) -> io::Result<Option<String>> {
    loop {
        match reader.next() {
            Ok(Some(Item::Request(request))) => {
                return Ok(request.headers.get("CSeq").map(str::to_owned));
            }
            Ok(None) => {}
            Ok(Some(_)) | Err(_) => return Ok(None),
        }
        if stream.read_buf(reader.buffer()).await? == 0 {
            return Ok(None);
        }
    }
}
