//! A server that keeps objects badly: it speaks as much S3 and WebDAV as is needed to be believed.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Badness {
    /// Nothing bad.
    None,
    /// It answers 500 to everything.
    Broken,
    /// It answers 500 so often, and then as it should.
    BrokenAtFirst(usize),
    /// It takes what is put and never answers.
    Hangs,
    /// It sends half of what is fetched, and ends the connection.
    Truncates,
    /// It says that it has what was put, and keeps nothing.
    Forgets,
    /// It keeps half of what was put, and says that it has all.
    KeepsHalf,
    /// It keeps as much as was put, but other bytes.
    KeepsOther,
    /// It sends another part than was asked for.
    OtherPart,
    /// It sends a list without end.
    Endless,
    /// It leads elsewhere.
    Redirects,
    /// It sends what is no HTTP.
    Garbage,
}

type Objects = BTreeMap<String, Vec<u8>>;

#[derive(Debug)]
struct State {
    badness: Badness,
    objects: Objects,
    /// First lines and headers, as they came.
    asked: Vec<String>,
}

/// A running one.
#[derive(Debug)]
pub struct BadStore {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl BadStore {
    /// Starts, empty.
    pub async fn start(badness: Badness) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(Mutex::new(State {
            badness,
            objects: Objects::new(),
            asked: Vec::new(),
        }));
        let shared = Arc::clone(&state);
        #[expect(
            clippy::disallowed_methods,
            reason = "a server of a test, ended with it"
        )]
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Whoever goes away in the midst of it does no harm.
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Ok(Self {
            address,
            state,
            task,
        })
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on it does that.
    pub fn does(&self, badness: Badness) {
        lock(&self.state).badness = badness;
    }

    /// What it was asked.
    pub fn asked(&self) -> Vec<String> {
        lock(&self.state).asked.clone()
    }

    /// What it keeps of the object whose path ends so.
    pub fn kept(&self, path: &str) -> Option<Vec<u8>> {
        let state = lock(&self.state);
        let mut found = state.objects.iter().filter(|(at, _)| at.ends_with(path));
        found.next().map(|(_, bytes)| bytes.clone())
    }
}

impl Drop for BadStore {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(|e| e.into_inner())
}

/// A request as it came.
struct Asked {
    method: String,
    path: String,
    query: String,
    head: String,
    body: Vec<u8>,
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let found = lines.find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    }
}

async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let body = bytes.split_off(end);
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let mut words = head.lines().next()?.split(' ');
    let method = words.next()?.to_owned();
    let target = words.next()?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut asked = Asked {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        head: head.clone(),
        body,
    };
    let length = asked.header("content-length").and_then(|l| l.parse().ok());
    let length: usize = length.unwrap_or(0);
    while asked.body.len() < length {
        if stream.read_buf(&mut asked.body).await.ok()? == 0 {
            return None;
        }
    }
    Some(asked)
}

fn head(status: &str, headers: &str, length: usize) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n")
        .into_bytes()
}

fn said(status: &str, body: &str) -> Vec<u8> {
    let mut answer = head(status, "", body.len());
    answer.extend_from_slice(body.as_bytes());
    answer
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let Some(asked) = read(&mut stream).await else {
        return;
    };
    let (badness, number) = {
        let mut state = lock(&state);
        state.asked.push(asked.head.clone());
        (state.badness, state.asked.len())
    };
    let is_list = asked.method == "PROPFIND" || asked.query.contains("list-type");
    let answer = match badness {
        Badness::Broken => said("500 Internal Server Error", "not today"),
        Badness::BrokenAtFirst(often) if number <= often => said("500 Internal Server Error", ""),
        Badness::Hangs => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            return;
        }
        Badness::Redirects => head("302 Found", "location: http://127.0.0.1:1/\r\n", 0),
        Badness::Garbage => b"\x00\xff not HTTP at all \r\n\r\n".to_vec(),
        Badness::Endless if is_list => {
            endless(&mut stream).await;
            return;
        }
        badness => answer(&asked, badness, &mut lock(&state).objects),
    };
    let _gone = stream.write_all(&answer).await;
    let _gone = stream.shutdown().await;
}

async fn endless(stream: &mut TcpStream) {
    let begin =
        "HTTP/1.1 207 Multi-Status\r\nconnection: close\r\n\r\n<multistatus xmlns=\"DAV:\">";
    let mut going = stream.write_all(begin.as_bytes()).await;
    while going.is_ok() {
        going = stream.write_all(&[b' '; 64 << 10]).await;
    }
}

fn answer(asked: &Asked, badness: Badness, objects: &mut Objects) -> Vec<u8> {
    let path = &asked.path;
    match asked.method.as_str() {
        "PUT" => {
            let mut bytes = asked.body.clone();
            match badness {
                Badness::Forgets => return head("201 Created", "etag: \"1\"\r\n", 0),
                Badness::KeepsHalf => bytes.truncate(bytes.len() / 2),
                Badness::KeepsOther => bytes.fill(0),
                _ => {}
            }
            objects.insert(path.clone(), bytes);
            head("201 Created", "etag: \"1\"\r\n", 0)
        }
        "MKCOL" => said("201 Created", ""),
        "DELETE" => {
            objects.remove(path);
            head("204 No Content", "", 0)
        }
        "HEAD" => match objects.get(path) {
            Some(bytes) => head("200 OK", &about(), bytes.len()),
            None => head("404 Not Found", "", 0),
        },
        "PROPFIND" => match objects.get(path) {
            Some(bytes) => said(
                "207 Multi-Status",
                &format!(
                    "<multistatus xmlns=\"DAV:\"><response><href>{path}</href><propstat><prop>\
                 <getcontentlength>{}</getcontentlength></prop></propstat></response>\
                 </multistatus>",
                    bytes.len()
                ),
            ),
            None => said("404 Not Found", ""),
        },
        "GET" => match objects.get(path) {
            Some(bytes) => fetched(asked, badness, bytes),
            None => said("404 Not Found", ""),
        },
        _ => said("405 Method Not Allowed", ""),
    }
}

fn about() -> String {
    "etag: \"1\"\r\nlast-modified: Thu, 26 Nov 2026 08:00:00 GMT\r\n".into()
}

fn fetched(asked: &Asked, badness: Badness, bytes: &[u8]) -> Vec<u8> {
    let range = asked
        .header("range")
        .and_then(|range| range.strip_prefix("bytes="));
    let range = range.and_then(|range| range.split_once('-'));
    let number = |text: &str| text.parse::<usize>().ok();
    let (first, last) = match range {
        Some((first, last)) => (number(first).unwrap_or(0), number(last)),
        None => (0, None),
    };
    let end = last.map_or(bytes.len(), |last| (last + 1).min(bytes.len()));
    let first = match badness {
        Badness::OtherPart => 0,
        _ => first.min(end),
    };
    let part = bytes.get(first..end).unwrap_or(&[]);
    let headers = format!(
        "{}content-range: bytes {first}-{}/{}\r\n",
        about(),
        end.saturating_sub(1),
        bytes.len()
    );
    let mut answer = head("206 Partial Content", &headers, part.len());
    let sent = match badness {
        Badness::Truncates => part.len() / 2,
        _ => part.len(),
    };
    answer.extend(part.iter().take(sent));
    answer
}
