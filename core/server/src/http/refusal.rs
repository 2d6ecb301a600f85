//! What a client is told for which there is no place: 503, when the head of its request was heard.

use std::io;

use taimat_api::ProblemJson;
use taimat_base::budget::Refused;
use taimat_base::refusals::{HEARD, Refusals, say};
use taimat_base::tasks::Tasks;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Refuses a client and lets go of it.
pub(super) fn refuse(refusals: &Refusals, stream: TcpStream, why: Refused, tasks: &Tasks) {
    let answer = answer(&ProblemJson::crowded(why));
    let unheard = answer.clone();
    let tell = |mut stream: TcpStream| async move {
        let _heard = timeout(HEARD, hear(&mut stream)).await;
        say(stream, answer.as_bytes()).await
    };
    refusals.refuse(stream, unheard.as_bytes(), tell, tasks);
}

fn answer(problem: &ProblemJson) -> String {
    let body = serde_json::to_string(problem).unwrap_or_default();
    let again = problem.retry_after_seconds().unwrap_or_default();
    format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n\
         Content-Length: {}\r\nRetry-After: {again}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Reads until a head ends, or would be too long.
async fn hear(stream: &mut TcpStream) -> io::Result<()> {
    const END: &[u8] = b"\r\n\r\n";
    let (mut head, mut looked) = ([0; 8 << 10], 0);
    while let Some(room) = head.get_mut(looked..).filter(|room| !room.is_empty()) {
        let read = stream.read(room).await?;
        looked += read;
        let said = head.get(..looked).unwrap_or_default();
        if read == 0 || said.windows(END.len()).any(|end| end == END) {
            break;
        }
    }
    Ok(())
}
