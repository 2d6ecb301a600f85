//! `taimat plugin keygen`, `sign`, `verify`.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use taimat_contract::Package;
use taimat_contract::package::{PublicKey, SigningKey};

use crate::files::{package, read, say, write};

pub(crate) fn keygen(file: &Path) -> anyhow::Result<()> {
    let key = SigningKey::generate()?;
    let mut new = std::fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .with_context(|| format!("writing {}", file.display()))?;
    new.write_all(key.to_pem().as_bytes())?;
    say(&key.public().to_string())
}

pub(crate) fn sign(file: &Path, key: &Path) -> anyhow::Result<()> {
    let pem = std::fs::read_to_string(key).with_context(|| format!("reading {}", key.display()))?;
    let key = SigningKey::from_pem(&pem).with_context(|| key.display().to_string())?;
    let signed = Package::sign(&read(file)?, &key).with_context(|| file.display().to_string())?;
    write(file, &signed)?;
    say(&format!("signed by {}", key.public()))
}

pub(crate) fn verify(file: &Path, trusted: &[PublicKey]) -> anyhow::Result<()> {
    let package = package(file)?;
    let Some(signer) = package.signer else {
        anyhow::bail!("{} is not signed", file.display());
    };
    anyhow::ensure!(
        trusted.is_empty() || trusted.contains(&signer),
        "{} is signed by {signer}, which is none of the given keys",
        file.display()
    );
    say(&format!("signed by {signer}"))
}
