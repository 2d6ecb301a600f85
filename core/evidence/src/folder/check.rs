//! Checking a folder: its signature, each file by the lists, each clip by itself.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader, Read as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};
use taimat_audit::{Digest, read_excerpt};
use taimat_base::files::read_at_most;

use crate::moment::Moment;
use crate::verify::{SignedBy, Trust, Verdict, Wrong, verify_file};

use super::cms::{self, Found};
use super::list::{self, Listed, MOST_FILES};
use super::names::{AUDIT, BAGIT, DATA, GUIDE, INFO, MANIFEST, ROOT, SIGNATURE, TAG_MANIFEST};
use super::report::{ClipReport, FolderFinding, FolderReport};

/// A list of [`MOST_FILES`] names has less.
const MOST_LIST_BYTES: u64 = 8 * 1024 * 1024;

/// Checks a folder. Nothing is asked of the network, nor of the router.
pub fn verify_folder(folder: &Path, trust: &Trust, now_ms: i64) -> io::Result<FolderReport> {
    let mut look = Look {
        folder,
        findings: Vec::new(),
    };
    let there = look.there()?;
    let tags = look.text(TAG_MANIFEST, &there)?.unwrap_or_default();
    let signature = look.text(SIGNATURE, &there)?;
    let signers = signature.map(|pem| cms::signers(&pem, tags.as_bytes()).unwrap_or_default());
    let tag_files = look.list(TAG_MANIFEST, &tags);
    for own in [BAGIT, INFO, MANIFEST, ROOT, GUIDE] {
        // What the list leaves out could be anything.
        if !tag_files.iter().any(|file| file.path == own) {
            look.bad_list(TAG_MANIFEST);
        }
    }
    let payload = look.text(MANIFEST, &there)?.unwrap_or_default();
    let payload = look.list(MANIFEST, &payload);
    let listed = || tag_files.iter().chain(&payload);
    look.hashes(listed(), &there)?;
    look.extra(&there, &listed().map(|f| f.path.as_str()).collect());
    look.audit(&there)?;
    let mut clips = Vec::new();
    for path in there
        .iter()
        .filter(|p| p.starts_with(DATA) && p.ends_with(".mp4"))
    {
        let report = verify_file(&mut File::open(folder.join(path))?, trust, now_ms)?;
        let path = path.clone();
        clips.push(ClipReport { path, report });
    }
    let (verdict, objection, signed_by) = judge(&signers, trust, now_ms, &mut look.findings);
    let own = if look.findings.is_empty() {
        verdict
    } else {
        Verdict::Changed
    };
    let all = clips.iter().map(|clip| clip.report.verdict).chain([own]);
    let beside = signers
        .iter()
        .flatten()
        .map(|s| s.certificate.tbs_certificate.subject.to_string());
    let mine = signed_by
        .as_ref()
        .map(|signed: &SignedBy| signed.name.clone());
    Ok(FolderReport {
        verdict: all.max_by_key(|verdict| weight(*verdict)).unwrap_or(own),
        findings: look.findings,
        objection,
        signed_by,
        signed_beside: beside.filter(|name| Some(name) != mine.as_ref()).collect(),
        clips,
    })
}

/// Which outcome outweighs which.
fn weight(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Genuine => 0,
        Verdict::Unsigned => 1,
        Verdict::NotValidThen => 2,
        Verdict::NotTrusted => 3,
        Verdict::Changed => 4,
    }
}

/// What the signature says. Of several signers one has to be the commune's.
fn judge(
    signers: &Option<Vec<Found>>,
    trust: &Trust,
    now_ms: i64,
    findings: &mut Vec<FolderFinding>,
) -> (Verdict, Option<String>, Option<SignedBy>) {
    let Some(signers) = signers else {
        return (Verdict::Unsigned, None, None);
    };
    if signers.is_empty() || signers.iter().any(|signer| signer.right == Some(false)) {
        findings.push(FolderFinding::Signature);
        return (Verdict::Changed, None, None);
    }
    let foreign = "no signer is one of this root's".to_owned();
    let mut outcome = (Verdict::NotTrusted, Some(foreign), None);
    for signer in signers.iter().filter(|signer| signer.right == Some(true)) {
        let Some(at_ms) = signer.at_ms else {
            continue;
        };
        let tbs = &signer.certificate.tbs_certificate;
        let by = SignedBy {
            name: tbs.subject.to_string(),
            serial: tbs.serial_number.to_string(),
            at: Moment(at_ms),
        };
        match trust.judge(&signer.certificate, at_ms, now_ms) {
            Ok(()) => return (Verdict::Genuine, None, Some(by)),
            Err(Wrong::Date(why)) => outcome = (Verdict::NotValidThen, Some(why), Some(by)),
            Err(Wrong::Signer) => {}
        }
    }
    outcome
}

struct Look<'a> {
    folder: &'a Path,
    findings: Vec<FolderFinding>,
}

impl Look<'_> {
    /// All files in the folder, by their paths inside. Links are not followed: they are not of it.
    fn there(&mut self) -> io::Result<BTreeSet<String>> {
        let mut files = BTreeSet::new();
        let mut folders = vec![String::new()];
        while let Some(inside) = folders.pop() {
            for entry in fs::read_dir(self.folder.join(&inside))? {
                let entry = entry?;
                let path = format!("{inside}{}", entry.file_name().to_string_lossy());
                let kind = entry.file_type()?;
                if kind.is_dir() && inside.matches('/').count() < 8 {
                    folders.push(path + "/");
                } else if kind.is_file() {
                    files.insert(path);
                } else {
                    self.findings.push(FolderFinding::Extra { path });
                }
                if files.len() + folders.len() + self.findings.len() > 2 * MOST_FILES {
                    return Err(io::Error::other(
                        "there are more files than a folder of ours has",
                    ));
                }
            }
        }
        Ok(files)
    }

    /// A text of the folder, if it is there and not longer than it can be.
    fn text(&mut self, path: &str, there: &BTreeSet<String>) -> io::Result<Option<String>> {
        if !there.contains(path) {
            if path != SIGNATURE {
                let path = path.to_owned();
                self.findings.push(FolderFinding::Missing { path });
            }
            return Ok(None);
        }
        let bytes = read_at_most(&self.folder.join(path), MOST_LIST_BYTES)?;
        // What is no text is no list, and says so there.
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn list(&mut self, path: &str, text: &str) -> Vec<Listed> {
        list::read(text).unwrap_or_else(|| {
            self.bad_list(path);
            Vec::new()
        })
    }

    fn bad_list(&mut self, path: &str) {
        let path = path.to_owned();
        let finding = FolderFinding::BadList { path };
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    fn hashes<'b>(
        &mut self,
        listed: impl Iterator<Item = &'b Listed>,
        there: &BTreeSet<String>,
    ) -> io::Result<()> {
        for file in listed {
            let path = file.path.clone();
            if !there.contains(&path) {
                self.missing(path);
            } else if hash(&self.folder.join(&path))? != file.hash {
                self.findings.push(FolderFinding::Differs { path });
            }
        }
        Ok(())
    }

    fn missing(&mut self, path: String) {
        let finding = FolderFinding::Missing { path };
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    fn extra(&mut self, there: &BTreeSet<String>, listed: &BTreeSet<&str>) {
        for path in there {
            let own = [TAG_MANIFEST, SIGNATURE].contains(&path.as_str());
            if !own && !listed.contains(path.as_str()) {
                let path = path.clone();
                self.findings.push(FolderFinding::Extra { path });
            }
        }
    }

    fn audit(&mut self, there: &BTreeSet<String>) -> io::Result<()> {
        if there.contains(AUDIT) {
            let mut lines = BufReader::new(File::open(self.folder.join(AUDIT))?);
            if let Err(why) = read_excerpt(&mut lines) {
                let why = why.to_string();
                self.findings.push(FolderFinding::Audit { why });
            }
        } else {
            self.missing(AUDIT.to_owned());
        }
        Ok(())
    }
}

fn hash(file: &Path) -> io::Result<Digest> {
    let mut file = File::open(file)?;
    let mut hasher = Sha256::new();
    let mut piece = vec![0; 256 * 1024];
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            return Ok(Digest(hasher.finalize().into()));
        }
        hasher.update(piece.get(..read).unwrap_or(&[]));
    }
}
