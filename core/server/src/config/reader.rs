//! Reads TOML tables key by key and collects everything that is wrong, with its place.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use taimat_base::files::Stamp;
use taimat_base::{CommuneId, Place, Problem};
use toml_edit::{Item, TableLike, Value};

use super::secrets::SecretPlaces;

/// Which file is read, for whom, and where its secrets may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    /// The commune's file. What it names is in the same folder.
    pub(crate) file: &'a Path,
    /// Whose file it is.
    pub(crate) commune: &'a CommuneId,
    /// Where the operator keeps secrets.
    pub(crate) secrets: &'a SecretPlaces,
}

/// Collects problems of one file, and which other files it names.
pub(super) struct Reader<'a> {
    pub(super) origin: Origin<'a>,
    text: &'a str,
    pub(super) problems: Vec<Problem>,
    /// The files that it names, as they were before they were read.
    pub(super) files: BTreeMap<PathBuf, Option<Stamp>>,
}

/// A table, its name in messages, and where it stands.
#[derive(Clone)]
pub(super) struct Section<'a> {
    pub(super) table: &'a dyn TableLike,
    pub(super) name: String,
    pub(super) span: Option<Range<usize>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(origin: Origin<'a>, text: &'a str) -> Self {
        Self {
            origin,
            text,
            problems: Vec::new(),
            files: BTreeMap::new(),
        }
    }

    pub(super) fn place(&self, span: Option<Range<usize>>) -> Place {
        match span {
            Some(span) => Place::at(self.origin.file, self.text, span.start),
            None => Place::file(self.origin.file),
        }
    }

    /// The folder that the file is in: what it names stands there.
    pub(super) fn folder(&self) -> &'a Path {
        self.origin.file.parent().unwrap_or(Path::new("."))
    }

    /// Notes a file that is named: when it changes, what names it is read again.
    pub(super) fn names(&mut self, file: PathBuf) {
        let stamp = Stamp::now(&file);
        self.files.insert(file, stamp);
    }

    pub(super) fn problem(
        &mut self,
        span: Option<Range<usize>>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let place = self.place(span);
        self.problems.push(Problem::new(place, message).hint(hint));
    }

    /// Complains about keys that are not in `known`, naming the one that was probably meant.
    pub(super) fn only(&mut self, section: &Section<'_>, known: &[&str]) {
        let unknown: Vec<(String, Option<Range<usize>>)> = section
            .table
            .iter()
            .filter(|(key, _)| !known.contains(key))
            .map(|(key, _)| (key.to_owned(), key_span(section.table, key)))
            .collect();
        for (key, span) in unknown {
            let close = known
                .iter()
                .map(|k| (strsim::damerau_levenshtein(k, &key), k))
                .filter(|(distance, _)| *distance <= 3)
                .min();
            let hint = match close {
                Some((_, meant)) => format!("did you mean `{meant}`?"),
                None => format!("known here: {}", known.join(", ")),
            };
            self.problem(
                span,
                format!("{} has no setting `{key}`", section.name),
                hint,
            );
        }
    }

    /// A table within a table.
    pub(super) fn section(
        &mut self,
        parent: &Section<'a>,
        key: &str,
        name: String,
    ) -> Option<Section<'a>> {
        let item = parent.table.get(key)?;
        let span = item.span().or_else(|| key_span(parent.table, key));
        match item.as_table_like() {
            Some(table) => Some(Section { table, name, span }),
            None => {
                self.problem(
                    span,
                    format!("`{key}` has to be a table"),
                    format!("write [{key}]"),
                );
                None
            }
        }
    }

    /// A text.
    pub(super) fn text(&mut self, section: &Section<'a>, key: &str) -> Option<&'a str> {
        let item = section.table.get(key)?;
        let text = item.as_str();
        if text.is_none() {
            let (found, span) = (kind(item), item.span());
            let message = format!(
                "`{key}` of {} has to be a text, found {found}",
                section.name
            );
            self.problem(span, message, format!("{key} = \"…\""));
        }
        text
    }

    /// A list of tables, however they are written.
    pub(super) fn tables(
        &mut self,
        section: &Section<'a>,
        key: &str,
        example: &str,
    ) -> Vec<Section<'a>> {
        let Some(item) = section.table.get(key) else {
            return Vec::new();
        };
        type Table<'t> = (&'t dyn TableLike, Option<Range<usize>>);
        let tables: Option<Vec<Table<'a>>> = if let Some(tables) = item.as_array_of_tables() {
            let tables = tables.iter();
            Some(tables.map(|t| (t as &dyn TableLike, t.span())).collect())
        } else {
            item.as_array().and_then(|values| {
                let table = |value: &'a Value| {
                    Some((value.as_inline_table()? as &dyn TableLike, value.span()))
                };
                values.iter().map(table).collect()
            })
        };
        let Some(tables) = tables else {
            let message = format!("`{key}` of {} has to be a list of tables", section.name);
            self.problem(item.span(), message, format!("write {example}"));
            return Vec::new();
        };
        let name = format!("`{key}` of {}", section.name);
        let named = |(table, span)| Section {
            table,
            name: name.clone(),
            span,
        };
        tables.into_iter().map(named).collect()
    }

    /// A text that has to be there.
    pub(super) fn required(
        &mut self,
        section: &Section<'a>,
        key: &str,
        example: &str,
    ) -> Option<&'a str> {
        if section.table.get(key).is_none() {
            let message = format!("{} has no `{key}`", section.name);
            self.problem(section.span.clone(), message, format!("{key} = {example}"));
            return None;
        }
        self.text(section, key)
    }

    /// A text with a meaning.
    pub(super) fn parsed<T>(&mut self, section: &Section<'a>, key: &str, hint: &str) -> Option<T>
    where
        T: FromStr<Err: std::fmt::Display>,
    {
        let text = self.text(section, key)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                let span = section.table.get(key).and_then(Item::span);
                self.problem(span, format!("`{key}` of {}: {error}", section.name), hint);
                None
            }
        }
    }

    /// Yes or no.
    pub(super) fn flag(&mut self, section: &Section<'a>, key: &str) -> Option<bool> {
        let item = section.table.get(key)?;
        let value = item.as_bool();
        if value.is_none() {
            let (found, span) = (kind(item), item.span());
            let message = format!(
                "`{key}` of {} has to be true or false, found {found}",
                section.name
            );
            self.problem(span, message, format!("{key} = true"));
        }
        value
    }

    /// A number within bounds.
    pub(super) fn number(
        &mut self,
        section: &Section<'a>,
        key: &str,
        bounds: RangeInclusive<f64>,
    ) -> Option<f64> {
        let item = section.table.get(key)?;
        let number = item.as_float().or(item.as_integer().map(|n| n as f64));
        if number.is_none_or(|n| !bounds.contains(&n)) {
            let (least, most) = (bounds.start(), bounds.end());
            let message = format!("`{key}` of {} has to be a number", section.name);
            self.problem(item.span(), message, format!("between {least} and {most}"));
            return None;
        }
        number
    }

    /// A list of texts with their places.
    pub(super) fn texts(
        &mut self,
        section: &Section<'a>,
        key: &str,
        item: &'a Item,
    ) -> Vec<(String, Option<Range<usize>>)> {
        let values = item.as_array().map(|a| a.iter().collect::<Vec<_>>());
        let text = |v: &&'a Value| Some((v.as_str()?.to_owned(), v.span()));
        let texts = values.and_then(|v| v.iter().map(text).collect::<Option<Vec<_>>>());
        texts.unwrap_or_else(|| {
            let message = format!("`{key}` of {} has to be a list of texts", section.name);
            self.problem(item.span(), message, format!("{key} = [\"…\"]"));
            Vec::new()
        })
    }

    /// One of some words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        section: &Section<'a>,
        key: &str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let text = self.text(section, key)?;
        let found = choices
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, value)| *value);
        if found.is_none() {
            let words: Vec<String> = choices
                .iter()
                .map(|(word, _)| format!("\"{word}\""))
                .collect();
            let span = section.table.get(key).and_then(Item::span);
            let message = format!("`{key}` of {} can not be {text:?}", section.name);
            self.problem(span, message, format!("use {}", words.join(" or ")));
        }
        found
    }
}

/// Where a key stands.
pub(super) fn key_span(table: &dyn TableLike, key: &str) -> Option<Range<usize>> {
    table
        .get_key_value(key)
        .and_then(|(key, item)| key.span().or_else(|| item.span()))
}

fn kind(item: &Item) -> &'static str {
    match item {
        Item::Value(Value::String(_)) => "a text",
        Item::Value(Value::Integer(_) | Value::Float(_)) => "a number",
        Item::Value(Value::Boolean(_)) => "true or false",
        Item::Value(Value::Datetime(_)) => "a date",
        Item::Value(Value::Array(_)) | Item::ArrayOfTables(_) => "a list",
        Item::Value(Value::InlineTable(_)) | Item::Table(_) => "a table",
        Item::None => "nothing",
    }
}
