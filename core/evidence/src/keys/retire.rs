//! Ending a key's time: the next is made by the root's key, the former is gone.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use crate::time::utc;
use crate::x509::{self, Retired, SIGNING_MS};

use super::error::KeyError;
use super::init::{list_pem, next_key, put};
use super::list::read_list;
use super::names::{RETIRED, ROOT, SIGNING};
use super::signing::{certificate, text};
use super::stick;

/// Why a key is retired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because {
    /// Its year is over, or it is changed before: what it signed stays good.
    Over,
    /// Somebody else may have had it: nothing that it signed is proof any more, since whoever has it
    /// can write any date.
    Compromised,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retirement {
    /// The serial of the key that is gone.
    pub former: String,
    /// The serial of the next one.
    pub next: String,
    /// Until when the next one signs.
    pub signs_until: String,
}

/// Makes the next key and deletes the former. Its certificate stays: what it signed can be checked.
pub fn retire(
    folder: &Path,
    root_key_file: &Path,
    passphrase: &str,
    because: Because,
    now_ms: i64,
) -> Result<Retirement, KeyError> {
    let (root_file, file, list_file) = (
        folder.join(ROOT),
        folder.join(SIGNING),
        folder.join(RETIRED),
    );
    if !root_file.exists() {
        return Err(KeyError::Missing(root_file));
    }
    let root = certificate(&root_file, &text(&root_file)?)?;
    let root_key = stick::read(root_key_file, passphrase)?;
    let public = root_key.verifying_key().to_encoded_point(false);
    let info = &root.tbs_certificate.subject_public_key_info;
    if info.subject_public_key.raw_bytes() != public.as_bytes() {
        return Err(KeyError::OtherRoot(root_key_file.to_owned()));
    }
    let both = text(&file)?;
    let at = both.find("-----BEGIN CERTIFICATE").unwrap_or(0);
    let former = certificate(&file, both.get(at..).unwrap_or_default())?;
    let serial = former.tbs_certificate.serial_number;
    let mut retired = read_list(&list_file, &text(&list_file)?)?;
    retired.retain(|one| one.serial != serial);
    retired.push(Retired {
        serial: serial.clone(),
        // The list has whole seconds: what was signed in this one before, was signed before.
        at_ms: now_ms + 999,
        compromised: because == Because::Compromised,
    });
    // First the list: what is interrupted behind it is done again, and retires the same key.
    let list = x509::list(&retired, &root_key, &root, now_ms)?;
    put(folder, RETIRED, &list_pem(&list)?)?;
    let at_file = || KeyError::at(&file);
    let behind = File::options().write(true).open(&file).map_err(at_file())?;
    let organization = x509::organization(&root);
    let next = next_key(folder, &root_key, &root, &organization, now_ms)?;
    overwrite(behind, both.len()).map_err(at_file())?;
    Ok(Retirement {
        former: serial.to_string(),
        next: next.tbs_certificate.serial_number.to_string(),
        signs_until: utc(now_ms + SIGNING_MS),
    })
}

/// Over the former key, which has no name any more: on many disks its bytes would stay for long.
fn overwrite(mut out: File, length: usize) -> std::io::Result<()> {
    out.write_all(&vec![0; length])?;
    out.sync_all()
}
