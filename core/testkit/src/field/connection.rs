//! One client's connection to a camera: requests and their answers.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::case::{Case, Cseq, Rule, Transport};
use super::requests::{Request, Requests};
use super::shared::{Client, PreparedCase};
use super::sign_in::{Door, Ruling};
use super::transports::Transports;
use super::wire::{Outgoing, Track};
use super::{hostile, media};

struct Connection {
    client: Arc<Client>,
    /// Addresses of the camera and of the client.
    ends: (IpAddr, IpAddr),
    door: Option<Door>,
    transports: Transports,
    counts: HashMap<usize, u32>,
    answers: u64,
    playing: bool,
    tasks: JoinSet<()>,
}

/// An answer before it is written.
struct Answer {
    status: String,
    headers: Vec<String>,
    body: Vec<u8>,
}

impl Answer {
    fn new(status: &str) -> Self {
        Self {
            status: status.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push(format!("{name}: {value}"));
        self
    }
}

/// Serves a client to its end.
pub(super) async fn serve(
    shared: Arc<PreparedCase>,
    mut requests: Requests,
    outgoing: Outgoing,
    local: SocketAddr,
    peer: SocketAddr,
) -> anyhow::Result<()> {
    let case = Arc::clone(shared.case());
    let client = Arc::new(Client::new(shared, outgoing));
    let mut connection = Connection {
        client: Arc::clone(&client),
        ends: (local.ip(), peer.ip()),
        door: case.sign_in.clone().map(Door::new),
        transports: Transports::default(),
        counts: HashMap::new(),
        answers: 0,
        playing: false,
        tasks: JoinSet::new(),
    };
    let begun = taimat_base::clock::now();
    // The client's last request, in milliseconds since then.
    let mut heard = 0;
    while !client.is_over() {
        let next = tokio::time::timeout(Duration::from_millis(100), requests.next()).await;
        let now = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let silence = now.saturating_sub(heard);
        match next {
            Err(_elapsed) => {
                if case
                    .rtsp
                    .hangs_up_after
                    .is_some_and(|limit| silence > limit)
                {
                    break;
                }
            }
            Ok(Ok(Some(request))) => {
                heard = now;
                if request.is_answer() {
                    client.answers();
                } else if !connection.answer(&request).await? {
                    break;
                }
            }
            Ok(Ok(None) | Err(_)) => break,
        }
    }
    client.wire.close().await;
    Ok(())
}

impl Connection {
    fn case(&self) -> &Case {
        self.client.shared.case()
    }

    /// Answers a request; `false` is the end of the connection.
    async fn answer(&mut self, request: &Request) -> anyhow::Result<bool> {
        let client = Arc::clone(&self.client);
        let case = client.shared.case();
        if let Some(hostile) = case.misbehaves.hostile
            && let Some(goes_on) = hostile::answers(hostile, request, &client).await?
        {
            return Ok(goes_on);
        }
        if let Some(refusal) = self.at_the_door(request) {
            self.say(request, refusal, Cseq::Right).await?;
            return Ok(true);
        }
        let Some(rule) = self.rule(request) else {
            let answer = self.usual(request).await?;
            return self.finish(request, answer, Cseq::Right).await;
        };
        tokio::time::sleep(Duration::from_millis(rule.late)).await;
        if let Some(raw) = &rule.raw {
            client
                .wire
                .say(self.filled(raw, request).as_bytes())
                .await?;
            return Ok(!rule.hangs_up);
        }
        if rule.silent {
            return Ok(!rule.hangs_up);
        }
        let mut answer = match &rule.status {
            Some(status) => {
                let mut answer = Answer::new(&self.filled(status, request));
                answer.body = self.filled(&rule.body, request).into_bytes();
                answer
            }
            None => self.usual(request).await?,
        };
        for header in &rule.headers {
            answer.headers.push(self.filled(header, request));
        }
        if rule.challenge
            && let Some(door) = &mut self.door
        {
            answer.headers.extend(door.challenge(false));
        }
        let goes_on = match &rule.status {
            Some(_) => {
                self.say(request, answer, rule.cseq).await?;
                true
            }
            None => self.finish(request, answer, rule.cseq).await?,
        };
        Ok(goes_on && !rule.hangs_up)
    }

    /// Writes the usual answer and begins what it promises.
    async fn finish(
        &mut self,
        request: &Request,
        answer: Answer,
        cseq: Cseq,
    ) -> anyhow::Result<bool> {
        let good = answer.status.starts_with("200");
        let begins = request.method == "PLAY" && good && !self.playing;
        if begins {
            self.playing = true;
            let legs = std::mem::take(&mut self.transports.legs);
            let mut sender = media::Sender::new(Arc::clone(&self.client), legs);
            sender.early().await?;
            self.say(request, answer, cseq).await?;
            let client = Arc::clone(&self.client);
            self.tasks.spawn(async move {
                drop(sender.run().await);
                client.end();
            });
            self.ask();
        } else {
            self.say(request, answer, cseq).await?;
        }
        Ok(request.method != "TEARDOWN")
    }

    /// The camera's own requests.
    fn ask(&mut self) {
        let Some(asks) = self.case().rtsp.asks.clone() else {
            return;
        };
        let client = Arc::clone(&self.client);
        self.tasks.spawn(async move {
            for number in 1_u64.. {
                tokio::time::sleep(Duration::from_millis(asks.every)).await;
                let text = format!("{} RTSP/1.0\r\nCSeq: {number}\r\n\r\n", asks.request);
                let text = text.repeat(asks.burst);
                if client.wire.say(text.as_bytes()).await.is_err() {
                    return;
                }
                if let Some(limit) = asks.hangs_up_after {
                    tokio::time::sleep(Duration::from_millis(limit)).await;
                    if !client.was_answered() {
                        client.end();
                    }
                }
            }
        });
    }

    /// A refusal, if the client has not signed in.
    fn at_the_door(&mut self, request: &Request) -> Option<Answer> {
        let door = self.door.as_mut()?;
        let authorization = request.header("authorization");
        let stale = match door.ruling(&request.method, &request.url, authorization) {
            Ruling::Open => return None,
            Ruling::Closed => false,
            Ruling::Stale => true,
        };
        let mut answer = Answer::new("401 Unauthorized");
        answer.headers = door.challenge(stale);
        Some(answer)
    }

    /// The rule for a request, if its turn has come.
    fn rule(&mut self, request: &Request) -> Option<Rule> {
        let client = Arc::clone(&self.client);
        let keeps_alive = self.playing
            && ["OPTIONS", "GET_PARAMETER", "SET_PARAMETER"].contains(&request.method.as_str());
        for (index, rule) in client.shared.case().answers.iter().enumerate() {
            let kind = match rule.to.as_str() {
                "any" => true,
                "keep-alive" => keeps_alive,
                method => method == request.method,
            };
            let address = request.url.contains(&rule.url)
                && (rule.unless.is_empty() || !request.url.contains(&rule.unless));
            if !kind || !address {
                continue;
            }
            let count = self.counts.entry(index).or_default();
            *count += 1;
            let begun = *count > rule.after;
            if begun && rule.times.is_none_or(|times| *count <= rule.after + times) {
                return Some(rule.clone());
            }
        }
        None
    }

    /// The answer of a camera to which nothing special was said about this request.
    async fn usual(&mut self, request: &Request) -> anyhow::Result<Answer> {
        let client = Arc::clone(&self.client);
        let rtsp = &client.shared.case().rtsp;
        Ok(match request.method.as_str() {
            "OPTIONS" if rtsp.public.is_empty() => Answer::new("200 OK"),
            "OPTIONS" => Answer::new("200 OK").header("Public", &rtsp.public),
            "DESCRIBE" => {
                let mut answer = Answer::new("200 OK");
                let headers = [
                    ("Content-Base", &rtsp.content_base),
                    ("Content-Type", &rtsp.content_type),
                ];
                for (name, value) in headers {
                    if !value.is_empty() {
                        answer = answer.header(name, &self.filled(value, request));
                    }
                }
                answer.body = client.shared.description.clone();
                answer
            }
            "SETUP" => self.set_up(request).await?,
            "PLAY" | "TEARDOWN" | "PAUSE" | "GET_PARAMETER" | "SET_PARAMETER"
                if !self.names_session(request) =>
            {
                Answer::new("454 Session Not Found")
            }
            "PLAY" if rtsp.rtp_info.is_empty() => Answer::new("200 OK"),
            "PLAY" => {
                let info = self.filled(&rtsp.rtp_info, request);
                Answer::new("200 OK").header("RTP-Info", &info)
            }
            "TEARDOWN" | "GET_PARAMETER" | "SET_PARAMETER" => Answer::new("200 OK"),
            _ => Answer::new("501 Not Implemented"),
        })
    }

    /// Where sessions have one name that was told, requests have to name it.
    fn names_session(&self, request: &Request) -> bool {
        let rtsp = &self.case().rtsp;
        let name = rtsp.session.split(';').next().unwrap_or("").trim();
        let told = rtsp.session_in.iter().any(|method| method == "SETUP");
        let one = told && !name.is_empty() && !name.contains("{n}");
        !one || request
            .header("session")
            .split(';')
            .next()
            .unwrap_or("")
            .trim()
            == name
    }

    async fn set_up(&mut self, request: &Request) -> anyhow::Result<Answer> {
        let client = Arc::clone(&self.client);
        let case = client.shared.case();
        let Some(track) = self.track(&request.url) else {
            return Ok(Answer::new("404 Track Not Found"));
        };
        if case.rtsp.sound_first
            && track == Track::Video
            && !self.transports.legs.contains_key(&Track::Sound)
        {
            return Ok(Answer::new("455 Method Not Valid In This State"));
        }
        for offer in request.header("transport").split(',') {
            let kind = match offer {
                o if o.contains("/TCP") => Transport::Tcp,
                o if o.contains("multicast") => Transport::Multicast,
                _ => Transport::Udp,
            };
            if !case.rtsp.transports.contains(&kind) {
                continue;
            }
            let transports = &mut self.transports;
            let rtsp = &case.rtsp;
            let transport = match (kind, client.shared.group) {
                (Transport::Tcp, _) => transports.by_tcp(rtsp, track, offer),
                (Transport::Udp, _) => transports.by_udp(rtsp, self.ends, track, offer).await?,
                (Transport::Multicast, Some(group)) => {
                    Some(transports.by_multicast(group, track).await?)
                }
                (Transport::Multicast, None) => None,
            };
            return Ok(match transport {
                Some(transport) => Answer::new("200 OK").header("Transport", &transport),
                None => Answer::new("400 Bad Request"),
            });
        }
        Ok(Answer::new("461 Unsupported Transport"))
    }

    /// Which track an address is.
    fn track(&self, url: &str) -> Option<Track> {
        let case = self.case();
        let decoded = |text: &str| text.replace("%20", " ");
        let after_host = url.split_once("://").map_or(url, |(_, rest)| rest);
        let path = after_host.split_once('/').map_or("", |(_, path)| path);
        let within = decoded(path).starts_with(&decoded(case.path()));
        if !within && !case.rtsp.any_address {
            return None;
        }
        [
            ("trackID=1", Track::Video),
            ("trackID=2", Track::Sound),
            ("trackID=3", Track::Other),
        ]
        .into_iter()
        .find_map(|(name, track)| url.contains(name).then_some(track))
    }

    /// What stands for the names in braces.
    fn places(&self, request: &Request) -> Vec<(&'static str, String)> {
        let after_host = request.url.split_once("://").map_or("", |(_, rest)| rest);
        let path = after_host.split_once('/').map_or("", |(_, path)| path);
        vec![
            ("{url}", request.url.clone()),
            ("{path}", path.to_owned()),
            ("{host}", self.client.shared.local.to_string()),
            (
                "{authorization}",
                request.header("authorization").to_owned(),
            ),
            ("{cseq}", request.header("cseq").to_owned()),
        ]
    }

    fn filled(&self, text: &str, request: &Request) -> String {
        self.places(request)
            .into_iter()
            .fold(text.to_owned(), |text, (name, value)| {
                text.replace(name, &value)
            })
    }

    async fn say(&mut self, request: &Request, answer: Answer, cseq: Cseq) -> anyhow::Result<()> {
        self.answers += 1;
        let rtsp = &self.client.shared.case().rtsp;
        let given = request.header("cseq");
        let mut lines = vec![format!("RTSP/1.0 {}", answer.status)];
        match cseq {
            Cseq::Right => lines.push(format!("CSeq: {given}")),
            Cseq::Missing => {}
            Cseq::Wrong => lines.push(format!("CSeq: {}", given.parse().unwrap_or(0_u64) + 77)),
        }
        let good = answer.status.starts_with("200");
        if good && rtsp.session_in.contains(&request.method) && !rtsp.session.is_empty() {
            let session = rtsp.session.replace("{n}", &self.answers.to_string());
            let session = match request.method.as_str() {
                "SETUP" => session.as_str(),
                _ => session.split(';').next().unwrap_or("").trim(),
            };
            lines.push(format!("Session: {session}"));
        }
        lines.extend(answer.headers);
        if !answer.body.is_empty() {
            let length = i64::try_from(answer.body.len()).unwrap_or(i64::MAX) + rtsp.length_off;
            lines.push(format!("Content-Length: {length}"));
        }
        let mut bytes = rtsp.before.clone().into_bytes();
        for line in &lines {
            bytes.extend(line.as_bytes());
            bytes.extend(rtsp.line_end.as_bytes());
        }
        bytes.extend(rtsp.line_end.as_bytes());
        bytes.extend(answer.body);
        self.client.wire.say(&bytes).await?;
        Ok(())
    }
}
