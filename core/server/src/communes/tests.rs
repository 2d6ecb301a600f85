use std::fs;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::*;

const GOOD: &str = "[commune]\nname = \"x\"\n[camera.a]\nmain = \"rtsp://192.0.2.1/a\"\n";

async fn begin(place: &Path, names: &[&str]) -> Communes {
    let folders: Vec<PathBuf> = names.iter().map(|name| place.join(name)).collect();
    let kept = KeptFiles::open(&place.join("data")).unwrap();
    Communes::begin(&folders, Some(kept), &SecretPlaces::default()).await
}

fn names(communes: &Communes) -> Vec<String> {
    let in_force = communes.in_force();
    in_force
        .iter()
        .map(|commune| commune.id.to_string())
        .collect()
}

#[tokio::test]
async fn whatever_is_in_place_of_a_file_the_neighbour_is_served() {
    for kind in [
        "nothing",
        "pipe",
        "folder",
        "large",
        "out",
        "zero",
        "bytes",
        "wrong",
        "no folder",
    ] {
        let place = tempfile::tempdir().unwrap();
        let at = |path: &str| place.path().join(path);
        fs::create_dir_all(at("good")).unwrap();
        fs::write(at("good/commune.toml"), GOOD).unwrap();
        if kind != "no folder" {
            fs::create_dir(at("bad")).unwrap();
        }
        let file = at("bad/commune.toml");
        let words = match kind {
            "pipe" => {
                mkfifo(&file, Mode::S_IRWXU).unwrap();
                "it is a named pipe, no plain file"
            }
            "folder" => {
                fs::create_dir(&file).unwrap();
                "it is a folder, no plain file"
            }
            "large" => {
                fs::write(&file, vec![b'#'; 2 << 20]).unwrap();
                "it is larger than 1 MiB"
            }
            "out" => {
                std::os::unix::fs::symlink("../good/commune.toml", &file).unwrap();
                "it leads out of the folder"
            }
            "zero" => {
                std::os::unix::fs::symlink("/dev/zero", &file).unwrap();
                "it leads out of the folder"
            }
            "bytes" => {
                fs::write(&file, [0xFF, 0xFE]).unwrap();
                "no text"
            }
            "wrong" => {
                fs::write(&file, "[camera.a]\nmian = 1\n").unwrap();
                "did you mean `main`?"
            }
            _ => "there is no such file",
        };
        let communes = begin(place.path(), &["bad", "good"]).await;
        assert_eq!(names(&communes), ["good"], "{kind}");
        let said = taimat_base::problem::Lines(&communes.problems()).to_string();
        assert!(
            said.contains("bad/commune.toml") && said.contains(words),
            "{kind}: {said}"
        );
        assert!(
            said.contains("nothing of this commune is served"),
            "{kind}: {said}"
        );
    }
}

#[tokio::test]
async fn what_was_good_last_is_served_after_a_start_with_a_spoilt_file() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("thu/commune.toml");
    fs::create_dir(place.path().join("thu")).unwrap();
    fs::write(&file, GOOD).unwrap();
    let communes = begin(place.path(), &["thu"]).await;
    let (kept, id, text) = communes.to_keep(0).unwrap();
    kept.keep(&id, &text).unwrap();
    fs::write(&file, "[commune").unwrap();
    let mut communes = begin(place.path(), &["thu"]).await;
    assert_eq!(names(&communes), ["thu"]);
    assert!(format!("{:?}", communes.problems()).contains("good last"));
    // What was kept is not kept once more as if it were new.
    assert!(communes.to_keep(0).is_none());
    // The folder itself is gone, as with a disk that is not mounted.
    fs::remove_dir_all(place.path().join("thu")).unwrap();
    assert_eq!(names(&begin(place.path(), &["thu"]).await), ["thu"]);
    // Mended, nothing has changed and nothing is wrong.
    let before = communes.in_force();
    fs::create_dir(place.path().join("thu")).unwrap();
    fs::write(&file, GOOD).unwrap();
    let read = communes.places()[0].read();
    assert_eq!(
        communes.judge(0, read, clock::now(), clock::wall()),
        Judgement::Same
    );
    assert!(Arc::ptr_eq(&before[0], &communes.in_force()[0]));
    assert!(communes.problems().is_empty());
}

#[tokio::test]
async fn two_folders_of_one_name_are_the_first() {
    let place = tempfile::tempdir().unwrap();
    for folder in ["one/thu", "two/thu"] {
        fs::create_dir_all(place.path().join(folder)).unwrap();
        fs::write(place.path().join(folder).join("commune.toml"), GOOD).unwrap();
    }
    let communes = begin(place.path(), &["one/thu", "two/thu", "Not A Name"]).await;
    assert_eq!(names(&communes), ["thu"]);
    let said = taimat_base::problem::Lines(&communes.problems()).to_string();
    assert!(
        said.contains("a second folder") && said.contains("Not A Name"),
        "{said}"
    );
}
