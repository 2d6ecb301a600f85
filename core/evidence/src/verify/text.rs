//! A report in words.

use std::fmt;

use super::report::{FileReport, Finding, Verdict};

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Genuine => "GENUINE: as it was recorded, and signed by this root",
            Self::Changed => "CHANGED: it is not as it was signed",
            Self::Unsigned => {
                "UNSIGNED: there is no signature in it. It is no export, or a program wrote it anew; \
                 that alone does not say that it is forged"
            }
            Self::NotTrusted => "NOT TRUSTED: it is signed, and not by this root",
            Self::NotValidThen => "NOT VALID THEN: this root's signer was not allowed to sign it",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Part {
                part,
                from_byte,
                to_byte,
                from,
                to,
                missing,
            } => {
                let how = if *missing { "is missing" } else { "differs" };
                write!(
                    f,
                    "part {part}: bytes {from_byte} to {to_byte}, {from} to {to}, {how}"
                )
            }
            Self::Header { why } => write!(f, "header: {why}"),
            Self::Manifest { why } => write!(
                f,
                "manifest: {why}; what it says of the recording is not known"
            ),
            Self::Contradiction { why } => write!(f, "contradiction: {why}"),
            Self::Extra { from_byte, bytes } => {
                write!(
                    f,
                    "{bytes} bytes from byte {from_byte} on are not the export's"
                )
            }
        }
    }
}

impl fmt::Display for FileReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.verdict)?;
        for finding in &self.findings {
            write!(f, "\n  {finding}")?;
        }
        if let Some(objection) = &self.objection {
            write!(f, "\n  {objection}")?;
        }
        if let Some(signed) = &self.signed_by {
            let (name, serial, at) = (&signed.name, &signed.serial, signed.at);
            write!(f, "\n  signed by {name} (serial {serial}) at {at}")?;
        }
        let Some(about) = self
            .assertion
            .as_ref()
            .filter(|_| self.verdict == Verdict::Genuine)
        else {
            return Ok(());
        };
        let (camera, export, [from, to]) = (&about.camera, &about.export, about.interval.covered);
        let (commune, parts) = (&about.commune.name, self.parts);
        write!(
            f,
            "\n  {commune}, {} ({}): {from} to {to}, {parts} parts",
            camera.name, camera.id
        )?;
        for gap in &about.gaps {
            write!(f, "\n  gap {} to {}: {}", gap.from, gap.to, gap.reason)?;
        }
        let (by, case, reason) = (&export.by, &export.case, &export.reason);
        write!(f, "\n  export {} by {by}, case {case}: {reason}", export.id)
    }
}
