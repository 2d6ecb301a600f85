//! WebDAV (RFC 4918), with what servers say of their room (RFC 4331). Folders are made when a file needs
//! them. What a step was for stands in its memo.

mod multistatus;
mod walk;

use serde::Deserialize;
use taimat_sdk::Error;
use taimat_sdk::backend::{
    Backend, Content, Entry, Facts, Listing, Operation, Page, Progress, Request, Response, Room,
    backend, request,
};

use multistatus::{BadAnswer, Resource};
use walk::Stand;

/// What is asked of each resource, and no more: some servers say a lot.
const ASK: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?><D:propfind xmlns:D=\"DAV:\"><D:prop>\
    <D:resourcetype/><D:getcontentlength/></D:prop></D:propfind>";
const ASK_ROOM: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?><D:propfind xmlns:D=\"DAV:\">\
    <D:prop><D:quota-available-bytes/><D:quota-used-bytes/></D:prop></D:propfind>";

/// What a commune may set.
#[derive(Debug, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// Below the channel's address, for example `taimat/hoa-lac`.
    folder: String,
}

#[derive(Debug)]
struct WebDav {
    /// With `/` before it and none behind; or empty.
    root: String,
}

/// What the steps of a put were for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Putting {
    /// The file.
    File,
    /// The folder of the first so many parts; the one above may be missing too.
    FolderUp(usize),
    /// The same, after the one above was made.
    FolderDown(usize),
    /// The file, after its folders were made.
    Again,
}

impl Putting {
    fn memo(self) -> String {
        match self {
            Self::File => "file".into(),
            Self::FolderUp(parts) => format!("up {parts}"),
            Self::FolderDown(parts) => format!("down {parts}"),
            Self::Again => "again".into(),
        }
    }

    fn read(memo: &str) -> Option<Self> {
        match memo.split_once(' ') {
            None if memo == "file" => Some(Self::File),
            None if memo == "again" => Some(Self::Again),
            Some(("up", parts)) => parts.parse().ok().map(Self::FolderUp),
            Some(("down", parts)) => parts.parse().ok().map(Self::FolderDown),
            _ => None,
        }
    }
}

impl WebDav {
    fn path(&self, key: &str) -> String {
        format!("{}/{key}", self.root)
    }

    /// A folder's address ends with `/`.
    fn folder(&self, folder: &str) -> String {
        match folder.is_empty() {
            true => format!("{}/", self.root),
            false => format!("{}/{folder}/", self.root),
        }
    }

    fn put(&self, key: &str, content: &Content, step: Putting) -> Progress {
        let put = request("PUT", self.path(key)).whole(content);
        put.memo(step.memo()).step()
    }

    fn make_folder(&self, key: &str, step: Putting, parts: usize) -> Progress {
        // Those of the settings come before those of the key.
        let whole = self.path(key);
        let mut ends = whole.match_indices('/').skip(1).map(|(at, _)| at);
        let end = parts.checked_sub(1).and_then(|n| ends.nth(n));
        match end.and_then(|end| whole.get(..=end)) {
            Some(folder) => request("MKCOL", folder).memo(step.memo()).step(),
            None => Progress::Refused("there is no folder at the channel's address".into()),
        }
    }

    /// How many folders there are above the file.
    fn folders(&self, key: &str) -> usize {
        self.path(key).matches('/').count().saturating_sub(1)
    }

    fn after_put(&self, key: &str, content: &Content, memo: &str, status: u16) -> Progress {
        let Some(step) = Putting::read(memo) else {
            return Progress::Refused("a memo that this plugin did not write".into());
        };
        let folders = self.folders(key);
        // No folder: 409 by the standard, 404 of some servers.
        let no_folder = matches!(status, 404 | 409);
        match step {
            Putting::File if no_folder => {
                self.make_folder(key, Putting::FolderUp(folders), folders)
            }
            Putting::File => Progress::Usual,
            Putting::Again if no_folder => {
                Progress::Refused("there is no folder although it was made".into())
            }
            Putting::Again => Progress::Usual,
            Putting::FolderUp(parts) if no_folder => {
                let above = parts.saturating_sub(1);
                self.make_folder(key, Putting::FolderUp(above), above)
            }
            Putting::FolderUp(parts) | Putting::FolderDown(parts) => match status {
                // 405 is that there is one already: somebody else was faster.
                200..=299 | 405 if parts >= folders => self.put(key, content, Putting::Again),
                200..=299 | 405 => self.make_folder(key, Putting::FolderDown(parts + 1), parts + 1),
                404 | 409 => Progress::Refused("a folder can not be made".into()),
                _ => Progress::Usual,
            },
        }
    }

    fn find(&self, path: String, depth: &str, ask: &str, memo: &str) -> Progress {
        let find: Request = request("PROPFIND", path)
            .header("depth", depth)
            .header("content-type", "application/xml; charset=utf-8")
            .body(ask);
        find.memo(memo).step()
    }

    fn look_into(&self, folder: &str, stand: &Stand) -> Progress {
        self.find(self.folder(folder), "1", ASK, &stand.to_string())
    }

    /// On from where a walk stands.
    fn walk(&self, prefix: &str, stand: &Stand) -> Progress {
        match stand {
            Stand::List(folder, _) => self.look_into(folder, stand),
            Stand::After(folder) if folder == walk::base(prefix) => {
                Progress::Listed(Listing::default())
            }
            Stand::After(folder) => match walk::above(folder) {
                Some((above, _)) => self.look_into(above, stand),
                None => Progress::Listed(Listing::default()),
            },
        }
    }

    fn walked(&self, page: &Page, memo: &str, response: &Response) -> Progress {
        let prefix = &page.prefix;
        let Ok(stand) = memo.parse::<Stand>() else {
            return Progress::Refused("a memo that this plugin did not write".into());
        };
        let resources = match response.status {
            207 => match multistatus::read(&response.body) {
                Ok(resources) => resources,
                Err(bad) => return unread(bad),
            },
            // A folder that is gone has nothing in it.
            404 | 410 => Vec::new(),
            _ => return other(response.status),
        };
        let children = walk::children(&resources);
        match &stand {
            Stand::List(folder, behind) => {
                let (files, next) = walk::page(prefix, folder, behind, &children);
                let over = matches!(&next, Stand::After(f) if f == walk::base(prefix));
                let entry = |(key, size)| Entry { key, size };
                Progress::Listed(Listing {
                    entries: files.into_iter().map(entry).collect(),
                    cursor: if over {
                        String::new()
                    } else {
                        next.to_string()
                    },
                })
            }
            Stand::After(folder) => {
                let Some((above, name)) = walk::above(folder) else {
                    return Progress::Listed(Listing::default());
                };
                let next = walk::next_folder(prefix, above, &children, name);
                match next.filter(|next| next.len() < 512) {
                    Some(next) => self.walk(prefix, &Stand::List(next, String::new())),
                    None => self.walk(prefix, &Stand::After(above.to_owned())),
                }
            }
        }
    }
}

fn unread(bad: BadAnswer) -> Progress {
    Progress::Refused(match bad {
        BadAnswer::Cut => "the server's answer is cut, or longer than 1 MiB".into(),
        BadAnswer::Other(why) => format!("the server's answer can not be read: {why}"),
    })
}

/// A PROPFIND was not answered by a multistatus.
fn other(status: u16) -> Progress {
    match status {
        200..=299 => Progress::Refused(format!("no answer of WebDAV but {status}")),
        _ => Progress::Usual,
    }
}

/// The one resource that an answer to `Depth: 0` is about.
fn single(response: &Response) -> Result<Option<Resource>, Progress> {
    match response.status {
        207 => {
            let mut resources = multistatus::read(&response.body)
                .map_err(unread)?
                .into_iter();
            match (resources.next(), resources.next()) {
                (Some(one), None) => Ok(Some(one).filter(|one| !one.is_missing)),
                _ => Err(Progress::Refused("an answer that is not about one".into())),
            }
        }
        404 | 410 => Ok(None),
        status => Err(other(status)),
    }
}

fn found(response: &Response) -> Progress {
    match single(response) {
        Ok(Some(Resource {
            is_folder: true, ..
        }))
        | Ok(None) => Progress::Missing,
        Ok(Some(one)) => match one.size {
            Some(size) => Progress::Found(Facts { size, sha256: None }),
            None => Progress::Refused("the server does not say how large it is".into()),
        },
        Err(progress) => progress,
    }
}

fn room(response: &Response) -> Progress {
    match single(response) {
        Ok(Some(one)) => match (one.used, one.free) {
            (None, None) => Progress::Unsupported,
            (used, free) => Progress::Room(Room {
                used: used.unwrap_or(0),
                free,
            }),
        },
        // The folder is made with the first file.
        Ok(None) => Progress::Unsupported,
        Err(progress) => progress,
    }
}

fn removed(status: u16) -> Progress {
    match status {
        404 | 410 => Progress::Done,
        // A part of it is still there.
        207 => Progress::Refused("the server did not remove all of it".into()),
        _ => Progress::Usual,
    }
}

impl Backend for WebDav {
    type Settings = Settings;
    const SETTINGS_SCHEMA: &'static str = include_str!("../settings.schema.json");

    fn new(settings: Settings) -> Result<Self, Error> {
        let folder = settings.folder.trim_matches('/');
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.~/".contains(c);
        let part = |part: &str| !matches!(part, "" | "." | "..");
        let root = match folder.is_empty() {
            true => String::new(),
            false => format!("/{folder}"),
        };
        let good = folder.is_empty() || folder.chars().all(fits) && folder.split('/').all(part);
        if !good || root.len() > 512 {
            let why = "folder: letters, digits, -, _, . and ~, parts separated by /";
            return Err(Error::Settings(why.into()));
        }
        Ok(Self { root })
    }

    fn begin(&mut self, key: &str, operation: &Operation) -> Result<Progress, Error> {
        Ok(match operation {
            Operation::Put(content) => self.put(key, content, Putting::File),
            Operation::Get(span) => request("GET", self.path(key)).range(span).step(),
            Operation::Stat => self.find(self.path(key), "0", ASK, ""),
            Operation::Remove => request("DELETE", self.path(key)).step(),
            Operation::Entries(page) => {
                let first = || Stand::List(walk::base(&page.prefix).into(), String::new());
                match (page.cursor.is_empty(), page.cursor.parse()) {
                    (true, _) => self.walk(&page.prefix, &first()),
                    (false, Ok(stand)) => self.walk(&page.prefix, &stand),
                    (false, Err(())) => Progress::Refused("a cursor of something else".into()),
                }
            }
            Operation::Space => self.find(self.folder(""), "0", ASK_ROOM, ""),
        })
    }

    fn next(
        &mut self,
        key: &str,
        operation: &Operation,
        memo: &str,
        response: &Response,
    ) -> Result<Progress, Error> {
        Ok(match operation {
            Operation::Put(content) => self.after_put(key, content, memo, response.status),
            Operation::Get(_) => match response.status {
                416 => Progress::Refused("what is there is shorter".into()),
                _ => Progress::Usual,
            },
            Operation::Stat => found(response),
            Operation::Remove => removed(response.status),
            Operation::Entries(page) => self.walked(page, memo, response),
            Operation::Space => room(response),
        })
    }
}

backend!(WebDav);

#[cfg(test)]
mod tests;
