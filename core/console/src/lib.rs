//! The web console's files, embedded in the binary.
//!
//! Owner: `api` serves them. Built from TypeScript beside this file; see `README.md` there.

use std::borrow::Cow;

#[derive(rust_embed::RustEmbed)]
#[folder = "dist"]
struct Dist;

/// A file of the console.
#[derive(Debug, Clone)]
pub struct File {
    /// Its bytes.
    pub bytes: Cow<'static, [u8]>,
    /// SHA-256 of them, for caches.
    pub hash: [u8; 32],
    /// What it is, as HTTP says it.
    pub content_type: &'static str,
    /// Its name has a hash of its content: it can be kept for ever.
    pub immutable: bool,
}

/// The file at a path relative to the console's root, without a leading slash.
pub fn file(path: &str) -> Option<File> {
    let found = Dist::get(path)?;
    Some(File {
        bytes: found.data,
        hash: found.metadata.sha256_hash(),
        content_type: content_type(path),
        immutable: path.starts_with("assets/"),
    })
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or("") {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_service_worker_is_one_file_at_the_root() {
        let worker = super::file("sw.js").unwrap();
        assert_eq!(worker.content_type, "text/javascript; charset=utf-8");
        assert!(!worker.immutable, "a newer one has to be found");
        let text = String::from_utf8_lossy(&worker.bytes);
        // Browsers take it as a script, and no part of it may be missing when it is woken.
        assert!(
            !text.contains("import ") && !text.contains("import{"),
            "{text}"
        );
        assert!(!text.contains("export "), "{text}");
        let manifest = super::file("taimat.webmanifest").unwrap();
        assert_eq!(manifest.content_type, "application/manifest+json");
    }

    #[test]
    fn the_page_is_there() {
        let page = super::file("index.html").unwrap();
        assert!(String::from_utf8_lossy(&page.bytes).contains("<!doctype html>"));
        assert!(!page.immutable && page.content_type.starts_with("text/html"));
        assert!(super::file("../Cargo.toml").is_none());
    }
}
