//! The cameras of the field as ffmpeg itself sees them: what it shows, the router has to show.
#![allow(clippy::unwrap_used, reason = "a set-up that fails fails its test")]

use futures::StreamExt;
use taimat_hub::FaultCause;
use taimat_media::Quirk;
use taimat_testkit::field::case::{Ffmpeg, Pictures};
use taimat_testkit::field::straight::straight;
use taimat_testkit::field::{self, Case};

/// Mostly they wait.
const AT_ONCE: usize = 24;

#[test]
fn every_file_says_what_it_is_and_what_is_expected() {
    let cases = field::cases().unwrap();
    assert!(cases.len() >= 125, "{} kinds", cases.len());
    let states = ["", "idle", "connecting", "live", "stalled", "offline"];
    for case in &cases {
        let name = &case.name;
        assert!(case.what.ends_with('.'), "{name}: `what` is a sentence");
        assert!(case.expect.frames > 0, "{name}");
        let none = case.expect.pictures == Pictures::None;
        assert_eq!(
            none,
            !case.expect.cause.is_empty() && case.expect.state.is_none(),
            "{name}: a cause where there are no pictures"
        );
        for quirk in case.expect.quirks.iter().flatten() {
            let known = Quirk::ALL.iter().any(|q| q.as_str() == quirk);
            assert!(known, "{name}: {quirk:?} is no quirk");
        }
        for cause in &case.expect.cause {
            let known = FaultCause::ALL.iter().any(|c| c.as_str() == cause);
            assert!(known, "{name}: {cause:?} is no cause");
        }
        let state = case.expect.state.as_deref().unwrap_or("");
        assert!(states.contains(&state), "{name}: {state:?} is no state");
    }
    let chromium = cases.iter().filter(|c| c.expect.chromium).count();
    assert!(chromium >= 25, "{chromium} kinds for Chromium");
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_shows_what_the_files_say_it_does() {
    let cases = field::cases().unwrap();
    let asked = cases
        .into_iter()
        .filter(|case| case.expect.ffmpeg != Ffmpeg::Unasked);
    let judged = futures::stream::iter(asked.map(judged)).buffer_unordered(AT_ONCE);
    let mut lines: Vec<(bool, String)> = judged.collect().await;
    lines.sort();
    let failed = lines.iter().filter(|(right, _)| !right).count();
    for (right, line) in &lines {
        println!("{} {line}", if *right { "  " } else { "!!" });
    }
    assert_eq!(
        failed, 0,
        "cameras that ffmpeg does not show as their files say"
    );
}

async fn judged(case: Case) -> (bool, String) {
    let seen = straight(&case).await.unwrap();
    let line = format!("{:36} {:?} {:?}", case.name, seen.verdict, seen.said);
    (seen.as_expected, line)
}
