//! Mail: composed here, handed to the commune's mail server over a connection of its own.
//!
//! A message has the same Message-ID at every attempt, so that a mail that was taken twice is one in
//! who reads it. Mails with the same thread refer to the same root, which nobody ever sent.

use std::sync::Arc;
use std::time::Duration;

use lettre::address::Envelope;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Mailbox, Message, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters,
};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::{Response, Severity};
use lettre::{Address as MailAddress, transport::smtp};
use sha2::{Digest, Sha256};
use taimat_base::{ChannelId, clock, text};
use taimat_contract::channel::MediaSource;
use taimat_contract::message::{Mail, MediaKind, Reply};
use wildmatch::WildMatch;

use crate::address::Address;
use crate::body::{self, Filler};
use crate::exchange::Reach;
use crate::failure::{Failure, Outcome};
use crate::spec::{Login, MailEncryption, MailSpec, Trust};
use crate::tls::Connection;

/// From the connection to the server's last word: mail servers look at a mail before they take it.
const WHOLE: Duration = Duration::from_secs(60);

/// A mail server has not more to say.
const MOST_READ: usize = 1 << 20;
/// Bytes of what it says that are kept.
const MOST_SAID: usize = 400;

/// A mail channel.
#[derive(Debug)]
pub(crate) struct MailChannel {
    pub(crate) id: ChannelId,
    pub(crate) address: Address,
    pub(crate) spec: MailSpec,
    pub(crate) trust: Trust,
    pub(crate) reach: Reach,
    /// For TLS from the first byte.
    pub(crate) tls: Arc<rustls::ClientConfig>,
}

impl MailChannel {
    /// Hands a mail over once.
    pub(crate) async fn send(
        &self,
        key: &str,
        mail: &Mail,
        media: &dyn MediaSource,
    ) -> Result<(Outcome, Reply), Failure> {
        let (message, envelope) = self.compose(key, mail, media).await?;
        let late = |_| Failure::new(Outcome::Late, "no answer in time; it may have arrived");
        let handing = Box::pin(self.hand_over(&envelope, &message));
        let response = tokio::time::timeout(WHOLE, handing).await.map_err(late)??;
        Ok((Outcome::Delivered, Reply::Accepted(said(&response))))
    }

    /// Whom a mail may be for.
    fn recipient(&self, to: &str) -> Result<MailAddress, Failure> {
        let address = to.trim().parse::<MailAddress>();
        let none = |_no| Failure::new(Outcome::Unfit, "a recipient is no mail address").for_good();
        let address = address.map_err(none)?;
        let plain = address.to_string().to_lowercase();
        let allowed = |pattern: &String| WildMatch::new(&pattern.to_lowercase()).matches(&plain);
        if !self.spec.to.iter().any(allowed) {
            let text = "a recipient is none that the channel allows";
            return Err(Failure::new(Outcome::Unfit, text).for_good());
        }
        Ok(address)
    }

    async fn compose(
        &self,
        key: &str,
        mail: &Mail,
        media: &dyn MediaSource,
    ) -> Result<(Vec<u8>, Envelope), Failure> {
        let unfit = |what: &str| Failure::new(Outcome::Unfit, what.to_owned()).for_good();
        let from: Mailbox = self
            .spec
            .from
            .parse()
            .map_err(|_no| unfit("`from` is no mail address"))?;
        let to = mail.to.iter().map(|to| self.recipient(to));
        let to = to.collect::<Result<Vec<_>, _>>()?;
        let envelope = Envelope::new(Some(from.email.clone()), to.clone());
        let envelope = envelope.map_err(|_no| unfit("the mail is for nobody"))?;
        let domain = from.email.domain().to_owned();
        let id = |what: &str, of: &str| {
            let mut hash = Sha256::new();
            for part in [what, self.reach.commune.as_str(), self.id.as_str(), of] {
                hash.update(part.as_bytes());
                hash.update([0]);
            }
            let digits: String = hash
                .finalize()
                .iter()
                .take(16)
                .map(|b| format!("{b:02x}"))
                .collect();
            format!("<{digits}@{domain}>")
        };
        let mut builder = Message::builder()
            .from(from)
            .subject(mail.subject.clone())
            .date(clock::wall())
            .message_id(Some(id("message", key)));
        for address in to {
            builder = builder.to(Mailbox::new(None, address));
        }
        if !mail.thread.is_empty() {
            let root = id("thread", &mail.thread);
            builder = builder.in_reply_to(root.clone()).references(root);
        }
        for (name, value) in [("X-Taimat-Key", key), ("Auto-Submitted", "auto-generated")] {
            let name = HeaderName::new_from_ascii(name.to_owned());
            let name = name.map_err(|_never| unfit("a header's name"))?;
            builder = builder.raw_header(HeaderValue::new(name, value.to_owned()));
        }
        let pictures = attachments(mail, media).await?;
        let message = builder.multipart(parts(mail, pictures));
        let message = message.map_err(|_no| unfit("the mail can not be composed"))?;
        Ok((message.formatted(), envelope))
    }

    async fn hand_over(&self, envelope: &Envelope, message: &[u8]) -> Result<Response, Failure> {
        let host = self.address.host();
        let guard = &self.reach.guard;
        let stream = guard
            .connect(&self.reach.commune, host, self.address.port())
            .await?;
        let connection = match self.spec.encryption {
            MailEncryption::Implicit => {
                Connection::secured(stream, host, Arc::clone(&self.tls)).await?
            }
            MailEncryption::StartTls | MailEncryption::None => Connection::plain(stream)?,
        };
        // The machine's name is nobody's business.
        let hello = ClientId::Domain("taimat.invalid".into());
        let connected = AsyncSmtpConnection::connect_with_transport(
            Box::new(connection.at_most(MOST_READ)),
            &hello,
        );
        let mut smtp = connected.await.map_err(|error| explain(&error))?;
        if self.spec.encryption == MailEncryption::StartTls {
            if !smtp.can_starttls() {
                let text = "the mail server has no STARTTLS";
                return Err(Failure::new(Outcome::Untrusted, text)
                    .hint("write smtps://, or tls = \"none\" if the way there is safe"));
            }
            let started = smtp.starttls(self.parameters()?, &hello).await;
            started.map_err(|error| match error.is_response() {
                true => explain(&error),
                // What the library says of a certificate is long, and may be anything.
                false => Failure::new(Outcome::Untrusted, "TLS with the mail server failed: its certificate is not trusted, or it broke off"),
            })?;
        }
        if let Some(Login { user, password }) = &self.spec.login {
            let credentials = Credentials::new(user.clone(), password.reveal().to_owned());
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            let signed_in = smtp.auth(&mechanisms, &credentials).await;
            signed_in.map_err(|error| explain(&error))?;
        }
        let response = smtp.send(envelope, message).await;
        // What it says no to now is this mail: a greeting or a password that it does not like is the
        // channel's, and a person may mend it before the deadline.
        let response = response.map_err(|error| {
            let failure = explain(&error);
            match failure.outcome {
                Outcome::Refused => failure.for_good(),
                _ => failure,
            }
        })?;
        // It has it; how the connection ends changes nothing.
        let _quit = smtp.quit().await;
        Ok(response)
    }

    fn parameters(&self) -> Result<TlsParameters, Failure> {
        let failed = |_| Failure::new(Outcome::Unready, "the CA file can not be used");
        let mut builder = TlsParameters::builder(self.address.host().to_owned());
        if let Trust::Authorities(pem) = &self.trust {
            builder = builder.certificate_store(CertificateStore::None);
            builder = builder.add_root_certificate(Certificate::from_pem(pem).map_err(failed)?);
        }
        builder.build().map_err(failed)
    }
}

async fn attachments(mail: &Mail, media: &dyn MediaSource) -> Result<Vec<SinglePart>, Failure> {
    let secrets = std::collections::BTreeMap::new();
    let filler = Filler::new(&secrets, media);
    let mut parts = Vec::new();
    let mut bytes = 0;
    for (number, medium) in (1..).zip(&mail.attached) {
        let content = filler.media(medium).await?;
        bytes += content.len();
        if bytes > body::MAX_BYTES {
            return Err(Failure::new(
                Outcome::Unfit,
                "the message is larger than 20 MiB",
            ));
        }
        let content_type = ContentType::parse(body::media_type(medium));
        let content_type = content_type.unwrap_or(ContentType::TEXT_PLAIN);
        let name = match medium.kind {
            MediaKind::Picture => format!("{number}.jpg"),
            MediaKind::Clip => format!("{number}.mp4"),
        };
        let attachment = match mail.html.is_empty() {
            true => Attachment::new(name),
            false => Attachment::new_inline_with_name(number.to_string(), name),
        };
        parts.push(attachment.body(content, content_type));
    }
    Ok(parts)
}

/// Text alone, or as the plainer choice beside HTML, with what belongs to it.
fn parts(mail: &Mail, attached: Vec<SinglePart>) -> MultiPart {
    let text = SinglePart::plain(mail.text.clone());
    if mail.html.is_empty() {
        let mixed = MultiPart::mixed().singlepart(text);
        return attached.into_iter().fold(mixed, MultiPart::singlepart);
    }
    let related = MultiPart::related().singlepart(SinglePart::html(mail.html.clone()));
    let related = attached.into_iter().fold(related, MultiPart::singlepart);
    MultiPart::alternative().singlepart(text).multipart(related)
}

fn said(response: &Response) -> String {
    let lines: Vec<&str> = response.message().collect();
    text::line(
        &format!("{} {}", response.code(), lines.join(" ")),
        MOST_SAID,
    )
}

fn explain(error: &smtp::Error) -> Failure {
    let said = match error.status() {
        Some(code) => {
            let words = std::error::Error::source(error).map(ToString::to_string);
            let words = text::line(&words.unwrap_or_default(), MOST_SAID);
            format!("the mail server says {code} {words}")
        }
        None if error.is_client() => "the mail server can not do what the mail needs: the way to sign in, 8BITMIME or SMTPUTF8".into(),
        None => "the connection with the mail server ended; it may have arrived".into(),
    };
    let outcome = match error.status().map(|code| code.severity) {
        Some(Severity::TransientNegativeCompletion) => Outcome::Busy,
        Some(_) => Outcome::Refused,
        None if error.is_client() => Outcome::Refused,
        None => Outcome::Unreachable,
    };
    Failure::new(outcome, said)
}
