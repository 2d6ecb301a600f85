//! What a commune's file says of its channels, read and checked: nothing here opens a file, looks up a
//! name or connects.

use std::collections::BTreeMap;
use std::net::IpAddr;

use taimat_base::{ChannelId, CommuneId, Secret};

use crate::address::Address;

/// The channels of a commune.
#[derive(Debug, Clone, PartialEq)]
pub struct CommuneChannels {
    /// Whose they are.
    pub commune: CommuneId,
    /// Each once.
    pub channels: Vec<ChannelSpec>,
    /// Where its cameras are, as far as their addresses are written as numbers: no channel of another
    /// commune gets there.
    pub cameras: Vec<IpAddr>,
}

/// A channel.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelSpec {
    /// Its name.
    pub id: ChannelId,
    /// Where it leads.
    pub address: Address,
    /// By name; for places in the address, and for what plugins put into bodies.
    pub secrets: BTreeMap<String, Secret>,
    /// Why it can not be used: secrets and files that are not there.
    pub missing: Vec<String>,
    /// How much it may send.
    pub rate: Rate,
    /// Who says that a server is the right one.
    pub trust: Trust,
    /// What is spoken.
    pub way: Way,
}

/// How much a channel may send.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Messages a minute, over time.
    pub per_minute: f64,
    /// Messages at once.
    pub burst: f64,
}

impl Default for Rate {
    /// A person reads no more, and most services allow it.
    fn default() -> Self {
        Self {
            per_minute: 30.0,
            burst: 10.0,
        }
    }
}

/// Who says that a server is the right one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Trust {
    /// Whom the machine trusts.
    #[default]
    System,
    /// These and nobody else: certificates in PEM.
    Authorities(Vec<u8>),
}

/// A certificate by which the router shows who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate and those between it and the root, in PEM.
    pub certificates: Vec<u8>,
    /// Its key, in PEM.
    pub key: Secret,
}

/// What is spoken with the other side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// HTTP.
    Http(Box<HttpSpec>),
    /// MQTT 3.1.1.
    Mqtt(MqttSpec),
    /// SMTP.
    Mail(MailSpec),
    /// Bytes over TCP.
    Wire,
}

/// HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HttpSpec {
    /// How the router says who it is.
    pub sign_in: Vec<SignIn>,
    /// Other addresses that a plugin may name whole, for upload sessions.
    pub also: Vec<Address>,
    /// A grant that gives tokens for some time.
    pub oauth2: Option<OAuth2Spec>,
    /// Secrets of Standard Webhooks, `whsec_…`; several while they change.
    pub webhook: Vec<Secret>,
    /// A client's certificate.
    pub identity: Option<Identity>,
}

/// How the router says who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignIn {
    /// RFC 7617.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// RFC 6750.
    Bearer(Secret),
    /// A header of the service's own.
    Header {
        /// In lower case.
        name: String,
        /// Its value.
        secret: Secret,
    },
    /// A key of the query.
    Query {
        /// The key.
        name: String,
        /// Its value.
        secret: Secret,
    },
}

/// A grant by OAuth 2 (RFC 6749): by client credentials, or by a refresh token that may turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuth2Spec {
    /// Who gives tokens.
    pub token_url: Address,
    /// The router's name there.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Option<Secret>,
    /// The first refresh token. Without one, the client's credentials are the grant.
    pub refresh_token: Option<Secret>,
    /// What is asked for; empty is what the service thinks fit.
    pub scope: String,
    /// How services differ.
    pub habits: OAuth2Habits,
}

/// How a service's OAuth 2 differs from the standard's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuth2Habits {
    /// The field that has the client's name.
    pub client_id_field: String,
    /// A header for the client's secret; none puts it into the form.
    pub client_secret_header: Option<String>,
    /// A header for the access token; none is `Authorization: Bearer`.
    pub token_header: Option<String>,
}

impl Default for OAuth2Habits {
    fn default() -> Self {
        Self {
            client_id_field: "client_id".into(),
            client_secret_header: None,
            token_header: None,
        }
    }
}

/// A user and a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The user.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// MQTT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MqttSpec {
    /// How the router signs in.
    pub login: Option<Login>,
    /// What it calls itself.
    pub client_id: String,
    /// Topics are below it, `<prefix>/status` is the router's own.
    pub prefix: String,
    /// Topics may be below this too: Home Assistant's, `homeassistant`.
    pub discovery_prefix: Option<String>,
}

/// Mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailSpec {
    /// How the router signs in.
    pub login: Option<Login>,
    /// Who it is from: `Taimat <taimat@example.org>`.
    pub from: String,
    /// Whom it may be for: `*@example.org`.
    pub to: Vec<String>,
    /// Where encryption is.
    pub encryption: MailEncryption,
}

/// Where a mail's encryption begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailEncryption {
    /// With the first byte: `smtps://`.
    Implicit,
    /// By STARTTLS, which has to be there.
    StartTls,
    /// Nowhere. The file has to say so.
    None,
}

impl ChannelSpec {
    /// The kind, in a word.
    pub fn kind(&self) -> &'static str {
        match self.way {
            Way::Http(_) => "http",
            Way::Mqtt(_) => "mqtt",
            Way::Mail(_) => "mail",
            Way::Wire => "wire",
        }
    }

    /// Everything that nobody may see: secrets, and users with their passwords.
    pub(crate) fn redactor(&self) -> taimat_base::Redactor {
        let mut redactor = taimat_base::Redactor::new(self.secrets.values().map(Secret::reveal));
        let login = |redactor: &mut taimat_base::Redactor, login: &Option<Login>| {
            if let Some(Login { user, password }) = login {
                redactor.know_login(user, password.reveal());
            }
        };
        match &self.way {
            Way::Http(http) => {
                for sign_in in &http.sign_in {
                    match sign_in {
                        SignIn::Basic { user, password } => {
                            redactor.know_login(user, password.reveal());
                        }
                        SignIn::Bearer(secret)
                        | SignIn::Header { secret, .. }
                        | SignIn::Query { secret, .. } => redactor.know(secret.reveal()),
                    }
                }
                for secret in &http.webhook {
                    redactor.know(secret.reveal());
                    redactor.know(secret.reveal().trim_start_matches("whsec_"));
                }
                if let Some(grant) = &http.oauth2 {
                    let secrets = [&grant.client_secret, &grant.refresh_token];
                    for secret in secrets.into_iter().flatten() {
                        redactor.know_login(&grant.client_id, secret.reveal());
                    }
                }
            }
            Way::Mqtt(mqtt) => login(&mut redactor, &mqtt.login),
            Way::Mail(mail) => login(&mut redactor, &mail.login),
            Way::Wire => {}
        }
        redactor
    }
}
