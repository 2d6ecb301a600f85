//! Passwords, tokens and addresses that carry them are wrapped where they enter and stay wrapped:
//! neither `Display` nor `Debug` of anything here shows the secret.

mod redactor;
mod secret;
mod source;

pub use redactor::Redactor;
pub use secret::Secret;
pub use source::SourceUrl;
