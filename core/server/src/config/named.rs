//! What a commune's file names beside itself: secrets, and certificates. Each is looked for where this commune's
//! things are, and nowhere else.

use std::path::{Path, PathBuf};

use taimat_base::{Secret, files};
use toml_edit::{Document, Item, TableLike};

use super::reader::{Origin, Reader, Section};
use super::secrets::{self, is_name, stays, variable};

/// A file of certificates larger than this is something else.
const MAX_PEM_BYTES: u64 = 1 << 20;
/// The ways to name a secret.
pub(super) const SOURCES: [&str; 3] = ["env", "file", "secret"];

/// The secret that `{ env = "…" }`, `{ file = "…" }` or `{ secret = "…" }` names, or why it is not there. None if it
/// can not be there, because it is named in no way that there is, or somewhere else: that is told as a problem.
pub(super) fn secret<'a>(
    reader: &mut Reader<'a>,
    at: &Section<'a>,
) -> Option<Result<Secret, String>> {
    let (env, file, given) = (
        reader.text(at, "env"),
        reader.text(at, "file"),
        reader.text(at, "secret"),
    );
    match (env, file, given) {
        (Some(name), None, None) => from_environment(reader, at, name),
        (None, Some(file), None) => {
            let path = own(reader, at, "file", file)?;
            let read = secrets::read(reader.folder(), &path);
            Some(read.map_err(|why| format!("secret file {file}: {why}")))
        }
        (None, None, Some(name)) => from_operator(reader, at, name),
        _ => {
            let message = format!("{} has to name one source", at.name);
            let hint = "{ env = \"NAME\" }, { file = \"…\" } or { secret = \"…\" }; never in clear";
            reader.problem(at.span.clone(), message, hint);
            None
        }
    }
}

fn from_environment<'a>(
    reader: &mut Reader<'a>,
    at: &Section<'a>,
    name: &str,
) -> Option<Result<Secret, String>> {
    match variable(reader.origin.commune, name) {
        Ok(variable) => Some(match std::env::var(&variable) {
            Ok(secret) => Ok(Secret::new(secret)),
            Err(_absent) => Err(format!("environment variable {variable} is not set")),
        }),
        Err(why) => {
            let span = at.table.get("env").and_then(Item::span);
            let message = format!("{} names no variable of this commune", at.name);
            reader.problem(span, message, why);
            None
        }
    }
}

fn from_operator<'a>(
    reader: &mut Reader<'a>,
    at: &Section<'a>,
    name: &str,
) -> Option<Result<Secret, String>> {
    if !is_name(name) {
        let span = at.table.get("secret").and_then(Item::span);
        let message = format!("{} has a name that no secret has", at.name);
        reader.problem(span, message, "letters, digits, -, _ and .");
        return None;
    }
    let Origin {
        commune,
        secrets: places,
        ..
    } = reader.origin;
    let Some((folder, file)) = places.place(commune, name) else {
        return Some(Err(format!(
            "secret {name}: this router was given no secrets: no --secrets, no credentials"
        )));
    };
    // It may come to be there. A credential does not while this process runs.
    let path = places.of(commune).map(|own| own.join(name));
    path.into_iter().for_each(|path| reader.names(path));
    let read = secrets::read(&folder, &file);
    Some(read.map_err(|why| {
        format!(
            "secret {name}, which is {}: {why}",
            folder.join(&file).display()
        )
    }))
}

/// Certificates in a file of the commune's, or why they are not there. None if no such file is named.
pub(super) fn pem<'a>(
    reader: &mut Reader<'a>,
    at: &Section<'a>,
    key: &str,
) -> Option<Result<Vec<u8>, String>> {
    let file = reader.text(at, key)?;
    let path = own(reader, at, key, file)?;
    let read = files::read_within(reader.folder(), &path, MAX_PEM_BYTES);
    Some(match read {
        Ok(plain) => Ok(plain.bytes),
        Err(error) => Err(format!("file {file}: {error}")),
    })
}

/// A path in the commune's folder, which is watched from now on. One that leads elsewhere is told as a problem.
pub(super) fn own<'a>(
    reader: &mut Reader<'a>,
    at: &Section<'a>,
    key: &str,
    path: &str,
) -> Option<PathBuf> {
    if !stays(path) {
        let span = at.table.get(key).and_then(Item::span);
        let message = format!("`{key}` of {} leads out of the folder", at.name);
        let hint = "a path within the commune's folder; what the operator keeps elsewhere is { secret = \"…\" }";
        reader.problem(span, message, hint);
        return None;
    }
    reader.names(reader.folder().join(path));
    Some(Path::new(path).to_owned())
}

/// Users and passwords that a file names, wherever they stand in it and however wrong the rest is: for
/// who must not show them.
pub(crate) fn logins(origin: Origin<'_>, text: &str) -> Vec<(String, Secret)> {
    let mut found = Vec::new();
    let mut read = |text: &str| {
        let document = Document::parse(text);
        if let Ok(document) = &document {
            logins_in(
                &mut Reader::new(origin, text),
                document.as_table(),
                &mut found,
            );
        }
        document.is_ok()
    };
    if !read(text) {
        // Line by line, so that one that is wrong hides none of the others.
        for line in text.lines() {
            read(line);
        }
    }
    found
}

fn logins_in<'a>(
    reader: &mut Reader<'a>,
    table: &'a dyn TableLike,
    found: &mut Vec<(String, Secret)>,
) {
    let user = table.get("user").and_then(Item::as_str).unwrap_or("");
    let password = table.get("password").and_then(|item| {
        let clear = item.as_str().map(Secret::new);
        clear.or_else(|| {
            let at = Section {
                table: item.as_table_like()?,
                name: String::new(),
                span: None,
            };
            secret(reader, &at)?.ok()
        })
    });
    if !user.is_empty() || password.is_some() {
        let password = password.unwrap_or_else(|| Secret::new(""));
        found.push((user.to_owned(), password));
    }
    for (_, item) in table.iter() {
        if let Some(table) = item.as_table_like() {
            logins_in(reader, table, found);
        }
    }
}
