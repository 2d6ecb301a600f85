//! Cameras of the field: one small file a kind in `cameras/`, one program that plays them all.
//!
//! A kind says in which respects a camera differs from a good one ([`Case`]), and what has to come of
//! it. A report of a new kind is a new file, mostly without a new line here: see CONTRIBUTING.md.
//! Everything runs on loopback; footage is made by ffmpeg, which is also the judge of pictures.

mod camera;
pub mod case;
mod connection;
mod describe;
pub mod footage;
pub mod hostile;
mod media;
pub mod packetize;
pub mod pull;
mod requests;
mod rtp;
mod shared;
mod sign_in;
mod speech;
pub mod straight;
mod stream;
mod transports;
mod wire;

use std::path::Path;

use anyhow::Context;

pub use camera::FieldCamera;
pub use case::Case;

/// The folder of the kinds.
pub const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/cameras");

/// All kinds, by name.
pub fn cases() -> anyhow::Result<Vec<Case>> {
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(FOLDER)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            cases.push(read(&path)?);
        }
    }
    cases.sort_by(|a: &Case, b| a.name.cmp(&b.name));
    Ok(cases)
}

/// The kind of this name.
pub fn case(name: &str) -> anyhow::Result<Case> {
    read(&Path::new(FOLDER).join(name).with_extension("toml"))
}

/// The kind in a file.
pub fn read(path: &Path) -> anyhow::Result<Case> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {shown}"))?;
    let mut case: Case = toml::from_str(&text).with_context(|| format!("{shown}"))?;
    case.name = path
        .file_stem()
        .and_then(|name| name.to_str())
        .context("a name")?
        .to_owned();
    Ok(case)
}

/// Base64, as it stands in headers.
pub fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}
