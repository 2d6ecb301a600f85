//! Whether settings fit the JSON Schema that a plugin gives for them.
//!
//! The schema comes from a plugin, so that whoever checks has to be safe from it: no regular
//! expressions, no addresses, a bound of depth and of work. Understood are `type`, `enum`, `const`,
//! `properties`, `required`, `additionalProperties`, `items`, `minItems`, `maxItems`, `minimum`,
//! `maximum`, `exclusiveMinimum`, `exclusiveMaximum`, `minLength`, `maxLength`, `allOf`, `anyOf`,
//! `oneOf` (as `anyOf`), and `$ref` within the schema. Everything else is read over: the plugin's own
//! `configure` has the last word.

use std::fmt;

use serde_json::{Map, Value};

/// Bytes of a schema at most.
const MAX_BYTES: usize = 64 << 10;
/// Schemas within schemas at most.
const MAX_DEPTH: usize = 64;
/// Comparisons at most: a schema of 64 KiB can ask for more than there is time for.
const MAX_WORK: usize = 100_000;
/// Mismatches that are told.
const MAX_TOLD: usize = 16;

/// Why a text is no schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSchema {
    /// Too large.
    #[error("its settings-schema has {0} bytes, at most {MAX_BYTES} are read")]
    TooLarge(usize),
    /// Not JSON.
    #[error("its settings-schema is no JSON: {0}")]
    NotJson(String),
    /// JSON, and neither an object nor a Boolean.
    #[error("its settings-schema is no JSON Schema: it has to be an object")]
    NotASchema,
}

/// A setting that is not what it has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The way to it: names of settings, and places in lists counted from 0.
    pub path: Vec<String>,
    /// What is wrong, as the rest of a sentence that begins with its name.
    pub message: String,
    /// What would be right, if that is not the message.
    pub hint: String,
}

impl Mismatch {
    /// The setting as people write it: `lines[0].from`.
    pub fn setting(&self) -> String {
        let mut name = String::new();
        for part in &self.path {
            if part.bytes().all(|b| b.is_ascii_digit()) && !name.is_empty() {
                name.push_str(&format!("[{part}]"));
            } else {
                if !name.is_empty() {
                    name.push('.');
                }
                name.push_str(part);
            }
        }
        name
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let setting = self.setting();
        if setting.is_empty() {
            write!(f, "settings {}", self.message)?;
        } else {
            write!(f, "setting `{setting}` {}", self.message)?;
        }
        if !self.hint.is_empty() {
            write!(f, " ({})", self.hint)?;
        }
        Ok(())
    }
}

/// What a plugin's settings may be.
#[derive(Debug, Clone, PartialEq)]
pub struct SettingsSchema(Value);

impl SettingsSchema {
    /// Reads a schema; an empty text is one that takes anything.
    pub fn read(text: &str) -> Result<Self, BadSchema> {
        if text.len() > MAX_BYTES {
            return Err(BadSchema::TooLarge(text.len()));
        }
        if text.trim().is_empty() {
            return Ok(Self(Value::Bool(true)));
        }
        let schema: Value = serde_json::from_str(text)
            .map_err(|e| BadSchema::NotJson(taimat_base::text::line(&e.to_string(), 200)))?;
        if schema.is_object() || schema.is_boolean() {
            Ok(Self(schema))
        } else {
            Err(BadSchema::NotASchema)
        }
    }

    /// As it is.
    pub fn as_json(&self) -> &Value {
        &self.0
    }

    /// What is wrong with settings; nothing if nothing is.
    pub fn check(&self, settings: &Value) -> Vec<Mismatch> {
        let mut check = Check {
            root: &self.0,
            work: 0,
            path: Vec::new(),
            wrong: Vec::new(),
        };
        check.value(&self.0, settings, 0);
        check.wrong
    }
}

struct Check<'a> {
    root: &'a Value,
    work: usize,
    path: Vec<String>,
    wrong: Vec<Mismatch>,
}

/// What a value is, in words.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}

/// What a schema's word for a type means.
fn wanted(name: &str) -> &str {
    match name {
        "null" => "nothing",
        "boolean" => "true or false",
        "number" => "a number",
        "integer" => "a whole number",
        "string" => "a text",
        "array" => "a list",
        "object" => "a table",
        other => other,
    }
}

fn is_of(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => {
            value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|n| n.fract() == 0.0)
        }
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        // A word of a later day forbids nothing.
        _ => true,
    }
}

/// Numbers are equal by value, as JSON Schema has it.
fn same(a: &Value, b: &Value) -> bool {
    a == b || matches!((a.as_f64(), b.as_f64()), (Some(a), Some(b)) if a == b)
}

/// A value in a hint, short.
fn shown(value: &Value) -> String {
    taimat_base::text::line(&value.to_string(), 60)
}

impl<'a> Check<'a> {
    fn wrong(&mut self, message: String, hint: String) {
        if self.wrong.len() < MAX_TOLD {
            self.wrong.push(Mismatch {
                path: self.path.clone(),
                message,
                hint,
            });
        }
    }

    fn within(&mut self, part: String, schema: &'a Value, value: &Value, depth: usize) {
        self.path.push(part);
        self.value(schema, value, depth + 1);
        self.path.pop();
    }

    fn value(&mut self, schema: &'a Value, value: &Value, depth: usize) {
        self.work += 1;
        if depth > MAX_DEPTH || self.work > MAX_WORK {
            return;
        }
        let schema = match schema {
            Value::Bool(false) => return self.wrong("may not be there".into(), String::new()),
            Value::Object(schema) => schema,
            _ => return,
        };
        if let Some(target) = schema.get("$ref").and_then(Value::as_str)
            && let Some(target) = target.strip_prefix('#')
            && let Some(target) = self.root.pointer(target)
        {
            self.value(target, value, depth + 1);
        }
        if !self.is_of_a_type(schema, value) {
            return;
        }
        self.is_one_of(schema, value);
        match value {
            Value::Number(_) => self.number(schema, value),
            Value::String(text) => {
                self.length(
                    schema,
                    ["minLength", "maxLength"],
                    text.chars().count(),
                    "characters",
                );
            }
            Value::Array(items) => self.list(schema, items, depth),
            Value::Object(table) => self.table(schema, table, depth),
            Value::Null | Value::Bool(_) => {}
        }
        self.alternatives(schema, value, depth);
    }

    fn is_of_a_type(&mut self, schema: &Map<String, Value>, value: &Value) -> bool {
        let names: Vec<&str> = match schema.get("type") {
            Some(Value::String(name)) => vec![name],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => return true,
        };
        let fits = names.is_empty() || names.iter().any(|name| is_of(value, name));
        if !fits {
            let wanted: Vec<&str> = names.into_iter().map(wanted).collect();
            let message = format!("has to be {}, found {}", wanted.join(" or "), kind(value));
            self.wrong(message, String::new());
        }
        fits
    }

    fn is_one_of(&mut self, schema: &Map<String, Value>, value: &Value) {
        let choices = match (schema.get("enum"), schema.get("const")) {
            (Some(Value::Array(choices)), _) => choices.as_slice(),
            (_, Some(only)) => std::slice::from_ref(only),
            _ => return,
        };
        self.work += choices.len();
        if !choices.iter().any(|choice| same(choice, value)) {
            let list: Vec<String> = choices.iter().take(16).map(shown).collect();
            let message = format!("can not be {}", shown(value));
            self.wrong(message, format!("use {}", list.join(" or ")));
        }
    }

    fn number(&mut self, schema: &Map<String, Value>, value: &Value) {
        let Some(number) = value.as_f64() else { return };
        type Fits = fn(f64, f64) -> bool;
        let bounds: [(&str, &str, Fits); 4] = [
            ("minimum", "at least", |n, bound| n >= bound),
            ("maximum", "at most", |n, bound| n <= bound),
            ("exclusiveMinimum", "more than", |n, bound| n > bound),
            ("exclusiveMaximum", "less than", |n, bound| n < bound),
        ];
        for (key, words, fits) in bounds {
            if let Some(bound) = schema.get(key).and_then(Value::as_f64)
                && !fits(number, bound)
            {
                self.wrong(
                    format!("has to be {words} {bound}, found {number}"),
                    String::new(),
                );
            }
        }
    }

    fn length(
        &mut self,
        schema: &Map<String, Value>,
        [least, most]: [&str; 2],
        found: usize,
        of: &str,
    ) {
        let bound = |key: &str| schema.get(key).and_then(Value::as_u64);
        let found = found as u64;
        if let Some(least) = bound(least).filter(|least| found < *least) {
            self.wrong(
                format!("has to have {least} {of} or more, found {found}"),
                String::new(),
            );
        }
        if let Some(most) = bound(most).filter(|most| found > *most) {
            self.wrong(
                format!("may have {most} {of}, found {found}"),
                String::new(),
            );
        }
    }

    fn list(&mut self, schema: &'a Map<String, Value>, items: &[Value], depth: usize) {
        self.length(schema, ["minItems", "maxItems"], items.len(), "items");
        if let Some(each) = schema.get("items").filter(|each| !each.is_array()) {
            for (index, item) in items.iter().enumerate() {
                self.within(index.to_string(), each, item, depth);
            }
        }
    }

    fn table(&mut self, schema: &'a Map<String, Value>, table: &Map<String, Value>, depth: usize) {
        let known = schema.get("properties").and_then(Value::as_object);
        if let Some(required) = schema.get("required").and_then(Value::as_array) {
            for name in required.iter().filter_map(Value::as_str) {
                if !table.contains_key(name) {
                    self.wrong(format!("has no `{name}`"), String::new());
                }
            }
        }
        for (name, value) in table {
            if let Some(own) = known.and_then(|known| known.get(name)) {
                self.within(name.clone(), own, value, depth);
                continue;
            }
            match schema.get("additionalProperties") {
                Some(Value::Bool(false)) => {
                    let mut names: Vec<&str> = known
                        .into_iter()
                        .flat_map(Map::keys)
                        .map(String::as_str)
                        .collect();
                    // In one order, whichever a map has.
                    names.sort_unstable();
                    self.path.push(name.clone());
                    let hint = format!("known here: {}", names.join(", "));
                    self.wrong("is not one of the plugin's".into(), hint);
                    self.path.pop();
                }
                Some(other) => self.within(name.clone(), other, value, depth),
                None => {}
            }
        }
    }

    fn alternatives(&mut self, schema: &'a Map<String, Value>, value: &Value, depth: usize) {
        if let Some(all) = schema.get("allOf").and_then(Value::as_array) {
            all.iter()
                .for_each(|each| self.value(each, value, depth + 1));
        }
        for key in ["anyOf", "oneOf"] {
            let Some(any) = schema.get(key).and_then(Value::as_array) else {
                continue;
            };
            let before = self.wrong.len();
            let mut nearest: Option<Vec<Mismatch>> = None;
            for each in any {
                self.value(each, value, depth + 1);
                let wrong = self.wrong.split_off(before);
                if wrong.is_empty() {
                    nearest = None;
                    break;
                }
                // Who was deeper in the settings when it failed was nearer to what was meant.
                let depth = |all: &[Mismatch]| all.iter().map(|m| m.path.len()).max();
                if nearest.as_deref().is_none_or(|n| depth(&wrong) > depth(n)) {
                    nearest = Some(wrong);
                }
            }
            self.wrong.extend(nearest.unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const SCHEMA: &str = r##"{
        "type": "object",
        "additionalProperties": false,
        "required": ["lines"],
        "properties": {
            "sensitivity": { "type": "number", "minimum": 0, "maximum": 1 },
            "mode": { "enum": ["day", "night"] },
            "count": { "type": "integer", "exclusiveMinimum": 0 },
            "name": { "type": ["string", "null"], "minLength": 2, "maxLength": 4 },
            "lines": { "type": "array", "maxItems": 2, "items": { "$ref": "#/$defs/line" } },
            "hours": { "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "integer" } }] }
        },
        "$defs": { "line": { "type": "object", "required": ["from"],
            "properties": { "from": { "type": "array", "items": { "type": "number" }, "minItems": 2 } } } }
    }"##;

    fn wrong(settings: Value) -> Vec<String> {
        let schema = SettingsSchema::read(SCHEMA).unwrap();
        schema
            .check(&settings)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn names_the_setting_and_what_would_be_right() {
        let good = json!({ "lines": [{ "from": [0, 0.5] }], "sensitivity": 1, "mode": "day",
            "count": 2.0, "name": null, "hours": [1, 2] });
        assert_eq!(wrong(good), [""; 0]);
        for (settings, expected) in [
            (json!({}), "settings has no `lines`"),
            (json!([]), "settings has to be a table, found a list"),
            (
                json!({ "lines": [], "sensitivty": 1 }),
                "setting `sensitivty` is not one of the plugin's (known here: count, hours, lines, mode, name, sensitivity)",
            ),
            (
                json!({ "lines": [], "sensitivity": 1.5 }),
                "setting `sensitivity` has to be at most 1, found 1.5",
            ),
            (
                json!({ "lines": [], "mode": "dusk" }),
                "setting `mode` can not be \"dusk\" (use \"day\" or \"night\")",
            ),
            (
                json!({ "lines": [], "count": 1.5 }),
                "setting `count` has to be a whole number, found a number",
            ),
            (
                json!({ "lines": [], "count": 0 }),
                "setting `count` has to be more than 0, found 0",
            ),
            (
                json!({ "lines": [], "name": "phường" }),
                "setting `name` may have 4 characters, found 6",
            ),
            (
                json!({ "lines": [{ "from": [0, "x"] }] }),
                "setting `lines[0].from[1]` has to be a number, found a text",
            ),
            (
                json!({ "lines": [{ "from": [0] }, {}] }),
                "setting `lines[1]` has no `from`",
            ),
            (
                json!({ "lines": [], "hours": [1, "x"] }),
                "setting `hours[1]` has to be a whole number, found a text",
            ),
        ] {
            let told = wrong(settings.clone());
            assert!(told.iter().any(|t| t == expected), "{settings}: {told:#?}");
        }
    }

    #[test]
    fn what_is_no_schema_is_said_and_what_is_not_understood_forbids_nothing() {
        let read = SettingsSchema::read;
        assert!(matches!(read("{"), Err(BadSchema::NotJson(_))));
        assert_eq!(read("7"), Err(BadSchema::NotASchema));
        assert!(matches!(
            read(&" ".repeat(70_000)),
            Err(BadSchema::TooLarge(70_000))
        ));
        for anything in ["", "{}", "true", r#"{ "type": "colour", "pattern": "(" }"#] {
            assert_eq!(read(anything).unwrap().check(&json!({ "a": 1 })), []);
        }
    }

    #[test]
    fn a_schema_that_turns_in_a_circle_or_multiplies_comes_to_an_end() {
        let circle = r##"{ "$ref": "#", "allOf": [{ "$ref": "#" }, { "$ref": "#" }] }"##;
        let schema = SettingsSchema::read(circle).unwrap();
        assert_eq!(schema.check(&json!({})), []);
    }

    proptest! {
        #[test]
        fn never_panics(at in 0..SCHEMA.len(), byte in 32u8..127, text in "[ -~]{0,40}") {
            let mut schema = SCHEMA.as_bytes().to_vec();
            schema[at] = byte;
            let settings = serde_json::from_str(&text).unwrap_or(json!({ "lines": [text] }));
            if let Ok(schema) = SettingsSchema::read(&String::from_utf8(schema).unwrap()) {
                drop(schema.check(&settings));
            }
        }
    }
}
