//! `[channel.…]` whose address is of HTTP: how it signs in and what it signs.

use taimat_base::Secret;
use taimat_outbound::{Address, HttpSpec, Identity, OAuth2Habits, OAuth2Spec, SignIn};
use toml_edit::{Item, TableLike};

use super::super::reader::Section;
use super::reading::{Reading, SECRET_HINT, URL_HINT};

/// Addresses beside a channel's own at most.
const MAX_ALSO: usize = 8;
/// Secrets that sign at once: an old one, a new one, and somebody who forgot.
const MAX_WEBHOOK: usize = 4;
pub(super) const SETTINGS: [&str; 8] = [
    "also",
    "basic",
    "bearer",
    "header",
    "query",
    "oauth2",
    "webhook-secret",
    "client-certificate",
];

impl<'a> Reading<'_, 'a> {
    pub(super) fn http(&mut self) -> HttpSpec {
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
}
