use std::fs;
use std::path::PathBuf;

use taimat_base::clock;

use super::*;
use crate::config::{self, FILE, SecretPlaces};

const ONE: &str = "[commune]\nname = \"Thu\"\n[camera.a]\nmain = \"rtsp://192.0.2.1/a\"\n";
const TWO: &str = "[commune]\nname = \"Thu\"\n[camera.a]\nmain = \"rtsp://192.0.2.1/a\"\n\
    [camera.b]\nmain = \"rtsp://192.0.2.1/b\"\n";

/// A folder, and a clock that is moved by hand.
struct Bench {
    temporary: tempfile::TempDir,
    now: Instant,
    served: Served,
}

impl Bench {
    fn new(kept: Option<&str>) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        fs::create_dir(temporary.path().join("thu")).unwrap();
        let id: CommuneId = "thu".parse().unwrap();
        let file = temporary.path().join("thu").join(FILE);
        let kept = kept.map(|text| {
            let written = Written {
                text: text.to_owned(),
                stamp: None,
            };
            config::understand(&id, file, written, &SecretPlaces::default())
        });
        Self {
            temporary,
            now: clock::now(),
            served: Served::new(id, kept),
        }
    }

    fn file(&self) -> PathBuf {
        self.temporary.path().join("thu").join(FILE)
    }

    fn write(&self, text: &str) {
        fs::write(self.file(), text).unwrap();
    }

    /// Puts a file in the place of the former, that was written a minute ago.
    fn replace(&self, text: &str) {
        let new = self.file().with_extension("new");
        fs::write(&new, text).unwrap();
        let then = fs::FileTimes::new().set_modified(clock::wall() - Duration::from_secs(60));
        let file = fs::File::options().write(true).open(&new).unwrap();
        file.set_times(then).unwrap();
        fs::rename(new, self.file()).unwrap();
    }

    fn judge(&mut self) -> Judgement {
        self.judge_at(clock::wall())
    }

    fn judge_at(&mut self, wall: SystemTime) -> Judgement {
        let folder = self.temporary.path().join("thu");
        let read = config::read(self.served.id(), &folder, &SecretPlaces::default());
        self.served.judge(read, self.now, wall)
    }

    fn cameras(&self) -> usize {
        self.served
            .commune()
            .map_or(0, |commune| commune.cameras.len())
    }
}

#[test]
fn what_is_wrong_leaves_what_was_good_as_it_is() {
    let mut bench = Bench::new(None);
    bench.write(ONE);
    assert_eq!(bench.judge(), Judgement::Taken);
    let before = Arc::clone(bench.served.commune().unwrap());
    bench.write("[commune\n");
    assert_eq!(bench.judge(), Judgement::Refused);
    assert_eq!(bench.served.problems().len(), 1);
    fs::remove_file(bench.file()).unwrap();
    assert_eq!(bench.judge(), Judgement::Refused);
    // Mended, with a comment: nothing is replaced.
    bench.write(&format!("# ours\n{ONE}"));
    assert_eq!(bench.judge(), Judgement::Same);
    assert!(Arc::ptr_eq(&before, bench.served.commune().unwrap()));
    assert!(bench.served.problems().is_empty());
    bench.write(TWO);
    assert_eq!(bench.judge(), Judgement::Taken);
    assert!(!Arc::ptr_eq(&before, bench.served.commune().unwrap()));
}

#[test]
fn half_a_file_is_not_believed_until_it_stays_so() {
    let mut bench = Bench::new(None);
    bench.write(TWO);
    assert_eq!(bench.judge(), Judgement::Taken);
    bench.write(ONE);
    let again = bench.now + SETTLED;
    assert_eq!(bench.judge(), Judgement::Unsettled(again));
    bench.now += SETTLED / 2;
    assert_eq!(bench.judge(), Judgement::Unsettled(again));
    // The other half.
    bench.write(&format!("{TWO}# whole\n"));
    assert_eq!(bench.judge(), Judgement::Same);
    // Somebody means it.
    bench.write(ONE);
    let again = bench.now + SETTLED;
    assert_eq!(bench.judge(), Judgement::Unsettled(again));
    assert_eq!(bench.cameras(), 2);
    bench.now = again;
    assert_eq!(bench.judge(), Judgement::Taken);
    assert_eq!(bench.cameras(), 1);
}

#[test]
fn a_file_that_takes_the_place_of_another_is_believed_at_once() {
    let mut bench = Bench::new(None);
    bench.write(TWO);
    bench.judge();
    bench.replace(ONE);
    assert_eq!(bench.judge(), Judgement::Taken);
    // But not if it was written to since.
    bench.write(TWO);
    assert_eq!(bench.judge(), Judgement::Taken);
    bench.replace(TWO);
    bench.write(ONE);
    assert!(matches!(bench.judge(), Judgement::Unsettled(_)));
}

#[test]
fn after_a_start_a_spoilt_file_leaves_what_was_kept() {
    let mut bench = Bench::new(Some(TWO));
    bench.write("[commune\n");
    assert_eq!((bench.judge(), bench.cameras()), (Judgement::Refused, 2));
    let said = format!("{:?}", bench.served.problems());
    assert!(said.contains("good last"), "{said}");
    assert_eq!(bench.served.text(), None);
    // And half a file, if it is of this moment.
    bench.write(ONE);
    let again = bench.now + SETTLED;
    assert_eq!(bench.judge(), Judgement::Unsettled(again));
    // One that is old was meant so.
    let later = clock::wall() + Duration::from_secs(3600);
    assert_eq!(
        (bench.judge_at(later), bench.cameras()),
        (Judgement::Taken, 1)
    );
    assert_eq!(bench.served.text(), Some(ONE));
}

#[test]
fn where_nothing_was_ever_good_that_is_said() {
    let mut bench = Bench::new(Some("not what it was"));
    assert_eq!(bench.judge(), Judgement::Refused);
    let said = format!("{:?}", bench.served.problems());
    assert!(
        said.contains("no such file") && said.contains("nothing of this commune"),
        "{said}"
    );
    assert!(bench.served.commune().is_none());
}
