//! Telling clients for which there is no place that there is none.
//!
//! A client does not expect an answer before it has asked, and what it says and nobody reads costs it the answer. So
//! it is heard first; by a few at a time and not for long, for a refused client holds a descriptor too.
//!
//! Owner: a task that accepts connections. Not here: who gets a place (`budget`), what a client is told.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::Span;

use crate::tasks::Tasks;

/// Clients that are told at a time; further ones are told without being heard, and may lose the answer.
const TOLD_AT_ONCE: usize = 32;
/// So long a refused client holds its descriptor.
const DEADLINE: Duration = Duration::from_secs(2);
/// So long it is heard, within that.
pub const HEARD: Duration = Duration::from_secs(1);

/// Those who are being told.
#[derive(Debug)]
pub struct Refusals {
    /// What the tasks are called.
    task: &'static str,
    places: Arc<Semaphore>,
}

impl Refusals {
    /// Nobody yet.
    pub fn new(task: &'static str) -> Self {
        Self {
            task,
            places: Arc::new(Semaphore::new(TOLD_AT_ONCE)),
        }
    }

    /// Refuses a client and lets go of it: by `tell`, which hears it for [`HEARD`] and then [says](say) its answer,
    /// or by `unheard`, if too many are being told.
    pub fn refuse<F>(
        &self,
        stream: TcpStream,
        unheard: &[u8],
        tell: impl FnOnce(TcpStream) -> F,
        tasks: &Tasks,
    ) where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            // What does not fit now is not said.
            let _said = stream.try_write(unheard);
            return;
        };
        let told = timeout(DEADLINE, tell(stream));
        tasks.spawn(self.task, Span::none(), |stop| async move {
            let _place = place;
            tokio::select! {
                told = told => if let Ok(Err(error)) = told {
                    tracing::debug!(%error, "refusing a client");
                },
                () = stop.cancelled() => {}
            }
        });
    }
}

/// Says an answer and ends the connection.
///
/// # Errors
/// If the client is gone.
pub async fn say(mut stream: TcpStream, answer: &[u8]) -> io::Result<()> {
    stream.write_all(answer).await?;
    stream.shutdown().await?;
    // What is not read costs the client the answer: the kernel resets the connection.
    let mut rest = [0; 4096];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_few_are_heard_at_a_time_and_the_rest_is_told_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (refusals, tasks) = (Refusals::new("test"), Tasks::new());
        let heard = Arc::new(Semaphore::new(0));
        let mut clients = Vec::new();
        for _ in 0..=TOLD_AT_ONCE {
            clients.push(TcpStream::connect(at).await.unwrap());
            let (stream, _) = listener.accept().await.unwrap();
            let heard = Arc::clone(&heard);
            let tell = |stream| async move {
                heard.acquire().await.unwrap().forget();
                say(stream, b"heard").await
            };
            refusals.refuse(stream, b"unheard", tell, &tasks);
        }
        let told = async |client: &mut TcpStream| {
            let mut told = String::new();
            client.read_to_string(&mut told).await.unwrap();
            told
        };
        assert_eq!(told(&mut clients[TOLD_AT_ONCE]).await, "unheard");
        heard.add_permits(TOLD_AT_ONCE);
        for client in &mut clients[..TOLD_AT_ONCE] {
            assert_eq!(told(client).await, "heard");
        }
        tasks.stop(DEADLINE).await;
    }
}
