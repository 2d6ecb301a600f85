//! What the sections of all kinds of channels have, and how a secret is read: never in clear.

use std::collections::BTreeMap;

use taimat_base::Secret;
use taimat_outbound::{Login, Rate};
use toml_edit::{Item, TableLike};

use super::super::named::{self, SOURCES};
use super::super::reader::{Reader, Section, key_span};

/// Secrets of a channel at most.
const MAX_SECRETS: usize = 32;
pub(super) const SECRET_HINT: &str =
    "{ env = \"NAME\" }, { file = \"…\" } or { secret = \"…\" }; never in clear";
pub(super) const URL_HINT: &str = "for example \"https://api.example.org/hook\"";

/// A channel's section, and what of it is not there.
pub(crate) struct Reading<'r, 'a> {
    pub(crate) reader: &'r mut Reader<'a>,
    pub(crate) at: Section<'a>,
    pub(crate) missing: Vec<String>,
}

impl<'a> Reading<'_, 'a> {
    /// A secret. One that is not there is no mistake of the file: the channel says so.
    pub(super) fn secret(&mut self, at: &Section<'a>, key: &str) -> Option<Secret> {
        let item = at.table.get(key)?;
        let table = item.as_table_like();
        self.read_secret(table, item.span(), &format!("`{key}` of {}", at.name))
    }

    pub(super) fn read_secret(
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
            span,
        };
        self.reader.only(&at, &SOURCES);
        match named::secret(self.reader, &at) {
            Some(Ok(secret)) if !secret.reveal().is_empty() => return Some(secret),
            Some(Ok(_)) => self.missing.push(format!("{name} is empty")),
            Some(Err(missing)) => self.missing.push(missing),
            None => {}
        }
        None
    }

    /// A secret that has to be there.
    pub(crate) fn required_secret(&mut self, at: &Section<'a>, key: &str) -> Option<Secret> {
        if at.table.get(key).is_none() {
            let message = format!("{} has no `{key}`", at.name);
            let hint = format!("{key} = {SECRET_HINT}");
            self.reader.problem(at.span.clone(), message, hint);
        }
        self.secret(at, key)
    }

    pub(super) fn within(&mut self, key: &str, known: &[&str]) -> Option<Section<'a>> {
        let name = format!("`{key}` of {}", self.at.name);
        let section = self.reader.section(&self.at.clone(), key, name)?;
        self.reader.only(&section, known);
        Some(section)
    }

    pub(super) fn secrets(&mut self) -> BTreeMap<String, Secret> {
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

    pub(super) fn rate(&mut self) -> Rate {
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
    pub(super) fn pem(&mut self, at: &Section<'a>, key: &str) -> Option<Vec<u8>> {
        let read = named::pem(self.reader, at, key)?;
        read.map_err(|missing| self.missing.push(missing)).ok()
    }

    pub(super) fn login(&mut self) -> Option<Login> {
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
    pub(super) fn word(&mut self, at: &Section<'a>, key: &str, most: usize) -> Option<String> {
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
}
