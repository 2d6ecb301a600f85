//! The folder's files.

pub(super) const DATA: &str = "data/";
pub(super) const MANIFEST: &str = "manifest-sha256.txt";
pub(super) const TAG_MANIFEST: &str = "tagmanifest-sha256.txt";
pub(super) const SIGNATURE: &str = "tagmanifest-sha256.txt.p7s";
pub(super) const BAGIT: &str = "bagit.txt";
pub(super) const INFO: &str = "bag-info.txt";
pub(super) const ROOT: &str = "commune-root.pem";
pub(super) const GUIDE: &str = "HUONG-DAN.txt";
pub(super) const TIMELINE: &str = "data/timeline.json";
pub(super) const AUDIT: &str = "data/audit.jsonl";
pub(super) const RECORD: &str = "data/bien-ban.html";
