//! `taimat probe`: connects to a camera once and says in words what it is and does, and what to write
//! into `commune.toml`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use taimat_base::redact::SourceUrl;
use taimat_base::units::Span;
use taimat_base::{CameraKey, Profile, Secret};
use taimat_hub::{ChannelKey, Limits};
use taimat_ingest::{
    AfterRefusal, ClockTrust, Credentials, Finding, KeepAliveSpec, Mode, SourceSpec, Transport,
    Trust, probe,
};
use taimat_media::Quirk;
use url::Url;

use crate::config::camera;

/// What can be said on the command line.
#[derive(Debug, Args)]
pub struct ProbeArgs {
    /// The camera's address, such as rtsp://192.0.2.11/main
    url: Url,
    /// User to sign in as
    #[arg(long)]
    user: Option<String>,
    /// Environment variable that holds the password
    #[arg(long, value_name = "VARIABLE", default_value = "CAMERA_PASSWORD")]
    password_env: String,
    /// SHA-256 of the camera's certificate, for rtsps:// and rtsp+https://
    #[arg(long, value_name = "SHA256")]
    fingerprint: Option<String>,
    /// How media is to travel
    #[arg(long, value_enum, default_value = "tcp")]
    transport: TransportArg,
    /// How long to watch
    #[arg(long = "for", value_name = "TIME", default_value = "10s")]
    watch: Span,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum TransportArg {
    Tcp,
    Udp,
    TcpOnly,
    UdpOnly,
    Multicast,
}

impl TransportArg {
    const fn transport(self) -> Transport {
        match self {
            Self::Tcp => Transport::Tcp,
            Self::Udp => Transport::Udp,
            Self::TcpOnly => Transport::TcpOnly,
            Self::UdpOnly => Transport::UdpOnly,
            Self::Multicast => Transport::Multicast,
        }
    }
}

/// Probes and prints. Fails if the camera shows no picture.
pub async fn run(args: ProbeArgs) -> anyhow::Result<()> {
    let (url, credentials) = sign_in(args.url, args.user, &args.password_env)?;
    anyhow::ensure!(
        camera::SCHEMES.contains(&url.scheme()),
        "cameras are reached by rtsp://, rtsps://, rtsp+http:// or rtsp+https://"
    );
    anyhow::ensure!(
        url.host_str().is_some_and(|h| !h.is_empty()),
        "the address names no host"
    );
    let trust = match &args.fingerprint {
        None => Trust::System,
        Some(text) => Trust::Fingerprint(
            camera::fingerprint(text).context("the fingerprint has to be 64 hexadecimal digits")?,
        ),
    };
    let camera = CameraKey::new("probe".parse()?, "probe".parse()?);
    let spec = SourceSpec {
        key: ChannelKey::new(camera, Profile::Main),
        url: SourceUrl::new(url),
        credentials,
        trust,
        transport: args.transport.transport(),
        video: None,
        keep_alive: KeepAliveSpec::default(),
        user_agent: None,
        clock: ClockTrust::default(),
        mode: Mode::Always,
        connect_timeout: Duration::from_secs(5),
        stall_timeout: args.watch.0.max(Duration::from_secs(4)),
        keyframe_timeout: args.watch.0.max(Duration::from_secs(20)),
        after_refusal: AfterRefusal::Stop,
        audio: true,
        limits: Limits::default(),
    };
    let found = probe(&spec, args.watch.0).await;
    let mut out = std::io::stdout();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&found)?)?;
    } else {
        write!(out, "{}", in_words(&spec, &found, &args.password_env))?;
    }
    match found.fault {
        Some((cause, _)) => anyhow::bail!("no picture: {cause}"),
        None => Ok(()),
    }
}

/// People paste addresses with user and password in them; they are taken out at once.
fn sign_in(
    mut url: Url,
    user: Option<String>,
    variable: &str,
) -> anyhow::Result<(Url, Credentials)> {
    let decoded = |text: &str| {
        percent_encoding::percent_decode_str(text)
            .decode_utf8_lossy()
            .into_owned()
    };
    let in_url = (!url.username().is_empty()).then(|| decoded(url.username()));
    let password_in_url = url.password().map(decoded);
    // Only URLs without a host refuse these.
    let _user = url.set_username("");
    let _password = url.set_password(None);
    let Some(user) = user.or(in_url) else {
        return Ok((url, Credentials::None));
    };
    let password = match password_in_url {
        Some(password) => password,
        None => std::env::var(variable)
            .with_context(|| format!("the password is expected in the variable {variable}"))?,
    };
    let password = Secret::new(password);
    Ok((url, Credentials::Password { user, password }))
}

fn in_words(spec: &SourceSpec, found: &Finding, variable: &str) -> String {
    let mut lines = Lines(String::new());
    lines.say("camera", spec.url.to_string());
    for (i, line) in found.offered.iter().enumerate() {
        lines.say(if i == 0 { "describes" } else { "" }, line.clone());
    }
    if let Some(transport) = found.transport {
        lines.say("travels by", transport.to_owned());
    }
    pictures_in_words(&mut lines, found);
    match (&found.sound, &found.no_sound) {
        (Some(sound), _) => lines.say("sound", sound.clone()),
        (None, Some(why)) => lines.say("sound", format!("none: {why}")),
        (None, None) => {}
    }
    if let Some(clock) = clock_in_words(found) {
        lines.say("clock", clock);
    }
    let known = |word: &str| Quirk::ALL.into_iter().find(|quirk| quirk.as_str() == word);
    for (word, count) in &found.quirks {
        if let Some(quirk) = known(word) {
            let line = format!("{} ({count}×)", quirk.sentence());
            lines.say("does differently", line);
        }
    }
    match &found.fault {
        Some((cause, detail)) => lines.say("no picture", format!("{cause}: {detail}")),
        None => {
            lines.0.push('\n');
            lines.0.push_str(&section(spec, found, variable));
        }
    }
    lines.0
}

/// What is said, with what it is about before it.
struct Lines(String);

impl Lines {
    fn say(&mut self, what: &str, value: String) {
        // Writing into a text does not fail.
        let _written = writeln!(self.0, "{what:<18}{value}");
    }
}

fn pictures_in_words(lines: &mut Lines, found: &Finding) {
    if let (Some(codec), Some((width, height))) = (found.codec, found.size) {
        let rate = found.frame_rate();
        let rate = rate.map_or(String::new(), |rate| {
            format!(", {rate:.1} pictures a second")
        });
        let kbit = found.bytes as f64 * 8.0 / 1000.0 / found.seconds.max(0.1);
        let picture = format!("{codec} {width}x{height}{rate}, {kbit:.0} kbit/s");
        lines.say("picture", picture);
        let frames = if found.b_frames {
            "sends B-frames: browsers do not show them live; choose the Baseline profile"
        } else {
            "none"
        };
        lines.say("B-frames", frames.to_owned());
    }
    if let Some(after) = found.first_picture_after {
        let apart = match found.keyframe_interval {
            Some(apart) => format!("{apart:.1} s apart"),
            None => "only one came; the interval is longer than what was watched".to_owned(),
        };
        let kinds = found.starts.join(", ");
        let line = format!("{apart}, first after {after:.2} s ({kinds})");
        lines.say("key frames", line);
    }
    if found.damaged > 0 {
        let line = format!("{} of {} pictures", found.damaged, found.pictures);
        lines.say("damaged", line);
    }
}

fn clock_in_words(found: &Finding) -> Option<String> {
    match found.clock_ahead {
        Some(ahead) if ahead.abs() < 1.0 => Some("right to a second".to_owned()),
        Some(ahead) => {
            let how = if ahead > 0.0 { "ahead" } else { "behind" };
            let by = ahead.abs();
            let line = format!("{by:.0} s {how}; set the time server (NTP) in the camera");
            Some(line)
        }
        None => (found.pictures > 0).then(|| "does not say its time".to_owned()),
    }
}

/// What to write into `commune.toml`.
fn section(spec: &SourceSpec, found: &Finding, variable: &str) -> String {
    let url = spec.url.reveal();
    let mut lines = vec![
        "# for commune.toml".to_owned(),
        "[camera.name]".to_owned(),
        format!(
            "main = {:?}",
            if url.query().is_some() {
                // It may carry a password; whoever gave it knows it.
                spec.url.to_string()
            } else {
                url.to_string()
            }
        ),
    ];
    if let Some((user, _)) = spec.credentials.pair() {
        lines.push(format!("user = {user:?}"));
        lines.push(format!("password = {{ env = {variable:?} }}"));
    }
    if let Trust::Fingerprint(fingerprint) = &spec.trust {
        let hex = taimat_ingest::hex(fingerprint);
        lines.push(format!("tls = {{ fingerprint = \"sha256:{hex}\" }}"));
    }
    match found.transport {
        Some("udp") => lines.push("transport = \"udp\"".to_owned()),
        Some("multicast") => lines.push("transport = \"multicast\"".to_owned()),
        _ => {}
    }
    if let Some(sound) = &found.sound {
        lines.push(format!("# audio = true            # {sound}"));
    }
    if found.frame_rate().is_some_and(|rate| rate < 0.5) {
        lines.push("stall-timeout = \"30s\"".to_owned());
    }
    if found.clock_ahead.is_some_and(|ahead| ahead.abs() > 5.0) {
        lines.push("# clock = \"router\"        # its time of day is wrong".to_owned());
    }
    lines.join("\n") + "\n"
}
