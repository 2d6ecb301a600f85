//! The cameras of `commune.toml`.

use std::time::Duration;

use taimat_base::redact::SourceUrl;
use taimat_base::units::{ByteSize, Span};
use taimat_base::{CameraId, CameraKey, CommuneId, Profile};
use taimat_contract::commune::Zone;
use taimat_hub::{ChannelKey, Limits};
use taimat_ingest::{
    AfterRefusal, ClockTrust, Credentials, KeepAliveBy, KeepAliveSpec, Mode, SourceSpec, Transport,
    Trust,
};
use toml_edit::Item;
use url::Url;

use super::named::{self, SOURCES};
use super::reader::{Reader, Section, key_span};
use super::zones;

/// A camera as the file says it.
#[derive(Debug, Clone, PartialEq)]
pub struct Camera {
    /// Its name in URLs.
    pub id: CameraId,
    /// Its name for people.
    pub title: String,
    /// What `ingest` has to run.
    pub sources: Vec<SourceSpec>,
    /// What people say of it, for plugins.
    pub tags: Vec<String>,
    /// Parts of its picture that people drew.
    pub zones: Vec<Zone>,
}

/// Cameras in a commune at most: a file with more was not written for this.
const MAX_CAMERAS: usize = 2000;
/// No camera has more video tracks than this.
const MAX_TRACKS: f64 = 16.0;
/// Schemes of cameras' addresses.
pub(crate) const SCHEMES: [&str; 4] = ["rtsp", "rtsps", "rtsp+http", "rtsp+https"];
const SETTINGS: [&str; 23] = [
    "archive",
    "title",
    "main",
    "sub",
    "user",
    "password",
    "tls",
    "transport",
    "track",
    "keep-alive",
    "keep-alive-every",
    "user-agent",
    "clock",
    "run",
    "linger",
    "audio",
    "connect-timeout",
    "stall-timeout",
    "keyframe-timeout",
    "wrong-password",
    "buffer",
    "tags",
    "zone",
];

/// Reads the section `[camera]`.
pub(super) fn read<'a>(
    reader: &mut Reader<'a>,
    section: &Section<'a>,
    commune: &CommuneId,
) -> Vec<Camera> {
    let mut cameras = Vec::new();
    for (key, _) in section.table.iter() {
        let span = key_span(section.table, key);
        if cameras.len() >= MAX_CAMERAS {
            let hint = "spread them over several communes";
            reader.problem(span, format!("more than {MAX_CAMERAS} cameras"), hint);
            break;
        }
        let id: CameraId = match key.parse() {
            Ok(id) => id,
            Err(error) => {
                let hint = "for example [camera.nguyen-du-1]";
                reader.problem(span, format!("camera name {key:?}: {error}"), hint);
                continue;
            }
        };
        let name = format!("[camera.{id}]");
        if let Some(section) = reader.section(section, key, name) {
            cameras.extend(camera(reader, &section, commune, id));
        }
    }
    cameras
}

fn camera<'a>(
    reader: &mut Reader<'a>,
    section: &Section<'a>,
    commune: &CommuneId,
    id: CameraId,
) -> Option<Camera> {
    reader.only(section, &SETTINGS);
    let title = reader
        .text(section, "title")
        .unwrap_or(id.as_str())
        .to_owned();
    reader.required(section, "main", "\"rtsp://192.0.2.11/main\"");
    let main = address(reader, section, "main");
    let sub = address(reader, section, "sub");
    let (tags, zones) = (
        zones::camera_tags(reader, section),
        zones::zones(reader, section),
    );
    let source = settings(reader, section, CameraKey::new(commune.clone(), id.clone()));
    let mut sources = vec![source(Profile::Main, main?)];
    sources.extend(sub.map(|url| SourceSpec {
        // Which of several lenses is the full picture's matter; a sub-stream has its own address.
        video: None,
        ..source(Profile::Sub, url)
    }));
    Some(Camera {
        id,
        title,
        sources,
        tags,
        zones,
    })
}

/// Everything that a camera's sources have in common; what it returns adds an address.
fn settings<'a>(
    reader: &mut Reader<'a>,
    section: &Section<'a>,
    camera: CameraKey,
) -> impl Fn(Profile, SourceUrl) -> SourceSpec {
    let credentials = credentials(reader, section);
    let trust = trust(reader, section);
    let transports = [
        ("tcp", Transport::Tcp),
        ("udp", Transport::Udp),
        ("tcp-only", Transport::TcpOnly),
        ("udp-only", Transport::UdpOnly),
        ("multicast", Transport::Multicast),
    ];
    let transport = reader.choice(section, "transport", &transports);
    let keep_alive = [
        ("auto", KeepAliveBy::Auto),
        ("options", KeepAliveBy::Options),
        ("get-parameter", KeepAliveBy::GetParameter),
        ("set-parameter", KeepAliveBy::SetParameter),
        ("off", KeepAliveBy::Off),
    ];
    let by = reader.choice(section, "keep-alive", &keep_alive);
    let clocks = [
        ("auto", ClockTrust::Auto),
        ("camera", ClockTrust::Camera),
        ("router", ClockTrust::Arrival),
    ];
    let clock = reader.choice(section, "clock", &clocks);
    let refusals = [("wait", AfterRefusal::Wait), ("stop", AfterRefusal::Stop)];
    let after_refusal = reader.choice(section, "wrong-password", &refusals);
    let linger = duration(reader, section, "linger").unwrap_or(Duration::from_secs(10));
    let modes = [
        ("always", Mode::Always),
        ("on-demand", Mode::OnDemand { linger }),
    ];
    let mode = reader.choice(section, "run", &modes);
    let mut time =
        |key, default| duration(reader, section, key).unwrap_or(Duration::from_secs(default));
    let connect_timeout = time("connect-timeout", 5);
    let stall_timeout = time("stall-timeout", 4);
    let keyframe_timeout = time("keyframe-timeout", 20);
    let every = duration(reader, section, "keep-alive-every");
    let video = track(reader, section);
    let user_agent = user_agent(reader, section);
    let audio = reader.flag(section, "audio").unwrap_or(false);
    let limits = buffer(reader, section);
    move |profile, url| SourceSpec {
        key: ChannelKey::new(camera.clone(), profile),
        url,
        credentials: credentials.clone(),
        trust: trust.clone(),
        transport: transport.unwrap_or_default(),
        video,
        keep_alive: KeepAliveSpec {
            by: by.unwrap_or_default(),
            every,
        },
        user_agent: user_agent.clone(),
        clock: clock.unwrap_or_default(),
        mode: mode.unwrap_or(Mode::Always),
        connect_timeout,
        stall_timeout,
        keyframe_timeout,
        after_refusal: after_refusal.unwrap_or_default(),
        audio,
        limits,
    }
}

fn duration<'a>(reader: &mut Reader<'a>, section: &Section<'a>, key: &str) -> Option<Duration> {
    const LONGEST: Duration = Duration::from_secs(3600);
    let Span(value) = reader.parsed(section, key, &format!("{key} = \"5s\""))?;
    if value.is_zero() || value > LONGEST {
        let span = section.table.get(key).and_then(Item::span);
        let message = format!("`{key}` of {} has to be between 1ms and 1h", section.name);
        reader.problem(span, message, format!("{key} = \"5s\""));
        return None;
    }
    Some(value)
}

/// `track = 2`: the camera's second video track.
fn track<'a>(reader: &mut Reader<'a>, section: &Section<'a>) -> Option<usize> {
    let number = reader.number(section, "track", 1.0..=MAX_TRACKS)?;
    if number.fract() != 0.0 {
        let span = section.table.get("track").and_then(Item::span);
        let message = format!("`track` of {} has to be a whole number", section.name);
        reader.problem(span, message, "track = 2");
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number from 1 to 16"
    )]
    Some(number as usize - 1)
}

/// `user-agent`: it goes into a header.
fn user_agent<'a>(reader: &mut Reader<'a>, section: &Section<'a>) -> Option<String> {
    const LONGEST: usize = 200;
    let text = reader.text(section, "user-agent")?;
    if text.is_empty() || text.len() > LONGEST || text.chars().any(char::is_control) {
        let span = section.table.get("user-agent").and_then(Item::span);
        let message = format!("`user-agent` of {} can not be sent", section.name);
        reader.problem(span, message, "one line of at most 200 characters");
        return None;
    }
    Some(text.to_owned())
}

/// `buffer`: how much of a camera is kept in memory, the newest group of pictures and a little more.
fn buffer<'a>(reader: &mut Reader<'a>, section: &Section<'a>) -> Limits {
    const LEAST: u64 = 1 << 20;
    const MOST: u64 = 1 << 30;
    let usual = Limits::default();
    let Some(ByteSize(bytes)) = reader.parsed(section, "buffer", "buffer = \"64MiB\"") else {
        return usual;
    };
    match usize::try_from(bytes) {
        Ok(size) if (LEAST..=MOST).contains(&bytes) => Limits {
            bytes: size,
            ..usual
        },
        _ => {
            let span = section.table.get("buffer").and_then(Item::span);
            let message = format!(
                "`buffer` of {} has to be between 1MiB and 1GiB",
                section.name
            );
            reader.problem(span, message, "buffer = \"64MiB\"");
            usual
        }
    }
}

fn address<'a>(reader: &mut Reader<'a>, section: &Section<'a>, key: &str) -> Option<SourceUrl> {
    let url: Url = reader.parsed(section, key, "for example \"rtsp://192.0.2.11/main\"")?;
    let span = section.table.get(key).and_then(Item::span);
    if !SCHEMES.contains(&url.scheme()) {
        let message = format!("`{key}` of {} has scheme {:?}", section.name, url.scheme());
        let hint = "cameras are reached by rtsp://, rtsps://, rtsp+http:// or rtsp+https://";
        reader.problem(span, message, hint);
        return None;
    }
    if url.host_str().is_none_or(str::is_empty) {
        let message = format!("`{key}` of {} names no host", section.name);
        reader.problem(span, message, "for example \"rtsp://192.0.2.11/main\"");
        return None;
    }
    if !url.username().is_empty() || url.password().is_some() {
        let message = format!("`{key}` of {} has credentials in it", section.name);
        let hint = "write user = \"…\" and password = { env = \"…\" } instead";
        reader.problem(span, message, hint);
        return None;
    }
    Some(SourceUrl::new(url))
}

/// `tls = { fingerprint = "sha256:…" }` or `tls = { ca = "file.pem" }`.
fn trust<'a>(reader: &mut Reader<'a>, section: &Section<'a>) -> Trust {
    const HINT: &str = "tls = { fingerprint = \"sha256:…\" } or { ca = \"camera-ca.pem\" }";
    let Some(item) = section.table.get("tls") else {
        return Trust::System;
    };
    let span = item.span();
    let Some(table) = item.as_table_like() else {
        reader.problem(
            span,
            format!("`tls` of {} has to be a table", section.name),
            HINT,
        );
        return Trust::System;
    };
    let at = Section {
        table,
        name: format!("`tls` of {}", section.name),
        span,
    };
    reader.only(&at, &["fingerprint", "ca"]);
    match (reader.text(&at, "fingerprint"), reader.text(&at, "ca")) {
        (Some(text), None) => match fingerprint(text) {
            Some(fingerprint) => Trust::Fingerprint(fingerprint),
            None => {
                let span = table.get("fingerprint").and_then(Item::span);
                let message = format!("`fingerprint` of {} is no SHA-256", at.name);
                let hint = "sha256: and 64 hexadecimal digits, as `taimat probe` shows it";
                reader.problem(span, message, hint);
                Trust::System
            }
        },
        (None, Some(_)) => match named::pem(reader, &at, "ca") {
            Some(Ok(pem)) => Trust::Authorities(pem.into()),
            Some(Err(why)) => Trust::Unusable(why),
            None => Trust::System,
        },
        _ => {
            let message = format!("{} has to name one of the two", at.name);
            reader.problem(at.span.clone(), message, HINT);
            Trust::System
        }
    }
}

/// 32 bytes in hexadecimal digits, with or without colons between them.
pub(crate) fn fingerprint(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    let digits: Vec<u8> = digits
        .chars()
        .filter(|c| *c != ':')
        .map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()))
        .collect::<Option<_>>()?;
    if digits.len() != 64 {
        return None;
    }
    let bytes: Vec<u8> = digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect();
    bytes.try_into().ok()
}

/// `user` and `password`. A secret that is not there is not a mistake in the file: the camera says
/// so, and the rest runs.
fn credentials<'a>(reader: &mut Reader<'a>, section: &Section<'a>) -> Credentials {
    const HINT: &str =
        "password = { env = \"CAMERA_PASSWORD\" }, { file = \"…\" } or { secret = \"…\" }";
    let user = reader.text(section, "user");
    let item = section.table.get("password");
    let span = item.and_then(Item::span);
    let Some(item) = item else {
        if user.is_some() {
            let message = format!("{} has a user and no password", section.name);
            reader.problem(key_span(section.table, "user"), message, HINT);
        }
        return Credentials::None;
    };
    let Some(user) = user else {
        let message = format!("{} has a password and no user", section.name);
        reader.problem(span, message, "user = \"…\"");
        return Credentials::None;
    };
    let Some(table) = item.as_table_like() else {
        let message = format!("`password` of {} is written in clear", section.name);
        reader.problem(span, message, HINT);
        return Credentials::None;
    };
    let at = Section {
        table,
        name: format!("`password` of {}", section.name),
        span,
    };
    reader.only(&at, &SOURCES);
    match named::secret(reader, &at) {
        Some(Ok(password)) => Credentials::Password {
            user: user.to_owned(),
            password,
        },
        Some(Err(missing)) => Credentials::Missing(missing),
        None => Credentials::None,
    }
}
