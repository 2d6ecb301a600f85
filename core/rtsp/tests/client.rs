//! A client's session with cameras that answer as the field does: what does not keep pictures from
//! coming is no reason to stop.
#![allow(clippy::unwrap_used, reason = "a set-up that fails fails its test")]

use std::time::{Duration, Instant};

use taimat_base::Secret;
use taimat_base::redact::SourceUrl;
use taimat_media::{Quirk, TrackKind};
use taimat_rtsp::address::Address;
use taimat_rtsp::auth::{Authenticator, Credentials};
use taimat_rtsp::client::{Client, ClientError, ClientSpec, Event, Way};
use taimat_rtsp::keepalive::KeepAliveSpec;
use taimat_rtsp::reader::{Item, Limits, Reader};
use taimat_rtsp::{Method, Request, Response};

const SDP: &str = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\na=control:*\r\n\
    m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:trackID=1\r\n\
    m=audio 0 RTP/AVP 8\r\na=control:trackID=2\r\n";

/// A client, and what it has said so far to a camera that is a function from requests to answers.
struct Bench {
    client: Client,
    reader: Reader,
    now: Instant,
    asked: Vec<Request>,
    events: Vec<Event>,
}

impl Bench {
    fn new(ways: &[Way]) -> Self {
        let now = taimat_base::clock::now();
        let credentials = Credentials {
            user: "admin".to_owned(),
            password: Secret::new("pw"),
        };
        let spec = ClientSpec {
            address: Address::new(&SourceUrl::new("rtsp://192.0.2.1/cam".parse().unwrap()))
                .unwrap(),
            user_agent: "test".to_owned(),
            ways: ways.to_vec(),
            sound: true,
            video: None,
            keep_alive: KeepAliveSpec::default(),
            answer_timeout: Duration::from_secs(5),
        };
        Self {
            client: Client::new(spec, Authenticator::new(Some(credentials), 1), now),
            reader: Reader::new(Limits::server()),
            now,
            asked: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Lets the two talk until nobody has anything to say.
    fn run(
        &mut self,
        mut camera: impl FnMut(&Request) -> Option<Response>,
    ) -> Result<(), ClientError> {
        loop {
            while let Some(event) = self.client.event() {
                if let Event::NeedPorts(kind) = event {
                    let port = if kind == TrackKind::Video { 5000 } else { 5002 };
                    self.client.ports(kind, port, port + 1, self.now);
                }
                self.events.push(event);
            }
            let Some(bytes) = self.client.output() else {
                return Ok(());
            };
            self.reader.buffer().extend_from_slice(&bytes);
            while let Some(item) = self.reader.next().unwrap() {
                let Item::Request(request) = item else {
                    continue;
                };
                let cseq = request.headers.get("CSeq").unwrap().to_owned();
                self.asked.push(request.clone());
                if let Some(mut answer) = camera(&request) {
                    if answer.headers.get("CSeq").is_none() {
                        answer = answer.with("CSeq", cseq);
                    }
                    self.client.response(&answer, self.now)?;
                }
            }
        }
    }

    fn later(&mut self, seconds: u64) -> Result<(), ClientError> {
        self.now += Duration::from_secs(seconds);
        self.client.tick(self.now)
    }

    fn methods(&self) -> Vec<&str> {
        self.asked.iter().map(|r| r.method.as_str()).collect()
    }

    fn plays(&self) -> bool {
        self.events.contains(&Event::Playing)
    }
}

/// What a camera without faults answers.
fn good(request: &Request) -> Response {
    let session = || Response::new(200).with("Session", "12;timeout=60");
    match request.method {
        Method::Options => Response::new(200).with("Public", "OPTIONS, DESCRIBE, SETUP, PLAY"),
        Method::Describe => Response {
            body: SDP.into(),
            ..Response::new(200).with("Content-Type", "application/sdp")
        },
        Method::Setup => {
            let transport = request.headers.get("Transport").unwrap();
            session().with("Transport", transport)
        }
        _ => session(),
    }
}

#[test]
fn a_camera_without_faults_plays() {
    let mut bench = Bench::new(&[Way::Tcp]);
    bench.run(|r| Some(good(r))).unwrap();
    assert!(bench.plays() && bench.client.is_playing());
    let methods = ["OPTIONS", "DESCRIBE", "SETUP", "SETUP", "PLAY"];
    assert_eq!(bench.methods(), methods);
    assert_eq!(bench.client.quirks(), Default::default());
    let mut route = |channel, payload_type: u8| {
        let route = bench.client.route(channel, &[0x80, payload_type, 0, 1]);
        route.map(|r| (r.kind, r.control))
    };
    assert_eq!(route(0, 96), Some((TrackKind::Video, false)));
    assert_eq!(route(1, 200), Some((TrackKind::Video, true)));
    assert_eq!(route(2, 8), Some((TrackKind::Audio, false)));
    // A channel that was not agreed on still has a payload type.
    assert_eq!(route(9, 96), Some((TrackKind::Video, false)));
    assert_eq!(route(9, 33), None);
}

#[test]
fn keeps_the_session_alive_and_lives_without_answers() {
    let mut bench = Bench::new(&[Way::Tcp]);
    bench.run(|r| Some(good(r))).unwrap();
    for _ in 0..10 {
        bench.later(31).unwrap();
        bench.run(|_| None).unwrap();
    }
    assert_eq!(bench.methods()[5..], ["OPTIONS"; 10]);
    assert!(bench.client.is_playing());
    assert!(bench.client.quirks().count(Quirk::SilentKeepAlive) > 5);
}

#[test]
fn nonces_that_are_good_once_are_enough() {
    let mut bench = Bench::new(&[Way::Tcp]);
    let (mut nonce, mut used) = (0, true);
    let camera = |request: &Request| {
        let answer = request.headers.get("Authorization");
        let fresh = answer.is_some_and(|a| a.contains(&format!("\"n{nonce}\""))) && !used;
        if fresh {
            used = true;
            return Some(good(request));
        }
        nonce += 1;
        used = false;
        let stale = if nonce > 1 { "true" } else { "false" };
        let challenge = format!("Digest realm=\"x\", nonce=\"n{nonce}\", stale={stale}");
        Some(Response::new(401).with("WWW-Authenticate", challenge))
    };
    bench.run(camera).unwrap();
    assert!(bench.plays(), "{:?}", bench.methods());
}

#[test]
fn a_wrong_password_is_tried_once() {
    let mut bench = Bench::new(&[Way::Tcp]);
    let camera = |_: &Request| {
        Some(Response::new(401).with("WWW-Authenticate", "Digest realm=\"x\", nonce=\"n\""))
    };
    let error = bench.run(camera).unwrap_err();
    assert!(matches!(error, ClientError::Auth(_)), "{error:?}");
    let signed = |r: &&Request| r.headers.get("Authorization").is_some();
    assert_eq!(
        bench.asked.iter().filter(signed).count(),
        1,
        "cameras lock accounts"
    );
}

#[test]
fn refused_tcp_becomes_udp_in_the_same_session() {
    for status in [461, 400, 500] {
        let mut bench = Bench::new(&[Way::Tcp, Way::Udp]);
        let camera = |request: &Request| {
            let transport = request.headers.get("Transport");
            let tcp = transport.is_some_and(|t| t.contains("TCP"));
            Some(if tcp {
                Response::new(status)
            } else {
                good(request)
            })
        };
        bench.run(camera).unwrap();
        assert!(bench.plays());
        assert_eq!(bench.client.quirks().count(Quirk::TransportRefused), 1);
        let agreed = bench.events.iter().filter_map(|e| match e {
            Event::Agreed(_, agreed) => Some(agreed.way),
            _ => None,
        });
        assert_eq!(agreed.collect::<Vec<_>>(), [Way::Udp, Way::Udp]);
    }
    let mut only = Bench::new(&[Way::Tcp]);
    let error = only.run(|r| match r.method {
        Method::Setup => Some(Response::new(461)),
        _ => Some(good(r)),
    });
    assert!(matches!(error, Err(ClientError::NoWay(_))), "{error:?}");
}

#[test]
fn no_room_is_said_and_not_worked_around() {
    let mut bench = Bench::new(&[Way::Tcp, Way::Udp]);
    let error = bench.run(|r| match r.method {
        Method::Setup => Some(Response::new(453)),
        _ => Some(good(r)),
    });
    let said = matches!(error, Err(ClientError::Status { status: 453, .. }));
    assert!(said, "{error:?}");
}

#[test]
fn refused_sound_costs_the_sound() {
    let mut bench = Bench::new(&[Way::Tcp]);
    let camera = |request: &Request| {
        let sound = request.uri.ends_with("trackID=2");
        Some(if sound {
            Response::new(404)
        } else {
            good(request)
        })
    };
    bench.run(camera).unwrap();
    assert!(bench.plays());
    assert!(bench.events.iter().any(|e| matches!(e, Event::NoSound(_))));
    assert_eq!(bench.client.quirks().count(Quirk::RefusedSound), 1);
}

#[test]
fn answers_without_numbers_sessions_or_transports_do() {
    let mut bench = Bench::new(&[Way::Tcp]);
    let camera = |request: &Request| {
        let mut answer = good(request);
        answer.headers = taimat_rtsp::Headers::default();
        Some(answer.with("CSeq", "999"))
    };
    bench.run(camera).unwrap();
    assert!(bench.plays());
    let quirks = bench.client.quirks();
    assert!(quirks.count(Quirk::WrongCseq) >= 4);
    assert_eq!(quirks.count(Quirk::OtherTransport), 2);
}

#[test]
fn the_session_that_a_camera_means_is_found() {
    let mut bench = Bench::new(&[Way::Tcp]);
    let mut setups = 0;
    let camera = |request: &Request| match request.method {
        Method::Setup => {
            setups += 1;
            let session = format!("s{setups}");
            let transport = request.headers.get("Transport").unwrap();
            let answer = Response::new(200).with("Transport", transport);
            Some(answer.with("Session", session))
        }
        Method::Play if request.headers.get("Session") != Some("s1") => Some(Response::new(454)),
        _ => Some(good(request)),
    };
    bench.run(camera).unwrap();
    assert!(bench.plays(), "{:?}", bench.methods());
    assert!(bench.client.quirks().count(Quirk::OddSession) > 0);
}

#[test]
fn redirects_are_followed_within_the_host() {
    let mut bench = Bench::new(&[Way::Tcp]);
    bench
        .run(|r| match r.method {
            Method::Describe if !r.uri.ends_with("/moved") => {
                Some(Response::new(302).with("Location", "rtsp://192.0.2.1/moved"))
            }
            _ => Some(good(r)),
        })
        .unwrap();
    assert!(bench.plays());
    for (location, other_port) in [
        ("rtsp://192.0.2.1:8554/moved", true),
        ("rtsp://192.0.2.99/moved", false),
        ("http://192.0.2.1/moved", false),
    ] {
        let mut bench = Bench::new(&[Way::Tcp]);
        let error = bench
            .run(|r| match r.method {
                Method::Describe => Some(Response::new(302).with("Location", location)),
                _ => Some(good(r)),
            })
            .unwrap_err();
        let moved = matches!(error, ClientError::Moved(_));
        assert_eq!(moved, other_port, "{location}: {error:?}");
    }
}

#[test]
fn silence_is_named_by_what_was_asked() {
    let mut bench = Bench::new(&[Way::Tcp]);
    bench.run(|_| None).unwrap();
    // Without an answer to OPTIONS the camera is still asked what it has.
    bench.later(3).unwrap();
    bench.run(|_| None).unwrap();
    assert_eq!(bench.methods(), ["OPTIONS", "DESCRIBE"]);
    let error = bench.later(6).unwrap_err();
    assert_eq!(error, ClientError::NoAnswer("DESCRIBE"));
}

#[test]
fn pictures_say_more_than_an_answer_to_play() {
    let mut bench = Bench::new(&[Way::Tcp]);
    bench
        .run(|r| (r.method != Method::Play).then(|| good(r)))
        .unwrap();
    assert!(bench.client.route(0, &[0x80, 96, 0, 1]).is_some());
    bench.later(6).unwrap();
    assert!(bench.client.is_playing());
}

#[test]
fn who_asks_is_answered_and_who_floods_is_not() {
    let mut bench = Bench::new(&[Way::Tcp]);
    bench.run(|r| Some(good(r))).unwrap();
    let ask = Request::new(Method::Options, "*").with("CSeq", "7");
    bench.client.request(&ask, bench.now);
    let answer = String::from_utf8(bench.client.output().unwrap()).unwrap();
    assert!(
        answer.starts_with("RTSP/1.0 200") && answer.contains("CSeq: 7"),
        "{answer}"
    );
    for _ in 0..10_000 {
        bench.client.request(&ask, bench.now);
    }
    assert!(bench.client.output().unwrap().len() < 4096);
}

#[test]
fn says_goodbye() {
    let mut bench = Bench::new(&[Way::Tcp]);
    bench.run(|r| Some(good(r))).unwrap();
    bench.client.teardown(bench.now);
    bench.run(|r| Some(good(r))).unwrap();
    assert_eq!(bench.asked.last().unwrap().method, Method::Teardown);
    assert_eq!(bench.events.last(), Some(&Event::Ended));
}
