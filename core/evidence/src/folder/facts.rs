//! What a folder says of itself, beside its clips.

use crate::assertion::ExportFacts;

/// What a folder says of itself, beside its clips.
#[derive(Debug, Clone, Copy)]
pub struct FolderFacts<'a> {
    /// Who took it out, and why.
    pub export: &'a ExportFacts,
    /// The commune's office, as it is to be read on paper.
    pub organization: &'a str,
    /// In which times are printed: `Asia/Ho_Chi_Minh`.
    pub time_zone: &'a str,
    /// Lines of the log of what people did that join this export to its head.
    pub audit: &'a [u8],
}
