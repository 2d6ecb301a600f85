use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use nix::unistd::mkfifo;
use proptest::prelude::*;

use super::*;

const MOST: u64 = 1 << 20;

fn said(folder: &Path, name: &str) -> String {
    match read_within(folder, Path::new(name), MOST) {
        Ok(plain) => format!("{} bytes", plain.bytes.len()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn whatever_is_no_plain_file_of_the_folder_is_named_and_never_opened() {
    let temporary = tempfile::tempdir().unwrap();
    let (folder, other) = (temporary.path().join("thu"), temporary.path().join("other"));
    fs::create_dir_all(folder.join("deep")).unwrap();
    fs::create_dir(&other).unwrap();
    fs::write(other.join("secret"), "theirs").unwrap();
    fs::write(folder.join("plain"), "ours").unwrap();
    fs::write(folder.join("large"), vec![b'x'; 2 << 20]).unwrap();
    mkfifo(&folder.join("pipe"), Mode::S_IRWXU).unwrap();
    let _listens = UnixListener::bind(folder.join("socket")).unwrap();
    symlink("../other/secret", folder.join("out")).unwrap();
    symlink(other.join("secret"), folder.join("far")).unwrap();
    symlink("../other", folder.join("away")).unwrap();
    symlink("/dev/zero", folder.join("zero")).unwrap();
    symlink("loop", folder.join("loop")).unwrap();
    symlink("nothing", folder.join("dangling")).unwrap();
    // A folder whose name begins with this one's is another one.
    fs::create_dir(temporary.path().join("thu-duc")).unwrap();
    fs::write(temporary.path().join("thu-duc/secret"), "theirs").unwrap();
    symlink("../thu-duc/secret", folder.join("neighbour")).unwrap();
    for (name, words) in [
        ("plain", "4 bytes"),
        ("nothing", "there is no such file"),
        ("plain/nothing", "there is no such file"),
        ("dangling", "there is no such file"),
        ("large", "it is larger than 1 MiB"),
        ("pipe", "it is a named pipe, no plain file"),
        ("socket", "it is a socket, no plain file"),
        ("deep", "it is a folder, no plain file"),
        (".", "it is a folder, no plain file"),
        ("out", "it leads out of the folder"),
        ("far", "it leads out of the folder"),
        ("away/secret", "it leads out of the folder"),
        ("neighbour", "it leads out of the folder"),
        ("zero", "it leads out of the folder"),
        ("../other/secret", "it leads out of the folder"),
        ("/etc/hostname", "it leads out of the folder"),
        ("loop", "there is no such file"),
    ] {
        assert_eq!(said(&folder, name), words, "{name}");
    }
    assert_eq!(
        said(Path::new("/dev"), "zero"),
        "it is a device, no plain file"
    );
    assert_eq!(
        said(&temporary.path().join("none"), "plain"),
        "there is no such file"
    );
}

#[test]
fn links_are_followed_as_long_as_they_stay() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("thu");
    fs::create_dir_all(folder.join("..2027_01")).unwrap();
    fs::write(folder.join("..2027_01/commune.toml"), "new").unwrap();
    symlink("..2027_01", folder.join("..data")).unwrap();
    symlink("..data/commune.toml", folder.join("commune.toml")).unwrap();
    symlink(folder.join("commune.toml"), folder.join("whole")).unwrap();
    // The folder may be behind a link itself.
    symlink("thu", temporary.path().join("current")).unwrap();
    for (folder, name) in [
        (folder.clone(), "commune.toml"),
        (folder.clone(), "whole"),
        (temporary.path().join("current"), "commune.toml"),
    ] {
        assert_eq!(said(&folder, name), "3 bytes");
        let real = path_within(&folder, Path::new(name)).unwrap();
        let there = temporary.path().canonicalize().unwrap();
        assert_eq!(real, there.join("thu/..2027_01/commune.toml"));
    }
}

#[test]
fn a_stamp_tells_what_has_changed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a");
    fs::write(&file, "one").unwrap();
    let first = read_within(folder.path(), Path::new("a"), MOST)
        .unwrap()
        .stamp;
    assert_eq!(Stamp::now(&file).unwrap(), first);
    // The same length, and the time set back to what it was.
    fs::write(&file, "two").unwrap();
    let times = fs::FileTimes::new().set_modified(first.modified());
    File::options()
        .write(true)
        .open(&file)
        .unwrap()
        .set_times(times)
        .unwrap();
    let second = Stamp::now(&file).unwrap();
    assert!(second != first && second.is_same_file(&first));
    assert!(first.is_as_written() && !second.is_as_written());
    fs::write(folder.path().join("b"), "two").unwrap();
    fs::rename(folder.path().join("b"), &file).unwrap();
    assert!(!Stamp::now(&file).unwrap().is_same_file(&first));
    assert_eq!(Stamp::now(&folder.path().join("none")), None);
}

/// What somebody may put into a folder, one after the other.
#[derive(Debug, Clone)]
enum Put {
    File(usize, Vec<u8>),
    Folder(usize),
    Pipe(usize),
    Link(usize, usize),
}

const NAMES: [&str; 5] = ["a", "b", "a/c", "b/c", "a/c/d"];
const TARGETS: [&str; 9] = [
    "a",
    "b",
    "c",
    "..",
    "../..",
    "../b",
    "/",
    "../secret",
    "../../secret",
];

fn put() -> impl Strategy<Value = Put> {
    let name = 0..NAMES.len();
    prop_oneof![
        (name.clone(), proptest::collection::vec(any::<u8>(), 0..8))
            .prop_map(|(n, b)| Put::File(n, b)),
        name.clone().prop_map(Put::Folder),
        name.clone().prop_map(Put::Pipe),
        (name, 0..TARGETS.len()).prop_map(|(n, t)| Put::Link(n, t)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// However folders, files, pipes and links are mixed: it ends, and what is read is a file of the folder.
    #[test]
    fn what_is_read_is_in_the_folder(puts in proptest::collection::vec(put(), 0..12)) {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().canonicalize().unwrap().join("thu");
        fs::create_dir(&folder).unwrap();
        fs::write(temporary.path().join("secret"), "planted").unwrap();
        for put in puts {
            // What can not be put there is not.
            let _put = match put {
                Put::File(name, bytes) => {
                    let file = folder.join(NAMES[name]);
                    // Writing to a pipe would wait, and through a link it would be elsewhere.
                    match fs::symlink_metadata(&file) {
                        Ok(_) => Ok(()),
                        Err(_) if file.parent().and_then(|p| p.canonicalize().ok())
                            .is_some_and(|p| p.starts_with(&folder)) => fs::write(file, bytes),
                        Err(_) => Ok(()),
                    }
                }
                Put::Folder(name) => fs::create_dir(folder.join(NAMES[name])),
                Put::Pipe(name) => mkfifo(&folder.join(NAMES[name]), Mode::S_IRWXU).map_err(Into::into),
                Put::Link(name, to) => symlink(TARGETS[to], folder.join(NAMES[name])),
            };
        }
        for name in NAMES {
            let real = folder.join(name).canonicalize();
            match read_within(&folder, Path::new(name), MOST) {
                Ok(plain) => {
                    let real = real.unwrap();
                    prop_assert!(real.starts_with(&folder), "{real:?}");
                    prop_assert_eq!(fs::read(real).unwrap(), plain.bytes);
                }
                Err(PlainError::Outside) => {
                    prop_assert!(real.is_err() || !real.unwrap().starts_with(&folder));
                }
                Err(_) => prop_assert!(!real.is_ok_and(|r| r.starts_with(&folder) && r.is_file())),
            }
        }
    }
}
