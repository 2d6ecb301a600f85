//! Communes are neighbours: what is wrong with one folder changes nothing for another, and a start after it neither.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a set-up that fails fails its test"
)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::Value;
use taimat_base::CommuneId;
use taimat_server::config::Commune;
use taimat_server::{Options, Router};
use taimat_testkit::eventually;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const LIMIT: Duration = Duration::from_secs(40);

/// A commune's file with these cameras. Nothing is at their addresses.
fn text(cameras: &[&str]) -> String {
    let camera = |name: &&str| format!("[camera.{name}]\nmain = \"rtsp://127.0.0.1:1/{name}\"\n");
    "[commune]\nname = \"Thu\"\n".to_owned() + &cameras.iter().map(camera).collect::<String>()
}

/// Two communes.
struct Bench {
    temporary: tempfile::TempDir,
    router: Arc<Router>,
    neighbour: Arc<Commune>,
}

impl Bench {
    async fn start() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        for commune in ["dau", "thu"] {
            fs::create_dir(temporary.path().join(commune)).unwrap();
            let file = temporary.path().join(commune).join("commune.toml");
            fs::write(file, text(&["a", "b"])).unwrap();
        }
        let router = Self::run(temporary.path()).await;
        let neighbour = router.in_force(&id("thu")).await.unwrap();
        Self {
            temporary,
            router,
            neighbour,
        }
    }

    async fn run(place: &Path) -> Arc<Router> {
        let folders = ["dau", "thu"].map(|commune| place.join(commune));
        let options = Options {
            data: Some(place.join("data")),
            secrets: Some(place.join("secrets")),
            ..Options::on_loopback(folders.to_vec())
        };
        Router::start(options).await.unwrap()
    }

    fn at(&self, path: &str) -> PathBuf {
        self.temporary.path().join(path)
    }

    async fn overview(&self) -> Value {
        let url = format!("http://{}/api/v1/overview", self.router.http_addr());
        let text = reqwest::get(url).await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap()
    }

    async fn cameras(&self, commune: &str) -> usize {
        let commune = self.router.in_force(&id(commune)).await;
        commune.map_or(0, |commune| commune.cameras.len())
    }

    /// Waits until a problem with these words is told, and looks whether anything happened to the neighbour.
    async fn refused(&self, words: &str) {
        eventually(words, LIMIT, async || {
            let problems = self.overview().await["problems"].to_string();
            problems.contains(words).then_some(())
        })
        .await;
        assert_eq!(self.cameras("dau").await, 2, "{words}");
        self.neighbour_is_untouched(words).await;
    }

    async fn neighbour_is_untouched(&self, what: &str) {
        let now = self.router.in_force(&id("thu")).await.unwrap();
        assert!(Arc::ptr_eq(&self.neighbour, &now), "{what}");
    }

    async fn has(&self, cameras: usize) {
        let what = format!("{cameras} cameras");
        eventually(&what, LIMIT, async || {
            (self.cameras("dau").await == cameras).then_some(())
        })
        .await;
        self.neighbour_is_untouched(&what).await;
    }
}

fn id(commune: &str) -> CommuneId {
    commune.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_becomes_of_a_file_the_neighbour_is_not_touched() {
    let bench = Bench::start().await;
    let file = bench.at("dau/commune.toml");
    fs::write(&file, "[camera.a]\nmian = 1\n").unwrap();
    bench.refused("did you mean `main`?").await;
    fs::remove_file(&file).unwrap();
    bench.refused("there is no such file").await;
    // Nobody writes to it: who opened it would wait for ever.
    mkfifo(&file, Mode::S_IRWXU).unwrap();
    bench.refused("it is a named pipe, no plain file").await;
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    bench.refused("it is a folder, no plain file").await;
    fs::remove_dir(&file).unwrap();
    symlink("/dev/zero", &file).unwrap();
    bench.refused("it leads out of the folder").await;
    fs::remove_file(&file).unwrap();
    fs::write(&file, vec![b'#'; 2 << 20]).unwrap();
    bench.refused("it is larger than 1 MiB").await;
    fs::remove_file(&file).unwrap();
    symlink("../thu/commune.toml", &file).unwrap();
    bench.refused("it leads out of the folder").await;
    // The folder as a whole.
    fs::rename(bench.at("dau"), bench.at("away")).unwrap();
    bench.refused("there is no such file").await;
    fs::rename(bench.at("away"), bench.at("dau")).unwrap();
    fs::remove_file(&file).unwrap();
    // What is good is taken over, and the other one goes on as before.
    fs::write(&file, text(&["a", "b", "c"])).unwrap();
    bench.has(3).await;
    let nothing_is_wrong = bench.overview().await["problems"].as_array().map(Vec::len);
    assert_eq!(nothing_is_wrong, Some(0));
    bench.router.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spoilt_secret_is_its_cameras_trouble_only() {
    let bench = Bench::start().await;
    fs::create_dir_all(bench.at("secrets/thu")).unwrap();
    fs::write(bench.at("secrets/thu/word"), "of thu").unwrap();
    let file = bench.at("dau/commune.toml");
    mkfifo(&bench.at("dau/pipe"), Mode::S_IRWXU).unwrap();
    symlink("/dev/zero", bench.at("dau/zero")).unwrap();
    symlink("../secrets/thu/word", bench.at("dau/taken")).unwrap();
    fs::write(bench.at("dau/large"), vec![b'x'; 2 << 20]).unwrap();
    let secrets = [
        ("pipe", "{ file = \"pipe\" }", "a named pipe"),
        ("zero", "{ file = \"zero\" }", "leads out"),
        ("taken", "{ file = \"taken\" }", "leads out"),
        ("large", "{ file = \"large\" }", "larger than 16 KiB"),
        ("given", "{ secret = \"word\" }", "no such file"),
        ("named", "{ env = \"WORD\" }", "TAIMAT_SECRET_DAU__WORD"),
    ];
    let section = |(name, secret, _): &(&str, &str, &str)| {
        format!(
            "[camera.{name}]\nmain = \"rtsp://127.0.0.1:1/x\"\nuser = \"u\"\npassword = {secret}\n"
        )
    };
    let sections: String = secrets.iter().map(section).collect();
    fs::write(&file, text(&["a", "b"]) + &sections).unwrap();
    bench.has(8).await;
    for (name, _, words) in secrets {
        let url = format!(
            "http://{}/api/v1/communes/dau/cameras/{name}",
            bench.router.http_addr()
        );
        eventually(name, LIMIT, async || {
            let said = reqwest::get(&url).await.ok()?.text().await.ok()?;
            (said.contains("missing_secret") && said.contains(words)).then_some(())
        })
        .await;
    }
    // One that is named elsewhere is a mistake of the file.
    for elsewhere in ["{ file = \"../thu/word\" }", "{ file = \"/etc/hostname\" }"] {
        let camera = section(&("c", elsewhere, ""));
        fs::write(&file, text(&["a", "b"]) + &sections + &camera).unwrap();
        eventually(elsewhere, LIMIT, async || {
            let problems = bench.overview().await["problems"].to_string();
            problems.contains("leads out of the folder").then_some(())
        })
        .await;
        assert_eq!(bench.cameras("dau").await, 8);
    }
    bench.neighbour_is_untouched("secrets").await;
    bench.router.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_exchanged_or_cut_are_taken_over_whole() {
    let bench = Bench::start().await;
    // As Kubernetes has it.
    let version = |name: &str, cameras: &[&str]| {
        fs::create_dir(bench.at("dau").join(name)).unwrap();
        fs::write(
            bench.at("dau").join(name).join("commune.toml"),
            text(cameras),
        )
        .unwrap();
        symlink(name, bench.at("dau/..data_tmp")).unwrap();
        fs::rename(bench.at("dau/..data_tmp"), bench.at("dau/..data")).unwrap();
    };
    version("..1", &["a", "b", "c"]);
    fs::remove_file(bench.at("dau/commune.toml")).unwrap();
    symlink("..data/commune.toml", bench.at("dau/commune.toml")).unwrap();
    bench.has(3).await;
    version("..2", &["a"]);
    bench.has(1).await;
    version("..3", &["a", "b", "c", "d"]);
    bench.has(4).await;
    // The console's switch writes where the link leads, and there is a component.
    let file = bench.at("dau/..3/commune.toml");
    let plugin = "[plugin.p] # ours\ncomponent = \"p.wasm\"\n";
    fs::write(&file, text(&["a", "b", "c", "d"]) + plugin).unwrap();
    let url = format!(
        "http://{}/api/v1/communes/dau/plugins/p",
        bench.router.http_addr()
    );
    eventually("the switch is there", LIMIT, async || {
        let request = reqwest::Client::new()
            .patch(&url)
            .header("content-type", "application/json");
        let answer = request.body("{\"enabled\":false}").send().await.ok()?;
        (answer.status() == 204).then_some(())
    })
    .await;
    assert!(bench.at("dau/commune.toml").is_symlink());
    let written = fs::read_to_string(&file).unwrap();
    assert_eq!(
        written,
        text(&["a", "b", "c", "d"]) + plugin + "enabled = false\n"
    );
    // Half of a file, and nobody closes it: nothing is lost meanwhile.
    let whole = written.replace("[camera.d]", "[camera.e]");
    let half = whole.find("[camera.c]").unwrap();
    fs::write(&file, whole.get(..half).unwrap()).unwrap();
    // Long enough for it to be taken over, were it believed; that nothing happens is told by nothing.
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(bench.cameras("dau").await, 4);
    fs::write(&file, &whole).unwrap();
    eventually("the whole of it", LIMIT, async || {
        let commune = bench.router.in_force(&id("dau")).await?;
        let named = commune
            .cameras
            .iter()
            .any(|camera| camera.id.as_str() == "e");
        assert!(commune.cameras.len() == 4, "a half was believed");
        named.then_some(())
    })
    .await;
    // Who means it is believed a little later.
    fs::write(&file, text(&["a"])).unwrap();
    bench.has(1).await;
    bench.router.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_with_a_spoilt_file_serves_what_was_good_last() {
    let mut bench = Bench::start().await;
    fs::write(bench.at("dau/commune.toml"), text(&["a", "b", "c"])).unwrap();
    bench.has(3).await;
    eventually("it is kept", LIMIT, async || {
        let kept = fs::read_to_string(bench.at("data/communes/dau.toml")).ok()?;
        kept.contains("camera.c").then_some(())
    })
    .await;
    bench.router.stop().await;
    fs::write(bench.at("dau/commune.toml"), "[commune").unwrap();
    drop(bench.router);
    bench.router = Bench::run(bench.temporary.path()).await;
    bench.neighbour = bench.router.in_force(&id("thu")).await.unwrap();
    assert_eq!(
        (bench.cameras("dau").await, bench.cameras("thu").await),
        (3, 2)
    );
    let problems = bench.overview().await["problems"].to_string();
    assert!(
        problems.contains("not TOML") && problems.contains("good last"),
        "{problems}"
    );
    let url = format!("http://{}/metrics", bench.router.http_addr());
    let metrics = reqwest::get(url).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("taimat_config_problems 2"), "{metrics}");
    fs::write(bench.at("dau/commune.toml"), text(&["a"])).unwrap();
    bench.has(1).await;
    bench.router.stop().await;
    // Nothing was kept of one that was never good, and the other one is served all the same.
    fs::remove_file(bench.at("data/communes/dau.toml")).unwrap();
    fs::write(bench.at("dau/commune.toml"), "[commune").unwrap();
    drop(bench.router);
    bench.router = Bench::run(bench.temporary.path()).await;
    assert_eq!(
        (bench.cameras("dau").await, bench.cameras("thu").await),
        (0, 2)
    );
    bench.router.stop().await;
}

/// Mounts a disk that never answers, as long as it lives. None if this machine lets nobody.
async fn dead_disk(at: &Path) -> Option<Child> {
    let mount = "import ctypes, os, sys\n\
        fuse = os.open('/dev/fuse', os.O_RDWR)\n\
        options = b'fd=%d,rootmode=40000,user_id=0,group_id=0' % fuse\n\
        place = sys.argv[1].encode()\n\
        print(ctypes.CDLL(None).mount(b'dead', place, b'fuse', 0, options), flush=True)\n\
        sys.stdin.read()\n";
    let mut disk = Command::new("python3")
        .args(["-c", mount])
        .arg(at)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .ok()?;
    let mut said = BufReader::new(disk.stdout.take()?).lines();
    (said.next_line().await.ok()??.trim() == "0").then_some(disk)
}

/// Whoever waits for it is told that it is gone, and what was there before is there again.
async fn taken_away(mut disk: Child, at: &Path) {
    disk.kill().await.unwrap();
    let unmounted = Command::new("umount").arg("-l").arg(at).status().await;
    assert!(unmounted.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_hangs_holds_up_nobody_but_its_commune() {
    let mut bench = Bench::start().await;
    eventually("it is kept", LIMIT, async || {
        bench.at("data/communes/dau.toml").exists().then_some(())
    })
    .await;
    let place = bench.at("dau");
    let disk = dead_disk(&place).await;
    let disk = disk.expect("/dev/fuse, and the right to mount: this test has to be root's");
    eventually("it is said", LIMIT, async || {
        let problems = bench.overview().await["problems"].to_string();
        problems.contains("does not answer").then_some(())
    })
    .await;
    assert_eq!(bench.cameras("dau").await, 2);
    bench.neighbour_is_untouched("a dead disk").await;
    // The neighbour is changed meanwhile.
    fs::write(bench.at("thu/commune.toml"), text(&["a", "b", "c"])).unwrap();
    eventually(
        "the neighbour's change",
        Duration::from_secs(5),
        async || (bench.cameras("thu").await == 3).then_some(()),
    )
    .await;
    // A start while it hangs: what was kept is served.
    bench.router.stop().await;
    drop(bench.router);
    bench.router = Bench::run(bench.temporary.path()).await;
    bench.neighbour = bench.router.in_force(&id("thu")).await.unwrap();
    assert_eq!(
        (bench.cameras("dau").await, bench.cameras("thu").await),
        (2, 3)
    );
    taken_away(disk, &place).await;
    fs::write(bench.at("dau/commune.toml"), text(&["a", "b", "c", "d"])).unwrap();
    bench.has(4).await;
    eventually("nothing is wrong", LIMIT, async || {
        let problems = bench.overview().await["problems"].as_array()?.len();
        (problems == 0).then_some(())
    })
    .await;
    bench.router.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_mounted_by_itself_is_seen_and_can_be_switched() {
    let bench = Bench::start().await;
    let file = bench.at("dau/commune.toml");
    let plugin = "[plugin.p]\ncomponent = \"p.wasm\"\n";
    fs::write(bench.at("real.toml"), text(&["a", "b", "c"]) + plugin).unwrap();
    let mut bind = Command::new("mount");
    bind.arg("--bind").arg(bench.at("real.toml")).arg(&file);
    let mounted = bind.status().await.is_ok_and(|done| done.success());
    assert!(mounted, "this test has to be root's, who may mount");
    // The kernel tells of no mount: it is seen by its stamp.
    bench.has(3).await;
    let url = format!(
        "http://{}/api/v1/communes/dau/plugins/p",
        bench.router.http_addr()
    );
    let request = reqwest::Client::new()
        .patch(&url)
        .header("content-type", "application/json");
    let answer = request.body("{\"enabled\":false}").send().await.unwrap();
    let (status, said) = (answer.status(), answer.text().await.unwrap());
    let written = fs::read_to_string(bench.at("real.toml")).unwrap();
    let unmounted = Command::new("umount").arg(&file).status().await;
    assert!(unmounted.unwrap().success());
    assert_eq!(status, 204, "{said}");
    assert!(written.ends_with("enabled = false\n"), "{written}");
    bench.has(2).await;
    bench.router.stop().await;
}
