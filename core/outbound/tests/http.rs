//! Messages by HTTP reach who they are for, signed in, once, and bad servers harm nobody.

mod common;

use std::time::Duration;

use common::{
    Bench, answered, desk, failed, http_channel, listener, nothing_more_comes, picture, refused,
    request, response, scripted, secrets, text, with_headers,
};
use taimat_base::{Secret, clock};
use taimat_contract::message::{Body, Chunk, Field, HttpRequest, Outgoing, RequestHead};
use taimat_outbound::{HttpSpec, OutboundConfig, SignIn};
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn a_request_is_signed_in_and_has_its_key() {
    let server =
        scripted(|_, _| response("200 OK", "x-a: 1\r\nset-cookie: s=1\r\n", "{\"ok\":true}")).await;
    let bench = Bench::new();
    let spec = HttpSpec {
        sign_in: vec![
            SignIn::Basic {
                user: "u".into(),
                password: Secret::new("p4ssw0rd"),
            },
            SignIn::Header {
                name: "x-api-key".into(),
                secret: Secret::new("k3y-k3y"),
            },
            SignIn::Query {
                name: "key".into(),
                secret: Secret::new("q&ry=1"),
            },
        ],
        ..HttpSpec::default()
    };
    let mut channel = http_channel("desk", &format!("{}/bot{{token}}/", server.url()), spec);
    channel.secrets = secrets(&[("token", "12:t0ken")]);
    bench.configure(vec![channel]).await;
    let headers = [
        ("content-type", "application/json"),
        ("x-api-key", "mine"),
        ("accept-encoding", "gzip"),
    ];
    let body = vec![
        text("{\"t\":\""),
        Chunk::Secret("token".into()),
        text("\"}"),
    ];
    let message = with_headers("desk", "/send?a=1", &headers, body);
    let answer = answered(bench.send("task-1", message).await);
    assert_eq!(
        (answer.status, answer.body.as_slice()),
        (200, &b"{\"ok\":true}"[..])
    );
    let names: Vec<&str> = answer.headers.iter().map(|h| h.key.as_str()).collect();
    assert_eq!(names, ["content-length", "x-a"]);
    let asked = server.asked().remove(0);
    let expected = [
        "POST /bot12:t0ken/send?a=1&key=q%26ry%3D1 HTTP/1.1\r\n",
        "authorization: Basic dTpwNHNzdzByZA==\r\n",
        "x-api-key: k3y-k3y\r\n",
        "idempotency-key: task-1\r\n",
        "content-type: application/json\r\n",
        "user-agent: taimat/",
        "accept-encoding: identity\r\n",
        "\r\n\r\n{\"t\":\"12:t0ken\"}",
    ];
    for part in expected {
        assert!(asked.contains(part), "{part} is not in {asked}");
    }
    assert!(
        !asked.contains("mine") && !asked.contains("gzip"),
        "{asked}"
    );
    assert_eq!(bench.sent("desk", "delivered"), 1);
    assert!(bench.status("desk").last_success.is_some());
}

#[tokio::test]
async fn a_form_brings_the_picture() {
    let server = scripted(|_, _| response("200 OK", "", "")).await;
    let bench = desk(&server.url()).await;
    let field = |name: &str, content| Field {
        name: name.into(),
        file_name: String::new(),
        content_type: String::new(),
        content,
    };
    let message = Outgoing::Http(HttpRequest {
        channel: "desk".into(),
        head: RequestHead {
            method: "POST".into(),
            path: "/sendPhoto".into(),
            headers: Vec::new(),
        },
        body: Body::Form(vec![
            field("chat_id", vec![text("7")]),
            field("photo", vec![Chunk::Media(picture("e"))]),
        ]),
    });
    assert_eq!(answered(bench.send("k", message).await).status, 200);
    let asked = server.asked.lock().unwrap().remove(0);
    assert!(
        asked
            .windows(common::JPEG.len())
            .any(|window| window == common::JPEG)
    );
    let gone = request("desk", "/", vec![Chunk::Media(picture("gone"))]);
    assert_eq!(
        failed(bench.send("k", gone).await),
        "the picture is not there"
    );
    assert_eq!(server.asked().len(), 0);
}

#[tokio::test]
async fn redirects_are_not_followed_and_busy_servers_are_heard() {
    let aim = scripted(|_, _| response("200 OK", "", "inside")).await;
    let location = format!("location: {}/admin\r\n", aim.url());
    let server = scripted(move |number, _| match number {
        1 => response("307 Temporary Redirect", &location, ""),
        _ => response("429 Too Many Requests", "retry-after: 17\r\n", "{}"),
    })
    .await;
    let bench = desk(&server.url()).await;
    assert_eq!(
        answered(bench.send("k", request("desk", "", Vec::new())).await).status,
        307
    );
    assert!(aim.asked().is_empty());
    let busy = answered(bench.send("k", request("desk", "", Vec::new())).await);
    let retry = busy
        .headers
        .iter()
        .find(|h| h.key == "retry-after")
        .unwrap();
    assert_eq!((busy.status, retry.value.as_str()), (429, "17"));
    assert_eq!(
        (bench.sent("desk", "redirected"), bench.sent("desk", "busy")),
        (1, 1)
    );
    assert_eq!(
        bench.status("desk").last_error.as_deref(),
        Some("the server answers 429")
    );
}

#[tokio::test]
async fn an_answer_is_cut_and_garbage_is_none() {
    let server = scripted(|_, request| {
        if request.contains("/large") {
            let mut bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n".to_vec();
            bytes.extend(vec![b'x'; 8 << 20]);
            return bytes;
        }
        if request.contains("/headers") {
            let many: String = (0..200).map(|n| format!("x-{n}: {n}\r\n")).collect();
            return response("200 OK", &many, "");
        }
        if request.contains("/endless-headers") {
            return [b"HTTP/1.1 200 OK\r\n".to_vec(), b"x: y\r\n".repeat(200_000)].concat();
        }
        if request.contains("/packed") {
            return response("200 OK", "content-encoding: gzip\r\n", "whatever");
        }
        b"SSH-2.0-OpenSSH_9.2\r\n\x00\xff".to_vec()
    })
    .await;
    let bench = desk(&server.url()).await;
    let send = async |path: &str| bench.send("k", request("desk", path, Vec::new())).await;
    let began = clock::now();
    let large = answered(send("/large").await);
    assert_eq!((large.status, large.body.len()), (200, 64 << 10));
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(answered(send("/headers").await).headers.len(), 64);
    assert!(failed(send("/endless-headers").await).contains("no answer by HTTP"));
    assert!(answered(send("/packed").await).body.is_empty());
    assert!(failed(send("/garbage").await).contains("no answer by HTTP"));
    assert_eq!(bench.sent("desk", "garbage"), 2);
}

#[tokio::test]
async fn a_server_that_hangs_is_left_in_time() {
    let (listener, url) = listener("http").await;
    let bench = desk(&url).await;
    let began = clock::now();
    let sending = bench.send("k", request("desk", "", Vec::new()));
    let hanging = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        common::read_request(&mut stream).await;
        // The head is enough to know that it was taken.
        stream
            .write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 9\r\n\r\npart")
            .await
            .unwrap();
        (stream, nothing_more_comes())
    };
    let (reply, _held) = tokio::join!(sending, hanging);
    let answer = answered(reply);
    assert_eq!((answer.status, answer.body.as_slice()), (202, &b"part"[..]));
    let took = clock::now() - began;
    assert!((14..17).contains(&took.as_secs()), "{took:?}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_left_in_time() {
    let (listener, url) = listener("http").await;
    let bench = desk(&url).await;
    let silent = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        common::read_request(&mut stream).await;
        (stream, nothing_more_comes())
    };
    let (reply, _held) = tokio::join!(bench.send("k", request("desk", "", Vec::new())), silent);
    assert!(failed(reply).contains("no answer in time"));
    assert_eq!(bench.sent("desk", "late"), 1);
}

#[tokio::test]
async fn nothing_private_is_reached_unless_listed() {
    let server = scripted(|_, _| response("200 OK", "", "inside")).await;
    let port = server.address.port();
    let bench = Bench::with(OutboundConfig::default());
    let hosts = [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "[::ffff:127.0.0.1]",
        "[::1]",
        "0.0.0.0",
    ];
    for host in hosts {
        let url = format!("http://{host}:{port}/");
        bench
            .configure(vec![http_channel("desk", &url, HttpSpec::default())])
            .await;
        let why = failed(bench.send("k", request("desk", "", Vec::new())).await);
        assert!(why.contains("not a public one"), "{host}: {why}");
        assert!(!why.contains("127.0.0.1"), "{why}");
        assert!(
            bench
                .status("desk")
                .last_error
                .unwrap()
                .contains("--allow-network"),
            "{host}"
        );
    }
    // The router's own socket, within a network that is listed.
    let bench = Bench::with(OutboundConfig {
        allowed: vec!["127.0.0.0/8".parse().unwrap()],
        own: vec![format!("0.0.0.0:{port}").parse().unwrap()],
        ..OutboundConfig::default()
    });
    bench
        .configure(vec![http_channel(
            "desk",
            &server.url(),
            HttpSpec::default(),
        )])
        .await;
    let why = failed(bench.send("k", request("desk", "", Vec::new())).await);
    assert_eq!(why, "the address is the router's own");
    assert!(server.asked().is_empty());
    assert_eq!(bench.sent("desk", "guarded"), 1);
}

#[tokio::test]
async fn a_plugin_stays_within_the_channel() {
    let server = scripted(|_, _| response("200 OK", "", "")).await;
    let bench = desk(&format!("{}/hook", server.url())).await;
    for path in [
        "/../admin",
        "/%2e%2e/admin",
        "//other.example/x",
        "http://127.0.0.1:1/hook",
    ] {
        let why = refused(bench.send("k", request("desk", path, Vec::new())).await);
        assert!(why.starts_with("the path"), "{path}: {why}");
    }
    let Outgoing::Http(mut trace) = request("desk", "", Vec::new()) else {
        panic!()
    };
    trace.head.method = "TRACE".into();
    assert!(refused(bench.send("k", Outgoing::Http(trace)).await).contains("TRACE"));
    assert!(failed(bench.send("k", request("other", "", Vec::new())).await).contains("no channel"));
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn a_channel_without_its_secret_says_so() {
    let bench = Bench::new();
    let mut channel = http_channel("desk", "http://127.0.0.1:1/", HttpSpec::default());
    channel.missing = vec!["environment variable DESK is not set".into()];
    bench.configure(vec![channel]).await;
    let why = failed(bench.send("k", request("desk", "", Vec::new())).await);
    assert_eq!(why, "environment variable DESK is not set");
    assert_eq!(bench.status("desk").unready.as_deref(), Some(why.as_str()));
    bench.configure(Vec::new()).await;
    assert!(!bench.metrics().contains("desk"));
}
