use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::sync_channel;

use taimat_base::tasks::Tasks;
use tokio::sync::mpsc;

use super::*;
use crate::config::SecretPlaces;

const LIMIT: Duration = Duration::from_secs(20);
/// Longer than it takes to notice a change, and less than it takes to poll.
const NOTHING: Duration = Duration::from_millis(2500);
const TEXT: &str = "[commune]\nname = \"Thu\"\n";
const COMPONENT: &str = "[plugin.a]\ncomponent = \"deep/er/a.wasm\"\n";

/// Hears of each reading: the commune's name in it, or nothing if something is wrong.
#[derive(Debug)]
struct Ear {
    said: mpsc::Sender<Option<String>>,
    unwatched: Mutex<i64>,
}

#[async_trait]
impl Judge for Ear {
    async fn judge(&self, _number: usize, read: FolderRead) -> Option<Instant> {
        let name = read.commune.ok().map(|commune| commune.name);
        self.said.send(name).await.unwrap();
        None
    }

    fn unwatched(&self, more: i64) {
        *self.unwatched.lock().unwrap() += more;
    }
}

/// A folder that is followed.
struct Bench {
    temporary: tempfile::TempDir,
    heard: mpsc::Receiver<Option<String>>,
    asked: watch::Sender<u64>,
    ear: Arc<Ear>,
    _tasks: Tasks,
}

impl Bench {
    /// Follows `thu` after it was filled; the first reading has been heard.
    async fn start(fill: impl FnOnce(&Path)) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("thu");
        fs::create_dir(&folder).unwrap();
        fill(&folder);
        let (said, heard) = mpsc::channel(64);
        let ear = Arc::new(Ear {
            said,
            unwatched: Mutex::default(),
        });
        let place = CommunePlace {
            id: "thu".parse().unwrap(),
            folder,
            secrets: SecretPlaces::new(Some(temporary.path().join("secrets"))),
        };
        let (asked, receiver) = watch::channel(0);
        let tasks = Tasks::new();
        let judge: Arc<dyn Judge> = Arc::clone(&ear) as _;
        tasks.spawn("folder", tracing::Span::none(), |stop| {
            follow(judge, 0, place, receiver, stop)
        });
        let mut bench = Self {
            temporary,
            heard,
            asked,
            ear,
            _tasks: tasks,
        };
        assert!(bench.next().await.is_some());
        bench.settled().await;
        bench
    }

    fn at(&self, path: &str) -> PathBuf {
        self.temporary.path().join(path)
    }

    async fn next(&mut self) -> Option<Option<String>> {
        tokio::time::timeout(LIMIT, self.heard.recv())
            .await
            .ok()
            .flatten()
    }

    /// Waits until nothing more is read.
    async fn settled(&mut self) {
        while tokio::time::timeout(NOTHING, self.heard.recv())
            .await
            .is_ok()
        {}
    }

    /// It is read again, sooner than it is polled, until it says this.
    async fn until(&mut self, name: &str, what: &str) {
        let until = async { while self.heard.recv().await.flatten().as_deref() != Some(name) {} };
        let limit = POLL - Duration::from_secs(2);
        assert!(tokio::time::timeout(limit, until).await.is_ok(), "{what}");
        self.settled().await;
    }

    async fn seen(&mut self, what: &str) {
        let limit = POLL - Duration::from_secs(2);
        let heard = tokio::time::timeout(limit, self.heard.recv()).await;
        assert!(heard.is_ok(), "{what}");
        self.settled().await;
    }

    async fn nothing(&mut self, what: &str) {
        let heard = tokio::time::timeout(NOTHING, self.heard.recv()).await;
        assert!(heard.is_err(), "{what}: {heard:?}");
    }
}

fn named(name: &str) -> String {
    format!("[commune]\nname = \"{name}\"\n")
}

#[tokio::test]
async fn a_file_is_seen_however_it_is_changed() {
    let mut bench =
        Bench::start(|folder| fs::write(folder.join("commune.toml"), TEXT).unwrap()).await;
    let file = bench.at("thu/commune.toml");
    fs::write(&file, named("in place")).unwrap();
    bench.until("in place", "written in place").await;
    taimat_base::files::replace(&file, named("replaced").as_bytes()).unwrap();
    bench.until("replaced", "as rsync does it").await;
    fs::remove_file(&file).unwrap();
    bench.seen("removed").await;
    fs::write(&file, named("anew")).unwrap();
    bench.until("anew", "made anew").await;
    // The folder is moved away and comes back, and another one takes its place.
    fs::rename(bench.at("thu"), bench.at("away")).unwrap();
    bench.seen("moved away").await;
    fs::write(bench.at("away/commune.toml"), named("away")).unwrap();
    bench
        .nothing("what was moved away is no business of ours")
        .await;
    fs::rename(bench.at("away"), bench.at("thu")).unwrap();
    bench.until("away", "moved back").await;
    fs::write(&file, named("back")).unwrap();
    bench.until("back", "watched after it came back").await;
    fs::create_dir(bench.at("other")).unwrap();
    fs::write(bench.at("other/commune.toml"), named("other")).unwrap();
    fs::rename(bench.at("thu"), bench.at("old")).unwrap();
    fs::rename(bench.at("other"), bench.at("thu")).unwrap();
    bench.until("other", "another folder").await;
    fs::write(&file, named("watched")).unwrap();
    bench.until("watched", "the other folder is watched").await;
}

#[tokio::test]
async fn all_files_of_a_folder_are_exchanged_by_one_link() {
    let mut bench = Bench::start(|folder| {
        fs::create_dir(folder.join("..1")).unwrap();
        fs::write(folder.join("..1/commune.toml"), TEXT).unwrap();
        symlink("..1", folder.join("..data")).unwrap();
        symlink("..data/commune.toml", folder.join("commune.toml")).unwrap();
    })
    .await;
    // As Kubernetes does it with a ConfigMap.
    for version in ["..2", "..3"] {
        fs::create_dir(bench.at("thu").join(version)).unwrap();
        fs::write(
            bench.at("thu").join(version).join("commune.toml"),
            named(version),
        )
        .unwrap();
        symlink(version, bench.at("thu/..data_tmp")).unwrap();
        fs::rename(bench.at("thu/..data_tmp"), bench.at("thu/..data")).unwrap();
        bench.until(version, "exchanged").await;
    }
}

#[tokio::test]
async fn what_the_file_names_is_watched_wherever_it_is() {
    let mut bench = Bench::start(|folder| {
        let secrets = folder.parent().unwrap().join("secrets/thu");
        fs::create_dir_all(&secrets).unwrap();
        fs::create_dir_all(folder.join("keys/.hidden")).unwrap();
        fs::create_dir_all(folder.join("releases/v1/er")).unwrap();
        fs::create_dir_all(folder.join("releases/v2/er")).unwrap();
        symlink("releases/v1", folder.join("deep")).unwrap();
        fs::write(folder.join("releases/v1/er/a.wasm"), "one").unwrap();
        fs::write(folder.join("keys/.hidden/word"), "one").unwrap();
        let camera = |name: &str, secret: &str| {
            format!("[camera.{name}]\nmain = \"rtsp://192.0.2.1/{name}\"\nuser = \"u\"\npassword = {secret}\n")
        };
        let text = TEXT.to_owned()
            + &camera("a", "{ file = \"keys/.hidden/word\" }")
            + &camera("b", "{ secret = \"word\" }")
            + &camera("c", "{ file = \".word\" }")
            + COMPONENT;
        fs::write(folder.join("commune.toml"), text).unwrap();
    })
    .await;
    fs::write(bench.at("thu/keys/.hidden/word"), "two").unwrap();
    bench.seen("a secret in a folder of its own").await;
    fs::write(bench.at("thu/.word"), "one").unwrap();
    bench.seen("a hidden secret").await;
    fs::write(bench.at("secrets/thu/word"), "two").unwrap();
    bench.seen("a secret that the operator gave").await;
    fs::write(bench.at("thu/releases/v1/er/a.wasm"), "two").unwrap();
    bench.seen("a component behind a link").await;
    fs::remove_file(bench.at("thu/deep")).unwrap();
    symlink("releases/v2", bench.at("thu/deep")).unwrap();
    bench.seen("the link leads elsewhere").await;
    fs::write(bench.at("thu/releases/v2/er/a.wasm"), "three").unwrap();
    bench.seen("where it leads now").await;
    // What ran goes on while the file is wrong, and its component with it.
    let file = bench.at("thu/commune.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, "[commune").unwrap();
    bench.seen("a mistake").await;
    fs::write(bench.at("thu/releases/v2/er/a.wasm"), "four").unwrap();
    bench.seen("a component while the file is wrong").await;
    fs::write(&file, text).unwrap();
    bench.until("Thu", "mended").await;
    // What nobody names does not matter.
    fs::create_dir_all(bench.at("thu/notes/more")).unwrap();
    bench.settled().await;
    fs::write(bench.at("thu/notes/more/list"), "x").unwrap();
    fs::write(bench.at("thu/.commune.toml.swp"), "x").unwrap();
    bench.nothing("nobody reads it").await;
}

#[tokio::test]
async fn a_file_that_is_open_for_writing_is_not_read() {
    use std::io::Write;
    let mut bench =
        Bench::start(|folder| fs::write(folder.join("commune.toml"), TEXT).unwrap()).await;
    let mut file = fs::File::create(bench.at("thu/commune.toml")).unwrap();
    file.write_all(named("half").as_bytes()).unwrap();
    bench.nothing("it is open").await;
    file.write_all(b"language = \"en\"\n").unwrap();
    drop(file);
    bench.until("half", "closed").await;
}

#[tokio::test]
async fn who_asks_is_answered_though_nothing_has_changed() {
    let mut bench =
        Bench::start(|folder| fs::write(folder.join("commune.toml"), TEXT).unwrap()).await;
    bench.asked.send_modify(|times| *times += 1);
    bench.seen("asked for").await;
}

#[tokio::test]
async fn without_notes_of_the_kernel_files_are_polled() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("thu");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("commune.toml"), TEXT).unwrap();
    let place = CommunePlace {
        id: "thu".parse().unwrap(),
        folder: folder.clone(),
        secrets: SecretPlaces::default(),
    };
    let (_asked, receiver) = watch::channel(0);
    let mut followed = Followed::new(0, place, receiver);
    (followed.notes, followed.watches) = (None, Watches::default());
    let (said, mut heard) = mpsc::channel(64);
    let ear = Ear {
        said,
        unwatched: Mutex::default(),
    };
    followed.read(&ear).await;
    assert_eq!(heard.recv().await.flatten().as_deref(), Some("Thu"));
    assert!(!followed.look(&ear, true).await || !followed.look(&ear, true).await);
    assert_eq!(*ear.unwatched.lock().unwrap(), 1);
    fs::write(folder.join("commune.toml"), named("polled")).unwrap();
    assert!(followed.look(&ear, true).await);
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_hangs_is_said_and_waited_for() {
    let (answer, hangs) = sync_channel::<u32>(1);
    let (said, mut silent) = mpsc::channel(1);
    let read = patiently(
        move || hangs.recv().unwrap(),
        || async move { said.send(()).await.unwrap() },
    );
    let told = async {
        // The clock does not go on by itself while a thread waits.
        tokio::task::yield_now().await;
        tokio::time::advance(PATIENCE).await;
        silent.recv().await.unwrap();
        answer.send(7).unwrap();
    };
    let (read, ()) = tokio::join!(read, told);
    assert_eq!(read, Some((7, true)));
}

#[tokio::test]
async fn folders_are_counted_that_can_not_be_watched() {
    let bench = Bench::start(|folder| fs::write(folder.join("commune.toml"), TEXT).unwrap()).await;
    assert_eq!(*bench.ear.unwatched.lock().unwrap(), 0);
}
