//! Cameras that mean harm, one after the other beside a good one: the good one loses nothing, and the
//! router does not grow.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a set-up that fails fails its test"
)]

mod common;

use std::time::Duration;

use common::{Bench, LIMIT};
use taimat_base::clock;
use taimat_testkit::eventually;
use taimat_testkit::field::{self, Case, FieldCamera};
use taimat_testkit::gstreamer::write_commune;

/// How long each has.
const HARM: Duration = Duration::from_secs(4);
/// What a camera may cost (the fake one, which is in this process, included).
const MAX_GROWTH: f64 = (64 << 20) as f64;

#[tokio::test(flavor = "multi_thread")]
async fn none_of_them_harms_another_camera_or_the_router() {
    let hostile: Vec<Case> = field::cases()
        .unwrap()
        .into_iter()
        .filter(|case| case.misbehaves.hostile.is_some())
        .collect();
    assert!(hostile.len() >= 20, "{} kinds", hostile.len());
    let good = FieldCamera::start(&field::case("good").unwrap())
        .await
        .unwrap();
    let bench = Bench::start(&[]).await;
    let section = good.section(&bench.folder).unwrap();
    let mut sections = vec![("good", section)];
    write_commune(&bench.folder, &sections).unwrap();
    bench.until("good", "live", None).await;
    let mut client = bench.watch("good").await;
    let mut misses = Vec::new();
    for case in &hostile {
        let camera = FieldCamera::start(case).await.unwrap();
        let before = bench.metric("process_resident_memory_bytes", "").await;
        let frames = bench
            .metric("taimat_camera_frames_total", "camera=\"good\"")
            .await;
        sections.truncate(1);
        sections.push((&case.name, camera.section(&bench.folder).unwrap()));
        write_commune(&bench.folder, &sections).unwrap();
        eventually("it runs", LIMIT, async || {
            let profile = bench.profile(&case.name, "main").await;
            (!profile["state"].is_null()).then_some(())
        })
        .await;
        let (begun, mut most) = (clock::now(), 0_f64);
        while clock::now() - begun < HARM {
            tokio::time::sleep(Duration::from_millis(100)).await;
            most = most.max(bench.metric("process_resident_memory_bytes", "").await);
        }
        let name = &case.name;
        if most - before > MAX_GROWTH {
            misses.push(format!(
                "{name}: {:.0} MiB more",
                (most - before) / 1_048_576.0
            ));
        }
        let came = bench
            .metric("taimat_camera_frames_total", "camera=\"good\"")
            .await
            - frames;
        // Ten a second.
        if came < HARM.as_secs_f64() * 9.0 {
            misses.push(format!("{name}: the good camera had {came} pictures"));
        }
        if let Some(miss) = unnamed(&bench, case).await {
            misses.push(miss);
        }
    }
    let reconnects = bench
        .metric("taimat_camera_reconnects_total", "camera=\"good\"")
        .await;
    assert!(misses.is_empty(), "{}", misses.join("\n"));
    assert_eq!(reconnects, 0.0, "the good camera was lost");
    common::missed_nothing(&mut client).await;
}

/// Where only one cause is true, it is said.
async fn unnamed(bench: &Bench, case: &Case) -> Option<String> {
    if case.expect.cause.is_empty() {
        return None;
    }
    let deadline = clock::now() + Duration::from_secs(12);
    loop {
        let profile = bench.profile(&case.name, "main").await;
        let down = profile["state"] == "offline" || profile["state"] == "stalled";
        if down
            && case
                .expect
                .cause
                .iter()
                .any(|cause| profile["cause"] == **cause)
        {
            return None;
        }
        if clock::now() > deadline {
            let cause = &case.expect.cause;
            return Some(format!("{}: {profile} instead of {cause:?}", case.name));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
