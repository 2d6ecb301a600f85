//! `[channel.…]`: what carries messages out of the house. The address's scheme says which kind it is,
//! and with it which settings there are.

use std::collections::BTreeMap;
use std::net::IpAddr;

use taimat_base::{ChannelId, CommuneId, Secret, files, text};
use taimat_outbound::{
    Address, ChannelSpec, CommuneChannels, HttpSpec, Identity, Login, MailEncryption, MailSpec,
    MqttSpec, OAuth2Habits, OAuth2Spec, Rate, SignIn, Trust, Way,
};
use toml_edit::{Item, TableLike};

use super::camera::{Camera, named};
use super::reader::{Reader, Section, key_span};

/// Channels in a commune at most: each may keep a connection up.
const MAX_CHANNELS: usize = 256;
/// Secrets of a channel, and addresses beside its own, at most.
const MAX_SECRETS: usize = 32;
const MAX_ALSO: usize = 8;
/// Secrets that sign at once: an old one, a new one, and somebody who forgot.
const MAX_WEBHOOK: usize = 4;
const MAX_PEM_BYTES: u64 = 1 << 20;
const SECRET_HINT: &str = "{ env = \"NAME\" } or { file = \"…\" }; never in clear";
const URL_HINT: &str = "for example \"https://api.example.org/hook\"";
const COMMON: [&str; 4] = ["url", "secrets", "rate", "ca"];
const HTTP: [&str; 8] = [
    "also",
    "basic",
    "bearer",
    "header",
    "query",
    "oauth2",
    "webhook-secret",
    "client-certificate",
];
const MQTT: [&str; 5] = [
    "user",
    "password",
    "prefix",
    "client-id",
    "discovery-prefix",
];
const MAIL: [&str; 5] = ["user", "password", "from", "to", "tls"];

/// Reads `[channel]`.
pub(super) fn read<'a>(
    reader: &mut Reader<'a>,
    root: &Section<'a>,
    commune: &CommuneId,
    cameras: &[Camera],
) -> CommuneChannels {
    let mut channels = Vec::new();
    let section = reader.section(root, "channel", "[channel]".into());
    for (key, _) in section.iter().flat_map(|section| section.table.iter()) {
        let Some(section) = &section else { break };
        let span = key_span(section.table, key);
        if channels.len() >= MAX_CHANNELS {
            let hint = "several targets may share a channel";
            reader.problem(span, format!("more than {MAX_CHANNELS} channels"), hint);
            break;
        }
        let id: ChannelId = match key.parse() {
            Ok(id) => id,
            Err(error) => {
                let shown = text::line(key, 40);
                let hint = "for example [channel.telegram]";
                reader.problem(span, format!("channel name {shown:?}: {error}"), hint);
                continue;
            }
        };
        let name = format!("[channel.{id}]");
        if let Some(section) = reader.section(section, key, name) {
            channels.extend(channel(reader, &section, commune, id));
        }
    }
    let hosts = cameras.iter().flat_map(|camera| &camera.sources);
    let hosts = hosts.filter_map(|source| source.url.reveal().host_str());
    let numbers = hosts.filter_map(|host| host.trim_matches(['[', ']']).parse::<IpAddr>().ok());
    CommuneChannels {
        commune: commune.clone(),
        channels,
        cameras: numbers.map(|ip| ip.to_canonical()).collect(),
    }
}

/// A channel's section, and what of it is not there.
struct Reading<'r, 'a> {
    reader: &'r mut Reader<'a>,
    at: Section<'a>,
    missing: Vec<String>,
}

fn channel<'a>(
    reader: &mut Reader<'a>,
    section: &Section<'a>,
    commune: &CommuneId,
    id: ChannelId,
) -> Option<ChannelSpec> {
    reader.required(section, "url", "\"https://api.example.org/hook\"");
    let address: Address = reader.parsed(section, "url", URL_HINT)?;
    let mut reading = Reading {
        reader,
        at: section.clone(),
        missing: Vec::new(),
    };
    let own: &[&str] = match address.scheme() {
        "http" | "https" => &HTTP,
        "mqtt" | "mqtts" => &MQTT,
        "smtp" | "smtps" => &MAIL,
        _ => &[],
    };
    let known: Vec<&str> = COMMON.iter().chain(own).copied().collect();
    reading.reader.only(section, &known);
    let secrets = reading.secrets();
    let span = section.table.get("url").and_then(Item::span);
    let given = section.table.get("secrets").and_then(Item::as_table_like);
    for place in address.names() {
        if given.is_none_or(|given| !given.contains_key(place)) {
            let message = format!(
                "`url` of {} has a place for a secret that is not given",
                section.name
            );
            let hint = format!("secrets = {{ {place} = {{ env = \"…\" }} }}");
            reading.reader.problem(span.clone(), message, hint);
        }
    }
    let rate = reading.rate();
    let trust = match reading.pem(&section.clone(), "ca") {
        Some(pem) => Trust::Authorities(pem),
        None => Trust::System,
    };
    let way = match address.scheme() {
        "http" | "https" => Way::Http(Box::new(reading.http())),
        "mqtt" | "mqtts" => Way::Mqtt(reading.mqtt(commune, &id)),
        "smtp" | "smtps" => Way::Mail(reading.mail(address.is_tls())?),
        _ => Way::Wire,
    };
    Some(ChannelSpec {
        id,
        address,
        secrets,
        missing: reading.missing,
        rate,
        trust,
        way,
    })
}

impl<'a> Reading<'_, 'a> {
    /// A secret. One that is not there is no mistake of the file: the channel says so.
    fn secret(&mut self, at: &Section<'a>, key: &str) -> Option<Secret> {
        let item = at.table.get(key)?;
        let table = item.as_table_like();
        self.read_secret(table, item.span(), &format!("`{key}` of {}", at.name))
    }

    fn read_secret(
        &mut self,
        table: Option<&'a dyn TableLike>,
        span: Option<std::ops::Range<usize>>,
        name: &str,
    ) -> Option<Secret> {
        let Some(table) = table else {
            // It does not say what stands there: it may be the secret.
            let message = format!("{name} is written in clear, or is no secret");
            self.reader.problem(span, message, SECRET_HINT);
            return None;
        };
        let at = Section {
            table,
            name: name.to_owned(),
            span: span.clone(),
        };
        self.reader.only(&at, &["env", "file"]);
        match named(self.reader, &at) {
            Some(Ok(secret)) if !secret.reveal().is_empty() => return Some(secret),
            Some(Ok(_)) => self.missing.push(format!("{name} is empty")),
            Some(Err(missing)) => self.missing.push(missing),
            None => {
                let message = format!("{name} has to name one source");
                self.reader.problem(span, message, SECRET_HINT);
            }
        }
        None
    }

    /// A secret that has to be there.
    fn required_secret(&mut self, at: &Section<'a>, key: &str) -> Option<Secret> {
        if at.table.get(key).is_none() {
            let message = format!("{} has no `{key}`", at.name);
            let hint = format!("{key} = {SECRET_HINT}");
            self.reader.problem(at.span.clone(), message, hint);
        }
        self.secret(at, key)
    }

    fn within(&mut self, key: &str, known: &[&str]) -> Option<Section<'a>> {
        let name = format!("`{key}` of {}", self.at.name);
        let section = self.reader.section(&self.at.clone(), key, name)?;
        self.reader.only(&section, known);
        Some(section)
    }

    fn secrets(&mut self) -> BTreeMap<String, Secret> {
        let mut secrets = BTreeMap::new();
        let name = format!("`secrets` of {}", self.at.name);
        let Some(section) = self.reader.section(&self.at.clone(), "secrets", name) else {
            return secrets;
        };
        for (key, _) in section.table.iter() {
            let span = key_span(section.table, key);
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
            if secrets.len() >= MAX_SECRETS {
                let message = format!("more than {MAX_SECRETS} secrets of {}", self.at.name);
                self.reader
                    .problem(span, message, "spread them over several channels");
                break;
            }
            if key.is_empty() || key.len() > 64 || !key.chars().all(fits) {
                let message = format!("a secret's name in {} can not be used", self.at.name);
                self.reader
                    .problem(span, message, "a-z, 0-9, - and _, at most 64");
                continue;
            }
            let secret = self.secret(&section, key);
            secrets.extend(secret.map(|secret| (key.to_owned(), secret)));
        }
        secrets
    }

    fn rate(&mut self) -> Rate {
        let usual = Rate::default();
        let Some(at) = self.within("rate", &["per-minute", "burst"]) else {
            return usual;
        };
        let per_minute = self.reader.number(&at, "per-minute", 0.1..=6000.0);
        let burst = self.reader.number(&at, "burst", 1.0..=1000.0);
        Rate {
            per_minute: per_minute.unwrap_or(usual.per_minute),
            burst: burst.unwrap_or(usual.burst),
        }
    }

    /// Certificates in a file of the commune's. One that is not there makes the channel say so.
    fn pem(&mut self, at: &Section<'a>, key: &str) -> Option<Vec<u8>> {
        let file = self.reader.text(at, key)?;
        let path = self.reader.folder().join(file);
        let read = files::read_at_most(&path, MAX_PEM_BYTES);
        let read = read.map_err(|error| format!("file {file} can not be read: {error}"));
        read.map_err(|missing| self.missing.push(missing)).ok()
    }

    fn login(&mut self) -> Option<Login> {
        let at = self.at.clone();
        let user = self.reader.text(&at, "user");
        match (user, at.table.get("password").is_some()) {
            (None, false) => None,
            (Some(user), true) => Some(Login {
                user: user.to_owned(),
                password: self.secret(&at, "password")?,
            }),
            (user, _) => {
                let (has, not) = match user {
                    Some(_) => ("user", "password"),
                    None => ("password", "user"),
                };
                let message = format!("{} has a {has} and no {not}", at.name);
                self.reader.problem(at.span, message, "write both, or none");
                None
            }
        }
    }

    /// One line of so many bytes.
    fn word(&mut self, at: &Section<'a>, key: &str, most: usize) -> Option<String> {
        let text = self.reader.text(at, key)?;
        if text.is_empty() || text.len() > most || text.chars().any(char::is_control) {
            let span = at.table.get(key).and_then(Item::span);
            let message = format!("`{key}` of {} can not be used", at.name);
            let hint = format!("one line of 1 to {most} bytes");
            self.reader.problem(span, message, hint);
            return None;
        }
        Some(text.to_owned())
    }

    /// A header's name that is not the connection's.
    fn header_name(&mut self, at: &Section<'a>, key: &str) -> Option<String> {
        let name = self.word(at, key, 64)?.to_ascii_lowercase();
        let token = name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        let own = [
            "host",
            "content-length",
            "connection",
            "transfer-encoding",
            "te",
            "upgrade",
        ];
        if !token || own.contains(&name.as_str()) {
            let span = at.table.get(key).and_then(Item::span);
            let message = format!("`{key}` of {} is no header that can be set", at.name);
            self.reader
                .problem(span, message, "for example \"x-api-key\"");
            return None;
        }
        Some(name)
    }

    fn http(&mut self) -> HttpSpec {
        let mut sign_in = Vec::new();
        let at = self.at.clone();
        if let Some(at) = self.within("basic", &["user", "password"]) {
            let user = self
                .reader
                .required(&at, "user", "\"…\"")
                .map(str::to_owned);
            let password = self.required_secret(&at, "password");
            let both = user.zip(password);
            sign_in.extend(both.map(|(user, password)| SignIn::Basic { user, password }));
        }
        sign_in.extend(self.secret(&at, "bearer").map(SignIn::Bearer));
        if let Some(at) = self.within("header", &["name", "secret"]) {
            self.reader.required(&at, "name", "\"x-api-key\"");
            let both = self
                .header_name(&at, "name")
                .zip(self.required_secret(&at, "secret"));
            sign_in.extend(both.map(|(name, secret)| SignIn::Header { name, secret }));
        }
        if let Some(at) = self.within("query", &["name", "secret"]) {
            self.reader.required(&at, "name", "\"key\"");
            let both = self
                .word(&at, "name", 64)
                .zip(self.required_secret(&at, "secret"));
            sign_in.extend(both.map(|(name, secret)| SignIn::Query { name, secret }));
        }
        let ways = ["basic", "bearer", "oauth2"].iter();
        if ways.filter(|key| at.table.contains_key(key)).count() > 1 {
            let message = format!("{} signs in in several ways by one header", at.name);
            let hint = "one of basic, bearer and oauth2";
            self.reader.problem(at.span.clone(), message, hint);
        }
        HttpSpec {
            sign_in,
            also: self.also(),
            oauth2: self.oauth2(),
            webhook: self.webhook(),
            identity: self.identity(),
        }
    }

    fn also(&mut self) -> Vec<Address> {
        let Some(item) = self.at.table.get("also") else {
            return Vec::new();
        };
        let texts = self.reader.texts(&self.at.clone(), "also", item);
        if texts.len() > MAX_ALSO {
            let message = format!(
                "more than {MAX_ALSO} addresses in `also` of {}",
                self.at.name
            );
            self.reader
                .problem(item.span(), message, "their common beginning is enough");
        }
        let mut also = Vec::new();
        for (text, span) in texts.into_iter().take(MAX_ALSO) {
            match text.parse::<Address>() {
                Ok(address) if address.scheme() == "https" || address.scheme() == "http" => {
                    also.push(address);
                }
                Ok(_) => {
                    let message = format!("`also` of {} is for addresses of HTTP", self.at.name);
                    self.reader.problem(span, message, URL_HINT);
                }
                Err(error) => {
                    let message = format!("`also` of {}: {error}", self.at.name);
                    self.reader.problem(span, message, URL_HINT);
                }
            }
        }
        also
    }

    fn oauth2(&mut self) -> Option<OAuth2Spec> {
        let known = [
            "token-url",
            "client-id",
            "client-secret",
            "refresh-token",
            "scope",
            "client-id-field",
            "client-secret-header",
            "token-header",
        ];
        let at = self.within("oauth2", &known)?;
        self.reader
            .required(&at, "token-url", "\"https://auth.example.org/token\"");
        let token_url: Option<Address> = self.reader.parsed(&at, "token-url", URL_HINT);
        let token_url = token_url.filter(|url| {
            let fits = url.scheme().starts_with("http") && url.names().next().is_none();
            if !fits {
                let span = at.table.get("token-url").and_then(Item::span);
                let message = format!(
                    "`token-url` of {} is for an address of HTTP without secrets",
                    at.name
                );
                self.reader.problem(span, message, URL_HINT);
            }
            fits
        });
        self.reader.required(&at, "client-id", "\"…\"");
        let client_id = self.word(&at, "client-id", 256);
        let client_secret = self.secret(&at, "client-secret");
        let refresh_token = self.secret(&at, "refresh-token");
        if !at.table.contains_key("client-secret") && !at.table.contains_key("refresh-token") {
            let message = format!(
                "{} has neither a client-secret nor a refresh-token",
                at.name
            );
            self.reader.problem(at.span.clone(), message, SECRET_HINT);
        }
        let usual = OAuth2Habits::default();
        let habits = OAuth2Habits {
            client_id_field: self
                .word(&at, "client-id-field", 64)
                .unwrap_or(usual.client_id_field),
            client_secret_header: self.header_name(&at, "client-secret-header"),
            token_header: self.header_name(&at, "token-header"),
        };
        Some(OAuth2Spec {
            token_url: token_url?,
            client_id: client_id?,
            client_secret,
            refresh_token,
            scope: self.word(&at, "scope", 1024).unwrap_or_default(),
            habits,
        })
    }

    fn webhook(&mut self) -> Vec<Secret> {
        let Some(item) = self.at.table.get("webhook-secret") else {
            return Vec::new();
        };
        let name = format!("`webhook-secret` of {}", self.at.name);
        let array = item.as_array().filter(|array| array.len() <= MAX_WEBHOOK);
        let Some(array) = array else {
            let message = format!("{name} has to be a list of at most {MAX_WEBHOOK}");
            let hint = "webhook-secret = [{ env = \"WEBHOOK_SECRET\" }]";
            self.reader.problem(item.span(), message, hint);
            return Vec::new();
        };
        let mut secrets = Vec::new();
        for value in array {
            let table = value.as_inline_table().map(|table| table as &dyn TableLike);
            secrets.extend(self.read_secret(table, value.span(), &name));
        }
        secrets
    }

    fn identity(&mut self) -> Option<Identity> {
        let at = self.within("client-certificate", &["certificate", "key"])?;
        self.reader.required(&at, "certificate", "\"client.pem\"");
        let certificates = self.pem(&at, "certificate");
        let key = self.required_secret(&at, "key");
        Some(Identity {
            certificates: certificates?,
            key: key?,
        })
    }

    fn mqtt(&mut self, commune: &CommuneId, id: &ChannelId) -> MqttSpec {
        let at = self.at.clone();
        let prefix = self.topic(&at, "prefix");
        MqttSpec {
            login: self.login(),
            client_id: self
                .word(&at, "client-id", 128)
                .unwrap_or_else(|| format!("taimat-{commune}-{id}")),
            prefix: prefix.unwrap_or_else(|| format!("taimat/{commune}")),
            discovery_prefix: self.topic(&at, "discovery-prefix"),
        }
    }

    fn topic(&mut self, at: &Section<'a>, key: &str) -> Option<String> {
        let topic = self.word(at, key, 128)?;
        if topic.contains(['+', '#', '$']) || topic.starts_with('/') || topic.ends_with('/') {
            let span = at.table.get(key).and_then(Item::span);
            let message = format!("`{key}` of {} is no beginning of topics", at.name);
            let hint = "without +, #, $, and / at its ends: for example \"taimat/hoa-lac\"";
            self.reader.problem(span, message, hint);
            return None;
        }
        Some(topic)
    }

    fn mail(&mut self, implicit: bool) -> Option<MailSpec> {
        let at = self.at.clone();
        let login = self.login();
        self.reader.required(&at, "from", "\"taimat@example.org\"");
        let from = self.word(&at, "from", 256);
        let has_at = from.as_ref().is_none_or(|from| from.contains('@'));
        if !has_at {
            let span = at.table.get("from").and_then(Item::span);
            let message = format!("`from` of {} is no mail address", at.name);
            self.reader
                .problem(span, message, "from = \"taimat@example.org\"");
        }
        let Some(item) = at.table.get("to") else {
            let message = format!("{} does not say to whom mails may go", at.name);
            self.reader
                .problem(at.span.clone(), message, "to = [\"*@example.org\"]");
            return None;
        };
        let to = self.reader.texts(&at, "to", item);
        let choices = [
            ("starttls", MailEncryption::StartTls),
            ("none", MailEncryption::None),
        ];
        let chosen = self.reader.choice(&at, "tls", &choices);
        let encryption = match (implicit, chosen) {
            (true, None) => MailEncryption::Implicit,
            (true, Some(_)) => {
                let span = at.table.get("tls").and_then(Item::span);
                let message = format!("`tls` of {} is for smtp://, and this is smtps://", at.name);
                self.reader.problem(span, message, "leave it away");
                MailEncryption::Implicit
            }
            (false, chosen) => chosen.unwrap_or(MailEncryption::StartTls),
        };
        Some(MailSpec {
            login,
            from: from.filter(|_| has_at)?,
            to: to.into_iter().map(|(text, _)| text).collect(),
            encryption,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::commune::parse;
    use super::*;

    fn channels(text: &str) -> Result<CommuneChannels, Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "planted-secret\n").unwrap();
        std::fs::write(folder.path().join("ca.pem"), "no certificate").unwrap();
        let file = folder.path().join("commune.toml");
        let text = format!("[commune]\nname = \"Thu\"\n{text}");
        match parse("thu".parse().unwrap(), &file, &text) {
            Ok(commune) => Ok(commune.channels),
            Err(problems) => Err(problems.iter().map(ToString::to_string).collect()),
        }
    }

    #[test]
    fn kinds_are_read_by_the_scheme() {
        let read = channels(
            "[camera.a]\nmain = \"rtsp://192.0.2.11/main\"\n\
             [channel.telegram]\nurl = \"https://api.telegram.org/bot{token}\"\n\
             secrets = { token = { file = \"token\" } }\nrate = { per-minute = 20, burst = 5 }\n\
             [channel.desk]\nurl = \"https://desk.example/hook\"\nbasic = { user = \"u\", password = { file = \"token\" } }\n\
             header = { name = \"X-Key\", secret = { file = \"token\" } }\nquery = { name = \"k\", secret = { file = \"token\" } }\n\
             webhook-secret = [{ file = \"token\" }, { env = \"TAIMAT_TEST_NOT_SET\" }]\nca = \"ca.pem\"\n\
             also = [\"https://up.example/session\"]\n\
             [channel.zalo]\nurl = \"https://openapi.zalo.me/v3.0\"\n\
             oauth2 = { token-url = \"https://oauth.zaloapp.com/v4/oa/access_token\", client-id = \"7\", \
             client-secret = { file = \"token\" }, refresh-token = { file = \"token\" }, \
             client-id-field = \"app_id\", client-secret-header = \"secret_key\", token-header = \"access_token\" }\n\
             [channel.home]\nurl = \"mqtts://broker.example\"\nuser = \"u\"\npassword = { file = \"token\" }\n\
             discovery-prefix = \"homeassistant\"\n\
             [channel.mail]\nurl = \"smtp://mail.example\"\nfrom = \"Taimat <t@mail.example>\"\nto = [\"*@mail.example\"]\n\
             [channel.horn]\nurl = \"tcp://192.0.2.9:502\"\n",
        )
        .unwrap();
        let by_name = |name: &str| {
            read.channels
                .iter()
                .find(|c| c.id.as_str() == name)
                .unwrap()
        };
        let kinds: Vec<&str> = read.channels.iter().map(ChannelSpec::kind).collect();
        assert_eq!(kinds, ["http", "http", "http", "mqtt", "mail", "wire"]);
        assert_eq!(read.cameras, ["192.0.2.11".parse::<IpAddr>().unwrap()]);
        let telegram = by_name("telegram");
        assert_eq!(telegram.secrets["token"].reveal(), "planted-secret");
        assert_eq!((telegram.rate.per_minute, telegram.rate.burst), (20.0, 5.0));
        let Way::Http(desk) = &by_name("desk").way else {
            panic!()
        };
        assert_eq!(
            (desk.sign_in.len(), desk.webhook.len(), desk.also.len()),
            (3, 1, 1)
        );
        assert!(by_name("desk").missing[0].contains("TAIMAT_TEST_NOT_SET"));
        let Way::Http(zalo) = &by_name("zalo").way else {
            panic!()
        };
        let habits = &zalo.oauth2.as_ref().unwrap().habits;
        assert_eq!(habits.token_header.as_deref(), Some("access_token"));
        let Way::Mqtt(home) = &by_name("home").way else {
            panic!()
        };
        assert_eq!(
            (home.prefix.as_str(), home.client_id.as_str()),
            ("taimat/thu", "taimat-thu-home")
        );
        let Way::Mail(mail) = &by_name("mail").way else {
            panic!()
        };
        assert_eq!(mail.encryption, MailEncryption::StartTls);
        assert!(!format!("{read:?}").contains("planted-secret"));
    }

    #[test]
    fn what_is_wrong_is_named_and_no_secret_with_it() {
        let wrong = |text: &str, says: &str| {
            let problems = channels(text).unwrap_err();
            assert!(
                problems.iter().any(|p| p.contains(says)),
                "{says}: {problems:?}"
            );
            assert!(
                problems.iter().all(|p| !p.contains("clear-secret")),
                "{problems:?}"
            );
        };
        wrong("[channel.A]\nurl = \"https://a.example\"\n", "channel name");
        wrong("[channel.a]\n", "has no `url`");
        wrong(
            "[channel.a]\nurl = \"ftp://a.example\"\n",
            "has to begin with",
        );
        wrong(
            "[channel.a]\nurl = \"https://u:clear-secret@a.example\"\n",
            "credentials",
        );
        wrong(
            "[channel.a]\nurl = \"https://a.example/{token}\"\n",
            "token = { env",
        );
        wrong(
            "[channel.a]\nurl = \"https://a.example\"\nbearer = \"clear-secret\"\n",
            "in clear",
        );
        wrong(
            "[channel.a]\nurl = \"https://a.example\"\nbearer = [\"clear-secret\"]\n",
            "in clear",
        );
        wrong(
            "[channel.a]\nurl = \"https://a.example\"\nwebhook-secret = [\"clear-secret\"]\n",
            "in clear",
        );
        wrong(
            "[channel.a]\nurl = \"https://a.example\"\nsecrets = { t = \"clear-secret\" }\n",
            "in clear",
        );
        wrong(
            "[channel.a]\nurl = \"https://a.example\"\nbearer = { envv = \"X\" }\n",
            "did you mean `env`",
        );
        wrong(
            "[channel.a]\nurl = \"https://a.example\"\nprefix = \"x\"\n",
            "no setting `prefix`",
        );
        wrong(
            "[channel.a]\nurl = \"https://a.example\"\nrate = { per-minute = 0 }\n",
            "per-minute",
        );
        wrong(
            "[channel.a]\nurl = \"https://a.example\"\nbearer = { file = \"token\" }\nbasic = { user = \"u\", password = { file = \"token\" } }\n",
            "several ways",
        );
        wrong(
            "[channel.a]\nurl = \"https://a.example\"\nheader = { name = \"Host\", secret = { file = \"token\" } }\n",
            "no header",
        );
        wrong(
            "[channel.a]\nurl = \"mqtt://a.example\"\nprefix = \"a/#\"\n",
            "beginning of topics",
        );
        wrong(
            "[channel.a]\nurl = \"mqtt://a.example\"\nuser = \"u\"\n",
            "no password",
        );
        wrong(
            "[channel.a]\nurl = \"smtp://a.example\"\nfrom = \"a@b.c\"\n",
            "to = [",
        );
        wrong(
            "[channel.a]\nurl = \"smtps://a.example\"\nfrom = \"a@b.c\"\nto = []\ntls = \"none\"\n",
            "smtps",
        );
        wrong("[channel.a]\nurl = \"tcp://a.example\"\n", "port");
        wrong("[channel]\na = 3\n", "table");
    }

    #[test]
    fn a_file_that_is_not_there_is_the_channels_trouble() {
        let read =
            channels("[channel.a]\nurl = \"https://a.example\"\nca = \"none.pem\"\n").unwrap();
        assert!(read.channels[0].missing[0].contains("none.pem"));
    }
}
