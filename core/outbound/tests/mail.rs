//! Mail with a server that others wrote, aiosmtpd: taken, refused, put off, with TLS and without.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a set-up that fails fails its test"
)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{
    Authority, Bench, Program, authority, channel, failed, free_port, listening, picture, refused,
    start,
};
use taimat_base::Secret;
use taimat_contract::message::{Mail, Outgoing, Reply};
use taimat_outbound::{ChannelSpec, Login, MailEncryption, MailSpec, Trust, Way};
use tempfile::TempDir;

struct Server {
    _program: Program,
    folder: TempDir,
    port: u16,
    made: Authority,
}

impl Server {
    async fn start(mode: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = authority(folder.path());
        let port = free_port();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/smtp_server.py");
        // Debian's own, which has the package.
        let program = start(
            Command::new("/usr/bin/python3")
                .arg(script)
                .arg(port.to_string())
                .arg(folder.path())
                .arg(mode)
                .args([
                    folder.path().join("cert.pem"),
                    folder.path().join("key.pem"),
                ]),
        );
        listening(port).await;
        Self {
            _program: program,
            folder,
            port,
            made,
        }
    }

    fn channel(&self, scheme: &str, encryption: MailEncryption) -> ChannelSpec {
        let spec = MailSpec {
            login: Some(Login {
                user: "taimat".into(),
                password: Secret::new("m4il-pass"),
            }),
            from: "Tai mắt <taimat@example.org>".into(),
            to: vec!["*@Example.org".into(), "one@other.example".into()],
            encryption,
        };
        let url = format!("{scheme}://localhost:{}", self.port);
        let mut channel = channel("mail", &url, Way::Mail(spec));
        channel.trust = Trust::Authorities(self.made.ca.clone().into());
        channel
    }

    fn mails(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        let mut files: Vec<PathBuf> = files.map(|f| f.unwrap().path()).collect();
        files.retain(|f| f.extension().is_some_and(|e| e == "eml"));
        files.sort();
        files
            .iter()
            .map(|f| String::from_utf8(std::fs::read(f).unwrap()).unwrap())
            .collect()
    }
}

fn mail(to: &str) -> Mail {
    Mail {
        channel: "mail".into(),
        to: vec![to.into()],
        subject: "Cảnh báo: có người ở cổng".into(),
        text: "Có người ở cổng.".into(),
        html: "<p>Có người ở cổng. <img src=\"cid:1\"></p>".into(),
        attached: vec![picture("e")],
        thread: "event-7".into(),
    }
}

fn header<'m>(mail: &'m str, name: &str) -> &'m str {
    let start = format!("{name}: ");
    let mut lines = mail
        .lines()
        .filter_map(|line| line.strip_prefix(start.as_str()));
    lines
        .next()
        .unwrap_or_else(|| panic!("no {name} in {mail}"))
}

#[tokio::test]
async fn a_mail_is_whole_and_the_same_at_every_attempt() {
    let server = Server::start("plain").await;
    let bench = Bench::new();
    bench
        .configure(vec![server.channel("smtp", MailEncryption::None)])
        .await;
    for (key, to) in [
        ("task-1", "a@example.org"),
        ("task-1", "a@example.org"),
        ("task-2", "one@other.example"),
    ] {
        let reply = bench.send(key, Outgoing::Mail(mail(to))).await;
        assert_eq!(reply, Reply::Accepted("250 2.0.0 queued as 4711".into()));
    }
    let mails = server.mails();
    let ids: Vec<&str> = mails
        .iter()
        .map(|mail| header(mail, "Message-ID"))
        .collect();
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[0], ids[2]);
    assert!(ids[0].ends_with("@example.org>"));
    assert_eq!(
        header(&mails[0], "References"),
        header(&mails[2], "In-Reply-To")
    );
    assert_eq!(header(&mails[0], "X-Taimat-Key"), "task-1");
    for part in [
        "multipart/alternative",
        "multipart/related",
        "Content-ID: <1>",
        "Content-Type: image/jpeg",
        "Content-Disposition: inline",
    ] {
        assert!(mails[0].contains(part), "{part} is not in {}", mails[0]);
    }
    let plain = Mail {
        html: String::new(),
        attached: Vec::new(),
        thread: String::new(),
        ..mail("a@example.org")
    };
    assert!(matches!(
        bench.send("k", Outgoing::Mail(plain)).await,
        Reply::Accepted(_)
    ));
    assert!(!server.mails()[3].contains("References"));
}

#[tokio::test]
async fn refusals_are_told_apart_and_recipients_are_the_channels() {
    let server = Server::start("plain").await;
    let bench = Bench::new();
    bench
        .configure(vec![server.channel("smtp", MailEncryption::None)])
        .await;
    let send = async |to: &str| bench.send("k", Outgoing::Mail(mail(to))).await;
    // What is put off waits; what is refused is refused for good, with the server's words, and cut.
    let later = failed(send("later@example.org").await);
    assert!(later.contains("451 4.7.1 greylisted"), "{later}");
    for (to, words) in [
        ("nobody@example.org", "550 5.1.1 no such user here"),
        ("spam@example.org", "554 5.7.1 this looks like spam"),
        ("talker@example.org", "550 talks and talks and talks"),
    ] {
        let why = refused(send(to).await);
        assert!(why.contains(words), "{why}");
        assert!(why.len() < 500, "{}", why.len());
    }
    let send = async |to: &str| refused(send(to).await);
    for to in [
        "a@evil.example",
        "a@example.org.evil.example",
        "two@other.example",
    ] {
        assert_eq!(
            send(to).await,
            "a recipient is none that the channel allows"
        );
    }
    for to in [
        "a",
        "a@example.org, b@evil.example",
        "<a@example.org>\u{a0}",
        "",
    ] {
        assert!(send(to).await.starts_with("a recipient is no"), "{to}");
    }
    assert_eq!(
        (
            bench.sent("mail", "refused"),
            bench.sent("mail", "busy"),
            bench.sent("mail", "unfit")
        ),
        (3, 1, 7)
    );
    assert!(server.mails().is_empty());
    let mut wrong = server.channel("smtp", MailEncryption::None);
    let Way::Mail(spec) = &mut wrong.way else {
        panic!()
    };
    spec.login = Some(Login {
        user: "taimat".into(),
        password: Secret::new("wr0ng-pass"),
    });
    bench.configure(vec![wrong]).await;
    let why = failed(bench.send("k", Outgoing::Mail(mail("a@example.org"))).await);
    // The password is the channel's, and somebody may mend it: it is no fault of this mail.
    assert!(why.contains("535"), "{why}");
}

#[tokio::test]
async fn tls_is_there_from_the_first_byte_or_by_starttls() {
    let bench = Bench::new();
    for (mode, scheme, encryption) in [
        ("implicit", "smtps", MailEncryption::Implicit),
        ("starttls", "smtp", MailEncryption::StartTls),
    ] {
        let server = Server::start(mode).await;
        bench
            .configure(vec![server.channel(scheme, encryption)])
            .await;
        let reply = bench.send("k", Outgoing::Mail(mail("a@example.org"))).await;
        assert!(matches!(reply, Reply::Accepted(_)), "{mode}: {reply:?}");
        assert_eq!(server.mails().len(), 1);
        let mut untrusting = server.channel(scheme, encryption);
        untrusting.trust = Trust::System;
        bench.configure(vec![untrusting]).await;
        let why = failed(bench.send("k", Outgoing::Mail(mail("a@example.org"))).await);
        assert!(why.contains("not trusted"), "{mode}: {why}");
        assert_eq!(server.mails().len(), 1);
    }
    assert_eq!(bench.sent("mail", "untrusted"), 1);
    let plain = Server::start("plain").await;
    bench
        .configure(vec![plain.channel("smtp", MailEncryption::StartTls)])
        .await;
    let why = failed(bench.send("k", Outgoing::Mail(mail("a@example.org"))).await);
    assert_eq!(why, "the mail server has no STARTTLS");
    assert!(plain.mails().is_empty());
}
