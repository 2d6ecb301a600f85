//! Where a commune's secrets may be: in its own folder, and where the operator put them under the commune's name.
//!
//! A commune's file is written by people of that commune, and the router may read more than they: so what a file
//! names is looked for in places that are this commune's alone, and nowhere else.

use std::path::{Component, Path, PathBuf};

use taimat_base::files::{self, PlainError};
use taimat_base::{CommuneId, Secret};

/// A secret file larger than this is something else.
const MAX_SECRET_BYTES: u64 = 16 << 10;
/// What the names of all variables with secrets begin with.
const PREFIX: &str = "TAIMAT_SECRET_";
/// Between the commune's name and the secret's. Neither a commune's name ends nor a secret's begins so that it
/// could be read in two ways: the name of a secret has no two of these signs in a row, and does not begin with one.
const BETWEEN: &str = "__";

/// Where the operator keeps secrets for communes.
#[derive(Debug, Clone, Default)]
pub struct SecretPlaces {
    /// A folder with one folder for each commune.
    folder: Option<PathBuf>,
    /// Credentials of the service, as systemd puts them there.
    credentials: Option<PathBuf>,
}

impl SecretPlaces {
    /// In `FOLDER/COMMUNE/NAME` if a folder is given, and as credentials `COMMUNE.NAME` if systemd gave this process
    /// any.
    pub fn new(folder: Option<PathBuf>) -> Self {
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        Self {
            folder,
            credentials: credentials.filter(|folder| folder.is_absolute()),
        }
    }

    /// The folder that has the commune's secrets, if there is one for all communes.
    pub(crate) fn of(&self, commune: &CommuneId) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(commune.as_str()))
    }

    /// Where the secret of this name is, as a folder and a file in it: in the first place that has it, or else where
    /// it would be. None if the operator has said no place.
    pub(super) fn place(&self, commune: &CommuneId, name: &str) -> Option<(PathBuf, PathBuf)> {
        let folder = self.of(commune).map(|folder| (folder, PathBuf::from(name)));
        let credential = self.credentials.as_ref();
        let credential =
            credential.map(|c| (c.clone(), PathBuf::from(format!("{commune}.{name}"))));
        let there = |(folder, name): &(PathBuf, PathBuf)| folder.join(name).exists();
        match (folder, credential) {
            (Some(folder), Some(credential)) if !there(&folder) && there(&credential) => {
                Some(credential)
            }
            (Some(folder), _) => Some(folder),
            (None, credential) => credential,
        }
    }
}

/// The variable in which a commune finds the secret that its file names: `PASSWORD`, or the whole name
/// `TAIMAT_SECRET_HOA_LAC__PASSWORD`. An error says what would be right.
pub(super) fn variable(commune: &CommuneId, written: &str) -> Result<String, String> {
    let own = format!(
        "{PREFIX}{}{BETWEEN}",
        commune.as_str().to_ascii_uppercase().replace('-', "_")
    );
    let name = match written.strip_prefix(&own) {
        Some(name) => name,
        None if written.starts_with(PREFIX) => {
            return Err(format!("this commune's variables begin with {own}"));
        }
        None => written,
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let plain = !name.is_empty() && name.len() <= 128 && name.chars().all(fits);
    if !plain || name.starts_with('_') || name.contains(BETWEEN) {
        return Err("letters, digits and single _, and none at the beginning".into());
    }
    Ok(own + name)
}

/// Whether a secret may be called so where the operator keeps them.
pub(super) fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    (1..=128).contains(&name.len()) && !name.starts_with('.') && name.chars().all(fits)
}

/// Whether a path stays in the folder by what it says; where its links lead is seen when it is opened.
pub(super) fn stays(path: &str) -> bool {
    let mut parts = Path::new(path).components();
    !path.is_empty() && parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

/// A secret in a file: its text without the end of its line. An error is for people, behind the file's name.
pub(super) fn read(folder: &Path, name: &Path) -> Result<Secret, String> {
    let plain = files::read_within(folder, name, MAX_SECRET_BYTES);
    let text = plain.map(|plain| String::from_utf8(plain.bytes));
    match text {
        Ok(Ok(text)) => Ok(Secret::new(text.trim_end_matches(['\r', '\n']))),
        Ok(Err(_not_utf8)) => Err("it is no text".into()),
        Err(PlainError::Io(error)) => Err(format!("it can not be read: {error}")),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn named(commune: &str, written: &str) -> Option<String> {
        variable(&commune.parse().unwrap(), written).ok()
    }

    #[test]
    fn a_commune_finds_its_own_variables_and_no_neighbours() {
        let whole = "TAIMAT_SECRET_THU_DUC__PASSWORD";
        assert_eq!(named("thu-duc", "PASSWORD").as_deref(), Some(whole));
        assert_eq!(named("thu-duc", whole).as_deref(), Some(whole));
        for not in [
            whole,
            "DUC__PASSWORD",
            "_DUC_PASSWORD",
            "TAIMAT_SECRET_THU_PASSWORD",
            "TAIMAT_SECRET_THU__DUC__X",
            "",
            "A=B",
            "PÄSS",
        ] {
            assert_eq!(named("thu", not), None, "{not}");
        }
        // Whatever else is in the router's environment has another name.
        assert_eq!(
            named("thu", "PATH").as_deref(),
            Some("TAIMAT_SECRET_THU__PATH")
        );
    }

    #[test]
    fn paths_that_lead_elsewhere_are_known_by_what_they_say() {
        for good in [
            "password",
            "secrets/password",
            "./password",
            "..data/password",
        ] {
            assert!(stays(good), "{good}");
        }
        for bad in ["", "/etc/passwd", "../thu/password", "a/../../b"] {
            assert!(!stays(bad), "{bad}");
        }
        for bad in ["", ".hidden", "a/b", "..", "a b"] {
            assert!(!is_name(bad), "{bad}");
        }
        assert!(is_name("desk.key") && is_name("camera_1-a"));
    }

    #[test]
    fn what_the_operator_gave_one_commune_is_not_anothers() {
        let temporary = tempfile::tempdir().unwrap();
        let at = |path: &str| temporary.path().join(path);
        std::fs::create_dir_all(at("secrets/thu")).unwrap();
        std::fs::create_dir_all(at("secrets/thu-duc")).unwrap();
        std::fs::create_dir(at("credentials")).unwrap();
        std::fs::write(at("secrets/thu/key"), "of thu\n").unwrap();
        std::fs::write(at("secrets/thu-duc/other"), "of thu-duc\n").unwrap();
        std::fs::write(at("credentials/thu.word"), "by systemd").unwrap();
        std::os::unix::fs::symlink("../thu-duc/other", at("secrets/thu/taken")).unwrap();
        let places = SecretPlaces {
            folder: Some(at("secrets")),
            credentials: Some(at("credentials")),
        };
        let found = |commune: &str, name: &str| {
            let (folder, name) = places.place(&commune.parse().unwrap(), name).unwrap();
            read(&folder, &name).map(|secret| secret.reveal().to_owned())
        };
        assert_eq!(found("thu", "key").as_deref(), Ok("of thu"));
        assert_eq!(found("thu", "word").as_deref(), Ok("by systemd"));
        assert_eq!(found("thu", "other"), Err("there is no such file".into()));
        assert_eq!(found("thu-duc", "key"), Err("there is no such file".into()));
        assert_eq!(
            found("thu-duc", "word"),
            Err("there is no such file".into())
        );
        assert_eq!(
            found("thu", "taken"),
            Err("it leads out of the folder".into())
        );
    }

    proptest! {
        /// No two communes ever have a variable in common, whatever they are called and write.
        #[test]
        fn a_variable_is_one_communes(
            one in "[a-c0][a-c-]{0,5}", other in "[a-c0][a-c-]{0,5}",
            first in "[AB_]{1,7}", second in "[AB_]{1,7}",
        ) {
            prop_assume!(one != other);
            if let (Some(first), Some(second)) = (named(&one, &first), named(&other, &second)) {
                prop_assert_ne!(first, second);
            }
        }
    }
}
