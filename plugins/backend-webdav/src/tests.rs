use proptest::prelude::*;
use taimat_sdk::backend::{Source, Span, Step};

use super::*;

fn dav(folder: &str) -> WebDav {
    WebDav::new(Settings {
        folder: folder.into(),
    })
    .unwrap()
}

fn put() -> Operation {
    Operation::Put(Content {
        size: 10,
        sha256: vec![0; 32],
        content_type: "video/mp4".into(),
    })
}

fn answered(status: u16, body: &str) -> Response {
    Response {
        status,
        headers: Vec::new(),
        body: body.into(),
    }
}

fn said(progress: &Progress) -> String {
    match progress {
        Progress::Step(step) => format!("{} {}", step.head.method, step.head.path),
        Progress::Refused(why) => format!("refused: {why}"),
        Progress::Usual => "usual".into(),
        Progress::Done => "done".into(),
        Progress::Missing => "missing".into(),
        Progress::Unsupported => "unsupported".into(),
        Progress::Found(facts) => format!("found {}", facts.size),
        Progress::Room(room) => format!("room {} {:?}", room.used, room.free),
        Progress::Listed(listing) => {
            let keys: Vec<&str> = listing.entries.iter().map(|e| &*e.key).collect();
            format!("listed {} | {}", keys.join(" "), listing.cursor)
        }
        Progress::Again(seconds) => format!("again {seconds}"),
    }
}

fn memo(progress: &Progress) -> &str {
    match progress {
        Progress::Step(step) => &step.memo,
        _ => panic!("no step: {}", said(progress)),
    }
}

/// What is said when the steps are answered so, one after the other.
fn conversation(
    dav: &mut WebDav,
    key: &str,
    operation: &Operation,
    answers: &[u16],
) -> Vec<String> {
    let mut progress = dav.begin(key, operation).unwrap();
    let mut all = vec![said(&progress)];
    for status in answers {
        let memo = memo(&progress).to_owned();
        progress = dav
            .next(key, operation, &memo, &answered(*status, ""))
            .unwrap();
        all.push(said(&progress));
    }
    all
}

#[test]
fn a_file_is_put_whole() {
    let Progress::Step(Step { head, body, .. }) = dav("").begin("a/b.mp4", &put()).unwrap() else {
        panic!("no step");
    };
    assert_eq!((&*head.method, &*head.path), ("PUT", "/a/b.mp4"));
    let whole = Span {
        offset: 0,
        length: 10,
    };
    assert!(
        matches!(body, Source::Object(span) if (span.offset, span.length) == (whole.offset, whole.length))
    );
    assert_eq!(
        conversation(&mut dav(""), "a/b.mp4", &put(), &[201])[1],
        "usual"
    );
}

#[test]
fn folders_are_made_when_a_file_needs_them() {
    let all = conversation(
        &mut dav("t"),
        "a/b/c.mp4",
        &put(),
        &[409, 409, 409, 201, 201, 201, 201],
    );
    let expected = [
        "PUT /t/a/b/c.mp4",
        "MKCOL /t/a/b/",
        "MKCOL /t/a/",
        "MKCOL /t/",
        "MKCOL /t/a/",
        "MKCOL /t/a/b/",
        "PUT /t/a/b/c.mp4",
        "usual",
    ];
    assert_eq!(all, expected);
    // Somebody else made it meanwhile.
    let all = conversation(&mut dav(""), "a/b.mp4", &put(), &[404, 405, 204]);
    assert_eq!(all, ["PUT /a/b.mp4", "MKCOL /a/", "PUT /a/b.mp4", "usual"]);
}

#[test]
fn folders_that_can_not_be_made_end_it() {
    let last = |key: &str, answers: &[u16]| {
        conversation(&mut dav(""), key, &put(), answers)
            .pop()
            .unwrap()
    };
    assert!(last("b.mp4", &[409]).contains("refused: there is no folder"));
    assert!(last("a/b.mp4", &[409, 409]).contains("refused"));
    assert!(last("a/b.mp4", &[409, 201, 409]).contains("although it was made"));
    assert!(last("a/b/c.mp4", &[409, 409, 201, 409]).contains("can not be made"));
    assert_eq!(last("a/b.mp4", &[409, 403]), "usual");
    assert_eq!(last("a/b.mp4", &[409, 503]), "usual");
}

#[test]
fn what_is_not_there_can_be_removed() {
    let last = |status| conversation(&mut dav(""), "a", &Operation::Remove, &[status]).pop();
    assert_eq!(last(404).unwrap(), "done");
    assert_eq!(last(204).unwrap(), "usual");
    assert!(last(207).unwrap().contains("refused"));
}

fn multistatus(resources: &[(&str, Option<u64>)]) -> String {
    let one = |(path, size): &(&str, Option<u64>)| {
        let about = match size {
            Some(size) => format!("<getcontentlength>{size}</getcontentlength>"),
            None => "<resourcetype><collection/></resourcetype>".into(),
        };
        format!(
            "<response><href>/dav{path}</href><propstat><prop>{about}</prop>\
             <status>HTTP/1.1 200 OK</status></propstat></response>"
        )
    };
    let all: String = resources.iter().map(one).collect();
    format!("<multistatus xmlns=\"DAV:\">{all}</multistatus>")
}

/// A tree of files, as a server has it.
fn serve(files: &[&str], path: &str) -> Response {
    let folder = path.trim_end_matches('/');
    let mut all = vec![(format!("{folder}/"), None)];
    for file in files {
        let Some(rest) = file.strip_prefix(&format!("{folder}/")) else {
            continue;
        };
        let child = match rest.split_once('/') {
            Some((name, _)) => (format!("{folder}/{name}/"), None),
            None => ((*file).to_owned(), Some(1)),
        };
        if !all.contains(&child) {
            all.push(child);
        }
    }
    if all.len() == 1 {
        return answered(404, "");
    }
    // In no order.
    all.reverse();
    let all: Vec<(&str, Option<u64>)> = all.iter().map(|(p, s)| (p.as_str(), *s)).collect();
    answered(207, &multistatus(&all))
}

fn listed(files: &[&str], prefix: &str) -> (Vec<String>, usize) {
    let mut dav = dav("");
    let (mut keys, mut cursor, mut asked) = (Vec::new(), String::new(), 0);
    for _ in 0..1000 {
        let operation = Operation::Entries(Page {
            prefix: prefix.into(),
            cursor,
        });
        let mut progress = dav.begin("", &operation).unwrap();
        let listing = loop {
            match progress {
                Progress::Listed(listing) => break listing,
                Progress::Step(step) => {
                    asked += 1;
                    let response = serve(files, &step.head.path);
                    progress = dav.next("", &operation, &step.memo, &response).unwrap();
                }
                other => panic!("{}", said(&other)),
            }
        };
        keys.extend(listing.entries.into_iter().map(|entry| entry.key));
        if listing.cursor.is_empty() {
            return (keys, asked);
        }
        cursor = listing.cursor;
    }
    panic!("it does not end");
}

#[test]
fn a_tree_is_listed_whole_and_each_file_once() {
    let files = [
        "/a/1", "/a/b/2", "/a/b/c/3", "/a/d/4", "/e", "/f/g/5", "/f/h/6",
    ];
    let (mut keys, _) = listed(&files, "");
    keys.sort();
    let expected: Vec<String> = files
        .iter()
        .map(|f| f.trim_start_matches('/').into())
        .collect();
    assert_eq!(keys, expected);
    assert_eq!(listed(&files, "a/b").0, ["a/b/2", "a/b/c/3"]);
    assert_eq!(listed(&files, "f/").0, ["f/g/5", "f/h/6"]);
    assert_eq!(listed(&files, "f/g/5").0, ["f/g/5"]);
    assert_eq!(listed(&files, "nowhere/").0, [""; 0]);
    assert_eq!(listed(&[], "").0, [""; 0]);
    // Four folders and one look above for each that is no first of its own.
    assert!(listed(&files, "a/").1 <= 8);
}

#[test]
fn size_and_room() {
    let mut dav = dav("");
    let mut asked = |operation: &Operation, response: &Response| {
        let key = if *response.body == *b"" { "a" } else { "a/b" };
        said(&dav.next(key, operation, "", response).unwrap())
    };
    let file = answered(207, &multistatus(&[("/a/b", Some(12))]));
    assert_eq!(asked(&Operation::Stat, &file), "found 12");
    let folder = answered(207, &multistatus(&[("/a/b/", None)]));
    assert_eq!(asked(&Operation::Stat, &folder), "missing");
    assert_eq!(asked(&Operation::Stat, &answered(404, "")), "missing");
    assert_eq!(asked(&Operation::Stat, &answered(500, "")), "usual");
    assert!(asked(&Operation::Stat, &answered(200, "<html/>")).contains("no answer of WebDAV"));
    let two = answered(207, &multistatus(&[("/a/b", Some(1)), ("/a/c", Some(1))]));
    assert!(asked(&Operation::Stat, &two).contains("not about one"));
    assert_eq!(asked(&Operation::Space, &folder), "unsupported");
    let quota = multistatus(&[("/", None)]).replace(
        "<resourcetype><collection/></resourcetype>",
        "<quota-available-bytes>70</quota-available-bytes><quota-used-bytes>30</quota-used-bytes>",
    );
    assert_eq!(
        asked(&Operation::Space, &answered(207, &quota)),
        "room 30 Some(70)"
    );
}

#[test]
fn memos_and_cursors_of_others_are_refused() {
    let mut dav = dav("");
    let entries = Operation::Entries(Page {
        prefix: String::new(),
        cursor: "x".into(),
    });
    assert!(said(&dav.begin("", &entries).unwrap()).contains("a cursor of something else"));
    let next = dav.next("a", &put(), "x", &answered(409, "")).unwrap();
    assert!(said(&next).contains("a memo that"));
    for bad in ["..", "a b", "a//b", "ü"] {
        let folder = bad.to_owned();
        assert!(WebDav::new(Settings { folder }).is_err(), "{bad}");
    }
}

fn keys_are_keys(listing: &Listing, prefix: &str) {
    for entry in &listing.entries {
        assert!(
            entry.key.starts_with(prefix) && entry.key.len() <= 512,
            "{}",
            entry.key
        );
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_./".contains(c);
        assert!(entry.key.chars().all(plain), "{}", entry.key);
        assert!(
            entry
                .key
                .split('/')
                .all(|part| !matches!(part, "" | "." | ".."))
        );
    }
    assert!(listing.entries.len() <= 1000 && listing.cursor.len() <= 1024);
}

proptest! {
    /// Whatever a server says, nothing breaks, and what is listed has keys that are keys.
    #[test]
    fn any_answer_is_read_or_refused(
        body in prop::collection::vec(any::<u8>(), 0..300),
        cut in 0_usize..2000,
        at in 0_usize..2000,
        with in prop::collection::vec(any::<u8>(), 0..8),
    ) {
        let _read_or_not = multistatus::read(&body);
        let good = multistatus(&[
            ("/a/", None),
            ("/a/1.mp4", Some(5)),
            ("/a/%2e%2e/etc", Some(5)),
            ("/a/..", None),
            ("/a/b/", None),
        ]);
        let mut bytes = good.into_bytes();
        let at = at.min(bytes.len());
        let end = (at + with.len()).min(bytes.len());
        bytes.splice(at..end, with);
        bytes.truncate(cut.max(1));
        let operation = Operation::Entries(Page {
            prefix: "a/".into(),
            cursor: String::new(),
        });
        let response = Response { status: 207, headers: Vec::new(), body: bytes };
        for memo in ["list a ", "after a/1", "list a/b c"] {
            if let Progress::Listed(listing) = dav("").next("", &operation, memo, &response).unwrap() {
                keys_are_keys(&listing, "a/");
            }
        }
    }
}
