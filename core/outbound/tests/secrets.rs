//! Secrets are planted everywhere, servers send back whatever they were sent, and nothing of it comes
//! out: not in replies, states, metrics or logs.
#![allow(clippy::unwrap_used, reason = "a set-up that fails fails its test")]

mod common;

use std::io::Write;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{
    Bench, channel, http_channel, nothing_more_comes, request, response, scripted, secrets, text,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use taimat_base::Secret;
use taimat_contract::message::{Chunk, Mail, MqttPublish, Outgoing, Reply, Wire};
use taimat_outbound::{
    HttpSpec, Login, MailEncryption, MailSpec, MqttSpec, OAuth2Habits, OAuth2Spec, SignIn, Way,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const PLANTED: [&str; 9] = [
    "pl4nted/path:one",
    "pl4nted&query=two",
    "pl4nted\"body<three>",
    "pl4nted-password-four",
    "pl4nted-bearer-five",
    "pl4nted-header-six",
    "pl4nted-client-seven",
    "pl4nted-refresh-eight",
    "pl4nted-user-nine",
];

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Fails if a secret is in a text, however it is written.
fn clean(what: &str, shown: &str) {
    // What all of them begin with, in the spellings that keep it readable.
    let lower = shown.to_lowercase();
    let found = lower
        .find("pl4nted")
        .and_then(|at| lower.get(at.saturating_sub(80)..));
    assert!(found.is_none(), "{what}: {:.200}", found.unwrap_or(""));
    for secret in PLANTED {
        let spellings = [
            STANDARD.encode(secret).trim_end_matches('=').to_owned(),
            STANDARD
                .encode(format!("pl4nted-user-nine:{secret}"))
                .trim_end_matches('=')
                .to_owned(),
            utf8_percent_encode(secret, NON_ALPHANUMERIC)
                .to_string()
                .to_lowercase(),
        ];
        for spelling in spellings {
            assert!(!shown.contains(&spelling), "{what}: {spelling} in {shown}");
        }
    }
}

fn shown(reply: &Reply) -> String {
    match reply {
        Reply::Http(response) => {
            format!("{response:?} {}", String::from_utf8_lossy(&response.body))
        }
        Reply::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn what_a_server_echoes_has_no_secret() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    // As it came, in a header, as JSON with HTML's signs escaped, at the end of what is kept.
    let echo = scripted(|number, asked| {
        let head = asked
            .split("\r\n\r\n")
            .next()
            .unwrap_or("")
            .replace("\r\n", " ");
        let json = serde_json::to_string(asked).unwrap();
        let json = json
            .replace('&', "\\u0026")
            .replace('<', "\\u003c")
            .replace('>', "\\u003E");
        let fill = "x".repeat((64 << 10) - 5 - asked.len());
        match number % 3 {
            0 => response(
                "500 Internal Server Error",
                &format!("x-echo: {head}\r\n"),
                asked,
            ),
            1 => response("200 OK", "", &json),
            _ => response("404 Not Found", "", &format!("{asked}{fill}{}", PLANTED[0])),
        }
    })
    .await;
    let tokens = scripted(|number, asked| {
        let line = asked.lines().last().unwrap_or("").to_owned();
        match number {
            1 => response("200 OK", "", "{\"access_token\":\"pl4nted-access-ten\",\"refresh_token\":\"pl4nted-refresh-eleven\"}"),
            _ => response("400 Bad Request", "", &format!("{{\"error\":\"{line}\"}}")),
        }
    })
    .await;
    let bench = Bench::new();
    let sign_in = vec![
        SignIn::Basic {
            user: PLANTED[8].into(),
            password: Secret::new(PLANTED[3]),
        },
        SignIn::Header {
            name: "x-key".into(),
            secret: Secret::new(PLANTED[5]),
        },
        SignIn::Query {
            name: "q".into(),
            secret: Secret::new(PLANTED[1]),
        },
    ];
    let address = |name: &str| format!("{}/{{path}}/{name}?k={{query}}", echo.url());
    let planted = || {
        secrets(&[
            ("path", PLANTED[0]),
            ("query", PLANTED[1]),
            ("body", PLANTED[2]),
        ])
    };
    let mut signed = http_channel(
        "signed",
        &address("a"),
        HttpSpec {
            sign_in,
            ..HttpSpec::default()
        },
    );
    signed.secrets = planted();
    let bearer = vec![SignIn::Bearer(Secret::new(PLANTED[4]))];
    let mut borne = http_channel(
        "borne",
        &address("b"),
        HttpSpec {
            sign_in: bearer,
            ..HttpSpec::default()
        },
    );
    borne.secrets = planted();
    let grant = OAuth2Spec {
        token_url: format!("{}/token", tokens.url()).parse().unwrap(),
        client_id: "app".into(),
        client_secret: Some(Secret::new(PLANTED[6])),
        refresh_token: Some(Secret::new(PLANTED[7])),
        scope: String::new(),
        habits: OAuth2Habits::default(),
    };
    let mut granted = http_channel(
        "granted",
        &address("c"),
        HttpSpec {
            oauth2: Some(grant),
            ..HttpSpec::default()
        },
    );
    granted.secrets = planted();
    let mut dead = http_channel(
        "dead",
        "http://127.0.0.1:1/{path}?{query}",
        HttpSpec::default(),
    );
    dead.secrets = planted();
    bench.configure(vec![signed, borne, granted, dead]).await;
    let body = || vec![text("{\"s\":\""), Chunk::Secret("body".into()), text("\"}")];
    for name in ["signed", "borne", "granted", "dead"] {
        for _ in 0..3 {
            let reply = bench.send("k", request(name, "/x?y=1", body())).await;
            clean(name, &shown(&reply));
        }
        clean(name, &format!("{:?}", bench.status(name)));
    }
    let asked = echo.asked().join("\n");
    for planted in [
        "pl4nted/path:one",
        "pl4nted-bearer-five",
        "pl4nted-header-six",
        "pl4nted-access-ten",
    ] {
        assert!(asked.contains(planted), "{planted} was not sent");
    }
    clean("metrics", &bench.metrics());
    // A user stands in the file in clear, and is taken out of what others say only.
    let room = format!("{:?}", bench.outbound).replace(PLANTED[8], "");
    clean("the room", &room);
    clean("the log", &String::from_utf8_lossy(&log.0.lock().unwrap()));
}

/// A server that says a greeting, and sends back each thing it hears behind a prefix.
async fn parrot(greeting: &'static str, prefix: &'static str) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    #[expect(
        clippy::disallowed_methods,
        reason = "a server of a test, ended with its runtime"
    )]
    drop(tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _gone = stream.write_all(greeting.as_bytes()).await;
            let mut heard = [0; 2048];
            while let Ok(read @ 1..) = stream.read(&mut heard).await {
                let said = String::from_utf8_lossy(&heard[..read]).replace("\r\n", " ");
                let echoed = said.split_whitespace().map(|word| {
                    let decoded = STANDARD
                        .decode(word)
                        .ok()
                        .and_then(|b| String::from_utf8(b).ok());
                    decoded
                        .unwrap_or_else(|| word.to_owned())
                        .replace('\0', " ")
                });
                let echoed: Vec<String> = echoed.collect();
                let answer = format!("{prefix}{said} {}\r\n", echoed.join(" "));
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    break;
                }
            }
        }
    }));
    port
}

#[tokio::test]
async fn mail_servers_brokers_and_devices_that_echo_give_nothing_away() {
    let bench = Bench::new();
    let login = || {
        Some(Login {
            user: PLANTED[8].into(),
            password: Secret::new(PLANTED[3]),
        })
    };
    let smtp = parrot("220 hi\r\n", "250 AUTH PLAIN LOGIN ").await;
    let mail = Way::Mail(MailSpec {
        login: login(),
        from: "t@example.org".into(),
        to: vec!["*".into()],
        encryption: MailEncryption::None,
    });
    let broker = parrot("", "").await;
    let mqtt = Way::Mqtt(MqttSpec {
        login: login(),
        client_id: "t".into(),
        prefix: "taimat/thu".into(),
        discovery_prefix: None,
    });
    let device = parrot("", "").await;
    let mut wire = channel("horn", &format!("tcp://127.0.0.1:{device}"), Way::Wire);
    wire.secrets = secrets(&[("a", PLANTED[0])]);
    bench
        .configure(vec![
            channel("mail", &format!("smtp://127.0.0.1:{smtp}"), mail),
            channel("home", &format!("mqtt://127.0.0.1:{broker}"), mqtt),
            wire,
        ])
        .await;
    let messages = [
        Outgoing::Mail(Mail {
            channel: "mail".into(),
            to: vec!["a@example.org".into()],
            subject: "s".into(),
            text: "t".into(),
            html: String::new(),
            attached: Vec::new(),
            thread: String::new(),
        }),
        Outgoing::Mqtt(MqttPublish {
            channel: "home".into(),
            topic: "taimat/thu/x".into(),
            payload: vec![text("x")],
            retain: false,
        }),
        Outgoing::Wire(Wire {
            channel: "horn".into(),
            bytes: PLANTED[0].as_bytes().to_vec(),
            answer_bytes: 40,
        }),
    ];
    let mut passes = None;
    for message in messages {
        // The broker and the device never come to an end: what has come by then is all.
        if !matches!(message, Outgoing::Mail(_)) && passes.is_none() {
            passes = Some(nothing_more_comes());
        }
        let reply = bench.send("k", message.clone()).await;
        clean(message.channel(), &shown(&reply));
        clean(
            message.channel(),
            &format!("{:?}", bench.status(message.channel())),
        );
    }
    clean("metrics", &bench.metrics());
}
