//! Copies at places that go well and badly, who decides about them, and bringing back what is only elsewhere.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a set-up that fails fails its test"
)]

mod elsewhere;
mod house;

use std::time::Duration;

use elsewhere::{Does, Elsewhere};
use house::{commune, key, micros, until};
use taimat_archive::{ArchiveError, NewHold, TroubleKind};
use taimat_base::clock;
use taimat_contract::storage::ReviewCause;
use taimat_testkit::movies::movies_below;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn copies_that_rot_or_go_are_made_anew_and_mend_what_rots_here() {
    let all = Elsewhere::start(SECOND, &["a", "b"]).await;
    all.decides(&["local", "a", "b"]);
    let mut camera = all.camera();
    all.film(&mut camera, 2 * MINUTE).await;
    let of = all.files();
    until("all are copied", || all.a.holds(&of) && all.b.holds(&of)).await;
    let (first, bytes) = of.iter().next().unwrap();

    // Of the same length: only who reads it again can know.
    all.a.change(first, |object| object[1000] ^= 1);
    let checks = |store: &str, result: &str| -> u64 {
        let labels = format!("result=\"{result}\",store=\"{store}\"");
        all.metric("taimat_copy_checks_total", &labels)
    };
    until("it is made anew", || {
        all.a.holds(&of) && checks("a", "differs") > 0
    })
    .await;
    all.b.lose(first);
    until("it is there again", || {
        all.b.holds(&of) && checks("b", "gone") > 0
    })
    .await;
    all.b.change(first, |object| object.truncate(500));
    until("it is whole again", || {
        all.b.holds(&of) && checks("b", "differs") > 0
    })
    .await;
    assert!(checks("a", "good") > 0);

    // What rots here is found by the way, and is replaced by a good copy.
    let path = all.folder().join(first);
    let mut altered = bytes.clone();
    altered[bytes.len() - 10] ^= 0x80;
    std::fs::write(&path, &altered).unwrap();
    let mended = || all.metric("taimat_segment_mended_total", "");
    until("it is mended", || std::fs::read(&path).unwrap() == *bytes).await;
    until("that is counted", || mended() == 1).await;
    assert!(
        all.a.holds(&of) && all.b.holds(&of),
        "what is damaged is not copied"
    );
    std::fs::remove_file(&path).unwrap();
    until("it is here again", || {
        std::fs::read(&path).is_ok_and(|now| now == *bytes)
    })
    .await;
    // What an export stumbles over is mended at once.
    std::fs::write(&path, &altered).unwrap();
    all.house.archive.found_damaged(&commune(), &path);
    until("it is mended", || std::fs::read(&path).unwrap() == *bytes).await;
    until("nothing is the matter any more", || {
        let troubles = all.house.archive.troubles();
        troubles.iter().all(|t| t.kind != TroubleKind::Damaged)
    })
    .await;
    all.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_here_and_nowhere_else_is_not_copied_and_stays_said() {
    let all = Elsewhere::start(30 * MINUTE, &["a"]).await;
    all.decides(&["local"]);
    let mut camera = all.camera();
    all.film(&mut camera, 3 * MINUTE).await;
    let of = all.files();
    let (first, bytes) = of.iter().next().unwrap();
    let mut altered = bytes.clone();
    altered[bytes.len() / 2] ^= 1;
    std::fs::write(all.folder().join(first), &altered).unwrap();
    all.decides(&["local", "a"]);
    all.says("b");
    let others = || of.keys().skip(1).all(|key| all.a.keys().contains(key));
    until("the others are copied", others).await;
    until("it is said", || {
        let troubles = all.house.archive.troubles();
        let own = troubles.iter().find(|t| t.kind == TroubleKind::Damaged);
        own.is_some_and(|trouble| trouble.about == *first)
    })
    .await;
    all.settles(&mut camera).await;
    assert!(
        !all.a.keys().contains(first),
        "what is damaged does not become a copy"
    );
    assert_eq!(std::fs::read(all.folder().join(first)).unwrap(), altered);

    // What somebody finds who checks all of it is mended too, where there is a copy.
    let (second, bytes) = of.iter().nth(1).unwrap();
    std::fs::write(all.folder().join(second), &bytes[..bytes.len() / 2]).unwrap();
    let checked = taimat_archive::check(all.folder(), true).unwrap();
    assert_eq!(checked.wrong.len(), 2, "{checked:?}");
    let listed = taimat_archive::have_mended(all.folder(), &checked);
    assert_eq!(listed.unwrap(), 2);
    until("it is mended", || {
        std::fs::read(all.folder().join(second)).unwrap() == *bytes
    })
    .await;
    assert_eq!(std::fs::read(all.folder().join(first)).unwrap(), altered);
    all.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_elsewhere_is_brought_back_when_somebody_wants_to_see_it() {
    let all = Elsewhere::start(30 * MINUTE, &["a", "b"]).await;
    all.decides(&["a"]);
    let mut camera = all.camera();
    let begun = camera.at;
    all.film(&mut camera, 4 * MINUTE).await;
    // The last is being written still, and stays here.
    until("nothing that is complete is here", || {
        movies_below(all.folder()).len() == 1
    })
    .await;
    let archive = &all.house.archive;
    let (from, to) = (micros(begun), micros(begun + MINUTE / 2));
    let timeline = || archive.timeline(&key("cho"), from, to).unwrap().recorded;
    assert!(
        timeline().iter().all(|one| one.elsewhere),
        "{:?}",
        timeline()
    );

    // Asked for, it comes, and is what was recorded.
    let movie = || archive.movie(&key("cho"), from, to);
    let Err(ArchiveError::Fetching { waiting, why }) = movie() else {
        panic!("{:?}", movie());
    };
    assert_eq!(why, "");
    until("it is here", || movie().is_ok()).await;
    assert!(timeline().iter().all(|one| !one.elsewhere));
    for piece in movie().unwrap().pieces {
        assert_eq!(
            elsewhere::digest(&piece.path, piece.offset, piece.bytes),
            piece.hash
        );
    }
    assert!(
        archive
            .still(&key("cho"), from.after(5 * SECOND), true)
            .is_ok()
    );
    assert_eq!(
        all.metric("taimat_copy_fetched_total", "done"),
        waiting as u64
    );

    // A place that is away for some time: that is said, and it comes later.
    let next = (micros(begun + 150 * SECOND), micros(begun + 155 * SECOND));
    let movie = || archive.movie(&key("cho"), next.0, next.1);
    all.a.does(Does::Breaks);
    until(
        "it is said why",
        || matches!(movie(), Err(ArchiveError::Fetching { why, .. }) if why.contains("500")),
    )
    .await;
    all.a.does(Does::Well);
    until("it comes when the place is back", || movie().is_ok()).await;
    all.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_elsewhere_is_not_let_go_for_a_copy_that_there_is_not_nor_while_it_is_held() {
    let all = Elsewhere::start(30 * MINUTE, &["a"]).await;
    all.decides(&["a"]);
    let mut camera = all.camera();
    let begun = camera.at;
    all.film(&mut camera, 4 * MINUTE).await;
    until("nothing that is complete is here", || {
        movies_below(all.folder()).len() == 1
    })
    .await;
    let elsewhere = all.a.keys();
    assert!(elsewhere.len() >= 3, "{elsewhere:?}");

    // The plugin has changed its mind: it wants them here, where they are no more.
    all.decides(&["local"]);
    all.says("here");
    all.settles(&mut camera).await;
    assert!(all.decider.asked(ReviewCause::Configured) >= elsewhere.len());
    assert!(elsewhere.iter().all(|key| all.a.keys().contains(key)));

    // It wants them nowhere, and somebody holds the first.
    let hold = NewHold {
        camera: key("cho").camera,
        start: micros(begun),
        end: micros(begun + SECOND),
        until: None,
        who: "Lan".into(),
        why: "trộm xe".into(),
        case_number: String::new(),
    };
    all.house.archive.hold(hold).await.unwrap();
    all.decides(&[]);
    all.says("nowhere");
    until("the others go", || all.a.keys().len() == 1).await;
    all.settles(&mut camera).await;
    assert_eq!(all.a.keys(), elsewhere[..1]);
    all.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_lies_is_not_shown_and_another_one_is() {
    let all = Elsewhere::start(30 * MINUTE, &["a", "b"]).await;
    all.decides(&["a", "b"]);
    let mut camera = all.camera();
    let begun = camera.at;
    all.film(&mut camera, 2 * MINUTE).await;
    until("nothing that is complete is here", || {
        movies_below(all.folder()).len() == 1
    })
    .await;
    let first = all.a.keys().into_iter().next().unwrap();
    let good = all.b.object(&first).unwrap();
    all.a.change(&first, |object| object[700] ^= 4);
    let archive = &all.house.archive;
    let movie = || archive.movie(&key("cho"), micros(begun), micros(begun + 5 * SECOND));
    assert!(movie().is_err());
    until("it comes from the other", || movie().is_ok()).await;
    let path = movie().unwrap().pieces[0].path.clone();
    assert_eq!(std::fs::read(path).unwrap(), good);
    // And the one that lied is made anew, of the other: nothing is here.
    until("it is made anew", || {
        all.a.object(&first).is_some_and(|now| now == good)
    })
    .await;
    all.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_is_dead_for_a_while_loses_nothing_and_stops_nobody() {
    let all = Elsewhere::start(30 * MINUTE, &["a", "b"]).await;
    all.decides(&["local", "a", "b"]);
    all.a.does(Does::Breaks);
    let mut camera = all.camera();
    all.film(&mut camera, 4 * MINUTE).await;
    let of = all.files();
    until("the other has all", || all.b.holds(&of)).await;
    let standing = || all.house.archive.standing(&commune()).unwrap().stores;
    let a = standing()
        .into_iter()
        .find(|store| store.name == "a")
        .unwrap();
    assert!(a.waiting >= of.len() as u64 && a.error.is_some_and(|e| e.contains("500")));
    let failures = |store| all.metric("taimat_copy_failures_total", store);
    assert!(failures("store=\"a\"") > 0);
    assert_eq!(failures("store=\"b\""), 0);
    // Not once a second for each that waits: the place has its pauses.
    let (before, since) = (all.a.asked(), clock::now());
    all.settles(&mut camera).await;
    let (asked, seconds) = (all.a.asked() - before, since.elapsed().as_secs());
    assert!(asked as u64 <= seconds + 4, "{asked} times in {seconds} s");
    all.film(&mut camera, MINUTE).await;
    for badness in [Does::Forgets, Does::KeepsOther, Does::Truncates] {
        let before = all.a.asked();
        all.a.does(badness);
        // Whoever changes a place has it tried at once.
        all.says(&format!("{badness:?}"));
        until("it is tried", || all.a.asked() > before).await;
    }
    assert!(
        standing().iter().any(|s| s.name == "a" && s.used == 0),
        "a lie counts as a copy"
    );
    all.a.does(Does::Well);
    // Its file may be asked for again at once: whoever has mended a place says so by changing it.
    all.says("mended");
    let of = all.files();
    until("it has all", || all.a.holds(&of)).await;
    all.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_hangs_or_lets_nothing_go_does_its_share() {
    let all = Elsewhere::start(30 * MINUTE, &["a", "b"]).await;
    all.decides(&["local", "a", "b"]);
    all.a.does(Does::Hangs);
    let mut camera = all.camera();
    all.film(&mut camera, 2 * MINUTE).await;
    let of = all.files();
    until("the other has all", || all.b.holds(&of)).await;
    // What is to go there does not, and what is to be made is made all the same.
    all.b.does(Does::LetsNothingGo);
    all.decides(&["local"]);
    all.says("less");
    until("it is tried", || all.b.removals() > 0).await;
    all.decides(&["local", "b"]);
    all.film(&mut camera, 2 * MINUTE).await;
    let of = all.files();
    until("it has the new ones", || all.b.holds(&of)).await;
    all.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_fails_or_lies_leaves_everything_where_it_is() {
    let all = Elsewhere::start(30 * MINUTE, &["a"]).await;
    all.decides(&["nowhere"]);
    let mut camera = all.camera();
    all.film(&mut camera, 3 * MINUTE).await;
    let trouble = || {
        let troubles = all.house.archive.troubles();
        troubles
            .into_iter()
            .find(|t| t.kind == TroubleKind::Storage)
    };
    until("it is said", || trouble().is_some()).await;
    let text = trouble().unwrap().text;
    assert!(text.contains("one that there is"), "{text}");
    assert_eq!(all.a.keys(), [""; 0]);
    assert!(movies_below(all.folder()).len() >= 3);
    // It answers again, but for one segment, which costs itself only.
    all.decider.fails_at(Some(2));
    all.decides(&["local", "a"]);
    all.says("mended");
    all.film(&mut camera, MINUTE).await;
    let complete = all.files();
    let others = || all.a.keys().len() + 1 >= complete.len();
    until("the others are copied", others).await;
    assert!(!all.a.keys().iter().any(|key| key.ends_with("-2.mp4")));
    // A time that is over is no reason to ask without end.
    all.decider.fails_at(None);
    all.decider.over(true);
    all.says("over");
    until("all are asked", || {
        all.decider.asked(ReviewCause::Configured) >= complete.len()
    })
    .await;
    let before = all.decider.asked(ReviewCause::Due);
    all.settles(&mut camera).await;
    assert!(all.decider.asked(ReviewCause::Due) - before <= complete.len());
    assert!(movies_below(all.folder()).len() >= complete.len());
    all.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_settings_change_all_is_asked_about_again_once() {
    let all = Elsewhere::start(30 * MINUTE, &["a"]).await;
    all.decides(&["local"]);
    let mut camera = all.camera();
    all.film(&mut camera, 3 * MINUTE).await;
    let complete = all.files();
    let fresh = || all.decider.asked(ReviewCause::Fresh);
    until("each is asked about", || fresh() >= complete.len()).await;
    assert_eq!(all.decider.asked(ReviewCause::Configured), 0);
    all.decides(&["local", "a"]);
    all.says("another quota");
    until("they are copied", || all.a.holds(&complete)).await;
    assert_eq!(all.decider.asked(ReviewCause::Configured), complete.len());
    // The same again is no change, over a restart either.
    all.says("another quota");
    all.settles(&mut camera).await;
    assert_eq!(all.decider.asked(ReviewCause::Configured), complete.len());
    let again = all.restart().await;
    again.settles(&mut again.camera()).await;
    assert_eq!(again.decider.asked(ReviewCause::Configured), 0);
    // A change that was made while the router did not run is one.
    again.says("a third");
    until("all are asked", || {
        again.decider.asked(ReviewCause::Configured) >= complete.len()
    })
    .await;
    again.house.close().await;
}
