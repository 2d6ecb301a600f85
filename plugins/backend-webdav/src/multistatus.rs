//! What a server says about resources: the answer to PROPFIND (RFC 4918 section 14.16). Only what is asked
//! for is read. Nothing is expanded, nothing is nested deeper than the standard nests it, and an answer
//! that was cut is none.

use percent_encoding::percent_decode_str;
use quick_xml::NsReader;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::ResolveResult;

/// Resources of one answer that are read at most: an answer of 1 MiB has no more.
const MAX_RESOURCES: usize = 20_000;
/// Elements within each other.
const MAX_DEPTH: usize = 32;
/// Bytes of a name or a number.
const MAX_TEXT: usize = 4096;

/// A resource.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Resource {
    /// Its path, decoded, without `/` at its end.
    pub(crate) path: String,
    pub(crate) is_folder: bool,
    pub(crate) size: Option<u64>,
    /// RFC 4331.
    pub(crate) used: Option<u64>,
    pub(crate) free: Option<u64>,
    /// It is not there: an answer may say so of a single one.
    pub(crate) is_missing: bool,
}

/// Why an answer can not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BadAnswer {
    /// It ends in its midst.
    Cut,
    /// It is no such answer.
    Other(&'static str),
}

/// Elements of `DAV:` that are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    Multistatus,
    Response,
    Href,
    Propstat,
    Prop,
    Status,
    Collection,
    ResourceType,
    Length,
    Used,
    Free,
    Other,
}

impl Element {
    fn of(reader: &NsReader<&[u8]>, start: &BytesStart<'_>) -> Self {
        let (namespace, local) = reader.resolver().resolve_element(start.name());
        let ResolveResult::Bound(namespace) = namespace else {
            return Self::Other;
        };
        if namespace.as_ref() != b"DAV:" {
            return Self::Other;
        }
        match local.as_ref() {
            b"multistatus" => Self::Multistatus,
            b"response" => Self::Response,
            b"href" => Self::Href,
            b"propstat" => Self::Propstat,
            b"prop" => Self::Prop,
            b"status" => Self::Status,
            b"collection" => Self::Collection,
            b"resourcetype" => Self::ResourceType,
            b"getcontentlength" => Self::Length,
            b"quota-used-bytes" => Self::Used,
            b"quota-available-bytes" => Self::Free,
            _ => Self::Other,
        }
    }
}

/// What has been read of the resource at hand.
#[derive(Debug, Default)]
struct Reading {
    resource: Resource,
    /// Properties of the propstat at hand, which count only if its status says so.
    found: Resource,
    status: Option<u16>,
}

impl Reading {
    fn text(&mut self, path: &[Element], text: &str) {
        use Element::{Href, Length, Multistatus, Prop, Propstat, Response, Status};
        match path {
            [Multistatus, Response, Href] => self.resource.path = plain_path(text),
            [Multistatus, Response, Status] => {
                self.resource.is_missing = matches!(status(text), Some(404 | 410));
            }
            [Multistatus, Response, Propstat, Status] => self.status = status(text),
            [Multistatus, Response, Propstat, Prop, element] => match element {
                Length => self.found.size = number(text),
                Element::Used => self.found.used = number(text),
                Element::Free => self.found.free = number(text),
                _ => {}
            },
            _ => {}
        }
    }

    fn opened(&mut self, path: &[Element]) {
        use Element::{Collection, Multistatus, Prop, Propstat, ResourceType, Response};
        match path {
            [Multistatus, Response] => *self = Self::default(),
            [Multistatus, Response, Propstat] => {
                self.found = Resource::default();
                self.status = None;
            }
            [
                Multistatus,
                Response,
                Propstat,
                Prop,
                ResourceType,
                Collection,
            ] => {
                self.found.is_folder = true;
            }
            _ => {}
        }
    }

    fn closed_propstat(&mut self) {
        // Without a status it is as if it were good.
        if matches!(self.status, None | Some(200..=299)) {
            let (found, own) = (&self.found, &mut self.resource);
            own.is_folder |= found.is_folder;
            own.size = own.size.or(found.size);
            own.used = own.used.or(found.used);
            own.free = own.free.or(found.free);
        }
    }
}

/// `HTTP/1.1 200 OK`.
fn status(text: &str) -> Option<u16> {
    text.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// A number of bytes that every language holds.
fn number(text: &str) -> Option<u64> {
    let number: u64 = text.trim().parse().ok()?;
    (number < 1 << 53).then_some(number)
}

/// The path of a `href`, which may be a whole address.
fn plain_path(href: &str) -> String {
    let href = href.trim();
    let path = match href.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or(""),
        None => href,
    };
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    decoded.trim_end_matches('/').to_owned()
}

/// The character that `&…;` stands for, if it is one of the five that XML has, or a number.
fn character(reference: &BytesRef<'_>) -> Option<char> {
    if let Ok(Some(number)) = reference.resolve_char_ref() {
        return Some(number);
    }
    match reference.as_ref() {
        b"amp" => Some('&'),
        b"lt" => Some('<'),
        b"gt" => Some('>'),
        b"quot" => Some('"'),
        b"apos" => Some('\''),
        // What a document declares by itself is not looked up.
        _ => None,
    }
}

/// The resources of an answer.
pub(crate) fn read(body: &[u8]) -> Result<Vec<Resource>, BadAnswer> {
    let mut reader = NsReader::from_reader(body);
    let config = reader.config_mut();
    config.expand_empty_elements = true;
    let mut resources = Vec::new();
    let mut path: Vec<Element> = Vec::new();
    let mut text = String::new();
    let mut reading = Reading::default();
    let mut complete = false;
    loop {
        // What a parser stumbles on is most often the end of what was cut.
        let event = reader.read_event().map_err(|_no| BadAnswer::Cut)?;
        match event {
            Event::Start(start) => {
                let element = Element::of(&reader, &start);
                if path.is_empty() && element != Element::Multistatus {
                    return Err(BadAnswer::Other("it is no multistatus"));
                }
                path.push(element);
                if path.len() > MAX_DEPTH {
                    return Err(BadAnswer::Other("it is nested too deeply"));
                }
                text.clear();
                reading.opened(&path);
            }
            Event::Text(part) => push(&mut text, &String::from_utf8_lossy(&part)),
            Event::CData(part) => push(&mut text, &String::from_utf8_lossy(&part)),
            Event::GeneralRef(reference) => {
                let found = character(&reference).unwrap_or('\u{fffd}');
                push(&mut text, found.encode_utf8(&mut [0; 4]));
            }
            Event::End(_) => {
                reading.text(&path, &text);
                text.clear();
                match path.as_slice() {
                    [Element::Multistatus, Element::Response, Element::Propstat] => {
                        reading.closed_propstat();
                    }
                    [Element::Multistatus, Element::Response] => {
                        resources.push(std::mem::take(&mut reading).resource);
                        if resources.len() > MAX_RESOURCES {
                            return Err(BadAnswer::Other("it has too many resources"));
                        }
                    }
                    [Element::Multistatus] => complete = true,
                    _ => {}
                }
                path.pop();
            }
            Event::DocType(_) => return Err(BadAnswer::Other("it declares a document type")),
            Event::Eof if complete => return Ok(resources),
            Event::Eof => return Err(BadAnswer::Cut),
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
}

fn push(text: &mut String, part: &str) {
    if text.len() + part.len() <= MAX_TEXT {
        text.push_str(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(responses: &str) -> Vec<u8> {
        format!(
            "<?xml version=\"1.0\"?>\n<D:multistatus xmlns:D='DAV:'>{responses}</D:multistatus>"
        )
        .into_bytes()
    }

    const FILE: &str = "<D:response><D:href>http://nas.example:81/dav/a%20b&amp;c.mp4</D:href>\
        <D:propstat><D:prop><D:getcontentlength> 12 </D:getcontentlength><D:resourcetype/></D:prop>\
        <D:status>HTTP/1.1 200 OK</D:status></D:propstat>\
        <D:propstat><D:prop><D:quota-used-bytes>7</D:quota-used-bytes></D:prop>\
        <D:status>HTTP/1.1 404 Not Found</D:status></D:propstat></D:response>";

    #[test]
    fn what_a_propstat_found_counts_and_what_it_did_not_find_does_not() {
        let resources = read(&answer(FILE)).unwrap();
        let expected = Resource {
            path: "/dav/a b&c.mp4".into(),
            size: Some(12),
            ..Resource::default()
        };
        assert_eq!(resources, [expected]);
    }

    #[test]
    fn prefixes_are_the_servers_choice_and_other_namespaces_are_others() {
        let folder = "<multistatus xmlns='DAV:' xmlns:x='urn:x'><response><href>/dav/f/</href>\
            <propstat><prop><resourcetype><collection/></resourcetype>\
            <x:getcontentlength>99</x:getcontentlength></prop>\
            <status>HTTP/1.1 200 OK</status></propstat></response>\
            <response><href>/dav/gone</href><status>HTTP/1.1 404 Gone</status></response>\
            </multistatus>";
        let resources = read(folder.as_bytes()).unwrap();
        assert_eq!(resources[0].path, "/dav/f");
        assert!(resources[0].is_folder && resources[0].size.is_none());
        assert!(resources[1].is_missing && !resources[0].is_missing);
    }

    #[test]
    fn what_is_cut_or_something_else_is_no_answer() {
        let whole = answer(FILE);
        for end in 0..whole.len() - 1 {
            assert!(read(&whole[..end]).is_err(), "{end}");
        }
        assert!(matches!(read(b"<html></html>"), Err(BadAnswer::Other(_))));
        let bomb = b"<!DOCTYPE a [<!ENTITY b 'cccc'>]><D:multistatus xmlns:D='DAV:'/>";
        assert!(matches!(read(bomb), Err(BadAnswer::Other(_))));
        let deep = answer(&"<D:a>".repeat(40));
        assert!(matches!(read(&deep), Err(BadAnswer::Other(_))));
        let huge = FILE.replace(" 12 ", "99999999999999999999");
        assert_eq!(read(&answer(&huge)).unwrap()[0].size, None);
    }
}
