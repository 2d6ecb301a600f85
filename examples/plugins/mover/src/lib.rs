//! The smallest backend: a server that takes PUT, GET, HEAD and DELETE, and has no lists. With `does` in
//! its settings it answers as backends must not.

use serde::Deserialize;
use taimat_sdk::Error;
use taimat_sdk::backend::{Backend, Facts, Operation, Progress, Response, backend, request};

/// What it does instead of answering well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
enum Deed {
    /// It answers well.
    #[default]
    Nothing,
    /// It panics.
    Panic,
    /// It signs in by itself.
    SignIn,
    /// It asks for something that was not asked for.
    Other,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    does: Deed,
}

struct Mover(Deed);

impl Backend for Mover {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, Error> {
        Ok(Self(settings.does))
    }

    #[expect(clippy::panic, reason = "that is the point")]
    fn begin(&mut self, key: &str, operation: &Operation) -> Result<Progress, Error> {
        let path = format!("/{key}");
        match self.0 {
            Deed::Nothing => {}
            Deed::Panic => panic!("on purpose"),
            Deed::SignIn => {
                let request = request("GET", path).header("authorization", "Bearer mine");
                return Ok(request.step());
            }
            Deed::Other => {
                let facts = Facts {
                    size: 1,
                    sha256: None,
                };
                return Ok(Progress::Found(facts));
            }
        }
        Ok(match operation {
            Operation::Put(content) => request("PUT", path).whole(content).step(),
            Operation::Get(span) => request("GET", path).range(span).step(),
            Operation::Stat => request("HEAD", path).step(),
            Operation::Remove => request("DELETE", path).step(),
            Operation::Entries(_) | Operation::Space => Progress::Unsupported,
        })
    }

    fn next(
        &mut self,
        _key: &str,
        operation: &Operation,
        _memo: &str,
        response: &Response,
    ) -> Result<Progress, Error> {
        let is_there = matches!(operation, Operation::Stat) && response.status == 200;
        let length = response.headers.iter().find(|h| h.key == "content-length");
        let size = length.and_then(|header| header.value.parse().ok());
        Ok(match size.filter(|_| is_there) {
            Some(size) => Progress::Found(Facts { size, sha256: None }),
            None => Progress::Usual,
        })
    }
}

backend!(Mover);
