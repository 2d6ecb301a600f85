//! What a camera, a viewer's program or a library says, made fit to be shown: one line, not too
//! long, nothing in it that commands a terminal, and no credentials. Everything that is logged,
//! answered or counted passes here; there is no second place. What a camera's address makes known is
//! in `source`.
//!
//! Credentials are found in two ways. Those that we know are found however they are written: percent
//! encoded, escaped, in base64 with the user's name. Those that we do not know, because somebody else
//! makes them up or moves them, are found by how they look: user-info of an address, the value of a
//! key that is named like one, the words of an `Authorization` header.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Longest text shown, in characters.
const SHOWN: usize = 200;
/// Backslashes before one character: JSON within JSON within JSON.
const MOST_SLASHES: usize = 8;
/// Values of a query that are shorter and whose key says nothing are words, not secrets.
pub(super) const SHORT: usize = 5;

/// Knows what must not be shown.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Longest first.
    known: Vec<Known>,
}

#[derive(Clone, PartialEq, Eq)]
struct Known {
    bytes: Vec<u8>,
    /// Short ones are found as whole words only: `1` is in everything.
    word: bool,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor")
            .field("known", &self.known.len())
            .finish()
    }
}

impl Redactor {
    /// Knows these secrets, and how credentials look.
    pub fn new<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Self {
        let mut redactor = Self::default();
        for secret in secrets {
            redactor.know(secret.as_ref());
        }
        redactor
    }

    /// From now on a user's name and password are known too, alone and as Basic sends them.
    pub fn know_login(&mut self, user: &str, password: &str) {
        self.know(user);
        self.know(password);
        if !password.is_empty() {
            let pair = format!("{user}:{password}");
            self.know(&STANDARD_NO_PAD.encode(&pair));
            self.know(&URL_SAFE_NO_PAD.encode(&pair));
        }
    }

    /// From now on this is known too.
    pub fn know(&mut self, secret: &str) {
        let secret = secret.trim();
        if secret.is_empty() {
            return;
        }
        self.add(secret.as_bytes().to_vec());
        if !secret.is_ascii() {
            // As it comes out of bytes that are no UTF-8, and of bytes taken for Latin-1.
            let replaced: String = secret
                .chars()
                .map(|c| {
                    if c.is_ascii() {
                        c
                    } else {
                        char::REPLACEMENT_CHARACTER
                    }
                })
                .collect();
            self.add(replaced.into_bytes());
            let mistaken: String = secret.bytes().map(char::from).collect();
            self.add(mistaken.into_bytes());
        }
    }

    fn add(&mut self, bytes: Vec<u8>) {
        let word = bytes.len() < SHORT;
        let known = Known { bytes, word };
        if !self.known.contains(&known) {
            self.known.push(known);
            self.known
                .sort_by_key(|known| std::cmp::Reverse(known.bytes.len()));
        }
    }

    /// The text as it may be shown: at most 200 characters, on one line.
    pub fn text(&self, text: &str) -> String {
        self.line(text, SHOWN)
    }

    /// Bytes of somebody else with the secrets that are known taken out, and nothing else changed: for
    /// who reads them by program.
    pub fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        let mut shown = Vec::with_capacity(bytes.len());
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let before = at.checked_sub(1).and_then(|before| bytes.get(before));
            match self.known_in(rest, before.copied()) {
                Some(len) => {
                    shown.extend_from_slice(b"***");
                    at += len;
                }
                None => {
                    shown.extend(rest.first());
                    at += 1;
                }
            }
        }
        shown
    }

    /// How many bytes of a known secret these begin with.
    fn known_in(&self, rest: &[u8], before: Option<u8>) -> Option<usize> {
        let first = rest.first()?;
        let inside = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        self.known.iter().find_map(|known| {
            let begins = known.bytes.first()?;
            // What is escaped begins otherwise.
            if !matches!(first, b'%' | b'\\' | b'+') && !begins.eq_ignore_ascii_case(first) {
                return None;
            }
            let len = found(&known.bytes, rest)?;
            let free = !inside(before.as_ref()) && !inside(rest.get(len));
            (len > 0 && (!known.word || free)).then_some(len)
        })
    }

    /// A text of many lines as it may be shown, however long: for what people read before they send it.
    pub fn whole(&self, text: &str) -> String {
        let lines = text.lines().map(|line| {
            let indent = line.len() - line.trim_start_matches(' ').len();
            let shown = self.line(line, usize::MAX);
            format!("{:indent$}{shown}", "")
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    fn line(&self, text: &str, most: usize) -> String {
        let mut shown = RedactedText::new(most);
        // First, so that nothing becomes a secret by it.
        let text: String = text.chars().map(harmless).collect();
        let mut rest = text.trim();
        let mut before = None;
        while let Some(c) = rest.chars().next() {
            if shown.is_full() {
                shown.cut();
                break;
            }
            let at = At { rest, before };
            let hidden = self
                .known(at)
                .map(|len| (0, len))
                .or_else(|| user_info(at))
                .or_else(|| valued(at))
                .or_else(|| basic(at));
            let used = match hidden {
                // So much is shown as it is, and so much is hidden behind it.
                Some((open, hidden)) => {
                    for c in rest.get(..open).unwrap_or("").chars() {
                        shown.push(c);
                    }
                    shown.hide();
                    open + hidden
                }
                None => {
                    shown.push(c);
                    c.len_utf8()
                }
            };
            let (done, after) = rest.split_at_checked(used).unwrap_or((rest, ""));
            before = done.chars().next_back();
            rest = after;
        }
        shown.text
    }

    /// How many bytes of a known secret are here.
    fn known(&self, at: At<'_>) -> Option<usize> {
        let first = at.rest.as_bytes().first()?;
        let may_begin = |known: &&Known| {
            let begins = known.bytes.first();
            // What is escaped begins otherwise.
            matches!(first, b'%' | b'\\') || begins.is_some_and(|b| b.eq_ignore_ascii_case(first))
        };
        self.known.iter().filter(may_begin).find_map(|known| {
            let len = found(&known.bytes, at.rest.as_bytes())?;
            let after = at.rest.get(len..)?.chars().next();
            let inside = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
            (!known.word || !(inside(at.before) || inside(after))).then_some(len)
        })
    }
}

/// A place in a text.
#[derive(Clone, Copy)]
struct At<'a> {
    rest: &'a str,
    before: Option<char>,
}

struct RedactedText {
    text: String,
    chars: usize,
    most: usize,
}

impl RedactedText {
    fn new(most: usize) -> Self {
        Self {
            text: String::new(),
            chars: 0,
            most,
        }
    }

    fn is_full(&self) -> bool {
        self.chars >= self.most
    }

    fn push(&mut self, c: char) {
        if self.is_full() {
            return;
        }
        self.text.push(c);
        self.chars += 1;
    }

    fn hide(&mut self) {
        if !self.text.ends_with("***") {
            self.text.push_str("***");
            self.chars += 3;
        }
    }

    fn cut(&mut self) {
        self.text.push('…');
    }
}

/// Controls command terminals, others turn text around or hide it: a space instead.
fn harmless(c: char) -> char {
    let hides = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    if c.is_control() || hides { ' ' } else { c }
}

/// Where a secret ends that begins here, if it does: each of its bytes as it is, in the other case,
/// percent-encoded once or twice, behind backslashes, or as JSON's `\u0026`.
fn found(secret: &[u8], text: &[u8]) -> Option<usize> {
    let mut ends = vec![0];
    let mut next = Vec::new();
    for byte in secret {
        for &end in &ends {
            let rest = text.get(end..).unwrap_or_default();
            let mut push = |len: usize| {
                if !next.contains(&(end + len)) {
                    next.push(end + len);
                }
            };
            // As the same bytes can be read in several ways, all are followed.
            match rest {
                [c, ..] if c.eq_ignore_ascii_case(byte) => push(1),
                [b'+', ..] if *byte == b' ' => push(1),
                _ => {}
            }
            if let [b'%', high, low, ..] = rest
                && hex(*high, *low) == Some(*byte)
            {
                push(3);
            }
            // A text within a text within a text is escaped as often.
            let slashes = rest
                .iter()
                .take(MOST_SLASHES)
                .take_while(|c| **c == b'\\')
                .count();
            for slashes in 1..=slashes {
                match rest.get(slashes..).unwrap_or_default() {
                    [c, ..] if c.eq_ignore_ascii_case(byte) => push(slashes + 1),
                    // As programs write what could mean something in HTML.
                    [b'u' | b'U', b'0', b'0', high, low, ..] if hex(*high, *low) == Some(*byte) => {
                        push(slashes + 5);
                    }
                    _ => {}
                }
            }
            match rest {
                [b'%', b'2', b'5', high, low, ..] if hex(*high, *low) == Some(*byte) => push(5),
                _ => {}
            }
        }
        ends.clear();
        std::mem::swap(&mut ends, &mut next);
        if ends.is_empty() {
            return None;
        }
    }
    ends.into_iter().max()
}

fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |c: u8| char::from(c).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

/// `%41` becomes `A`; what is no UTF-8 then is replaced.
pub(super) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        let (byte, after) = match others {
            [high, low, after @ ..] if *first == b'%' => match hex(*high, *low) {
                Some(byte) => (byte, after),
                None => (*first, others),
            },
            _ => (*first, others),
        };
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// User and password before the `@` of an address, with a scheme or without.
fn user_info(at: At<'_>) -> Option<(usize, usize)> {
    let begins = |c: char| c.is_whitespace() || "\"'<>(),=".contains(c);
    let open = if at.rest.starts_with("://") {
        3
    } else if at.before.is_none_or(begins) {
        0
    } else {
        return None;
    };
    let ends = |c: char| c.is_whitespace() || "\"'<>".contains(c);
    let token = at.rest.get(open..)?.split(ends).next()?;
    // With a scheme before it, this is looked at there.
    if open == 0 && token.contains("://") {
        return None;
    }
    // A password may have an `@`, a `/` or a `?` in it that nobody has encoded.
    let (info, _) = token.rsplit_once('@')?;
    let is_login = open > 0 || info.contains(':');
    (is_login && !info.is_empty()).then_some((open, info.len()))
}

/// The value of a key that is named like a credential: `password=…`, `Token: "…"`.
fn valued(at: At<'_>) -> Option<(usize, usize)> {
    if at.before.is_some_and(|c| c.is_alphanumeric() || c == '-') {
        return None;
    }
    let is_name = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    let name_len = at.rest.find(|c: char| !is_name(c)).unwrap_or(at.rest.len());
    let (name, rest) = at.rest.split_at_checked(name_len)?;
    let rest = rest.trim_start_matches(['"', '\'', ' ']);
    let rest = ["=", ":", "%3D", "%3d"]
        .into_iter()
        .find_map(|sign| rest.strip_prefix(sign))?;
    if !is_credential(name) {
        return None;
    }
    let rest = rest.trim_start_matches(' ');
    let open = at.rest.len() - rest.len();
    if name.to_ascii_lowercase().ends_with("authorization") {
        return (!rest.is_empty()).then_some((open, rest.len()));
    }
    if let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        let mut escaped = false;
        let inner = rest.get(1..)?;
        let end = inner.find(|c: char| {
            let is_end = c == quote && !escaped;
            escaped = c == '\\' && !escaped;
            is_end
        });
        let len = end.unwrap_or(inner.len());
        return (len > 0).then_some((open + 1, len));
    }
    let ends = |c: char| c.is_whitespace() || "&;\"'<>/?".contains(c);
    let value = rest.split(ends).next()?;
    let len = next_key(value).unwrap_or(value.len());
    (len > 0).then_some((open, len))
}

/// Where a value ends because `_key=` follows, as recorders have it in paths.
fn next_key(value: &str) -> Option<usize> {
    value.match_indices('_').map(|(at, _)| at).find(|at| {
        let key = value.get(at + 1..).and_then(|rest| rest.split_once('='));
        key.is_some_and(|(key, _)| !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphabetic()))
    })
}

/// Whether a key is named like something that is not to be shown.
pub(super) fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    // Several keys may hang together: the last one says what the value is.
    let last = name.rsplit('_').next().unwrap_or("");
    let parts = [
        "pass",
        "pwd",
        "psw",
        "secret",
        "token",
        "user",
        "usr",
        "login",
        "credential",
    ];
    let whole = [
        "auth",
        "key",
        "pas",
        "pw",
        "psd",
        "pin",
        "sig",
        "signature",
        "response",
        "cnonce",
        "uid",
    ];
    name != "user-agent"
        && (parts.iter().any(|part| name.contains(part))
            || whole.contains(&last)
            || name.ends_with("key")
            || name.ends_with("authorization"))
}

/// What follows the word `Basic`, if a user and a password are in it.
fn basic(at: At<'_>) -> Option<(usize, usize)> {
    let word = at.rest.get(..5)?;
    if !word.eq_ignore_ascii_case("basic") || at.before.is_some_and(char::is_alphanumeric) {
        return None;
    }
    let value = at.rest.get(5..)?.trim_start_matches([' ', '\t']);
    let open = at.rest.len() - value.len();
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/-_".contains(c);
    let len = value.find(|c| !is_base64(c)).unwrap_or(value.len());
    let digits = value.get(..len)?;
    let pair = STANDARD_NO_PAD
        .decode(digits)
        .or_else(|_| URL_SAFE_NO_PAD.decode(digits))
        .ok()?;
    let padding = value.bytes().skip(len).take_while(|b| *b == b'=').count();
    (open > 5 && pair.contains(&b':')).then_some((open, len + padding))
}

#[cfg(test)]
mod tests;
