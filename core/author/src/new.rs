//! `taimat plugin new`: a folder with a plugin that works, and the SDK that fits this router.

use std::path::{Path, PathBuf};

use anyhow::Context;
use rust_embed::RustEmbed;

use crate::files::say;

/// The SDK and its template, as they were when this router was built.
#[derive(RustEmbed)]
#[folder = "../../sdk/rust/"]
#[include = "src/*"]
#[include = "template/*"]
#[include = "README.md"]
struct Sdk;

/// The contract that the SDK is generated from.
#[derive(RustEmbed)]
#[folder = "../../wit/"]
#[include = "plugin.wit"]
struct Wit;

/// What to make.
#[derive(Debug, clap::Args)]
pub struct NewArgs {
    /// The plugin's folder; its last part is the plugin's name
    folder: PathBuf,
    /// What kind of plugin
    #[arg(long, value_enum, default_value = "detector")]
    kind: NewKind,
    /// The language
    #[arg(long, value_enum, default_value = "rust")]
    lang: Language,
}

/// Languages that there is a template for.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Language {
    /// Rust.
    Rust,
}

/// Kinds that there is a template for.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum NewKind {
    /// Looks at pictures.
    Detector,
    /// Says what follows from events.
    Policy,
    /// Tells people and machines.
    Alerter,
    /// Says where recordings are kept, and how long.
    Storage,
    /// Speaks the protocol of a place where recordings are kept.
    Backend,
}

impl NewKind {
    /// Where files of its template go.
    const fn template(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Detector => &[
                ("template/plugin.toml.in", "plugin.toml"),
                ("template/settings.schema.json.in", "settings.schema.json"),
                ("template/lib.rs.in", "src/lib.rs"),
                ("template/README.md.in", "README.md"),
            ],
            Self::Policy => &[
                ("template/policy-plugin.toml.in", "plugin.toml"),
                (
                    "template/policy-settings.schema.json.in",
                    "settings.schema.json",
                ),
                ("template/policy-lib.rs.in", "src/lib.rs"),
                ("template/policy-README.md.in", "README.md"),
                ("template/day.toml.in", "day.toml"),
            ],
            Self::Alerter => &[
                ("template/alerter-plugin.toml.in", "plugin.toml"),
                (
                    "template/alerter-settings.schema.json.in",
                    "settings.schema.json",
                ),
                ("template/alerter-lib.rs.in", "src/lib.rs"),
                ("template/alerter-README.md.in", "README.md"),
                ("template/tasks.toml.in", "tasks.toml"),
            ],
            Self::Storage => &[
                ("template/storage-plugin.toml.in", "plugin.toml"),
                (
                    "template/storage-settings.schema.json.in",
                    "settings.schema.json",
                ),
                ("template/storage-lib.rs.in", "src/lib.rs"),
                ("template/storage-README.md.in", "README.md"),
                ("template/month.toml.in", "month.toml"),
            ],
            Self::Backend => &[
                ("template/backend-plugin.toml.in", "plugin.toml"),
                (
                    "template/backend-settings.schema.json.in",
                    "settings.schema.json",
                ),
                ("template/backend-lib.rs.in", "src/lib.rs"),
                ("template/backend-README.md.in", "README.md"),
            ],
        }
    }

    /// What it is, and how it is tried first.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Detector => ("a detector", "taimat plugin test street"),
            Self::Policy => ("a policy", "taimat plugin test day.toml"),
            Self::Alerter => ("an alerter", "taimat plugin test tasks.toml"),
            Self::Storage => ("a storage plugin", "taimat plugin test month.toml"),
            Self::Backend => ("a backend", "cargo test"),
        }
    }
}

/// Where files of the template go that all kinds have.
const TEMPLATE: [(&str, &str); 2] = [
    ("template/Cargo.toml.in", "Cargo.toml"),
    ("template/sdk.toml.in", "sdk/rust/Cargo.toml"),
];

pub(crate) fn command(args: &NewArgs) -> anyhow::Result<()> {
    let Language::Rust = args.lang;
    let folder = &args.folder;
    let name = folder
        .file_name()
        .and_then(|n| n.to_str())
        .unwrap_or_default();
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    anyhow::ensure!(
        !name.is_empty()
            && name.len() <= 64
            && name.chars().all(fits)
            && name.starts_with(|c: char| c.is_ascii_lowercase()),
        "a plugin's name is 1 to 64 of a-z, 0-9 and '-' and begins with a letter: {name:?}"
    );
    anyhow::ensure!(
        !folder.exists(),
        "{} is there already; nothing was changed",
        folder.display()
    );
    let fill = |text: String| {
        text.replace("{{name}}", name)
            .replace("{{sdk-version}}", env!("CARGO_PKG_VERSION"))
    };
    for (from, to) in TEMPLATE.iter().chain(args.kind.template()) {
        write(&folder.join(to), fill(text::<Sdk>(from)?))?;
    }
    for file in Sdk::iter().filter(|f| f.starts_with("src/") || f == "README.md") {
        write(&folder.join("sdk/rust").join(&*file), text::<Sdk>(&file)?)?;
    }
    write(&folder.join("wit/plugin.wit"), text::<Wit>("plugin.wit")?)?;
    write(&folder.join(".gitignore"), "target\n*.wasm\n".into())?;
    let (what, first) = args.kind.words();
    say(&format!("{} is {what} that works; next:", folder.display()))?;
    say(&format!("  cd {}", folder.display()))?;
    say(&format!("  rustup target add wasm32-wasip2\n  {first}"))
}

fn text<E: RustEmbed>(name: &str) -> anyhow::Result<String> {
    let file = E::get(name).with_context(|| format!("{name} is not in this router"))?;
    Ok(String::from_utf8(file.data.into_owned())?)
}

fn write(file: &Path, text: String) -> anyhow::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> toml::Table {
        text.parse().unwrap()
    }

    #[test]
    fn the_template_asks_for_what_the_workspace_has() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let workspace = parse(&std::fs::read_to_string(root.join("Cargo.toml")).unwrap());
        let shared = &workspace["workspace"]["dependencies"];
        let sdk = parse(&std::fs::read_to_string(root.join("sdk/rust/Cargo.toml")).unwrap());
        let template = parse(&text::<Sdk>("template/sdk.toml.in").unwrap());
        let names = |t: &toml::Table| -> Vec<String> {
            t["dependencies"]
                .as_table()
                .unwrap()
                .keys()
                .cloned()
                .collect()
        };
        assert_eq!(names(&sdk), names(&template));
        for name in names(&template) {
            assert_eq!(template["dependencies"][&name], shared[&name], "{name}");
        }
    }

    #[test]
    fn names_that_are_none_and_folders_that_are_there() {
        let temporary = tempfile::tempdir().unwrap();
        let new = |name: &str| {
            command(&NewArgs {
                folder: temporary.path().join(name),
                kind: NewKind::Detector,
                lang: Language::Rust,
            })
        };
        assert!(new("My Detector").unwrap_err().to_string().contains("a-z"));
        new("my-detector").unwrap();
        let error = new("my-detector").unwrap_err().to_string();
        assert!(error.contains("nothing was changed"), "{error}");
        let folder = temporary.path().join("my-detector");
        assert!(folder.join("sdk/rust/src/kernels.rs").is_file());
        let manifest = std::fs::read_to_string(folder.join("plugin.toml")).unwrap();
        assert!(manifest.contains("name = \"my-detector\""));
    }

    #[test]
    fn kinds_that_are_asked_come_with_a_file_that_they_are_tried_on() {
        let temporary = tempfile::tempdir().unwrap();
        let new = |name: &str, kind| {
            let folder = temporary.path().join(name);
            command(&NewArgs {
                folder: folder.clone(),
                kind,
                lang: Language::Rust,
            })
            .unwrap();
            let read = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap();
            let manifest: taimat_contract::Manifest = read("plugin.toml").parse().unwrap();
            (manifest.kind, read("src/lib.rs"), folder)
        };
        let (kind, source, folder) = new("my-policy", NewKind::Policy);
        assert_eq!(kind, taimat_contract::Kind::Policy);
        assert!(source.contains("policy!(Plugin);"));
        let day = std::fs::read_to_string(folder.join("day.toml")).unwrap();
        crate::day::WrittenDay::read(&day)
            .unwrap()
            .happenings(2)
            .unwrap();
        let (kind, source, folder) = new("my-storage", NewKind::Storage);
        assert_eq!(kind, taimat_contract::Kind::Storage);
        assert!(source.contains("storage!(Plugin);"));
        let month = std::fs::read_to_string(folder.join("month.toml")).unwrap();
        crate::month::WrittenMonth::read(&month, 1).unwrap();
        let (kind, source, _) = new("my-backend", NewKind::Backend);
        assert_eq!(kind, taimat_contract::Kind::Backend);
        assert!(source.contains("backend!(Plugin);"));
        let (kind, source, folder) = new("my-alerter", NewKind::Alerter);
        assert_eq!(kind, taimat_contract::Kind::Alerter);
        assert!(source.contains("alerter!(Plugin);"));
        let tasks = std::fs::read_to_string(folder.join("tasks.toml")).unwrap();
        assert_eq!(
            crate::tasks::WrittenTasks::read(&tasks)
                .unwrap()
                .tasks
                .len(),
            2
        );
    }
}
