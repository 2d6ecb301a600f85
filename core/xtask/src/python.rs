//! Python programs that tests speak with or hold ours against, pinned by their hashes: one environment, one list.

use crate::run::{command, root, run, say, target};

const FOLDER: &str = "core/testkit/python";
/// What comes built, and what comes as sources and is built with the former.
const LISTS: [(&str, &[&str]); 2] = [
    ("requirements.txt", &["--only-binary", ":all:"]),
    (
        "requirements-sources.txt",
        &["--no-build-isolation", "--no-deps"],
    ),
];

/// Installs them into `target/python` if what is there is not what is wanted.
pub(crate) fn install() -> anyhow::Result<()> {
    let lists = root()?.join(FOLDER);
    let texts = LISTS
        .iter()
        .map(|(name, _)| std::fs::read_to_string(lists.join(name)));
    let wanted = texts.collect::<Result<String, _>>()?;
    let folder = target()?.join("python");
    let note = folder.join("installed.txt");
    if std::fs::read_to_string(&note).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    say("Python programs for tests");
    run(command("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&folder))?;
    for (name, how) in LISTS {
        run(command(&folder.join("bin/pip").to_string_lossy())
            .args([
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--require-hashes",
            ])
            .args(how)
            .arg("-r")
            .arg(lists.join(name)))?;
    }
    Ok(std::fs::write(note, wanted)?)
}
